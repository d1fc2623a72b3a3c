"""The guard in the admin API: looking at holds, and approving, freezing and pinning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tenantry.core.errors import GuardIsOff
from tenantry.service.approving import Speaker, Subject, speaker_of
from tenantry.service.desk import GuardDesk, HistoryQuery, subject_of_freeze
from tenantry.service.guard_facts import (
    EventFact,
    GuardFacts,
    HistoryFacts,
    HoldFact,
    InputFact,
    LimitFact,
    MembersFact,
    SaidFacts,
    SetFact,
    SetSummary,
    WordFact,
)
from tenantry.service.regarding import MOST_EVENTS
from tenantry.web.admin import IN_DIGITS, PREFIX, ROUTE, ROUTE_OF_A_WORD, json_of, takes

_TOLD: Sequence[type] = (
    EventFact,
    GuardFacts,
    HistoryFacts,
    HoldFact,
    InputFact,
    LimitFact,
    MembersFact,
    SaidFacts,
    SetFact,
    SetSummary,
    WordFact,
)
for _kind in _TOLD:
    _kind.__pydantic_config__ = ConfigDict(use_attribute_docstrings=True)  # type: ignore[attr-defined]


class SetAsked(BaseModel):
    """What one ApplicationSet takes."""

    consumer: str | None = Field(None, description="Whose it is, where several have one of that name.")


class HistoryAsked(SetAsked):
    """What the history takes."""

    application_set: str | None = Field(None, description="Only of this ApplicationSet.")
    tenant: str | None = Field(None, description="Only what is about this tenant.")
    since: AwareDatetime | None = Field(None, description="Only from this moment on.")
    until: AwareDatetime | None = Field(None, description="Only until this moment.")
    at: AwareDatetime | None = Field(None, description="Tell besides who was in the answers at this moment.")
    limit: Annotated[int, Field(ge=1, le=MOST_EVENTS), IN_DIGITS] = Field(100, description="The latest so many.")


class _Word(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    by: str = Field(description="Who says so.", max_length=1000)
    why: str = Field(description="Why; both are written down.", max_length=1000)


class FreezeWord(_Word):
    """A freeze, or its end."""

    application_set: str | None = Field(None, description="Which ApplicationSet; null for all.")
    consumer: str | None = Field(None, description="Whose it is, where several have one of that name.")


class _AboutTenants(_Word):
    application_set: str = Field(description="Which ApplicationSet.")
    consumer: str | None = Field(None, description="Whose it is, where several have one of that name.")


class TenantsWord(_AboutTenants):
    """What is said about tenants."""

    tenants: list[str] = Field(description="Their ids.", default_factory=list, max_length=1_000_000)


class ApprovalWord(TenantsWord):
    """An approval: of tenants by name, of all that one decision holds, or of a new input."""

    decision: int | None = Field(None, description="All that this decision holds, in the place of `tenants`.")
    digest: str | None = Field(None, description="The digest that was shown of who they are.")
    input: str | None = Field(None, description="The name of a new input, in the place of tenants.")
    seconds: float | None = Field(None, description="For how long it stands; a day where nothing is said.")


class WithdrawalWord(TenantsWord):
    """A withdrawal: of these tenants' approvals, or of all that were not used."""


def add_guard(app: FastAPI, desk: GuardDesk | None) -> None:
    """Add the routes to an application; without a guard they say that it is off."""
    router = APIRouter(prefix=f"{PREFIX}/guard", tags=["guard"])

    def the_desk() -> GuardDesk:
        if desk is None:
            raise GuardIsOff
        return desk

    _add_looks(router, the_desk)
    _add_words(router, the_desk)
    app.include_router(router)


def _add_looks(router: APIRouter, the_desk: Callable[[], GuardDesk]) -> None:
    @router.get(
        "",
        operation_id="show_guard",
        summary="How the guard stands: ApplicationSets, holds, limits",
        response_model=GuardFacts,
        response_description="All of it.",
        dependencies=[Depends(takes(None))],
        **ROUTE,
    )
    async def show_guard() -> Response:
        return json_of(await the_desk().facts())

    @router.get(
        "/application-sets/{name:anything}",
        operation_id="show_application_set",
        summary="One ApplicationSet: inputs, holds with their tenants, words, limits",
        response_model=SetFact,
        response_description="All that the guard knows of it.",
        dependencies=[Depends(takes(SetAsked))],
        **ROUTE,
    )
    async def show_application_set(
        name: Annotated[str, Path(description="Its name.")], asked: Annotated[SetAsked, Query()]
    ) -> Response:
        return json_of(await the_desk().application_set(name, asked.consumer))

    @router.get(
        "/history",
        operation_id="show_history",
        summary="What happened, and who was in an answer at a moment",
        response_model=HistoryFacts,
        response_description="The latest events, in their order.",
        dependencies=[Depends(takes(HistoryAsked))],
        **ROUTE,
    )
    async def show_history(asked: Annotated[HistoryAsked, Query()]) -> Response:
        query = HistoryQuery(
            asked.application_set,
            asked.consumer,
            asked.tenant,
            _moment(asked.since),
            _moment(asked.until),
            _moment(asked.at),
            asked.limit,
        )
        return json_of(await the_desk().history(query))


def _add_words(router: APIRouter, the_desk: Callable[[], GuardDesk]) -> None:
    told: dict[str, Any] = {
        "response_model": SaidFacts,
        "response_description": "What that has done.",
        "dependencies": [Depends(takes(None))],
        **ROUTE_OF_A_WORD,
    }

    @router.post("/approve", operation_id="approve", summary="Let held tenants go, or those who wait come", **told)
    async def approve(word: ApprovalWord) -> Response:
        subject = Subject(
            word.application_set, word.consumer, tuple(word.tenants), word.decision, word.digest, word.input
        )
        return json_of(await the_desk().say.approve(subject, _speaker(word), word.seconds))

    @router.post("/withdraw", operation_id="withdraw", summary="Take back approvals that were not used", **told)
    async def withdraw(word: WithdrawalWord) -> Response:
        return json_of(await the_desk().say.withdraw(_subject(word), _speaker(word)))

    @router.post("/freeze", operation_id="freeze", summary="Hold every removal", **told)
    async def freeze(word: FreezeWord) -> Response:
        return json_of(await the_desk().say.freeze(_frozen(word), _speaker(word)))

    @router.post("/unfreeze", operation_id="unfreeze", summary="End a freeze", **told)
    async def unfreeze(word: FreezeWord) -> Response:
        return json_of(await the_desk().say.unfreeze(_frozen(word), _speaker(word)))

    @router.post("/pin", operation_id="pin", summary="Hold tenants as they are", **told)
    async def pin(word: TenantsWord) -> Response:
        return json_of(await the_desk().say.pin(_subject(word), _speaker(word)))

    @router.post("/unpin", operation_id="unpin", summary="End pins", **told)
    async def unpin(word: TenantsWord) -> Response:
        return json_of(await the_desk().say.unpin(_subject(word), _speaker(word)))


def _speaker(word: _Word) -> Speaker:
    return speaker_of(word.by, word.why)


def _subject(word: TenantsWord) -> Subject:
    return Subject(word.application_set, word.consumer, tuple(word.tenants))


def _frozen(word: FreezeWord) -> Subject | None:
    return subject_of_freeze(word.application_set, word.consumer)


def _moment(given: datetime | None) -> float | None:
    return None if given is None else given.timestamp()
