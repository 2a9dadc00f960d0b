"""What the steps of an agent's run mean to whoever reads them: questions to its model, calls of tools, people who were asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from penstock.agents.definition import Agent
from penstock.agents.model import Said, ToolCall
from penstock.agents.performing import Outcome
from penstock.agents.startable import Startable
from penstock.kernel.agents import ASK, AgentRequest
from penstock.kernel.journal import RunInfo, StepInfo
from penstock.kernel.steps import StepWords

TOOL = "tool "


class Words:
    """Implements `penstock.kernel.steps.StepTeller` for runs of agents."""

    def __init__(self, known: Callable[[], Mapping[str, Startable]]) -> None:
        self._known = known

    def knows(self, run: RunInfo) -> bool:
        """By the run's name."""
        return run.name.startswith(("agent/", "workflow/"))

    def beside(self, run: RunInfo) -> str:
        """What it did to the world, with what is in doubt."""
        return f"/console/agents/runs/{run.id}/effects"

    def tell(self, run: RunInfo, steps: Sequence[StepInfo]) -> Mapping[int, StepWords]:
        """The calls of a turn are made in its order, so each step of a tool is told with the arguments of the call that it answers."""
        agent = self._known().get(run.name.removeprefix("agent/"))
        found: dict[int, StepWords] = {}
        asked: list[ToolCall] = []
        for step in steps:
            words: StepWords | None = None
            if step.kind == "step" and step.name == "model":
                said = _read(step, Said)
                if said is not None:
                    words = _said(said)
                    asked = list(said.calls)
            elif step.kind == "step" and step.name.startswith(TOOL):
                words = _tool(step, agent, asked)
            elif step.kind == "step" and step.name == ASK:
                words = _ask(step)
            elif step.kind == "child":
                words = StepWords(family="child", name=step.name.partition("/")[2] or step.name, note="another run")
            if words is not None:
                found[step.number] = words
        return found


def _read(step: StepInfo, kind: type[Any]) -> Any:
    """None for a step that failed, or that an earlier version wrote otherwise."""
    try:
        return msgspec.convert(step.output, kind)
    except msgspec.ValidationError:
        return None


def _said(said: Said) -> StepWords:
    gave: dict[str, Any] = {"text": said.text} if said.text else {}
    if said.calls:
        gave["calls"] = [{"tool": one.name, "arguments": _arguments(one)} for one in said.calls]
    if said.error:
        return StepWords(
            family="model", name="model", note=said.answered_by, state="failed", fault=f"{said.error}: {said.message}", call=said.call
        )
    return StepWords(
        family="model",
        name="model",
        note=said.answered_by,
        gave=said.text if said.text and not said.calls else gave,
        cost=said.cost,
        tokens=said.tokens,
        call=said.call,
    )


def _tool(step: StepInfo, agent: Startable | None, asked: list[ToolCall]) -> StepWords | None:
    name = step.name.removeprefix(TOOL)
    outcome = _read(step, Outcome)
    at = next((n for n, one in enumerate(asked) if one.name == name), None)
    given: Any = None if at is None else _arguments(asked[at])
    if at is not None and (outcome is None or outcome.state != "again"):
        del asked[at]
    tool = agent.tools.get(name) if isinstance(agent, Agent) else None
    effect = tool.effect if tool is not None else ""
    if outcome is None:
        return StepWords(family="tool", name=name, given=given, effect=effect)
    went = outcome.state == "done"
    return StepWords(
        family="tool",
        name=name,
        note=f"{outcome.cut:,} bytes left out" if outcome.cut else "",
        given=given,
        gave=_json(outcome.text) if went else None,
        state="" if went else outcome.state,
        fault="" if went else outcome.text,
        effect=effect,
    )


def _ask(step: StepInfo) -> StepWords | None:
    request = _read(step, AgentRequest)
    if request is None:
        return None
    return StepWords(family="people", name=f"{request.kind} {request.tool}".strip(), given=request.arguments, gave=request.text)


def _arguments(call: ToolCall) -> Any:
    return _json(call.arguments)


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text
