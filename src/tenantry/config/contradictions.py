"""Checks across settings: each is right by itself, and together they are not."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tenantry.config.quantities import show_duration
from tenantry.config.reading import Reading
from tenantry.config.settings import Settings
from tenantry.core.errors import quoted

OFF = "off"
"""In `naming`: no such field."""

_LONGEST_SOCKET = 107
"""Bytes of the path of a Unix socket, without the zero at its end (unix(7): `sun_path`)."""


def take_contradictions(reading: Reading, settings: Settings) -> None:
    """Tell where settings contradict each other, unless one of them has a problem already."""
    for keys, why in (*_contradictions(settings), *_two_sources(reading)):
        if reading.wrong.isdisjoint(keys):
            origin = next((reading.origins[key] for key in keys if key in reading.origins), "default")
            reading.problems.append(f"{origin}: {why}")


def _contradictions(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the keys that are involved, the likely culprit first, and what is wrong."""
    source, server = settings.source, settings.server
    if source.state is None and (source.serve is not None or source.retire):
        why = "source.serve and source.retire need source.state, the column that holds the state."
        yield ("source.serve", "source.retire", "source.state"), why
    if source.serve is None and source.retire:
        yield ("source.retire", "source.serve"), "source.retire needs source.serve: without it all are deployed."
    if both := sorted(set(source.serve or ()).intersection(source.retire)):
        why = (
            f"source.retire lists {', '.join(map(quoted, both))}, and so does source.serve: a state is deployed or not."
        )
        yield ("source.retire", "source.serve"), why
    if server.ops_address == server.address:
        yield ("server.ops_address", "server.address"), "server.ops_address is the same as server.address."
    yield from _of_fields(settings)
    yield from _of_admin(settings)
    if settings.notify.secret is not None and settings.notify.secret_file is not None:
        why = "notify.secret and notify.secret_file are both given, and one secret signs: give one of them."
        yield ("notify.secret_file", "notify.secret"), why
    namespaces = settings.kubernetes.namespaces
    if "*" in namespaces and len(namespaces) > 1:
        why = "kubernetes.namespaces lists '*', which is every namespace, and others besides: give one or the other."
        yield ("kubernetes.namespaces",), why
    yield from _too_long(settings)


def _two_sources(reading: Reading) -> Iterator[tuple[tuple[str, ...], str]]:
    if "source.table" in reading.values and "source.query" in reading.values:
        yield ("source.query", "source.table"), "source.query takes the place of source.table: give one of them."


def _of_fields(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    naming, parameters = settings.naming, settings.source.parameters
    if naming.name == naming.label != OFF:
        yield ("naming.label", "naming.name"), "naming.name and naming.label are the same field."
    if parameters is not None:
        names = [shape.name for shape in settings.fields if "." not in shape.name or shape.column]
        if unserved := [name for name in names if name not in parameters]:
            why = (
                f"`fields` tells of {', '.join(map(quoted, unserved))}, which source.parameters does not list: add it "
                "there, or leave it out here."
            )
            yield ("fields", "source.parameters"), why


def _of_admin(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    admin, tokens = settings.admin, settings.tokens
    if admin.token is not None and admin.token == tokens.value:
        why = "admin.token is the same as tokens.value: whoever asks as Argo CD would be let into the admin API."
        yield ("admin.token", "tokens.value"), why
    if admin.token_file is not None and admin.token_file == tokens.file:
        yield ("admin.token_file", "tokens.file"), "admin.token_file and tokens.file are the same file."
    if admin.token_file is not None and admin.token_file.parent == tokens.directory:
        why = "admin.token_file is in tokens.directory, where every file holds a plugin token."
        yield ("admin.token_file", "tokens.directory"), why
    length = len(os.fsencode(settings.admin_socket))
    if length > _LONGEST_SOCKET:
        why = (
            f"The path of the admin API's socket has {length} bytes; a Unix socket takes {_LONGEST_SOCKET}. Give a "
            "shorter one as admin.socket."
        )
        yield ("admin.socket", "data.directory"), why


def _too_long(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    source, snapshot = settings.source, settings.snapshot
    for shorter, less, longer, more in (
        ("source.lock_timeout", source.lock_timeout, "source.statement_timeout", source.statement_timeout),
        ("source.statement_timeout", source.statement_timeout, "source.read_timeout", source.read_timeout),
        ("snapshot.refresh", snapshot.refresh, "snapshot.max_stale", snapshot.max_stale),
    ):
        if less > more or (less == more and longer == "snapshot.max_stale"):
            why = f"{shorter} ({show_duration(less)}) is too long for {longer} ({show_duration(more)})."
            yield (shorter, longer), why
