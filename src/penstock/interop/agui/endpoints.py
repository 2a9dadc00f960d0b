"""``POST /v1/agents/{name}/agui``: an AG-UI client runs an agent, is told what happens, and goes on after an interrupt."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence

from penstock.interop import sse
from penstock.interop.agui.input import Resume, RunAgentInput, question
from penstock.interop.agui.telling import VERSION, Telling, interrupt
from penstock.interop.door import Door, refuse
from penstock.interop.open import key_of, thread_of, unanswered
from penstock.kernel.agents import AgentCard, AgentRuns, AgentStanding
from penstock.kernel.errors import Conflict, MalformedRequest, NotFound, PenstockError
from penstock.kernel.principal import Principal
from penstock.kernel.vendor import Asked
from penstock.kernel.web import Description, Endpoint

PATH = "/v1/agents/{name}/agui"
MOST_BODY = 4 * 1024 * 1024
"""An interface sends the whole conversation each time."""


def endpoints(door: Door, runs: Callable[[], AgentRuns]) -> Sequence[Endpoint]:
    """The one endpoint that AG-UI has."""

    async def run(asked: Asked) -> None:
        given = await asked.json(RunAgentInput, MOST_BODY)
        card = card_of(runs(), asked.principal, asked.segment(2))
        after = sse.last_event_id(asked)
        if given.resume:
            id, seen, answered = await _resumed(runs(), asked.principal, card.name, given.resume, again=after is not None)
        else:
            key = key_of(asked.principal, "agui", given.thread_id, given.run_id)
            thread = thread_of(asked.principal, card, given.thread_id)
            id = await runs().begin(asked.principal, card.name, question(given, card), key=key, thread=thread)
            seen, answered = 0, frozenset[str]()
        telling = Telling(
            id, card, thread=given.thread_id, name=given.run_id, parent=given.parent_run_id, state=given.state, ignored=given.ignored()
        )
        events = _events(runs(), asked.principal, id, telling, seen, after, answered)
        await sse.tell(asked, events, headers=[("penstock-run", id)])

    return (door.endpoint("POST", PATH, run, "Run an agent for an AG-UI client.", _describe, refuse=refuse),)


def card_of(runs: AgentRuns, principal: Principal, name: str) -> AgentCard:
    """The agent of this name. Raises `NotFound`, also where the principal may not start it."""
    for card in runs.cards(principal):
        if card.name == name:
            return card
    raise NotFound(f"there is no agent {name[:100]!r}", param="name")


async def _resumed(
    runs: AgentRuns, principal: Principal, agent: str, entries: Sequence[Resume], *, again: bool
) -> tuple[str, int, frozenset[str]]:
    """Hand the answers over; the run, how much of it was told, and what was answered. ``again``: the client comes back for the rest of what
    it was told, so it is no fault that its answers are there already."""
    named = [interrupt(one.interrupt_id) for one in entries]
    run, seen = named[0][0], min(number for _, number, _ in named)
    if any(other != run for other, _, _ in named):
        raise MalformedRequest("resume names interrupts of several runs; resume them one by one", param="resume")
    standing = await runs.look(principal, run)
    if standing.agent != agent:
        raise Conflict(f"the run is one of the agent {standing.agent!r}; resume it at its own address", param="resume")
    for entry, (_, _, request) in zip(entries, named, strict=True):
        await _answer(runs, principal, standing, request, entry, again=again)
    return run, seen, frozenset(request for _, _, request in named)


async def _answer(runs: AgentRuns, principal: Principal, standing: AgentStanding, id: str, entry: Resume, *, again: bool) -> None:
    request = next((one for one in standing.requests if one.id == id), None)
    if request is None:
        if again:
            return
        raise Conflict(f"nobody waits for an answer to {id[:100]!r} any more", param="resume")
    if entry.status == "cancelled" and request.kind == "question":
        await runs.cancel(principal, standing.run)  # nothing but an answer of its schema would let it go on
    elif entry.status == "cancelled":
        await runs.answer(principal, standing.run, id, {"approve": False, "note": "the request was dismissed"})
    else:
        await runs.answer(principal, standing.run, id, entry.payload)


async def _events(
    runs: AgentRuns, principal: Principal, id: str, telling: Telling, seen: int, after: tuple[int, int] | None, answered: frozenset[str]
) -> AsyncGenerator[bytes]:
    """The run from its beginning, but for what is known: up to the step ``seen`` to an earlier AG-UI run, up to ``after`` to this one.

    Steps are told in the order in which they completed, which is not that of their numbers.
    """
    try:
        known = -1 if after is None else after[1]
        if after is None or after[0] == seen:
            for place, told in enumerate(telling.begin()):
                if place > known:
                    yield sse.event(told, f"{seen}.{place}")
            last, known = seen, 1_000_000
        else:
            last = after[0]
        passed = last == 0
        async for event in runs.watch(principal, id):
            number = event.number
            words = list(enumerate(telling.tell(event)))
            if not passed:
                passed = number == last or event.kind == "ended"
                if not passed:
                    continue
                words = words[known + 1 :] if number == last else words
            for place, told in words:
                yield sse.event(told, f"{number}.{place}")
            if event.kind == "asked" and number != seen:
                standing = await runs.look(principal, id)
                waiting = unanswered(standing, answered)
                if waiting:
                    yield sse.event(telling.interrupted(waiting, number), f"{number}.{len(words)}")
                    return
            if event.kind == "ended":
                return
        raise Conflict("the run was paused; resume it and ask again with Last-Event-ID", code="run_paused")
    except PenstockError as fault:
        yield sse.event({"type": "RUN_ERROR", "message": fault.message, "code": fault.code})


def _describe() -> Description:
    # Schemas, which only whoever asks for the document needs.
    from penstock.interop.description import stream

    return stream(
        "A RunAgentInput of AG-UI " + VERSION,
        required=("threadId", "runId", "messages"),
        event="An event of AG-UI " + VERSION,
        ending="The last one is RUN_FINISHED or RUN_ERROR.",
        headers={"Last-Event-ID": {"type": "string", "description": "The id of the last event that came, after a cut."}},
    )


__all__ = ["PATH", "card_of", "endpoints"]
