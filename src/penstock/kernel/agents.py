"""Agents as other rooms reach them: who there is, starting one, watching what it does, answering what it asks.

An agent's run is a run on the journal (`penstock.kernel.journal`). What it did is told from its journalled steps, so whoever watches may be
cut off, or the process may die, and nothing is lost: they come back with the number of the last step that they saw.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from penstock.kernel.principal import Principal

ASK = "ask"
"""Name of the journalled step with which a run opens an `AgentRequest`; its output is the request."""


REQUEST = "request/"
"""How the topics begin under which runs wait for the end of an `AgentRequest`; whoever answers it says so there, and nobody else."""


class AgentCard(Struct, frozen=True, kw_only=True):
    """An agent, or a workflow, that may be started. ``input`` and ``output`` are JSON Schemas; text is ``{"type": "string"}``.

    ``tools`` have their effect by name, ``asks`` are the agents it asks. ``version`` is a digest of what it is: another one, another agent.
    """

    name: str
    description: str
    kind: Literal["agent", "workflow"]
    input: dict[str, Any]
    output: dict[str, Any]
    tools: dict[str, str]
    asks: list[str]
    version: str


class AgentRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a run waits for, from people.

    ``kind`` is ``approval`` of exactly the call ``tool`` with ``arguments``, whose SHA-256 is ``digest``, or a ``question``, whose answer
    must obey the JSON Schema ``schema``. Times are Unix seconds; nobody is waited for after ``expires_at``.
    """

    id: str
    run: str
    kind: Literal["approval", "question"]
    text: str
    tool: str = ""
    arguments: dict[str, Any] | None = None
    digest: str = ""
    schema: dict[str, Any] | None = None
    opened_at: float = 0.0
    expires_at: float | None = None


class CalledTool(Struct, frozen=True, kw_only=True):
    """A call that a model asked for. ``arguments`` is what it wrote, which need not be JSON."""

    id: str
    name: str
    arguments: str


AgentEventKind = Literal["began", "said", "result", "handed", "returned", "asked", "answered", "step", "ended"]
"""``began``; the model ``said`` something (text, calls, or both; with ``code`` it could not be asked); the ``result`` of a tool's call;
``handed`` to another agent as the run ``child``, and what that ``returned``; people were ``asked``, and ``answered``; another ``step``
of the run (a wait, a step of a workflow); ``ended``."""


class AgentEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a run did. ``number`` is that of the journalled step, and of an ``ended`` one more than the last.

    ``cost`` is micro-dollars, ``at`` Unix seconds. ``call`` is the id of the model's call that this is the result of. ``state`` is how a
    tool's call ended (``done``, ``failed``, ``in_doubt``, ``again``), or the run (``done``, ``limit``, ``failed``, ``stuck``,
    ``cancelled``). ``output`` is what an ended run gave.
    """

    number: int
    kind: AgentEventKind
    at: float
    name: str = ""
    text: str = ""
    calls: tuple[CalledTool, ...] = ()
    call: str = ""
    state: str = ""
    code: str = ""
    child: str = ""
    request: AgentRequest | None = None
    output: Any = None
    cost: int = 0
    tokens: int = 0


class AgentStanding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run as it stands. ``state`` is `penstock.kernel.journal.RunState`, or ``waiting`` where people have to answer ``requests``.

    ``ended`` is its last event, once there is one.
    """

    run: str
    agent: str
    state: str
    created_at: float
    updated_at: float
    requests: tuple[AgentRequest, ...] = ()
    ended: AgentEvent | None = None


class AgentRuns(Protocol):
    """What there is of agents. Whatever lies beyond the principal's reach is not found (`NotFound`).

    Everything but `cards` raises `JournalUnavailable` where there is no journal to work with.
    """

    def cards(self, principal: Principal) -> Sequence[AgentCard]:
        """The agents that the principal may start, by name."""
        ...

    async def begin(
        self,
        principal: Principal,
        name: str,
        input: Any,
        *,
        key: str | None = None,
        person: str = "",
        thread: str = "",
    ) -> str:
        """Start a run and return its id once it cannot get lost. A second start with the same ``key`` gives the first's. ``thread`` is the
        conversation that it goes on with; an unknown one begins. Raises `RequestError` for an input that is not of the agent's type."""
        ...

    async def look(self, principal: Principal, run: str) -> AgentStanding:
        """A run as it stands, also one of a workflow."""
        ...

    def watch(self, principal: Principal, run: str, after: int = 0) -> AsyncIterator[AgentEvent]:
        """What the run did and does after the step numbered ``after``, as it does it; ends with the event ``ended``, when it has."""
        ...

    async def answer(self, principal: Principal, run: str, request: str, value: Any) -> None:
        """Answer a request: a question with a value of its schema, an approval with ``{"approve": bool, "note": str}``. Raises `Forbidden`
        for who may not, and `Conflict` for one that is answered, expired or void."""
        ...

    async def cancel(self, principal: Principal, run: str) -> None:
        """End a run and what it started. `Conflict` when it has ended."""
        ...


class EventSender(Protocol):
    """Events of an organisation, for whatever run of it waits for them."""

    async def send(self, organisation: str, name: str, data: Any, *, run: str = "", key: str | None = None) -> tuple[str, int]:
        """Keep an event, for all runs of the organisation or for ``run`` alone, and tell those that wait for it; its id, and how many there
        were. A second one with the same ``key`` is the first."""
        ...


__all__ = [
    "ASK",
    "REQUEST",
    "AgentCard",
    "AgentEvent",
    "AgentEventKind",
    "AgentRequest",
    "AgentRuns",
    "AgentStanding",
    "CalledTool",
    "EventSender",
]
