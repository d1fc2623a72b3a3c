"""A query in the place of a table: what it may be, found before the database sees it.

The database has the last word: whatever the query says, it runs inside a read-only transaction, as a sub-select. The
check tells a slip at the start, in words; a text that cannot be parsed here is left to the database.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import table
from sqlalchemy.sql import quoted_name
from sqlalchemy.sql.expression import FromClause

from tenantry.core.errors import ConfigurationError, listed, quoted

if TYPE_CHECKING:
    from sqlglot import exp

NAME = "tenants"
"""What the query is called where it stands in for a table."""

_CHANGES_STATE = frozenset(
    {
        "nextval", "setval", "lastval", "set_config", "pg_notify", "pg_sleep", "pg_sleep_for", "pg_sleep_until",
        "pg_cancel_backend", "pg_terminate_backend", "pg_reload_conf", "txid_current", "pg_current_xact_id",
        "query_to_xml", "get_lock", "release_lock", "release_all_locks", "sleep", "benchmark", "last_insert_id",
        "load_extension",
    }
)  # fmt: skip
_CHANGE_STATE = (
    *("pg_advisory_", "pg_try_advisory_", "pg_logical_", "pg_replication_"),
    *("dblink", "lo_", "pg_read_", "pg_ls_"),
)
"""How the names of others begin."""

_CHANGES_BY_ITSELF = frozenset(
    {
        "now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "current_timestamp",
        "current_date", "current_time", "localtime", "localtimestamp", "sysdate", "curdate", "curtime",
        "utc_timestamp", "utc_date", "unix_timestamp", "random", "rand", "uuid", "gen_random_uuid", "newid",
        "timeofday", "julianday", "randomblob",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    """A query that may be read from."""

    text: str
    """Without the semicolon at its end."""

    notes: tuple[str, ...] = ()
    """What is worth knowing about it, for `tenantry check`."""

    @property
    def name(self) -> str:
        """What it is called in a source position: another query is another source."""
        return f"query {hashlib.sha256(' '.join(self.text.split()).encode()).hexdigest()[:16]}"

    def clause(self, *, doubled: bool) -> FromClause:
        """Return it as something to select from; `doubled` where the driver takes `%` for the start of a parameter."""
        text = self.text.replace("%", "%%") if doubled else self.text
        # A name without quotes is written as it is; SQLAlchemy's text() would look for parameters in literals. The line
        # break ends a comment at the end.
        return table(quoted_name(f"(\n{text}\n)", quote=False)).alias(NAME)


def checked_query(text: str, dialect: str) -> Query:
    """Return a query that reads and nothing else, `dialect` being sqlglot's; raises ConfigurationError."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    # It would log the text of what it does not know.
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    try:
        parsed = sqlglot.parse(text, read=dialect)
        # A comment behind the semicolon is one more of them, with nothing in it.
        statements = [statement for statement in parsed if statement and not isinstance(statement, exp.Semicolon)]
    except (SqlglotError, RecursionError):
        note = "source.query could not be checked here; the database runs it in a read-only transaction all the same."
        return Query(_bare(text, dialect), (note,))
    problems = list(_problems(statements))
    if problems:
        raise ConfigurationError([f"source.query {problem}" for problem in problems])
    return Query(_bare(text, dialect), tuple(_notes(statements[0])))


def _bare(text: str, dialect: str) -> str:
    """Cut off semicolons at the end, also those before a comment."""
    from sqlglot import TokenError, tokenize

    try:
        tokens = tokenize(text, read=dialect)
    except TokenError:
        return text.strip().rstrip(";")
    while tokens and tokens[-1].text == ";":
        text = text[: tokens[-1].start] + text[tokens[-1].end + 1 :]
        tokens.pop()
    return text.strip()


def _problems(statements: list[exp.Expr]) -> Iterator[str]:
    from sqlglot import exp

    if len(statements) != 1:
        yield f"holds {len(statements)} statements: give one SELECT."
        return
    root = statements[0]
    if not isinstance(root, exp.Query):
        yield "is no SELECT: tenantry only reads."
        return
    if any(root.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Command, exp.Copy)):
        yield "writes: tenantry only reads."
    if any(select.args.get("into") for select in root.find_all(exp.Select)):
        yield "has INTO: tenantry only reads."
    if any(select.args.get("locks") for select in root.find_all(exp.Select)):
        yield "locks rows (FOR UPDATE, FOR SHARE): leave that out."
    if any(root.find_all(exp.Placeholder, exp.Parameter, exp.SessionParameter)):
        yield "has a parameter: there is nobody to give it a value."
    yield from _cuts(root)
    yield from _calls(root)
    yield from _names(root)


def _cuts(root: exp.Query) -> Iterator[str]:
    """Refuse what serves a part of the rows: the next sign-up would then take a tenant out."""
    from sqlglot import exp

    # Each pair of parentheses may have one of its own.
    levels: list[exp.Expr] = [root]
    while isinstance(levels[-1], exp.Subquery):
        levels.append(levels[-1].this)
    if any(level.args.get(cut) for level in levels for cut in ("limit", "offset")):
        yield "has a LIMIT or OFFSET: each new tenant would take another one out. For a part of them take a shard."
    if any(root.find_all(exp.TableSample)):
        yield "takes a sample: each read would be another one."


def _calls(root: exp.Query) -> Iterator[str]:
    found = sorted(name for name in _functions(root) if name in _CHANGES_STATE or name.startswith(_CHANGE_STATE))
    if found:
        yield f"calls {listed(found)}, which does more than read."


def _functions(root: exp.Expr) -> set[str]:
    from sqlglot import exp

    names = {call.name.lower() for call in root.find_all(exp.Anonymous)}
    return names | {
        type(call).sql_names()[0].lower() for call in root.find_all(exp.Func) if type(call) is not exp.Anonymous
    }


def _names(root: exp.Query) -> Iterator[str]:
    """Refuse columns without a name, or with the name of another one."""
    from sqlglot import exp

    columns = root.selects
    for number, column in enumerate(columns, 1):
        if not isinstance(column, exp.Alias | exp.Column | exp.Star) or not column.alias_or_name:
            yield f"gives no name to its column {number}: add AS and one."
    names = Counter(column.alias_or_name for column in columns if column.alias_or_name and column.alias_or_name != "*")
    if twice := sorted(name for name, number in names.items() if number > 1):
        yield f"has two columns called {', '.join(map(quoted, twice))}: give one another name by AS."


def _notes(root: exp.Expr) -> Iterator[str]:
    if found := sorted(_functions(root) & _CHANGES_BY_ITSELF):
        yield (
            f"source.query calls {listed(found)}: who is served then changes with the clock or by chance, and not only "
            "when a row changes."
        )
