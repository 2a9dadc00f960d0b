"""Calls of tools: an agent's is a run that outlives whoever called it, a task's is one trip down the line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, cast

import msgspec
from msgspec import Struct

from penstock.interop.mcp import standing as words
from penstock.interop.mcp.tools import RUN_RESULT, Tool
from penstock.interop.mcp.words import META, PARAMS, Fault, Request
from penstock.interop.open import key_of, unanswered
from penstock.kernel.agents import AgentEvent, AgentRuns, AgentStanding
from penstock.kernel.errors import Conflict, NotFound
from penstock.kernel.ports import ModelAsk, ModelClient
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import TASK_PREFIX

TASKS = META + "tasks"
KEY = "penstock/key"
"""In ``_meta``: a second call with the same key is the first one, and a client that leaves does not end it."""
STATE = "run:"
PATH = "/v1/chat/completions"

Progress = Callable[[AgentEvent], Awaitable[None]]


class Begun(Struct, frozen=True, kw_only=True):
    """A call of an agent under way. ``kept``: the client comes back for it, so its leaving does not end the run. ``answered`` are requests
    that it answered."""

    run: str
    tool: Tool
    request: Request
    kept: bool
    answered: frozenset[str] = frozenset()


class Calling:
    """Calls for principals. ``seconds`` is how long a call waits for its run."""

    def __init__(self, runs: Callable[[], AgentRuns], client: Callable[[], ModelClient], seconds: float) -> None:
        self._runs = runs
        self._client = client
        self._seconds = seconds

    async def begin(self, principal: Principal, tool: Tool, request: Request) -> Begun | dict[str, Any]:
        """Start what the tool stands for: a run that is under way, or the result where there is nothing to wait for. Raises `Fault` for
        what is no call, and `PenstockError`."""
        given = request.params.get("arguments")
        if given is not None and not isinstance(given, dict):
            raise Fault(PARAMS, "params.arguments must be an object", id=request.id)
        arguments = cast("dict[str, Any]", given or {})
        wrong = _faults(tool.input, arguments)
        if wrong:  # a result, not an error: a model reads results, and mends its call
            return words.said(wrong, wrong=True)
        if tool.task is not None:
            return await self._task(principal, tool, arguments)
        if tool.name == RUN_RESULT:
            return await self._result(principal, arguments["run"])
        assert tool.card is not None
        state, key = request.params.get("requestState"), request.meta.get(KEY)
        if key is not None and (not isinstance(key, str) or not 0 < len(key) <= 200):
            raise Fault(PARAMS, f"params._meta.{KEY} must be text of 1 to 200 characters", id=request.id)
        answered = frozenset[str]()
        if state is not None:
            run, answered = await self._again(principal, tool, request, state)
        else:
            asked = arguments["input"] if tool.wrapped_input else arguments
            run = await self._runs().begin(principal, tool.card.name, asked, key=None if key is None else key_of(principal, "mcp", key))
        if request.modern and request.capability("extensions", TASKS):
            return words.task(await self._runs().look(principal, run), tool) | {"resultType": "task"}
        kept = key is not None or state is not None or not request.modern
        return Begun(run=run, tool=tool, request=request, kept=kept, answered=answered)

    async def finish(self, principal: Principal, begun: Begun, tell: Progress | None) -> dict[str, Any]:
        """Wait for the end of the run, or for people who have to answer, or as long as is waited; the result of the call."""
        runs = self._runs()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                async with contextlib.aclosing(cast("AsyncGenerator[AgentEvent]", runs.watch(principal, begun.run))) as events:
                    async for event in events:
                        if tell is not None:
                            await tell(event)
                        if event.kind == "ended":
                            return words.ended(event, begun.run, wrapped=begun.tool.wrapped_output)
                        if event.kind == "asked":
                            standing = await runs.look(principal, begun.run)
                            if unanswered(standing, begun.answered):
                                return self._asks(begun, standing)
        standing = await runs.look(principal, begun.run)
        if standing.ended is not None:
            return words.ended(standing.ended, begun.run, wrapped=begun.tool.wrapped_output)
        return words.going_on(standing)

    async def leave(self, principal: Principal, begun: Begun) -> None:
        """The client has left, or does not want it any more."""
        with contextlib.suppress(Conflict):  # it ended at the same moment
            await self._runs().cancel(principal, begun.run)

    async def task(self, principal: Principal, id: str, found: Callable[[str], Tool | None]) -> dict[str, Any]:
        """A run as a task; ``found`` gives the tool of an agent's name."""
        standing = await self._runs().look(principal, id)
        return words.task(standing, found(standing.agent))

    async def update(self, principal: Principal, id: str, responses: Any) -> None:
        """Hand a client's answers to a run. Those that nobody waits for are left alone, as the extension says."""
        await self._answers(principal, await self._runs().look(principal, id), responses)

    async def cancel(self, principal: Principal, id: str) -> None:
        """End a run; one that has ended stays as it is."""
        with contextlib.suppress(Conflict):
            await self._runs().cancel(principal, id)

    def _asks(self, begun: Begun, standing: AgentStanding) -> dict[str, Any]:
        if begun.request.modern and begun.request.capability("elicitation"):
            return {"resultType": "input_required", "inputRequests": words.asks(standing), "requestState": STATE + begun.run}
        return words.going_on(standing)

    async def _again(self, principal: Principal, tool: Tool, request: Request, state: Any) -> tuple[str, frozenset[str]]:
        """The run of an earlier call that is made again with answers, and the requests that they answer."""
        assert tool.card is not None
        if not isinstance(state, str) or not state.startswith(STATE):
            raise Fault(PARAMS, "params.requestState is none of this server", id=request.id)
        standing = await self._runs().look(principal, state.removeprefix(STATE))
        if standing.agent != tool.card.name:
            raise Fault(PARAMS, "params.requestState is that of another tool's call", id=request.id)
        return standing.run, await self._answers(principal, standing, request.params.get("inputResponses"))

    async def _answers(self, principal: Principal, standing: AgentStanding, responses: Any) -> frozenset[str]:
        given: Mapping[str, Any] = cast("dict[str, Any]", responses) if isinstance(responses, dict) else {}
        answered: set[str] = set()
        for one in standing.requests:
            if one.id in given:
                is_answer, value = words.answer(one, given[one.id])
                if is_answer:
                    await self._runs().answer(principal, standing.run, one.id, value)
                    answered.add(one.id)
        return frozenset(answered)

    async def _result(self, principal: Principal, run: str) -> dict[str, Any]:
        try:
            standing = await self._runs().look(principal, run)
        except NotFound as fault:
            return words.said(fault.message, wrong=True)
        if standing.ended is None:
            return words.going_on(standing)
        # The output of an agent that this tool knows nothing of stands in the text alone.
        told = words.ended(standing.ended, run, wrapped=True)
        told.pop("structuredContent", None)
        return told

    async def _task(self, principal: Principal, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        assert tool.task is not None
        messages = [{"role": "user", "content": arguments["input"]}]
        if arguments.get("system"):
            messages.insert(0, {"role": "system", "content": arguments["system"]})
        body = msgspec.json.encode({"model": TASK_PREFIX + tool.task.name, "messages": messages})
        reply = await self._client().call(ModelAsk(path=PATH, body=body, principal=principal, labels={"protocol": "mcp"}))
        told = _Reply() if not reply.body else _reply(reply.body)
        if reply.error is not None or not 200 <= reply.status < 300:
            return words.said(f"{reply.error or reply.status}: {told.error.message or 'the task could not be done'}", wrong=True)
        text = told.choices[0].message.content if told.choices else None
        return words.said(text or "") | {"_meta": {"penstock/call": reply.call}}


class _Error(Struct):
    message: str = ""


class _Message(Struct):
    content: str | None = None


class _Choice(Struct):
    message: _Message


class _Reply(Struct):
    error: _Error = msgspec.field(default_factory=_Error)
    choices: list[_Choice] = msgspec.field(default_factory=list[_Choice])


def _reply(body: bytes) -> _Reply:
    try:
        return msgspec.json.decode(body, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Reply(error=_Error("the model's reply is no chat completion"))


def _faults(schema: dict[str, Any], arguments: dict[str, Any]) -> str:
    """What is wrong with the arguments, for a model to read; nothing when they obey the schema."""
    # A third of a millisecond for every schema, and 30 ms to import; calls of agents take seconds.
    from jsonschema.validators import validator_for

    found = validator_for(schema)(schema).iter_errors(arguments)  # type: ignore[reportUnknownMemberType]
    lines = [f"{'.'.join(str(part) for part in one.absolute_path) or 'arguments'}: {one.message[:300]}" for one in found]
    return f"The arguments do not fit: {'; '.join(lines[:10])}" if lines else ""


__all__ = ["KEY", "TASKS", "Begun", "Calling"]
