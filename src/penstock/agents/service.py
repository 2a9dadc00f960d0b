"""What can be done with agents: see which there are, start one, see what came of it and what it did."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.agents.definition import Agent, agents_in
from penstock.agents.effects import Effects, Line
from penstock.agents.limits import Limits
from penstock.agents.loop import Ended, Loop, Start
from penstock.agents.model import Model
from penstock.agents.performing import Performing
from penstock.agents.settings import AgentSettings
from penstock.kernel.errors import Forbidden, NotFound, SettingsError, StepFailed
from penstock.kernel.journal import ENDED, Journal, Queue, Run, RunFunction, RunInfo
from penstock.kernel.principal import Principal

QUEUE = "agents"
LABEL = "agent"
NONE = Limits()


class AgentView(Struct, frozen=True, kw_only=True):
    """An agent that may be started. ``tools`` have their effect by name, ``asks`` are the agents it asks."""

    name: str
    description: str
    model: str
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

    def __init__(self, settings: AgentSettings, effects: Effects, journal: Callable[[], Journal], model: Callable[[], Model]) -> None:
        self._settings = settings
        self._journal = journal
        self._model = model
        self._performing = Performing(effects)
        self.effects = effects
        self.known: Mapping[str, Agent] = {}

    def load(self) -> None:
        """Import the modules of the settings. Raises `SettingsError`."""
        found: dict[str, Agent] = {}
        for name in self._settings.modules:
            for one in _agents_of(name):
                if found.setdefault(one.name, one) is not one:
                    raise SettingsError(f"agents.modules: two agents are named {one.name}, one of them in {name}", param="agents.modules")
        lost = sorted(set(self._settings.shared) - found.keys())
        if lost:
            raise SettingsError(f"agents.shared: there is no agent {', '.join(lost)} in agents.modules", param="agents.shared")
        self.known = found

    def define(self) -> None:
        """Tell the journal what a run of each agent is."""
        if not self.known:
            return
        journal = self._journal()
        for agent in self.known.values():
            journal.define(agent.run, self.function(agent))
        journal.declare(Queue(name=QUEUE, tenant_concurrency=self._settings.at_once, per_process=self._settings.per_process))

    def function(self, agent: Agent) -> RunFunction:
        """The code of the agent's runs."""

        async def execute(run: Run, given: Any) -> Any:
            ended = await Loop(agent, run, msgspec.convert(given, Start), self._model(), self._performing).go()
            return msgspec.to_builtins(ended)

        return execute

    def list(self, principal: Principal) -> list[AgentView]:
        """The agents that the principal may start, by name."""
        return [self._view(one) for name, one in sorted(self.known.items()) if self._may(principal, name)]

    async def start(
        self, principal: Principal, name: str, question: str, *, limits: Limits = NONE, key: str | None = None, person: str = ""
    ) -> str:
        """Start a run and return its id. A second start with the same ``key`` gives the first's. Raises `NotFound`, and `Forbidden` for
        another ``person`` than the one that the key belongs to: tools go by it."""
        agent = self._find(principal, name)
        if person and principal.person and person != principal.person:
            raise Forbidden("this key belongs to a person, and starts runs for that person alone", param="person")
        start = Start(input=question, key=principal.key_id, person=person or principal.person or "", limits=limits)
        return await self._journal().start(
            agent.run,
            msgspec.to_builtins(start),
            organisation=principal.organisation,
            queue=QUEUE,
            key=None if key is None else f"agent/{name}/{key}",
            labels={LABEL: name},
        )

    async def get(self, principal: Principal, run: str) -> AgentRun:
        """A run as it stands. Raises `NotFound`, also for a run of something else."""
        journal = self._journal()
        info = await journal.get(principal.reach, run)
        if not info.name.startswith("agent/"):
            raise NotFound(f"run {run[:100]!r} is none of an agent", param="id")
        ended: Ended | None = None
        if info.state in ENDED:
            try:
                ended = msgspec.convert(await journal.result(principal.reach, run, 10.0), Ended)
            except StepFailed:  # it did not return: its state and error say why
                ended = None
        return AgentRun(run=info, ended=ended, effects=await self.effects.of_run(principal.reach, run))

    def _find(self, principal: Principal, name: str) -> Agent:
        if name not in self.known or not self._may(principal, name):
            raise NotFound(f"there is no agent {name[:100]!r}", param="name")
        return self.known[name]

    def _may(self, principal: Principal, name: str) -> bool:
        return principal.home or name in self._settings.shared

    def _view(self, agent: Agent) -> AgentView:
        return AgentView(
            name=agent.name,
            description=agent.description,
            model=agent.model,
            tools={name: one.effect for name, one in sorted(agent.tools.items())},
            asks=sorted(one.name for one in agent.agents.values()),
            limits=agent.limits,
            shared=agent.name in self._settings.shared,
        )


def _agents_of(module: str) -> Sequence[Agent]:
    try:
        return agents_in(importlib.import_module(module))
    except (ImportError, ValueError, TypeError) as fault:
        raise SettingsError(f"agents.modules: {module!r} cannot be loaded: {fault}", param="agents.modules") from fault
