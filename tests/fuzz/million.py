"""A million requests, generated: `python -m tests.fuzz.million [--requests N] [--seed S]`.

Each is sent to the application in this process; what comes back is held against the model. The same seed makes
the same requests. Ends with 1 if anything is violated.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tenantry.web.asgi import Headers
from tests.fakes import Recorder
from tests.fuzz.model import FIELDS, OPERATORS, RESERVED, model_door, violation
from tests.web.harness import TOKEN, Door, Reply, ask

_MOST_SHOWN = 10
_NAMES = (*FIELDS * 4, "settings.tier", "settings.regions.0", "settings.x", "settings.", "plam", "", *RESERVED)
_VALUES: tuple[object, ...] = (
    *("active", "trial", "true", "gold", "free", "", "5", "1.50", "-7", "a", "b", "eu", "us", "x", "tenant-03", "☃"),
    *(True, False, 5, -7, 1.5, 1e30, None, {}, [], [[]], 10**30, "5 ", "\u2028"),
)
_TOKENS = (None, "", "wrong", "$plugin:token", TOKEN + "x", TOKEN[:-1], "Ünbekannt")
_WHOLE = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"\xff",
    b"[" * 3000,
    b'{"applicationSetName":"a","input":{"parameters":{"plan":NaN}}}',
)
_ACCEPTED = (b"gzip", b"identity", b"gzip;q=0", b"*", b"br, gzip;q=0.1", b"\xff;;;==,,")
_PATHS = ("/", "//api/v1/getparams.execute", "/api/v1/getparams.execute/", "/api/v1", "/…")


@dataclass
class Result:
    """What came of all requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def body_of(chance: random.Random) -> bytes:
    """Return a body: most are requests, some are damaged, some are anything."""
    kind = chance.random()
    if kind < 0.05:
        return chance.choice(_WHOLE) if kind < 0.02 else chance.randbytes(chance.randrange(40))
    document: dict[str, object] = {"applicationSetName": f"set-{chance.randrange(300)}", "input": input_of(chance)}
    if kind < 0.1:
        document[chance.choice(("inputs", "applicationSetName", "input", "x"))] = chance.choice(_VALUES)
    body = json.dumps(document, ensure_ascii=kind < 0.5).encode()
    return damaged(chance, body) if kind > 0.8 else body


def input_of(chance: random.Random) -> dict[str, object]:
    if chance.random() < 0.05:
        return {} if chance.random() < 0.5 else {"parametres": {}}
    names = [chance.choice(_NAMES) for _ in range(chance.choice((0, 1, 1, 2, 3)))]
    return {"parameters": {name: parameter_of(name, chance) for name in names}}


def parameter_of(name: str, chance: random.Random) -> object:
    """Return a value, mostly one that the name is made for."""
    if chance.random() < 0.2:
        return value_of(chance)
    match name:
        case "selector":
            return selector_of(chance)
        case "view":
            return chance.choice(("gold", "first-half", ["gold", "first-half"], "glod", ["gold", 1]))
        case "shard":
            count = chance.choice((1, 2, 3, "4", 1024, 0, 1025))
            return {"index": chance.choice((0, 1, "1", 2, -1, "x")), "count": count}
        case "allowEmpty":
            return chance.choice((True, False, "true", "false", "yes"))
    return value_of(chance)


def selector_of(chance: random.Random) -> object:
    """Return a selector: text, mostly right, or an object."""
    if chance.random() < 0.3:
        expressions = [
            {"key": key_of(chance), "operator": chance.choice((*OPERATORS, "in")), "values": values_of(chance)}
            for _ in range(chance.randrange(3))
        ]
        if expressions and chance.random() < 0.3:
            expressions[0].pop(chance.choice(("values", "key")))
        return {"matchExpressions": expressions, "matchLabels": {key_of(chance): chance.choice(_VALUES)}}
    return ",".join(requirement_of(chance) for _ in range(chance.choice((0, 1, 1, 2, 3))))


def requirement_of(chance: random.Random) -> str:
    key, blank = key_of(chance), chance.choice(("", " ", "\t"))
    match chance.randrange(5):
        case 0:
            return f"{blank}{key}{blank}{chance.choice(('=', '==', '!=', '<', '>'))}{blank}{label_of(chance)}"
        case 1:
            return f"{key} {chance.choice(('in', 'notin'))}{blank}({','.join(values_of(chance))})"
        case 2:
            return chance.choice(("", "!", "! ")) + key
        case 3:
            return f"{key}>{chance.choice(('4', '5', '-7', '9' * 19, ''))}"
    return "".join(chance.choices(("a", "plan", " ", "=", "!", "(", ")", ",", "in", "<", "\0", "-"), k=4))


def key_of(chance: random.Random) -> str:
    return chance.choice(
        ("plan", "status", "seats", "settings.tier", "settings.regions.1", "settings.x", "tenant", "plam")
    )


def label_of(chance: random.Random) -> str:
    return chance.choice(("gold", "free", "a", "5", "1.50", "-7", "", "eu", "active", "x y"))


def values_of(chance: random.Random) -> list[str]:
    return [label_of(chance) for _ in range(chance.randrange(4))]


def value_of(chance: random.Random) -> object:
    if chance.random() < 0.3:
        return [chance.choice(_VALUES) for _ in range(chance.randrange(4))]
    return chance.choice(_VALUES)


def damaged(chance: random.Random, body: bytes) -> bytes:
    """Change, lose, double or cut off some bytes."""
    at, length = chance.randrange(len(body)), chance.randrange(4)
    middle = chance.choice((chance.randbytes(length), b"", body[at : at + length] * 2, b'"', b"{", b"}", b","))
    return body[:at] + middle + (body[at + length :] if chance.random() < 0.9 else b"")


async def one(here: Door, chance: random.Random) -> tuple[int, str]:
    """Send one request; returns its status, and what it violates."""
    body = body_of(chance)
    kind = chance.random()
    if kind < 0.1:
        return await unauthorised(here, chance, body)
    if kind < 0.12:
        reply = await ask(here, body, path=chance.choice(_PATHS))
        return reply.status, "" if reply.status == 404 and reply.message else f"{reply.status} where 404 is due"
    if kind < 0.15:
        reply = await ask(here, body, method=chance.choice(("GET", "HEAD", "PUT", "DELETE", "OPTIONS")))
        return reply.status, "" if reply.status == 405 and reply.message else f"{reply.status} where 405 is due"
    headers: Headers = [(b"accept-encoding", chance.choice(_ACCEPTED))] if kind < 0.6 else []
    cut = chance.randrange(len(body) + 1)
    reply = await ask(here, body, headers=headers, parts=[body[:cut], body[cut:]] if kind < 0.3 else None)
    if reply.header("content-encoding") == "gzip":
        reply = Reply(reply.status, reply.headers, gzip.decompress(reply.body))
    return reply.status, violation(body, reply)


async def unauthorised(here: Door, chance: random.Random, body: bytes) -> tuple[int, str]:
    token = chance.choice(_TOKENS)
    doubled: Headers = [(b"authorization", b"Bearer " + TOKEN.encode())] * 2 if chance.random() < 0.1 else []
    reply = await ask(here, body, token=token, headers=doubled)
    if reply.status != 401 or not reply.message:
        return reply.status, f"{reply.status} where 401 is due"
    return 401, "a tenant without a token" if b"tenant-" in reply.body else ""


def forget(seen: Recorder) -> None:
    """Keep memory bounded: a refusal holds its request."""
    seen.answers.clear()
    seen.refusals.clear()
    seen.faults.clear()


async def sent(requests: int, seed: int) -> Result:
    """Send so many requests, one after the other."""
    here, chance, result = model_door(), random.Random(seed), Result()
    for n in range(requests):
        before = chance.getstate()
        try:
            status, wrong = await one(here, chance)
        except AssertionError as error:
            status, wrong = 0, f"not a whole response of our shape ({error})"
        result.statuses[status] += 1
        if wrong:
            chance.setstate(before)
            result.violations.append(f"request {n}: {wrong}: {body_of(chance)!r}")
        result.violations += [f"request {n}: a fault: {fault!r}" for fault in here.seen.faults]
        forget(here.seen)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Send, print and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    result = asyncio.run(sent(given.requests, given.seed))
    seconds = time.perf_counter() - began
    for status, number in sorted(result.statuses.items()):
        print(f"{status}: {number}")
    for violated in result.violations[:_MOST_SHOWN]:
        print(f"violation: {violated}")
    print(f"{given.requests} requests in {seconds:.0f} s, {len(result.violations)} violations.")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
