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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tenantry.core.errors import TenantryError
from tenantry.core.secret import Secret
from tenantry.core.snapshot import Snapshot

if TYPE_CHECKING:
    import httpx2

TOLD = ("hold_began", "hold_ended")
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
    ) -> None:
        """Send to `url`, signed with what `secret` gives, each try within `timeout` seconds."""
        self._url = url
        self._secret = secret
        self._timeout = timeout
        self._report = report
        self._first_wait = first_wait
        self._waiting: deque[Notification] = deque()
        self._sending: Notification | None = None
        self._some = asyncio.Event()

    def __repr__(self) -> str:
        return f"Webhook(waiting={self.waiting})"

    @property
    def waiting(self) -> int:
        """How many notifications wait to be sent."""
        return len(self._waiting) + (self._sending is not None)

    def told(self, event: str, fields: dict[str, object]) -> None:
        """Take what is about holds."""
        if event not in TOLD:
            return
        document = {
            "event": event,
            "id": str(uuid.uuid4()),
            "at": datetime.now(UTC).isoformat(),
            "text": _sentence(event, fields),
            **fields,
        }
        self._waiting.append(Notification(event, str(document["id"]), msgspec.json.encode(document), time.monotonic()))
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self._report("notification_dropped", {"waiting": MOST_WAITING, "remedy": _REMEDY})
        self._some.set()

    async def run(self) -> None:
        """Send for ever, one after the other in their order."""
        import httpx2

        async with httpx2.AsyncClient(timeout=self._timeout, trust_env=False, follow_redirects=False) as client:
            while True:
                while self._waiting:
                    self._sending = self._waiting.popleft()
                    await self._deliver(client, self._sending)
                    self._sending = None
                self._some.clear()
                await self._some.wait()

    async def _deliver(self, client: httpx2.AsyncClient, one: Notification) -> None:
        """Try until it is taken, refused for good, or too old."""
        wait, told = self._first_wait, ""
        while True:
            problem, is_final = await self._try(client, one)
            if not problem:
                self._report("notification_delivered", {"notification": one.id})
                return
            if is_final or time.monotonic() - one.since > _GIVEN_UP_AFTER:
                self._report("notification_failed", {"notification": one.id, "reason": problem, "remedy": _REMEDY})
                return
            if problem != told:
                told = problem
                self._report("notification_waits", {"notification": one.id, "reason": problem})
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))  # noqa: S311 -- jitter
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _try(self, client: httpx2.AsyncClient, one: Notification) -> tuple[str, bool]:
        """Send once; returns what is wrong, empty if nothing is, and whether another try is of no use."""
        import httpx2

        try:
            answer = await client.post(self._url.reveal(), content=one.body, headers=self._headers(one))
        except httpx2.InvalidURL:
            return "notify.url cannot be used", True
        except (httpx2.HTTPError, OSError, ValueError) as error:
            # Its text may quote the URL.
            return f"it could not be sent ({type(error).__name__})", False
        status = answer.status_code
        if status in _SUCCESS:
            return "", True
        is_final = status < 500 and status not in _TRY_AGAIN
        return f"it was answered with status {status}", is_final

    def _headers(self, one: Notification) -> Mapping[str, str]:
        headers = {
            "Content-Type": "application/json",
            "X-Tenantry-Event": one.event,
            "X-Tenantry-Delivery": one.id,
        }
        secret = self._secret()
        if secret:
            now = int(time.time())
            headers["X-Tenantry-Signature"] = f"t={now},v1={signature(secret, now, one.body)}"
        return headers

    # --- what else there is to observe is not told -----------------------------------------------------------------

    def snapshot_published(self, snapshot: Snapshot, seconds: float, *, changed: bool) -> None:
        """Tell nobody."""

    def read_failed(self, error: TenantryError, cause: str, seconds: float) -> None:
        """Tell nobody."""

    def answered(self, application_set: str, consumer: str, tenants: int, seconds: float, *, held: bool) -> None:
        """Tell nobody."""

    def refused(self, status: int, error: TenantryError, seconds: float, application_set: str, consumer: str) -> None:
        """Tell nobody."""

    def failed(self, error: BaseException) -> None:
        """Tell nobody."""


def signature(secret: bytes, moment: int, body: bytes) -> str:
    """Return the HMAC-SHA256, in hex, of the moment in Unix seconds, a dot and the body."""
    return hmac.new(secret, f"{moment}.".encode() + body, hashlib.sha256).hexdigest()


def secret_from(value: Secret | None, file: Path | None) -> Callable[[], bytes | None]:
    """Return what gives the secret: a file is read each time, so that it may rotate."""

    def read() -> bytes | None:
        if value is not None:
            return value.reveal().strip().encode()
        if file is None:
            return None
        return file.read_bytes().strip()

    return read


def _sentence(event: str, fields: Mapping[str, object]) -> str:
    number, name, decision = fields.get("tenants"), fields.get("application_set"), fields.get("decision")
    whom = f"{number} tenant{'' if number == 1 else 's'} of ApplicationSet {name}"
    if event == "hold_began":
        return f"tenantry holds {whom} (decision {decision}). {fields.get('because')} Look: tenantry guard show {name}"
    return f"tenantry holds no longer {whom} (decision {decision}): {fields.get('how')}."


_REMEDY = "See whether notify.url is right and takes notifications; `tenantry guard holds` lists what is held."
