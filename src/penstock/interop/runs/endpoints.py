"""``GET /v1/runs/{id}/events``: the steps of any run as they complete; and an answer to what a run of an agent asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from penstock.interop import sse
from penstock.interop.door import Door, refuse
from penstock.kernel.agents import AgentRuns, AgentStanding
from penstock.kernel.errors import PenstockError
from penstock.kernel.journal import JOURNAL, Journal
from penstock.kernel.opening import Opening, closed
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.vendor import Asked
from penstock.kernel.web import Ask, Description, Endpoint, Route

PATH = "/v1/runs/{id}/events"


class AnswerBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer to the request of this id: to an approval ``{"approve": bool, "note": str}``, to a question a value of its schema."""

    request: Annotated[str, Meta(min_length=1, max_length=400)]
    value: Any


def endpoints(door: Door, journal: Callable[[], Journal], opening: Opening) -> Sequence[Endpoint]:
    """The stream of a run. ``opening`` says who sees what its steps gave."""

    async def watch(asked: Asked) -> None:
        run = asked.segment(2)
        found = sse.last_event_id(asked)
        after = found[0] if found is not None else asked.number("after", 0, 2**31 - 1, 0)
        info = await journal().get(asked.principal.reach, run)  # an unknown one is told before the stream begins
        whole = opening.may(asked.principal)
        if whole:
            await opening.opened_run(asked.principal, info, "api")
        await sse.tell(asked, _events(journal(), asked.principal, run, after, whole=whole))

    summary = "Tell the steps of a run as they complete."
    return (door.endpoint("GET", PATH, watch, summary, _describe, refuse=refuse, scope=Scope.READ), door.preflight(PATH))


def routes(runs: Callable[[], AgentRuns]) -> Sequence[Route]:
    """What a run of an agent asks, and the answer."""

    async def standing(ask: Ask) -> AgentStanding:
        return await runs().look(ask.principal, ask.path["id"])

    async def answer(ask: Ask) -> AgentStanding:
        body, id = ask.body(AnswerBody), ask.path["id"]
        await runs().answer(ask.principal, id, body.request, body.value)
        return await runs().look(ask.principal, id)

    one = "/v1/runs/{id}"
    return (
        Route(
            method="GET",
            path=f"{one}/standing",
            handler=standing,
            summary="Show how a run of an agent stands, and what it asks people.",
            scope=Scope.READ,
            returns=AgentStanding,
            holding=JOURNAL,
        ),
        Route(
            method="POST",
            path=f"{one}/answer",
            handler=answer,
            summary="Answer what a run of an agent asks: a question, or an approval.",
            scope=Scope.CALL,
            body=AnswerBody,
            returns=AgentStanding,
            holding=JOURNAL,
        ),
    )


async def _events(journal: Journal, principal: Principal, run: str, after: int, *, whole: bool) -> AsyncGenerator[bytes]:
    """Each step as an event ``step`` with its number as the id, without what it gave unless ``whole``; at the end, or when the run is
    paused, how it stands as ``run``."""
    try:
        async for step in journal.watch(principal.reach, run, after):
            yield sse.event(msgspec.to_builtins(step if whole else closed(step)), str(step.number), "step")
        yield sse.event(msgspec.to_builtins(await journal.get(principal.reach, run)), name="run")
    except PenstockError as fault:
        yield sse.event({"error": {"code": fault.code, "message": fault.message, "param": fault.param}}, name="error")


def _describe() -> Description:
    # Schemas, which only whoever asks for the document needs.
    from penstock.interop.description import events

    return events(
        "A step of the run as in GET /v1/runs/{id}/steps (event 'step'), the run (event 'run'), or an error.",
        ending="The event 'run' says how it stands.",
        headers={"Last-Event-ID": {"type": "string", "description": "The number of the last step that came, after a cut."}},
        query={"after": {"type": "integer", "minimum": 0, "description": "The same, for who cannot send the header."}},
    )


__all__ = ["PATH", "endpoints", "routes"]
