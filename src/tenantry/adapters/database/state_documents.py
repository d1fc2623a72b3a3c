"""What the state database keeps as documents: all of an ApplicationSet but its parameter sets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tenantry.core.errors import StateDamaged
from tenantry.core.history import Event
from tenantry.core.ledger import Baseline, Hold, Input, Loss, SetLedger, Sizes, Word
from tenantry.core.position import ReleasedFrom
from tenantry.core.spec import Spec
from tenantry.service.state import Whole


class InputDocument(msgspec.Struct, omit_defaults=True):
    """A baseline without its parameter sets."""

    lens: str
    layout: str
    first: float
    last: float
    polled: bool = False
    edited: bool = False


class SetDocument(msgspec.Struct, omit_defaults=True):
    """An ApplicationSet without its parameter sets."""

    inputs: dict[Input, InputDocument]
    losses: tuple[Loss, ...] = ()
    sizes: Sizes = ()
    holds: tuple[Hold, ...] = ()
    approvals: dict[str, Word] = {}
    admitted: dict[str, Word] = {}
    pins: dict[str, Word] = {}
    freeze: Word | None = None
    additions: int = 0
    strays: tuple[str, ...] = ()
    unrecognised: str = ""
    spec: Spec | None = None


_ENCODER = msgspec.json.Encoder()
_OF_SET = msgspec.json.Decoder(SetDocument)
_OF_WHOLE = msgspec.json.Decoder(Whole)
_OF_ORIGIN = msgspec.json.Decoder(ReleasedFrom)
_OF_EVENT = msgspec.json.Decoder(Event)


def set_document(ledger: SetLedger) -> str:
    """Write an ApplicationSet's document."""
    inputs = {
        given: InputDocument(one.lens, one.layout, one.first, one.last, one.polled, one.edited)
        for given, one in ledger.baselines.items()
    }
    document = SetDocument(
        inputs,
        ledger.losses,
        ledger.sizes,
        tuple(ledger.holds.values()),
        dict(ledger.approvals),
        dict(ledger.admitted),
        dict(ledger.pins),
        ledger.freeze,
        ledger.additions,
        ledger.strays,
        ledger.unrecognised,
        ledger.spec,
    )
    return _ENCODER.encode(document).decode()


def set_ledger(
    document: str, released: Mapping[Input, Mapping[str, bytes]], origins: Mapping[Input, ReleasedFrom]
) -> SetLedger:
    """Read an ApplicationSet's document; raises StateDamaged."""
    try:
        found = _OF_SET.decode(document)
    except msgspec.DecodeError as error:
        raise StateDamaged from error
    return SetLedger(
        baselines={
            given: Baseline(
                released.get(given, {}),
                one.lens,
                one.layout,
                one.first,
                one.last,
                one.polled,
                one.edited,
                origins.get(given),
            )
            for given, one in found.inputs.items()
        },
        losses=found.losses,
        sizes=found.sizes,
        holds={(hold.input, hold.tenant): hold for hold in found.holds},
        approvals=found.approvals,
        admitted=found.admitted,
        pins=found.pins,
        freeze=found.freeze,
        additions=found.additions,
        strays=found.strays,
        unrecognised=found.unrecognised,
        spec=found.spec,
    )


def origin_document(origin: ReleasedFrom | None) -> str | None:
    """Write where the parameter sets of an input were read."""
    return None if origin is None else _ENCODER.encode(origin).decode()


def origin_of(document: str | None) -> ReleasedFrom | None:
    """Read it; raises StateDamaged."""
    try:
        return None if document is None else _OF_ORIGIN.decode(document)
    except msgspec.DecodeError as error:
        raise StateDamaged from error


def whole_document(whole: Whole) -> str:
    """Write what is known of all ApplicationSets together."""
    return _ENCODER.encode(whole).decode()


def whole_of(document: str) -> Whole:
    """Read it; raises StateDamaged."""
    try:
        return _OF_WHOLE.decode(document)
    except msgspec.DecodeError as error:
        raise StateDamaged from error


def event_document(event: Event) -> str:
    """Write an event."""
    return _ENCODER.encode(event).decode()


def event_of(document: str, sequence: int) -> Event:
    """Read an event; raises StateDamaged."""
    try:
        return msgspec.structs.replace(_OF_EVENT.decode(document), sequence=sequence)
    except msgspec.DecodeError as error:
        raise StateDamaged from error
