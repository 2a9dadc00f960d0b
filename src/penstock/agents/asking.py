"""Questions of runs to people."""

from __future__ import annotations

import hashlib
import time
from typing import Any, Protocol

from msgspec import Struct

from penstock.kernel.agents import AgentRequest


class Asking(Struct, frozen=True, kw_only=True):
    """A question. ``ordinal`` numbers them in their run; ``to`` are those who may answer besides who the run works for, within ``seconds``.
    ``key`` and ``person`` are who started the run and who it works for."""

    run: str
    organisation: str
    key: str
    person: str
    agent: str
    ordinal: int
    text: str
    schema: dict[str, Any]
    seconds: float | None
    to: tuple[str, ...] = ()


class People(Protocol):
    """Who keeps questions for people."""

    async def open(self, asking: Asking) -> AgentRequest:
        """Keep it; a second time gives the same request."""
        ...


class Journalled:
    """Keeps a question nowhere but in the run that asks, as the output of its step."""

    async def open(self, asking: Asking) -> AgentRequest:
        now = time.time()
        return AgentRequest(
            id="request_" + hashlib.sha256(f"{asking.run}/question/{asking.ordinal}".encode()).hexdigest()[:32],
            run=asking.run,
            kind="question",
            text=asking.text,
            schema=asking.schema,
            opened_at=now,
            expires_at=None if asking.seconds is None else now + asking.seconds,
        )
