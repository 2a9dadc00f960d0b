"""The agents as other rooms reach them: `penstock.kernel.agents.AgentRuns`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from msgspec import structs

from penstock.agents.events import Telling, ended
from penstock.agents.inbox.requests import Requests
from penstock.agents.service import KINDS, Agents
from penstock.agents.sight import Sight
from penstock.agents.startable import NOBODY, Asker
from penstock.kernel.agents import AgentCard, AgentEvent, AgentRequest, AgentStanding
from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError, StepFailed
from penstock.kernel.journal import ENDED, Journal, RunInfo, RunState
from penstock.kernel.principal import Principal, Scope

SETTLED_SECONDS = 10.0
"""How long it may take until what an ended run returned can be read."""


class Runs:
    """Implements `penstock.kernel.agents.AgentRuns`."""

    def __init__(
        self, agents: Agents, journal: Callable[[], Journal], requests: Requests | None = None, *, sight: Sight | None = None
    ) -> None:
        """Without ``requests`` those that stand in the journal are all there are; without ``sight`` whoever sees a run sees all of it."""
        self._agents = agents
        self._journal = journal
        self._requests = requests
        self._sight = sight

    def cards(self, principal: Principal) -> Sequence[AgentCard]:
        return self._agents.cards(principal)

    async def begin(
        self,
        principal: Principal,
        name: str,
        input: Any,
        *,
        key: str | None = None,
        person: str = "",
        thread: str = "",
        asker: Asker = NOBODY,
    ) -> str:
        if not principal.may(Scope.CALL):
            raise Forbidden("this key may not start agents: that needs the scope call")
        return await self._agents.start(principal, name, input, key=key, person=person, thread=thread, asker=asker)

    async def look(self, principal: Principal, run: str) -> AgentStanding:
        info = await self._info(principal, run)
        standing = await self._standing(principal, info)
        if self._sight is None or await self._sight.may(principal, info):
            return standing
        over = standing.ended
        return structs.replace(
            standing,
            requests=tuple(structs.replace(one, text="", arguments=None) for one in standing.requests),
            ended=None if over is None else structs.replace(over, text="", output=None),
        )

    async def _standing(self, principal: Principal, info: RunInfo) -> AgentStanding:
        run = info.id
        telling = Telling()
        for step in await self._journal().history(principal.reach, run):
            telling.tell(step)
        over = await self._ended(principal, info, telling.last + 1) if info.state in ENDED else None
        requests: tuple[AgentRequest, ...] = ()
        if over is None:
            kept = None if self._requests is None else await self._requests.list(principal, run=run)
            known = {} if kept is None else {one.id: one for one in kept}
            requests = tuple(
                told for told in telling.requests.values() if (one := known.get(told.id)) is None or one.state == "open"
            )  # what was decided may not have reached the run yet
        return AgentStanding(
            run=run,
            agent=info.name.partition("/")[2],
            state="waiting" if requests and info.state is RunState.RUNNING else info.state.value,
            created_at=info.created_at,
            updated_at=info.updated_at,
            requests=requests,
            ended=over,
        )

    async def watch(self, principal: Principal, run: str, after: int = 0) -> AsyncIterator[AgentEvent]:
        info = await self._info(principal, run)
        if self._sight is not None:
            await self._sight.require(principal, info)
        telling = Telling()
        # From the first step on, whatever was seen before: some are understood by those before them.
        async for step in self._journal().watch(principal.reach, run):
            event = telling.tell(step)
            if event is not None and event.number > after:
                yield event
        info = await self._info(principal, run)
        if info.state in ENDED:
            yield await self._ended(principal, info, telling.last + 1)

    async def answer(self, principal: Principal, run: str, request: str, value: Any) -> None:
        if not principal.may(Scope.CALL):
            raise Forbidden("this key may not answer: that needs the scope call")
        standing = await self._standing(principal, await self._info(principal, run))
        open = next((one for one in standing.requests if one.id == request), None)
        if open is None:
            raise Conflict(f"request {request[:100]!r} of run {run} is answered, expired or void, or was never made", param="request")
        if open.expires_at is not None and open.expires_at <= time.time():
            raise Conflict(f"request {request[:100]!r} of run {run} has expired", param="request")
        if open.kind == "question" and open.schema is not None:
            check_answer(value, open.schema)
        if self._requests is not None and await self._requests.keeps(request):
            await self._requests.answer(principal, request, value)
            return
        given = {"value": value, "by": principal.person or principal.key_id, "at": time.time(), "request": request}
        await self._journal().signal(principal.reach, run, f"request/{request}", given, key=f"request/{request}")

    async def cancel(self, principal: Principal, run: str) -> None:
        if not principal.may(Scope.CALL):
            raise Forbidden("this key may not cancel runs: that needs the scope call")
        await self._info(principal, run)
        await self._journal().cancel(principal.reach, run)

    async def _info(self, principal: Principal, run: str) -> RunInfo:
        info = await self._journal().get(principal.reach, run)
        if info.name.partition("/")[0] not in KINDS:
            raise NotFound(f"run {run[:100]!r} is none of an agent", param="id")
        return info

    async def _ended(self, principal: Principal, info: RunInfo, number: int) -> AgentEvent:
        try:
            output = await self._journal().result(principal.reach, info.id, SETTLED_SECONDS)
        except StepFailed as fault:
            return ended(info, number, None, fault.message, fault.step_code or "")
        return ended(info, number, output)


def check_answer(value: Any, schema: dict[str, Any]) -> None:
    """Raises `RequestError` where an answer is not of the schema of its question."""
    # A third of a millisecond for every schema, and 30 ms to import; answers of people are rare.
    from jsonschema import ValidationError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema)(schema).validate(value)  # type: ignore[reportUnknownMemberType]
    except ValidationError as fault:
        where = "".join(f"[{part!r}]" for part in fault.absolute_path)
        raise RequestError(f"the answer{where} is not of the question's schema: {fault.message[:500]}", param="value") from None
