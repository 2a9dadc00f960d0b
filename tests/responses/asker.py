"""An agent that asks people: leave to do something, then a question. Its run is the journal's, without a model."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from penstock.agents import Agent
from penstock.agents.limits import Spent
from penstock.agents.loop import Ended
from penstock.kernel.agents import ASK, AgentRequest
from penstock.kernel.journal import Run

asker = Agent("asker", model="up/m", instructions="Ask.")


def _asked(run: str, kind: Any, **more: Any) -> dict[str, Any]:
    request = AgentRequest(id=f"{kind}_{run}", run=run, kind=kind, text="May I?", opened_at=time.time(), **more)
    return msgspec.to_builtins(request)


async def asks(run: Run, given: Any) -> Any:
    """What the agent does: its output is what it was answered."""
    await run.step("begin", time.time)
    leave = await run.step(ASK, lambda: _asked(run.id, "approval", tool="refund", arguments={"order": "7"}, digest="d"))
    allowed = await run.wait(f"request/{leave['id']}")
    question = await run.step(ASK, lambda: _asked(run.id, "question", schema={"type": "string"}))
    said = await run.wait(f"request/{question['id']}")
    output = {"allowed": allowed["value"], "said": said["value"]}
    return msgspec.to_builtins(Ended(state="done", spent=Spent(), output=output))
