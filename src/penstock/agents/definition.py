"""Agents: a model, what it is told, what it may call, what it may use up. Declared in plain Python; runs are made of them elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.agents.limits import Limits
from penstock.agents.tools import NAME, Tool

FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
"""Models like to put JSON between fences, asked or not."""


class BadOutput(Exception):
    """An answer that is not of the agent's type; the message is for the model that gave it."""


class Agent:
    """An agent. ``name`` is the one it is started under.

    ``model`` is any name that calls may use: a task (``task:support``), an alias, ``provider/model``. ``instructions`` stand at the top of
    each conversation. ``tools`` may be functions (`penstock.agents.tool`) and other agents, which it asks and waits for. ``output`` is the
    type of its answer, text if not said otherwise: anything that msgspec can read from JSON. ``params`` go with each question as they are.

    Raises ValueError for a name that cannot be one, and for two tools of one name.
    """

    def __init__(
        self,
        name: str,
        *,
        model: str,
        instructions: str = "",
        description: str = "",
        tools: Sequence[Tool[..., Any] | Agent] = (),
        output: Any = str,
        limits: Limits | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        if NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no name for an agent: letters, digits, _ and -, at most 64, a letter first")
        self.name = name
        self.model = model
        self.instructions = instructions
        self.description = description
        self.limits = (limits or Limits()).filled()
        self.params: Mapping[str, Any] = params or {}
        self.output = output
        self.tools = {one.name: one for one in tools if isinstance(one, Tool)}
        self.agents = {ASK + one.name: one for one in tools if isinstance(one, Agent)}
        if len(self.tools) + len(self.agents) < len(tools) or self.tools.keys() & self.agents.keys():
            raise ValueError(f"two tools of the agent {name} have one name")
        self._answer: msgspec.json.Decoder[Any] | None = None if output is str else msgspec.json.Decoder(output)

    @property
    def run(self) -> str:
        """The name of its runs on the journal."""
        return f"agent/{self.name}"

    def told(self) -> str:
        """What stands at the top of its conversations, with the shape of the answer where that is not text."""
        if self._answer is None:
            return self.instructions
        schema = msgspec.json.encode(msgspec.json.schema(self.output)).decode()
        shape = f"Answer with one JSON value and nothing else. It must obey this JSON Schema:\n{schema}"
        return f"{self.instructions}\n\n{shape}".strip()

    def shown(self) -> list[dict[str, Any]]:
        """Its tools as chat completions describe them, always in one order, so that a provider's cache of the beginning holds."""
        return [*(self.tools[name].shown() for name in sorted(self.tools)), *(self.agents[name].as_tool() for name in sorted(self.agents))]

    def as_tool(self) -> dict[str, Any]:
        """The agent as a tool of another one."""
        told = {"name": ASK + self.name, "description": self.description or f"Ask the agent {self.name}.", "parameters": QUESTION_SCHEMA}
        return {"type": "function", "function": told}

    def answer(self, text: str) -> Any:
        """The answer as its type says, as JSON values. Raises `BadOutput`."""
        if self._answer is None:
            return text
        fenced = FENCED.match(text)
        try:
            return msgspec.to_builtins(self._answer.decode(fenced.group(1) if fenced else text))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise BadOutput(str(fault)) from fault


ASK = "ask_"
"""How the name of a tool begins that is another agent."""


class Delegated(Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent hands to another one."""

    question: str


QUESTION_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"question": {"type": "string", "description": "What is wanted, with all that is needed to do it."}},
    "required": ["question"],
    "additionalProperties": False,
}


def agents_in(module: Any) -> list[Agent]:
    """The agents that stand in a module under any name, and those that they ask, each once."""
    found: dict[str, Agent] = {}
    waiting = [one for name in dir(module) if isinstance(one := getattr(module, name), Agent)]
    while waiting:
        one = waiting.pop()
        known = found.setdefault(one.name, one)
        if known is not one:
            raise ValueError(f"two agents are named {one.name}")
        waiting += [other for other in one.agents.values() if found.get(other.name) is not other]
    return [found[name] for name in sorted(found)]
