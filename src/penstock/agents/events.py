"""What a run did, told from its journalled steps: whoever comes back later is told the same."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from penstock.agents.definition import ASK as HANDS
from penstock.agents.loop import Ended
from penstock.agents.model import Said
from penstock.agents.performing import Outcome
from penstock.kernel.agents import ASK, AgentEvent, AgentRequest, CalledTool
from penstock.kernel.journal import RunInfo, RunState, StepInfo

RUN_STATES = {RunState.FAILED: "failed", RunState.CANCELLED: "cancelled", RunState.ABANDONED: "failed"}


class Telling:
    """Tells the steps of one run, from its first on and in their order: some are understood by what came before."""

    def __init__(self) -> None:
        self.requests: dict[str, AgentRequest] = {}
        """What people were asked and have not answered, the oldest first."""
        self.last = 0
        """The highest number that was told."""
        self._calls: dict[str, deque[str]] = {}
        # Children and the calls that they answer: a run waits for what it started in the order in which it started it.
        self._handed: deque[tuple[str, str]] = deque()

    def tell(self, step: StepInfo) -> AgentEvent | None:
        """The event of a step; None for one that has not ended."""
        if step.ended_at is None:
            return None
        self.last = max(self.last, step.number)
        match step.kind:
            case "step":
                return self._step(step)
            case "child":
                agent = step.name.partition("/")[2] or step.name
                call = self._asked(agent)
                self._handed.append((step.child or "", call))
                return _event(step, "handed", name=agent, child=step.child or "", call=call)
            case "result":
                return self._returned(step)
            case "wait" if self.requests:
                return self._answered(step)
            case _:
                return _event(step, "step", name=step.name, code="step_failed" if step.error else "")

    def _step(self, step: StepInfo) -> AgentEvent | None:
        name, _, tool = step.name.partition(" ")
        if step.error is not None:
            return _event(step, "step", name=step.name, text=step.error, code="step_failed", state="failed")
        match name:
            case "begin" if not tool:
                return _event(step, "began")
            case "model" if not tool:
                return self._said(step)
            case "tool" if tool:
                outcome = msgspec.convert(step.output, Outcome)
                if outcome.state == "held":  # what is asked for it, and what became of that, is told by itself
                    return None
                return _event(
                    step, "result", name=tool, text=outcome.text, call=outcome.call, state=outcome.state, code=outcome.code, at=outcome.at
                )
            case _ if step.name == ASK:
                request = msgspec.convert(step.output, AgentRequest)
                self.requests[request.id] = request
                return _event(step, "asked", name=request.tool, text=request.text, request=request)
            case _:
                return _event(step, "step", name=step.name, output=step.output)

    def _said(self, step: StepInfo) -> AgentEvent:
        said = msgspec.convert(step.output, Said)
        self._calls = {}
        for call in said.calls:
            self._calls.setdefault(call.name, deque()).append(call.id)
        return _event(
            step,
            "said",
            name=said.answered_by,
            text=said.message if said.error else said.text,
            calls=tuple(CalledTool(id=one.id, name=one.name, arguments=one.arguments) for one in said.calls),
            code=said.error,
            cost=said.cost,
            tokens=said.tokens,
            at=said.at,
        )

    def _asked(self, agent: str) -> str:
        waiting = self._calls.get(HANDS + agent) or self._calls.get(agent)
        return waiting.popleft() if waiting else ""

    def _returned(self, step: StepInfo) -> AgentEvent:
        child, call = self._handed.popleft() if self._handed else (step.child or "", "")
        if step.error is not None:
            return _event(step, "returned", child=child, call=call, state="failed", text=step.error, code="step_failed")
        try:
            ended = msgspec.convert(step.output, Ended)
        except msgspec.ValidationError:  # a run of another room's making
            return _event(step, "returned", child=child, call=call, state="done", output=step.output)
        spent = ended.spent
        return _event(
            step,
            "returned",
            child=child,
            call=call,
            state=ended.state,
            code=ended.code,
            text=ended.message,
            output=ended.output,
            cost=spent.cost,
            tokens=spent.tokens,
        )

    def _answered(self, step: StepInfo) -> AgentEvent:
        """An answer names its request where several wait; the oldest is meant by one that does not."""
        given: Any = step.output
        told: dict[str, Any] = given if isinstance(given, dict) else {}  # type: ignore[reportUnknownVariableType]
        named = told.get("request")
        request = self.requests.pop(named if named in self.requests else next(iter(self.requests)))
        if given is None:
            return _event(step, "answered", request=request, state="expired", code="request_expired")
        by = told.get("by")
        return _event(step, "answered", request=request, state="done", name=by if isinstance(by, str) else "", output=told.get("value"))


def ended(info: RunInfo, number: int, output: Any, fault: str = "", code: str = "") -> AgentEvent:
    """The end of a run: ``output`` is what it returned, where it returned; else ``fault`` says why it did not."""
    at = info.ended_at or info.updated_at
    if info.state is not RunState.DONE:
        state = RUN_STATES[info.state]
        return AgentEvent(number=number, kind="ended", at=at, state=state, text=fault or info.error or "", code=code or f"run_{info.state}")
    try:
        told = msgspec.convert(output, Ended)
    except msgspec.ValidationError:
        return AgentEvent(number=number, kind="ended", at=at, state="done", output=output)
    spent = told.spent
    return AgentEvent(
        number=number,
        kind="ended",
        at=at,
        state=told.state,
        code=told.code,
        text=told.message,
        output=told.output,
        cost=spent.cost,
        tokens=spent.tokens,
    )


def _event(step: StepInfo, kind: Any, *, at: float = 0.0, **told: Any) -> AgentEvent:
    return AgentEvent(number=step.number, kind=kind, at=at or step.ended_at or 0.0, **told)
