"""Bearer tokens from the environment and from mounted files: several at once, read again when they change.

A rotation puts the new token beside the old one, waits until Argo CD sends it, and takes the old one away: both
are valid in between. Only digests are kept, and neither a report nor an error has anything of a token.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import random
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from watchfiles import awatch

from tenantry.core.errors import quoted
from tenantry.core.secret import Secret

DEFAULT = "default"
"""The consumer of a token that has no name: from the environment or from a single file."""

LARGEST = 64 << 10
"""Bytes of a token's file: whatever is larger is something else."""

Report = Callable[[str, dict[str, object]], None]
Note = tuple[str, str, str]
"""What is to be reported: the event, the file's name, the reason."""

_NUMBERED = re.compile(r"(.+?)\.[0-9]+")
_KUBELET = "..data"
_MOST_TRIES = 3
_SHORTEST_WAIT, _LONGEST_WAIT = 0.1, 5.0


@dataclass(slots=True)
class _Found:
    """What one look at the files gave."""

    files: dict[Path, bytes] = field(default_factory=dict)
    """The digest of each file that holds a token."""

    notes: list[Note] = field(default_factory=list)


class MountedTokens:
    """The tokens that are valid now; nothing of them but their number and their consumers ever leaves."""

    def __init__(
        self, *, value: Secret | None, file: Path | None, directory: Path | None, recheck: timedelta, report: Report
    ) -> None:
        """Read all tokens; `report` is told, in names of files, of changes and of what could not be used."""
        text = value.reveal().strip() if value else ""
        self._value = _digest(text.encode("utf-8", "surrogatepass")) if text else None
        self._file = file
        self._directory = directory
        self._recheck = recheck.total_seconds()
        self._report = report
        self._files: dict[Path, bytes] = {}
        self._valid: dict[bytes, str] = {}
        self._told: frozenset[Note] = frozenset()
        self._reading = asyncio.Lock()
        self.reload()

    def __repr__(self) -> str:
        return f"MountedTokens(count={self.count})"

    @property
    def count(self) -> int:
        """How many tokens are valid."""
        return len(self._valid)

    @property
    def consumers(self) -> Collection[str]:
        """Whose tokens are valid."""
        return frozenset(self._valid.values())

    def consumer_of(self, presented: str) -> str | None:
        """Return whose token this is, or None; every token is compared, each in constant time."""
        digests = [_digest(form) for form in _forms(presented)]
        same = hmac.compare_digest
        found: str | None = None
        for known, consumer in self._valid.items():
            for digest in digests:
                if same(digest, known):
                    found = consumer
        return found

    def shares_with(self, other: MountedTokens) -> bool:
        """Tell whether some token is valid here and there."""
        return not self._valid.keys().isdisjoint(other._valid)

    def reload(self) -> bool:
        """Read the files again and tell whether the tokens changed; what cannot be read keeps its last good ones."""
        return self._take(self._look())

    async def watch(self) -> None:
        """Read again at each change, and every `recheck` in any case, for ever."""
        folders = self._folders()
        if not folders:
            await asyncio.Event().wait()
        wait, told = _SHORTEST_WAIT, False
        while True:
            places = _places(folders)
            if None not in places.values():
                try:
                    await self._watch(folders, places)
                    wait, told = _SHORTEST_WAIT, False
                except (OSError, RuntimeError, ExceptionGroup):
                    # No watch to be had, or a folder went this moment: until it works, the waits below re-read.
                    if not told:
                        self._report("tokens_not_watched", {"reason": "the directory cannot be watched for changes"})
                    told = True
            await asyncio.sleep(min(wait, self._recheck) * random.uniform(0.8, 1.2))  # noqa: S311 -- jitter
            wait = min(wait * 2, _LONGEST_WAIT)
            await self._reload_aside()

    async def _watch(self, folders: list[Path], places: Mapping[Path, object]) -> None:
        """Read again at each change, until one of the folders is not the one that is watched."""
        every = max(1, round(self._recheck * 1000))
        changes = awatch(
            *folders, watch_filter=None, debounce=400, rust_timeout=every, yield_on_timeout=True, recursive=False
        )
        async with aclosing(changes):
            # It runs once the watch has begun, so that no change falls between a read and the watch. No TaskGroup: one
            # that fails loses a cancellation that comes while it ends (CPython 3.11, `TaskGroup.__aexit__`).
            first = asyncio.create_task(self._reload_aside())
            try:
                async for _ in changes:
                    await self._reload_aside()
                    if _places(folders) != places:
                        return
            finally:
                first.cancel()

    async def _reload_aside(self) -> None:
        """Read in a thread, since a mount may stall, and take what was found in the loop."""
        async with self._reading:
            self._take(await asyncio.to_thread(self._look))

    def _folders(self) -> list[Path]:
        folders = (self._directory, self._file.parent if self._file else None)
        return list(dict.fromkeys(folder for folder in folders if folder is not None))

    def _look(self) -> _Found:
        found = _Found()
        if self._file is not None:
            self._read(found, self._file, self._file)
        if self._directory is not None:
            try:
                self._read_directory(found, self._directory)
            except OSError as error:
                found.notes.append(("tokens_unreadable", self._directory.name, error.strerror or "unreadable"))
                self._keep(found, (path for path in self._files if path.parent == self._directory))
        return found

    def _read_directory(self, found: _Found, directory: Path) -> None:
        """Read a directory from one moment: the kubelet swaps all files at once, by the link `..data`."""
        look, before, tries = _Found(), None, 0
        while not tries or (_link(directory) != before and tries < _MOST_TRIES):
            look, before, tries = _Found(), _link(directory), tries + 1
            for path, real in sorted(_tokens_in(directory).items()):
                self._read(look, path, real)
        found.files |= look.files
        found.notes += look.notes

    def _read(self, found: _Found, path: Path, real: Path) -> None:
        try:
            stored = _stored(real)
        except OSError as error:
            if path == self._file or not isinstance(error, FileNotFoundError):
                found.notes.append(("tokens_unreadable", path.name, error.strerror or "unreadable"))
                self._keep(found, [path])
            return
        reason = _unusable(stored)
        if reason:
            found.notes.append(("token_skipped", path.name, reason))
        else:
            found.files[path] = _digest(stored.decode().strip().encode())

    def _keep(self, found: _Found, paths: Iterable[Path]) -> None:
        for path in paths:
            if path in self._files:
                found.files.setdefault(path, self._files[path])

    def _take(self, found: _Found) -> bool:
        """Make what was found valid, and report what is news."""
        valid = dict.fromkeys([self._value] if self._value else [], DEFAULT)
        same: dict[str, str] = {}
        for path, digest in found.files.items():
            consumer = DEFAULT if path == self._file else _consumer(path.name)
            if valid.setdefault(digest, consumer) != consumer:
                reason = f"the same token as that of {quoted(valid[digest])}, whose it is"
                found.notes.append(("token_skipped", path.name, reason))
                same[consumer] = valid[digest]
        # Two names of one token are one consumer, the next token of either too: a rotation changes nobody.
        valid = {digest: _first_name(consumer, same) for digest, consumer in valid.items()}
        notes = frozenset(found.notes)
        for event, file, reason in sorted(notes - self._told):
            self._report(event, {"file": file, "reason": reason})
        changed = valid != self._valid
        self._files, self._valid, self._told = found.files, valid, notes
        if changed:
            self._report("tokens_changed", {"tokens": len(valid), "consumers": len(set(valid.values()))})
        return changed


def _tokens_in(directory: Path) -> dict[Path, Path]:
    """Return the name of each token's file, and where it really lies at this moment."""
    current = directory / _KUBELET
    paths = {path: path for path in directory.iterdir()}
    if current.is_dir():
        # The links beside it are added and removed one by one, after the swap.
        paths |= {directory / path.name: path for path in current.resolve().iterdir()}
    return {path: real for path, real in paths.items() if not path.name.startswith(".") and _may_be_read(real)}


def _may_be_read(path: Path) -> bool:
    """Tell whether this is a regular file; what cannot be told is left to the attempt to read it."""
    try:
        return path.is_file()
    except OSError:
        return True


def _link(directory: Path) -> Path | None:
    current = directory / _KUBELET
    return current.readlink() if current.is_symlink() else None


def _places(folders: Iterable[Path]) -> dict[Path, tuple[int, int] | None]:
    """Tell the folders at these paths apart from others that take their place; None for one that is not there."""
    places: dict[Path, tuple[int, int] | None] = {}
    for folder in folders:
        try:
            status = folder.stat()
            places[folder] = (status.st_dev, status.st_ino)
        except OSError:
            places[folder] = None
    return places


def _stored(path: Path) -> bytes:
    """Read what fits into a token's file; opening a pipe would wait for its writer, so that is refused."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as stream:
        return stream.read(LARGEST + 1)


def _unusable(stored: bytes) -> str:
    """Say why this cannot be a token; empty if it can."""
    if len(stored) > LARGEST:
        return "larger than 64 KiB"
    try:
        text = stored.decode().strip()
    except UnicodeDecodeError:
        return "not UTF-8"
    if not text:
        return "empty"
    return "" if text.isprintable() else "holds a line break or a control character"


def _consumer(name: str) -> str:
    """Return a file's name without a trailing number: `prod.1` and `prod.2` are both of the consumer `prod`."""
    numbered = _NUMBERED.fullmatch(name)
    return numbered[1] if numbered else name


def _first_name(consumer: str, same: Mapping[str, str]) -> str:
    seen = {consumer}
    while (other := same.get(consumer)) is not None and other not in seen:
        consumer = other
        seen.add(other)
    return consumer


def _forms(presented: str) -> Collection[bytes]:
    """Return the bytes that a text may stand for: a header is decoded as Latin-1, though UTF-8 was sent."""
    if presented.isascii():
        return (presented.encode(),)
    utf8 = presented.encode("utf-8", "surrogatepass")
    return (utf8, presented.encode("latin-1")) if max(presented) <= "\xff" else (utf8,)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
