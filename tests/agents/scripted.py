"""A model that says what it is told to, the same for the same conversation, and a journal to run agents on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from penstock.agents.definition import Agent
from penstock.agents.effects import Effects
from penstock.agents.inbox.policy import Rule
from penstock.agents.inbox.service import Inbox
from penstock.agents.inbox.settings import InboxSettings
from penstock.agents.inbox_wiring import begin
from penstock.agents.limits import Limits
from penstock.agents.model import Question, Said, ToolCall
from penstock.agents.occasions import KeptOccasions
from penstock.agents.running import Ended, Start
from penstock.agents.service import Agents
from penstock.agents.settings import AgentSettings
from penstock.agents.startable import Startable
from penstock.journal.service import JournalService
from penstock.journal.settings import JournalSettings
from penstock.kernel.principal import Principal
from penstock.storage.migrations import migrate
from penstock.storage.records import Records, open_records

SETTINGS = JournalSettings(poll_seconds=0.02, lease_seconds=1.0)

ANYTHING = InboxSettings(rules=(Rule(name="anything goes"),))
"""So that tests of other things than approvals need nobody."""

KEYS: dict[str, Principal] = {}
"""Live keys of those who answer requests, by their id."""

Turn = Said | Callable[[Question], Said]


def calls(*wanted: tuple[str, Mapping[str, Any] | str], cost: int = 10, tokens: int = 5) -> Said:
    """A turn that asks for tools; arguments that are a text are sent as they are."""
    made = [
        ToolCall(id=f"c{n}", name=name, arguments=given if isinstance(given, str) else json.dumps(given))
        for n, (name, given) in enumerate(wanted)
    ]
    return Said(calls=tuple(made), cost=cost, tokens=tokens)


def says(text: str, cost: int = 10, tokens: int = 5) -> Said:
    """A turn that ends the conversation."""
    return Said(text=text, cost=cost, tokens=tokens)


class Scripted:
    """Says the turn that follows those already in the conversation, by the name of the agent; the last one again and again."""

    def __init__(self, **turns: Sequence[Turn]) -> None:
        self.turns = turns
        self.asked: list[Question] = []

    async def say(self, question: Question) -> Said:
        # As the line would see it: what was asked does not change afterwards.
        question = msgspec.convert(msgspec.to_builtins(question), Question)
        self.asked.append(question)
        script = self.turns[question.labels["agent"]]
        said = sum(message["role"] == "assistant" for message in question.messages)
        turn = script[min(said, len(script) - 1)]
        return msgspec.structs.replace(turn(question) if callable(turn) else turn, at=time.time())


class Stand:
    """A journal and records in a folder, and the agents on them."""

    def __init__(self, folder: Path, url: str = "", *, fresh: bool = True, inbox: InboxSettings = ANYTHING) -> None:
        """``fresh``: its tables are still to be made."""
        self.records: Records = open_records(url, folder)
        if fresh:
            migrate(self.records, ("penstock.agents.migrations", "penstock.journal.migrations"))
        self.journal = JournalService(SETTINGS, url, folder)
        self.effects = Effects(self.records)
        self.model = Scripted()
        self.occasions = KeptOccasions(self.records, lambda: self.journal)
        told: dict[str, Any] = {"standing": KEYS.get, "begin": begin, "environ": {}, "home": lambda: "org", "name": "<{}>".format}
        self.inbox = Inbox(self.records, inbox, lambda: self.journal, **told)
        made: dict[str, Any] = {"inbox": self.inbox}
        self.agents = Agents(AgentSettings(), self.effects, lambda: self.journal, lambda: self.model, self.occasions, **made)

    async def open(self) -> None:
        await self.journal.begin()

    async def close(self) -> None:
        await self.journal.close()
        self.records.close()

    def define(self, *startables: Startable) -> None:
        """Make them, and those that they ask, known to the journal."""
        for one in startables:
            for each in (one, *(one.agents.values() if isinstance(one, Agent) else ())):
                self.journal.define(each.run, self.agents.function(each))

    async def start(self, agent: Startable, question: Any = "go", *, limits: Limits | None = None, key: str | None = None) -> str:
        start = Start(input=question, key="key", limits=limits or Limits())
        return await self.journal.start(agent.run, msgspec.to_builtins(start), organisation="org", key=key)

    async def ask(self, agent: Agent, *turns: Turn, question: str = "go", limits: Limits | None = None, **others: Sequence[Turn]) -> Ended:
        """Run the agent with a model that says these turns; how it ended."""
        self.model = Scripted(**{agent.name: turns}, **others)
        self.define(agent)
        return await self.result(await self.start(agent, question, limits=limits))

    async def result(self, run: str) -> Ended:
        return msgspec.convert(await self.journal.result(None, run, 30.0), Ended)

    def heard(self, agent: Agent) -> list[str]:
        """What the agent's model was last told by tools."""
        last = [one for one in self.model.asked if one.labels["agent"] == agent.name][-1]
        return [str(message["content"]) for message in last.messages if message["role"] == "tool"]
