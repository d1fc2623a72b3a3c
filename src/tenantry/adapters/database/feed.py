"""The feed of changes that fits a database."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from tenantry.adapters.database.source import Limits, relation_of, without_driver
from tenantry.adapters.database.urls import database_url, server_url
from tenantry.core.errors import ConfigurationError
from tenantry.service.feeding import Feed

if TYPE_CHECKING:
    from tenantry.adapters.database.postgresql_feed import Mark

LOOK_EVERY = 0.25
"""Seconds between two looks where nobody notifies: a look takes a tenth of a millisecond of the database."""


def open_feed(
    url: str, table: str | None, limits: Limits, *, channel: str, direct: str | None, every: float
) -> Feed | None:
    """Return the feed of a table, or for None of a query; None where there is none. Connects to nothing.

    `direct` is another URL of the same database, past a pooler; `every` bounds the seconds between two looks. Raises
    ConfigurationError.
    """
    found = database_url(url)
    if direct is not None:
        past = server_url(direct, "source.feed_url")
        if found.get_backend_name() != "postgresql" or past.get_backend_name() != "postgresql":
            raise ConfigurationError(["source.feed_url is for PostgreSQL, and of the same database as source.url."])
        found = past
    match found.get_backend_name():
        case "sqlite":
            from tenantry.adapters.database.sqlite_feed import SQLiteFeed

            return SQLiteFeed(found.database or "", table, min(every, LOOK_EVERY), limits.lock.total_seconds())
        case "postgresql":
            return _postgresql(found, table, limits, channel, min(every, LOOK_EVERY))
        case "mysql":
            return _mysql(found, table, limits, min(every, LOOK_EVERY))
    return None


class Heard(NamedTuple):
    """How changes are heard of, for people."""

    what: str
    remedy: str = ""


async def heard_by(feed: Feed | None, refresh: float) -> Heard:
    """Tell how changes are heard of, and how soon; `refresh` is how often tenants are read. Raises SourceError."""
    from tenantry.adapters.database.postgresql_feed import PostgreSQLFeed

    if feed is None:
        return Heard(f"Tenants are read every {refresh:g} s: nobody is told of changes.")
    soon = f"{min(refresh, LOOK_EVERY):g} s"
    if isinstance(feed, PostgreSQLFeed):
        return _heard_in_postgresql(*await feed.stands(), soon, refresh)
    if feed.name == "mysql":
        return await _heard_in_mysql(feed, soon, refresh)
    return Heard(f"A change of the file is noticed within {soon}.")


def _heard_in_postgresql(listens: bool, mark: Mark, soon: str, refresh: float) -> Heard:  # noqa: FBT001
    probing = f"Changes are noticed within {soon}, or within {refresh:g} s where others write to the server, too."
    if mark.is_standby:
        return Heard(f"This is a standby, which notifies nobody. {probing}")
    if not listens:
        return Heard(
            f"Notifications do not arrive: there is a pooler in between. {probing}",
            "Give as source.feed_url a connection past the pooler, to the same database.",
        )
    if not mark.notifies:
        return Heard(
            f"The table has no trigger that tells of changes. {probing}",
            "`tenantry manifests trigger` prints one: then changes are heard at once.",
        )
    return Heard("A trigger tells of each change, which is heard at once.")


async def _heard_in_mysql(feed: Feed, soon: str, refresh: float) -> Heard:
    from tenantry.adapters.database.mysql_feed import MySQLFeed

    if isinstance(feed, MySQLFeed) and (await feed.stands()).table is not None:
        return Heard(f"A change of the table is noticed within {soon}, at the latest within {refresh:g} s.")
    return Heard(f"Changes are noticed within {soon}, or within {refresh:g} s where others write to the server, too.")


def _mysql(url: URL, table: str | None, limits: Limits, every: float) -> Feed:
    try:
        from tenantry.adapters.database.mysql_feed import MySQLFeed
        from tenantry.adapters.database.mysql_line import Login
    except ModuleNotFoundError as missing:
        raise without_driver(missing) from None
    login = Login.of(url, limits.connect.total_seconds())
    return MySQLFeed(login, None if table is None else relation_of(table), every, limits.statement.total_seconds())


def _postgresql(url: URL, table: str | None, limits: Limits, channel: str, every: float) -> Feed:
    from tenantry.adapters.database.postgresql import OF_LIBPQ
    from tenantry.adapters.database.postgresql_feed import PostgreSQLFeed

    dialect = url.get_dialect()()
    try:
        _, given = dialect.create_connect_args(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(["source.feed_url has a host or port that cannot be used."]) from None
    defaults: dict[str, Any] = {
        **OF_LIBPQ,
        "application_name": "tenantry",
        "connect_timeout": str(max(2, math.ceil(limits.connect.total_seconds()))),
    }
    relation = None if table is None else dialect.identifier_preparer.format_table(relation_of(table))
    return PostgreSQLFeed({**defaults, **given}, channel, relation, every, limits.statement.total_seconds())
