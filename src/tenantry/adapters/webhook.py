"""Telling the outside that a hold began or ended: a signed POST, tried again until somebody takes it.

What is told are names of ApplicationSets, numbers and sentences, and never who the tenants are. Nothing of the URL is
ever logged, since it may hold a token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tenantry.core.errors import TenantryError
from tenantry.core.secret import Secret
from tenantry.core.shell import shell_word
from tenantry.core.snapshot import Snapshot

if TYPE_CHECKING:
    import httpx2

TOLD = ("hold_began", "hold_ended", "deletion_began", "deletion_ended")
"""The events that are sent."""

MOST_WAITING = 1000
"""Notifications that wait to be sent; of more, the oldest are dropped."""

_GIVEN_UP_AFTER = 24 * 3600.0
_LONGEST_WAIT = 60.0
_SUCCESS = range(200, 300)
_TRY_AGAIN = (408, 425, 429)

Report = Callable[[str, dict[str, object]], None]


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing to tell."""

    event: str
    id: str
    body: bytes
    since: float
    """When it happened, on the monotonic clock."""


class Webhook:
    """An observer that sends what it hears of holds; it never raises, and nobody waits for it."""

    def __init__(
        self,
        url: Secret,
        secret: Callable[[], bytes | None],
        timeout: float,
        report: Report,
        *,
        first_wait: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send to `url`, signed with what `secret` gives, each try within `timeout` seconds."""
        self._url = url
        self._secret = secret
        self._timeout = timeout
        self._report = report
        self._first_wait = first_wait
        self._now = now
        self._waiting: deque[Notification] = deque()
        self._sending: Notification | None = None
        self._some = asyncio.Event()
        self._dropped = 0
        """How many were dropped since that was last told."""
        self._is_dropping = False
        """Whether one was dropped since the last try, and that was told."""

    def __repr__(self) -> str:
        return f"Webhook(waiting={self.waiting})"

    @property
    def waiting(self) -> int:
        """How many notifications wait to be sent."""
        return len(self._waiting) + (self._sending is not None)

    def told(self, event: str, fields: dict[str, object]) -> None:
        """Take what is about holds, and about deletions that nobody asked for."""
        if event not in TOLD:
            return
        document = {
            "event": event,
            "id": str(uuid.uuid4()),
            "at": datetime.now(UTC).isoformat(),
            "text": _sentence(event, fields),
            **fields,
        }
        try:
            body = msgspec.json.encode(document)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the decision that is told of stands
            self._report_failed(str(document["id"]), f"it is no JSON ({type(error).__name__})")
            return
        self._waiting.append(Notification(event, str(document["id"]), body, self._now()))
        if len(self._waiting) > MOST_WAITING:
            self._drop_the_oldest()
        self._some.set()

    def _drop_the_oldest(self) -> None:
        """Tell of the first at once, and of those that follow together after the next try."""
        self._waiting.popleft()
        self._dropped += 1
        if not self._is_dropping:
            self._is_dropping = True
            self._tell_of_dropped()

    def _tell_of_dropped(self) -> None:
        fields: dict[str, object] = {"notifications": self._dropped, "waiting": MOST_WAITING, "remedy": _REMEDY}
        self._dropped = 0
        self._report("notification_dropped", fields)

    async def run(self) -> None:
        """Send for ever, one after the other in their order."""
        import httpx2

        try:
            # Its own limits are for each read, which a receiver that drips never exceeds: `_status_of` has one for all.
            async with httpx2.AsyncClient(timeout=None, trust_env=False, follow_redirects=False) as client:
                while True:
                    while self._waiting:
                        self._sending = self._waiting.popleft()
                        await self._deliver(client, self._sending)
                        self._sending = None
                    self._some.clear()
                    await self._some.wait()
        finally:
            if self._dropped:
                self._tell_of_dropped()

    async def _deliver(self, client: httpx2.AsyncClient, one: Notification) -> None:
        """Try until it is taken, refused for good, or too old."""
        told = ""
        for wait in waits(self._first_wait):
            problem, is_final = await self._try(client, one)
            self._is_dropping = self._dropped > 0
            if self._is_dropping:
                self._tell_of_dropped()
            if not problem:
                self._report("notification_delivered", {"notification": one.id})
                return
            if is_final or self._now() - one.since > _GIVEN_UP_AFTER:
                self._report_failed(one.id, problem)
                return
            if problem != told:
                told = problem
                self._report("notification_waits", {"notification": one.id, "reason": problem, "remedy": _REMEDY})
            await asyncio.sleep(wait)

    async def _try(self, client: httpx2.AsyncClient, one: Notification) -> tuple[str, bool]:
        """Send once; returns what is wrong, empty if nothing is, and whether another try is of no use."""
        import httpx2

        try:
            # In a thread, since a mount may stall.
            headers = _headers(one, await asyncio.to_thread(self._secret))
        except Exception as error:  # noqa: BLE001 -- what is to be signed is never sent unsigned
            return f"notify.secret_file cannot be used ({type(error).__name__})", False
        try:
            status = await self._status_of(client, one, headers)
        except httpx2.InvalidURL:
            return "notify.url cannot be used", True
        except Exception as error:  # noqa: BLE001 -- whatever it is, the service goes on; its text may quote the URL
            return f"it could not be sent ({type(error).__name__})", False
        if status in _SUCCESS:
            return "", True
        is_final = status < 500 and status not in _TRY_AGAIN
        return f"it was answered with status {status}", is_final

    async def _status_of(self, client: httpx2.AsyncClient, one: Notification, headers: Mapping[str, str]) -> int:
        """Send once, within the time for all of it; the answer's body says nothing, and may be of any size."""
        async with (
            asyncio.timeout(self._timeout),
            client.stream("POST", self._url.reveal(), content=one.body, headers=headers) as answer,
        ):
            return answer.status_code

    def _report_failed(self, notification: str, reason: str) -> None:
        self._report("notification_failed", {"notification": notification, "reason": reason, "remedy": _REMEDY})

    # --- what else there is to observe is not told -----------------------------------------------------------------

    def snapshot_published(
        self, snapshot: Snapshot, seconds: float, *, changed: bool, heard: float | None = None
    ) -> None:
        """Tell nobody."""

    def read_spared(self) -> None:
        """Say nothing: it is nothing new."""

    def read_failed(self, error: TenantryError, cause: str, seconds: float) -> None:
        """Tell nobody."""

    def answered(
        self, application_set: str, consumer: str, tenants: int, checksum: int, seconds: float, *, held: bool
    ) -> None:
        """Tell nobody."""

    def refused(self, status: int, error: TenantryError, seconds: float, application_set: str, consumer: str) -> None:
        """Tell nobody."""

    def failed(self, error: BaseException) -> None:
        """Tell nobody."""


def signature(secret: bytes, moment: int, body: bytes) -> str:
    """Return the HMAC-SHA256, in hex, of the moment in Unix seconds, a dot and the body."""
    return hmac.new(secret, f"{moment}.".encode() + body, hashlib.sha256).hexdigest()


def waits(first: float) -> Iterator[float]:
    """Give the seconds before each further try: twice as long each time, with jitter, and a minute at most."""
    wait = first
    while True:
        yield wait * random.uniform(0.8, 1.0)  # noqa: S311 -- jitter
        wait = min(wait * 2, _LONGEST_WAIT)


def secret_from(value: Secret | None, file: Path | None) -> Callable[[], bytes | None]:
    """Return what gives the secret, None if there is to be none: a file is read each time, so that it may rotate."""

    def read() -> bytes | None:
        if value is not None:
            return value.reveal().strip().encode()
        if file is None:
            return None
        found = file.read_bytes().strip()
        if not found:
            raise ValueError("It is empty.")
        return found

    return read


def _headers(one: Notification, secret: bytes | None) -> Mapping[str, str]:
    headers = {
        "Content-Type": "application/json",
        "X-Tenantry-Event": one.event,
        "X-Tenantry-Delivery": one.id,
    }
    if secret is not None:
        now = int(time.time())
        headers["X-Tenantry-Signature"] = f"t={now},v1={signature(secret, now, one.body)}"
    return headers


def _sentence(event: str, fields: Mapping[str, object]) -> str:
    number, name, decision = fields.get("tenants"), fields.get("application_set"), fields.get("decision")
    whom = f"{number} tenant{'' if number == 1 else 's'} of ApplicationSet {name}"
    if event == "deletion_began":
        return f"Applications of {whom} are being deleted, though tenantry answers them. {fields.get('remedy')}"
    if event == "deletion_ended":
        return f"Applications of {whom} are being deleted still, though tenantry answers them: fewer than before."
    if event == "hold_began":
        look = f"tenantry guard show --consumer={shell_word(str(fields.get('consumer')))} -- {shell_word(str(name))}"
        return f"tenantry holds {whom} (decision {decision}). {fields.get('because')} Look: {look}"
    return f"tenantry holds no longer {whom} (decision {decision}): {fields.get('how')}."


_REMEDY = "See whether notify.url is right and takes notifications; `tenantry guard holds` lists what is held."
