"""What can be done with agents: see which there are, start one, see what came of it and what it did."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct, structs

from penstock.agents.adopted.boundary import Adopted
from penstock.agents.asking import Journalled, People
from penstock.agents.boxes.kept import Boxes
from penstock.agents.definition import Agent, startables_in
from penstock.agents.effects import Effects, Line
from penstock.agents.flow import Occasions
from penstock.agents.inbox.service import Inbox
from penstock.agents.limits import Limits
from penstock.agents.loop import Loop
from penstock.agents.mcp.servers import Servers
from penstock.agents.memory.remembering import Remembering
from penstock.agents.model import Model
from penstock.agents.performing import Performing
from penstock.agents.running import Ended, Running, Start
from penstock.agents.settings import AgentSettings
from penstock.agents.sight import Sight
from penstock.agents.startable import NOBODY, Asker, Startable
from penstock.agents.terms import Known, Unknown
from penstock.agents.tools import BadArguments
from penstock.agents.workflows import Workflow, go
from penstock.kernel.agents import AgentCard
from penstock.kernel.errors import Forbidden, NotFound, RequestError, SettingsError, StepFailed, StorageError
from penstock.kernel.journal import ENDED, Journal, Queue, Run, RunFunction, RunInfo
from penstock.kernel.loading import load
from penstock.kernel.principal import Principal

QUEUE = "agents"
KINDS = ("agent", "workflow")
"""How names of their runs begin."""
NONE = Limits()


class AgentView(Struct, frozen=True, kw_only=True):
    """An agent, or a workflow, that may be started. ``tools`` have their effect by name, ``asks`` are the agents it asks. ``input`` and
    ``output`` are JSON Schemas."""

    name: str
    kind: Literal["agent", "workflow"]
    description: str
    model: str
    input: dict[str, Any]
    output: dict[str, Any]
    tools: dict[str, str]
    asks: list[str]
    limits: Limits
    shared: bool


class AgentRun(Struct, frozen=True, kw_only=True):
    """A run of an agent: where it stands, how it ended if it has, and what it did to the world."""

    run: RunInfo
    ended: Ended | None
    effects: list[Line]


class Agents:
    """The agents of this house."""

    def __init__(
        self,
        settings: AgentSettings,
        effects: Effects,
        journal: Callable[[], Journal],
        model: Callable[[], Model],
        occasions: Occasions,
        people: People | None = None,
        remembering: Remembering | None = None,
        known: Known | None = None,
        inbox: Inbox | None = None,
        servers: Servers | None = None,
    ) -> None:
        """Without an ``inbox`` no policy is asked whether a call of a tool may be made."""
        self._settings = settings
        self._occasions = occasions
        self.known_terms: Known = known or Unknown()
        self._people = people or inbox or Journalled()
        self._journal = journal
        self._model = model
        self._inbox = inbox
        self._performing = Performing(
            effects, remembering, gate=None if inbox is None else inbox.gate, consent=None if inbox is None else inbox.consent
        )
        self.effects = effects
        self.boxes = Boxes(settings.toolboxes, servers)
        self.sight: Sight | None = None
        """Without it whoever sees a run sees all of it."""
        self.known: Mapping[str, Startable] = {}
        self._defined: dict[str, Startable] = {}

    def load(self) -> None:
        """Import the modules of the settings, and give their agents the tools of the toolboxes. Raises `SettingsError`."""
        self.boxes.make()
        found: dict[str, Startable] = {}
        for name in self._settings.modules:
            for one in _startables_of(name):
                if found.setdefault(one.name, one) is not one:
                    what = f"two agents are named {one.name}, one of them in {name}; give one of them another name"
                    raise SettingsError(f"agents.modules: {what}", param="agents.modules")
        lost = sorted(set(self._settings.shared) - found.keys())
        if lost:
            raise SettingsError(f"agents.shared: there is no agent {', '.join(lost)} in agents.modules", param="agents.shared")
        self.boxes.fill(found.values())
        if self._inbox is not None:
            self._inbox.validators.check(found)
        self.known = found

    def define(self) -> None:
        """Tell the journal what a run of each agent is."""
        if not self.known:
            return
        journal = self._journal()
        for one in self.known.values():
            journal.define(one.run, self.function(one))
        journal.declare(Queue(name=QUEUE, tenant_concurrency=self._settings.at_once, per_process=self._settings.per_process))

    def function(self, one: Startable) -> RunFunction:
        """The code of its runs."""

        self._defined[one.run] = one

        async def execute(run: Run, given: Any) -> Any:
            start = msgspec.convert(given, Start)
            # Before anything of it is executed again: what it called elsewhere has to be found here.
            with contextlib.suppress(StorageError):  # what was trusted when this process started is known anyway
                await self.boxes.fresh(self._defined.values())
            if isinstance(one, Agent):
                ended = await Loop(one, run, start, self._model(), self._performing, self.known_terms).go()
            elif isinstance(one, Adopted):
                ended = await one.run_in(Running(run, start, one.limits, self._performing, one.name), self._model())
            else:
                assert isinstance(one, Workflow)
                flowing = cast("Workflow[..., Any]", one)
                ended = await go(
                    flowing, Running(run, start, one.limits, self._performing, one.name), self._people, self._occasions, self._met
                )
            return msgspec.to_builtins(ended)

        return execute

    def _met(self, one: Startable) -> None:
        if self._defined.get(one.run) is not one:
            raise NotFound(f"the {one.kind} {one.name} is not known here: it must stand in a module of agents.modules")

    def list(self, principal: Principal) -> list[AgentView]:
        """The agents that the principal may start, by name."""
        return [self._view(one) for name, one in sorted(self.known.items()) if self._may(principal, name)]

    def cards(self, principal: Principal) -> list[AgentCard]:
        """The same agents as other rooms see them."""
        return [card(self.known[one.name]) for one in self.list(principal)]

    async def start(
        self,
        principal: Principal,
        name: str,
        input: Any,
        *,
        limits: Limits = NONE,
        key: str | None = None,
        person: str = "",
        thread: str = "",
        asker: Asker = NOBODY,
    ) -> str:
        """Start a run and return its id. A second start with the same ``key`` gives the first's. Raises `NotFound`, `RequestError` for
        an input that is not of the agent's type, and `Forbidden` for another ``person`` than the key's: tools go by it."""
        agent = self._find(principal, name)
        try:
            taken = agent.take(input)
        except BadArguments as fault:
            raise RequestError(f"input: {fault}", param="input") from None
        if person and principal.person and person != principal.person:
            raise Forbidden("this key belongs to a person, and starts runs for that person alone", param="person")
        person = person or principal.person or ""
        if thread:
            await self._check_thread(principal, agent, thread, person)
        told: dict[str, Any] = {"thread": thread, "at": time.time(), "labels": asker.read}
        start = Start(input=taken, key=principal.key_id, person=person, limits=limits.within(asker.limits), **told)
        return await self._journal().start(
            agent.run,
            msgspec.to_builtins(start),
            organisation=principal.organisation,
            queue=QUEUE,
            key=None if key is None else f"agent/{name}/{key}",
            labels={**asker.labels, agent.kind: name},
            by=asker.by,
        )

    async def get(self, principal: Principal, run: str) -> AgentRun:
        """A run as it stands. Raises `NotFound`, also for a run of something else."""
        journal = self._journal()
        info = await journal.get(principal.reach, run)
        if info.name.partition("/")[0] not in KINDS:
            raise NotFound(f"run {run[:100]!r} is none of an agent", param="id")
        ended: Ended | None = None
        if info.state in ENDED:
            try:
                ended = msgspec.convert(await journal.result(principal.reach, run, 10.0), Ended)
            except StepFailed:  # it did not return: its state and error say why
                ended = None
        effects = await self.effects.of_run(principal.reach, run)
        if self.sight is not None and not await self.sight.may(principal, info):
            ended = None if ended is None else structs.replace(ended, output=None, message="")
            effects = [structs.replace(one, outcome=None) for one in effects]
        return AgentRun(run=info, ended=ended, effects=effects)

    async def _check_thread(self, principal: Principal, agent: Startable, thread: str, person: str) -> None:
        if self._performing.remembering is None or not isinstance(agent, Agent):
            raise RequestError(f"the {agent.kind} {agent.name} has no threads", param="thread")
        await self._performing.remembering.threads.check(principal.organisation, thread, agent.name, person)

    def _find(self, principal: Principal, name: str) -> Startable:
        if name not in self.known or not self._may(principal, name):
            raise NotFound(f"there is no agent {name[:100]!r}; GET /v1/agents lists those that this key may start", param="name")
        return self.known[name]

    def _may(self, principal: Principal, name: str) -> bool:
        return principal.home or name in self._settings.shared

    def _view(self, one: Startable) -> AgentView:
        told = card(one)
        return AgentView(
            name=one.name,
            kind=one.kind,
            description=one.description,
            model=one.model if isinstance(one, Agent | Adopted) else "",
            input=told.input,
            output=told.output,
            tools=told.tools,
            asks=told.asks,
            limits=one.limits,
            shared=one.name in self._settings.shared,
        )


def card(one: Startable) -> AgentCard:
    """What it is, for those who would start it. The version of a workflow follows from its code."""
    tools: dict[str, str] = {}
    asks: list[str] = []
    made: Any = ()
    if isinstance(one, Agent):
        tools = {name: tool.effect for name, tool in sorted(one.tools.items()) if tool.offered}
        asks = sorted(other.name for other in one.agents.values())
        made = (one.model, one.told(), one.shown(), one.params)
    elif isinstance(one, Adopted):
        tools = dict(sorted(one.tools.items()))
        made = (one.model, tools)
    elif isinstance(one, Workflow):
        made = inspect.getsource(one.function)
    shapes = (one.input_schema, one.output_schema)
    digest = hashlib.sha256(msgspec.json.encode((made, *shapes, one.limits))).hexdigest()
    return AgentCard(
        name=one.name,
        description=one.description,
        kind=one.kind,
        input=shapes[0],
        output=shapes[1],
        tools=tools,
        asks=asks,
        version=digest[:16],
    )


def _startables_of(module: str) -> Sequence[Startable]:
    loaded = load(module, "agents.modules")
    try:
        found = startables_in(loaded)
    except ValueError as fault:
        raise SettingsError(f"agents.modules: {module!r} cannot be used: {fault}", param="agents.modules") from fault
    if not found:
        what = "there is neither an agent nor a workflow in it; tools alone are started by nobody, give them to an Agent(..., tools=[...])"
        raise SettingsError(f"agents.modules: {module!r} cannot be used: {what}", param="agents.modules")
    return found
