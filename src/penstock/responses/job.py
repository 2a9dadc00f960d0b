"""A response that is worked on by a run of its own: what is to be done, and where it stands."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from penstock.responses.turn import Turn

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
LIVE = ("queued", "in_progress")
AGENT = "agent:"
"""How the name of a model begins that is an agent."""
_ECHOED = (
    *("instructions", "metadata", "parallel_tool_calls", "reasoning", "service_tier", "temperature", "text", "tool_choice", "tools"),
    *("top_p", "truncation", "user", "max_output_tokens", "max_tool_calls", "prompt_cache_key", "safety_identifier", "top_logprobs"),
)
"""What a response says again of its request."""


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be done. ``own`` is the JSON list of the input's items, ``fields`` the request as it came, without what is kept here.

    ``labels``, ``task``, ``priority`` and ``passed`` are what came with the request. ``input`` is what an agent is given.
    """

    fields: dict[str, Raw]
    own: Raw
    input: Any = None
    labels: dict[str, str] = {}
    task: str | None = None
    priority: str = ""
    passed: tuple[tuple[str, str], ...] = ()


class Job(Struct, frozen=True, kw_only=True):
    """A response that is worked on. Times are Unix seconds. ``seen`` counts the events of an agent's run that were told by responses."""

    id: str
    organisation: str
    person: str | None
    key_id: str
    model: str
    status: Status
    background: bool
    stream: bool
    previous: str | None
    conversation: str | None
    run: str | None
    agent_run: str | None
    seen: int
    thread: str | None
    created_at: float
    updated_at: float
    expires_at: float
    asked: bytes
    response: bytes | None = None

    @property
    def live(self) -> bool:
        """Whether it is still worked on."""
        return self.status in LIVE

    @property
    def agent(self) -> str | None:
        """The name of the agent that answers, None where a model does."""
        return self.model.removeprefix(AGENT) if self.model.startswith(AGENT) else None

    def what(self) -> Asked:
        """What is to be done."""
        return msgspec.json.decode(self.asked, type=Asked)

    def shell(self, status: Status, **more: Any) -> dict[str, Any]:
        """The response as far as it is known before it has an answer."""
        fields = self.what().fields
        told: dict[str, Any] = {name: fields[name] for name in _ECHOED if name in fields}
        return {
            "id": self.id,
            "object": "response",
            "created_at": int(self.created_at),
            "status": status,
            "background": self.background,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self.model,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
            **{name: value for name, value in told.items() if bytes(value) != b"null"},
            **self.stands(),
            **more,
        }

    def stands(self) -> dict[str, Any]:
        """What is true of it here, whoever answers."""
        told: dict[str, Any] = {"id": self.id, "background": self.background, "store": True, "previous_response_id": self.previous}
        return {**told, "conversation": None if self.conversation is None else {"id": self.conversation}}

    def turn(self, response: bytes) -> Turn:
        """The turn that it has become."""
        return Turn(
            id=self.id,
            organisation=self.organisation,
            previous=self.previous,
            model=self.model,
            created_at=self.created_at,
            expires_at=self.expires_at,
            created_by=self.key_id,
            input=bytes(self.what().own),
            response=response,
            person=self.person,
        )
