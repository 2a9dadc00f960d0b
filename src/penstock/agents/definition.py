"""Agents: a model, what it is told, what it may call, what it may use up. Declared in plain Python; runs are made of them elsewhere."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, cast

import msgspec
from msgspec import Struct

from penstock.agents.context import Context
from penstock.agents.flow import called
from penstock.agents.limits import Limits
from penstock.agents.named import Toolbox
from penstock.agents.startable import Startable, described, input_of
from penstock.agents.tools import Tool, readable
from penstock.kernel.errors import SettingsError
from penstock.kernel.wording import as_text

FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
"""Models like to put JSON between fences, asked or not."""

ASK = "ask_"
"""How the name of a tool begins that is another agent."""

LOG = logging.getLogger("penstock.agents")

P = ParamSpec("P")
R = TypeVar("R")


class BadOutput(Exception):
    """An answer that is not of the agent's type; the message is for the model that gave it."""


class Agent(Startable):
    """An agent. ``name`` is the one it is started under.

    ``model`` is any name that calls may use: a task (``task:support``), an alias, ``provider/model``. ``instructions`` stand at the top of
    each conversation. ``tools`` may be functions (`penstock.agents.tool`), other agents and workflows, which it asks and waits for, and
    toolboxes that the settings name (`penstock.agents.toolbox.toolbox`).
    ``arguments`` is the type of its input, text if not said otherwise, ``output`` that of its answer: anything that msgspec can read from
    JSON. ``params`` go with each question as they are. ``context`` says what becomes of a conversation that outgrows its model.
    ``owner`` is who answers for it; policies go by that (docs/approvals.md).

    Called within a workflow, or a test (`penstock.agents.testing`), it is run and waited for. Raises ValueError for a name that cannot be
    one, and for two tools of one name; TypeError for what is no tool, and for an ``output`` that JSON cannot be read as.
    """

    kind = "agent"

    def __init__(
        self,
        name: str,
        *,
        model: str,
        instructions: str = "",
        description: str = "",
        tools: Sequence[Tool[..., Any] | Startable | Toolbox] = (),
        output: Any = str,
        limits: Limits | None = None,
        params: Mapping[str, Any] | None = None,
        arguments: type[Struct] | None = None,
        context: Context | None = None,
        text_name: str = "question",
        owner: str = "",
    ) -> None:
        super().__init__(
            name,
            description=description or f"Ask the agent {name}.",
            limits=(limits or Limits()).filled(),
            arguments=arguments,
            output=output,
            text_name=text_name,
        )
        self.model = model
        self.instructions = instructions
        self.params: Mapping[str, Any] = params or {}
        self.context = context or Context()
        self.owner = owner
        self.tools: Mapping[str, Tool[..., Any]]
        self.boxes = tuple(one for one in tools if isinstance(one, Toolbox))
        self.tools, self.agents = _told_apart(name, [one for one in tools if not isinstance(one, Toolbox)])
        self._own = self.tools
        self._answer: msgspec.json.Decoder[Any] | None = None
        if output is not str:
            readable(f"the answer of the agent {name}", output)
            self._answer = msgspec.json.Decoder(output)

    @property
    def tool_name(self) -> str:
        return ASK + self.name

    def fill(self, boxes: Mapping[str, Sequence[Tool[..., Any]]], growing: Collection[str] = ()) -> None:
        """Take the tools of its toolboxes, in place of those that it took before. Raises `SettingsError` for a toolbox or a tool that there
        is not, and for two tools of one name. Of toolboxes that are ``growing`` a tool may come later, and one whose name is taken is left
        out."""
        if not self.boxes:
            return
        tools = dict(self._own)
        for box in self.boxes:
            if box.name not in boxes:
                known = ", ".join(sorted(boxes)) or "none"
                told = f"the agent {self.name} takes the toolbox {box.name}, and [agents.toolboxes] has {known}"
                raise SettingsError(told, param=f"agents.toolboxes.{box.name}")
            found = {one.name: one for one in boxes[box.name]}
            lost = sorted(set(box.only) - found.keys())
            if lost and box.name not in growing:
                told = f"the agent {self.name} takes {', '.join(lost)} of the toolbox {box.name}, which has {', '.join(sorted(found))}"
                raise SettingsError(told, param=f"agents.toolboxes.{box.name}")
            for name, one in found.items():
                if box.only and name not in box.only:
                    continue
                if name in tools or name in self.agents:
                    if box.name in growing:
                        LOG.warning("a tool is left out, for its name is taken", extra={"agent": self.name, "tool": name})
                        continue
                    raise SettingsError(f"two tools of the agent {self.name} are named {name}", param=f"agents.toolboxes.{box.name}")
                tools[name] = one
        self.tools = tools

    def told(self) -> str:
        """What stands at the top of its conversations, with the shape of the answer where that is not text."""
        if self._answer is None:
            return self.instructions
        schema = msgspec.json.encode(msgspec.json.schema(self.output)).decode()
        shape = f"Answer with one JSON value and nothing else. It must obey this JSON Schema:\n{schema}"
        return f"{self.instructions}\n\n{shape}".strip()

    def shown(self) -> list[dict[str, Any]]:
        """Its tools as chat completions describe them, always in one order, so that a provider's cache of the beginning holds."""
        offered = (self.tools[name].shown() for name in sorted(self.tools) if self.tools[name].offered)
        return [*offered, *(self.agents[name].as_tool() for name in sorted(self.agents))]

    def question(self, input: Any) -> str:
        """An input as its model reads it: text as it is, anything else as JSON."""
        return as_text(input)

    def answer(self, text: str) -> Any:
        """The answer as its type says, as JSON values. Raises `BadOutput`."""
        if self._answer is None:
            return text
        fenced = FENCED.match(text)
        try:
            return msgspec.to_builtins(self._answer.decode(fenced.group(1) if fenced else text))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise BadOutput(str(fault)) from fault

    def __call__(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Have it done by a run of its own, below the one that calls, and wait for the answer. Raises `StepFailed` where there is none."""
        return called(self, args, kwargs)


class AgentFunction(Agent, Generic[P, R]):
    """An agent that was declared as a function (`agent`), with that function's types."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return super().__call__(*args, **kwargs)


def agent(
    *,
    model: str,
    name: str = "",
    instructions: str = "",
    tools: Sequence[Tool[..., Any] | Startable | Toolbox] = (),
    limits: Limits | None = None,
    params: Mapping[str, Any] | None = None,
    context: Context | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], AgentFunction[P, R]]:
    """Declare an agent as a function without a body: its arguments are the input, its return type is that of the answer, its docstring
    the instructions, whose first paragraph tells others what it is for. The rest is as in `Agent`.

    Raises TypeError for an argument without a type, ValueError for a body, which would never run.
    """

    def made(function: Callable[P, Coroutine[Any, Any, R]]) -> AgentFunction[P, R]:
        named = name or function.__name__
        if _has_body(function):
            raise ValueError(f"the body of the agent {named} would never run: its model answers; write `...`")
        whole, first = described(function)
        arguments, text_name, returns = input_of(named, function)
        return AgentFunction[P, R](
            named,
            model=model,
            instructions=instructions or whole,
            description=first,
            tools=tools,
            output=str if returns is Any else returns,
            limits=limits,
            params=params,
            arguments=arguments,
            context=context,
            text_name=text_name,
        )

    return made


def _told_apart(name: str, tools: Sequence[Any]) -> tuple[dict[str, Tool[..., Any]], dict[str, Startable]]:
    """The tools of an agent by name, and the agents and workflows among them."""
    found: dict[str, Tool[..., Any]] = {}
    others: dict[str, Startable] = {}
    for one in tools:
        if isinstance(one, Tool):
            called, into = cast("Tool[..., Any]", one).name, cast("dict[str, Any]", found)
        elif isinstance(one, Startable):
            called, into = one.tool_name, cast("dict[str, Any]", others)
        elif isinstance(one, list | tuple):
            raise TypeError(f"the agent {name}: a list stands among its tools; unpack it with a star, as in tools=[*sql(...), find]")
        else:
            what = getattr(one, "__name__", type(one).__name__)
            raise TypeError(f"the agent {name}: {what} is no tool; write @tool above it, and say its effect if it changes something")
        if called in found or called in others:
            raise ValueError(f"two tools of the agent {name} are named {called}; give one of them another name")
        into[called] = one
    return found, others


def _has_body(function: Callable[..., Any]) -> bool:
    code = function.__code__  # type: ignore[attr-defined]
    return bool(code.co_names) or bool(set(code.co_consts) - {function.__doc__, None})


def startables_in(module: Any) -> list[Startable]:
    """The agents and workflows that stand in a module under any name, and those that they ask, each once."""
    found: dict[str, Startable] = {}
    waiting = [one for name in dir(module) if isinstance(one := getattr(module, name), Startable)]
    while waiting:
        one = waiting.pop()
        known = found.setdefault(one.name, one)
        if known is not one:
            raise ValueError(f"two agents are named {one.name}; give one of them another name")
        if isinstance(one, Agent):
            waiting += [other for other in one.agents.values() if found.get(other.name) is not other]
    return [found[name] for name in sorted(found)]
