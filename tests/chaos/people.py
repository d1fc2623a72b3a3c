"""Those who change the tenants all the time, and those who tell the guard who may leave."""

from __future__ import annotations

import http.client
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.customers import TABLE, Customers
from tests.chaos.sets import Owned, Row

ADMIN_TOKEN = "admin-token-of-the-chaos"
MOST = 60
"""Tenants that there are at most."""

_WITHIN = 4.0
"""Seconds that a word to the guard may take; else it is said again later."""


@dataclass
class Operator:
    """Who lets tenants go by name. Of a plugin that asks nobody, whatever is deleted on purpose may leave."""

    said: set[str] = field(default_factory=set)
    """Whom the guard was told of, whether it heard that or not."""

    def approve(self, tenants: Sequence[str]) -> bool:
        """Approve that tenants leave every ApplicationSet; False if that is not known to have been heard."""
        self.said |= set(tenants)
        return self._is_heard(tenants)

    def _is_heard(self, _: Sequence[str]) -> bool:
        return True


class Unheard(Exception):
    """Nobody is known to have heard a word."""


@dataclass
class AtTheDesk(Operator):
    """Somebody who talks to the admin API of whichever replica answers."""

    ports: Sequence[int] = ()
    sets: Sequence[Owned] = ()

    def _is_heard(self, tenants: Sequence[str]) -> bool:
        try:
            for one in self.sets:
                self._approve(one, [tenant for tenant in tenants if one.answers(tenant)])
        except Unheard:
            return False
        return True

    def let_go(self, one: Owned) -> int:
        """Approve all that an ApplicationSet holds, and return how many they are. Raises Unheard."""
        held = self.held(one.name)
        tenants = sorted({*held[True], *held[False]})
        self.said |= set(held[True])
        self._approve(one, tenants)
        return len(tenants)

    def _approve(self, one: Owned, tenants: Sequence[str]) -> None:
        if tenants:
            word = {"by": "somebody", "why": "they leave us", "application_set": one.name, "tenants": tenants}
            self.asked("POST", "approve", word)

    def held(self, name: str) -> Mapping[bool, Sequence[str]]:
        """Return of an ApplicationSet who is held (True) and who waits to come (False). Raises Unheard."""
        found = self.asked("GET", f"application-sets/{name}")
        told: dict[bool, list[str]] = {True: [], False: []}
        for hold in found["holds"]:
            told[hold["rule"] != "replacement"] += hold["tenants"]
        return told

    def asked(self, method: str, path: str, word: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 -- JSON
        """Return what the guard says, whichever replica does. Raises Unheard."""
        told = "nobody was there"
        for port in self.ports:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WITHIN)
            try:
                body = None if word is None else json.dumps(word)
                headers = {"Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"}
                connection.request(method, f"/api/admin/v1/guard/{path}", body, headers)
                reply = connection.getresponse()
                told = reply.read().decode()
                if reply.status == 200:
                    return json.loads(told)
            except (OSError, http.client.HTTPException, ValueError) as error:
                told = repr(error)
            finally:
                connection.close()
        raise Unheard(told)


class Busy:
    """Changes at random, one after the other."""

    def __init__(self, customers: Customers, operator: Operator, seed: int) -> None:
        self.customers = customers
        self.operator = operator
        self.chance = random.Random(f"changes {seed}")
        self.made = 0
        self._seed = seed
        self._version = 0
        self._nameless = self._spoilt = 0.0

    def change(self) -> str:
        """Make one change, and return what it was."""
        kinds = {
            self._sign_up: 20,
            self.upgrade: 35,
            self._offboard: 10,
            self._slip: 5,
            self._slip_badly: 2,
            self._bring_back: 12,
            self._let_go: 4,
            self._deactivate: 4,
            self._reactivate: 8,
            self._write_anew: 2,
            self._lose_an_id: 2,
            self._spoil: 3,
        }
        self.made += 1
        # Anew for each, so that one that went otherwise leaves the others as they were.
        self.chance.seed(f"change {self.made} of {self._seed}")
        self._mend(time.monotonic() - 3)
        return self.chance.choices(list(kinds), list(kinds.values()))[0]()

    def mend(self) -> None:
        """Put right every row that cannot be used."""
        self._mend(float("inf"))

    def _mend(self, before: float) -> None:
        if 0 < self._nameless < before:
            self.customers.statement(f"DELETE FROM {TABLE} WHERE tenant IS NULL")
            self._nameless = 0.0
        if 0 < self._spoilt < before:
            self.customers.statement(f"UPDATE {TABLE} SET plan = trim(E'\\n' from plan) WHERE plan ~ E'\\n$'")
            self._spoilt = 0.0

    # --- what is meant ---------------------------------------------------------------------------------------------

    def _some(self, most: int) -> list[str]:
        there = sorted(self.customers.rows)
        return self.chance.sample(there, min(len(there), self.chance.randint(1, most)))

    def _sign_up(self) -> str:
        if len(self.customers.rows) >= MOST:
            return self.upgrade()
        return f"{self.customers.add(self.chance)} signs up"

    def upgrade(self) -> str:
        """Change up to three."""
        self._version += 1
        changed = self._some(3)
        self._write({tenant: self.customers.rows[tenant]._replace(plan=str(self._version)) for tenant in changed})
        return f"{changed} change to {self._version}"

    def _offboard(self) -> str:
        [tenant] = self._some(1)
        if not self.operator.approve([tenant]):
            return f"{tenant} is to leave, but nobody heard"
        self._write({tenant: None})
        return f"{tenant} is offboarded"

    def _let_go(self) -> str:
        """Approve of those who are away already; they never come back."""
        away = self._away()
        if not away:
            return self.upgrade()
        tenant = self.chance.choice(away)
        return f"{tenant} is let go, heard: {self.operator.approve([tenant])}"

    # --- what is not -----------------------------------------------------------------------------------------------

    def _slip(self) -> str:
        gone = self._some(2)
        self._write(dict.fromkeys(gone))
        return f"{gone} are deleted, and nobody was asked"

    def _slip_badly(self) -> str:
        there = sorted(self.customers.rows)
        gone = self.chance.sample(there, len(there) // 2)
        self._write(dict.fromkeys(gone))
        return f"half of all are deleted: {gone}"

    def _bring_back(self) -> str:
        """Put back some who went by mistake."""
        away = self._away()
        if not away:
            return self.upgrade()
        back = self.chance.sample(away, self.chance.randint(1, len(away)))
        self._write({tenant: self.customers.last[tenant] for tenant in back})
        return f"{back} are put back"

    def _away(self) -> list[str]:
        return sorted(
            tenant
            for tenant in self.customers.last
            if tenant not in self.customers.rows and tenant not in self.operator.said
        )

    def _deactivate(self) -> str:
        return self._become("inactive", self._some(2) if self.chance.random() < 0.7 else sorted(self.customers.rows))

    def _reactivate(self) -> str:
        return self._become("active", sorted(self.customers.rows))

    def _become(self, status: str, tenants: Sequence[str]) -> str:
        self._write({tenant: self.customers.rows[tenant]._replace(status=status) for tenant in tenants})
        return f"{len(tenants)} are {status}"

    def _write_anew(self) -> str:
        """Delete everybody, and insert them again in another transaction, as a nightly job does."""
        before = dict(self.customers.rows)
        self._write(dict.fromkeys(before))
        self._write(before)
        return "all are written anew"

    def _lose_an_id(self) -> str:
        self.customers.statement(f"INSERT INTO {TABLE} VALUES (NULL, 'active', 'eu', '0')")
        self._nameless = time.monotonic()
        return "a row has no id"

    def _spoil(self) -> str:
        [tenant] = self._some(1)
        self.customers.statement(f"UPDATE {TABLE} SET plan = plan || E'\\n' WHERE tenant = %s", tenant)
        self._spoilt = time.monotonic()
        return f"{tenant} has a row that cannot be used"

    def _write(self, rows: Mapping[str, Row | None]) -> None:
        self.customers.write(rows)
