"""What there is to call: each agent and each task of the caller as a tool, with schemas and with what it may do to the world."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from penstock.kernel.agents import AgentCard
from penstock.kernel.tasks import Task

RUN_RESULT = "run_result"
LONGEST_NAME = 64
Schema = dict[str, Any]


class Tool(Struct, frozen=True, kw_only=True):
    """A tool. ``card`` or ``task`` is what it calls; neither, for the one that asks after a run. ``wrapped``: the agent takes, or gives,
    no object, so its value stands in one."""

    name: str
    title: str
    description: str
    input: Schema
    hints: dict[str, bool]
    output: Schema | None = None
    card: AgentCard | None = None
    task: Task | None = None
    wrapped_input: bool = False
    wrapped_output: bool = False

    def told(self) -> dict[str, Any]:
        """In MCP's words."""
        told: dict[str, Any] = {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input,
            "annotations": {"title": self.title, **self.hints},
        }
        if self.output is not None:
            told["outputSchema"] = self.output
        return told


def tools(cards: Sequence[AgentCard], tasks: Sequence[Task]) -> dict[str, Tool]:
    """All of them by name, in their order."""
    known = {card.name: card for card in cards}
    found: dict[str, Tool] = {}
    for card in cards:
        tool = _of_agent(_free(found, f"agent_{card.name}"), card, known)
        found[tool.name] = tool
    for task in tasks:
        tool = _of_task(_free(found, f"task_{task.name}"), task)
        found[tool.name] = tool
    if cards:
        found[RUN_RESULT] = _RUN
    return found


_RUN = Tool(
    name=RUN_RESULT,
    title="Result of a run",
    description="How a run stands that an agent's tool began and that had not ended in time: its result, or what it waits for.",
    input={
        "type": "object",
        "properties": {"run": {"type": "string", "description": "The id that the agent's tool told."}},
        "required": ["run"],
        "additionalProperties": False,
    },
    hints={"readOnlyHint": True, "openWorldHint": False},
)


def _of_agent(name: str, card: AgentCard, known: Mapping[str, AgentCard]) -> Tool:
    given, wrapped_input = _boxed(card.input, "input")
    gives, wrapped_output = _boxed(card.output, "result")
    effects = _effects(card, known, set())
    hints = {
        "readOnlyHint": effects <= {"read"},
        "destructiveHint": bool(effects & {"irreversible", "unknown"}),
        "idempotentHint": False,
        "openWorldHint": True,
    }
    return Tool(
        name=name,
        title=card.name,
        description=card.description or f"The {card.kind} {card.name}.",
        input=given,
        output=gives,
        hints=hints,
        card=card,
        wrapped_input=wrapped_input,
        wrapped_output=wrapped_output,
    )


def _of_task(name: str, task: Task) -> Tool:
    hints = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": False, "openWorldHint": False}
    text = {"type": "string", "minLength": 1, "description": "What the model is given: the user's message."}
    system = {"type": "string", "description": "Instructions that stand before it."}
    return Tool(
        name=name,
        title=task.name,
        description=task.description or f"The task {task.name}, done by the cheapest approved model that is good enough.",
        input={"type": "object", "properties": {"input": text, "system": system}, "required": ["input"], "additionalProperties": False},
        hints=hints,
        task=task,
    )


def _effects(card: AgentCard, known: Mapping[str, AgentCard], seen: set[str]) -> set[str]:
    """What it may do, with all agents that it asks; ``unknown`` where one of them cannot be seen."""
    seen.add(card.name)
    effects = set(card.tools.values())
    for name in card.asks:
        if name not in known:
            effects.add("unknown")
        elif name not in seen:
            effects |= _effects(known[name], known, seen)
    return effects


def _boxed(schema: Schema, name: str) -> tuple[Schema, bool]:
    """A schema of an object, as MCP wants it; whether the value stands in its field ``name``."""
    whole = schema
    target = whole.get("$ref")
    if isinstance(target, str) and target.startswith("#/$defs/"):
        whole = {**whole["$defs"][target.removeprefix("#/$defs/")], "$defs": whole["$defs"]}
    if whole.get("type") == "object":
        return whole, False
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    boxed: Schema = {"type": "object", "properties": {name: inner}, "required": [name], "additionalProperties": False}
    return (boxed | {"$defs": schema["$defs"]} if "$defs" in schema else boxed), True


def _free(found: Mapping[str, Tool], wanted: str) -> str:
    """A name as all clients take them, which nothing else has."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", wanted)[:LONGEST_NAME]
    number = 2
    free = name
    while free in found or free == RUN_RESULT:
        free = f"{name[: LONGEST_NAME - 4]}_{number}"
        number += 1
    return free


__all__ = ["RUN_RESULT", "Tool", "tools"]
