"""The trigger by which PostgreSQL tells of changes at once."""

from __future__ import annotations

TRIGGER = "tenantry_changed"
FUNCTION = "tenantry_notify"


def trigger_sql(table: str, channel: str) -> str:
    """Return the statements that make a table tell of each change, on a channel, without saying what changed.

    One for each statement, however many rows: notifications of one transaction that say the same are one. ALWAYS:
    changes that logical replication makes are told of, too.
    """
    schema, dot, name = table.rpartition(".")
    where = f"{_quoted(schema)}." if dot else ""
    relation, function = f"{where}{_quoted(name)}", f"{where}{FUNCTION}"
    return f"""\
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify(TG_ARGV[0], '');
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER {TRIGGER}
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {relation}
    FOR EACH STATEMENT EXECUTE FUNCTION {function}({_literal(channel)});

ALTER TABLE {relation} ENABLE ALWAYS TRIGGER {TRIGGER};
"""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
