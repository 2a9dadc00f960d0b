"""What begins and holds a run: its key, the thread that it goes on with, and the requests that are still to be answered."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from penstock.kernel.agents import AgentCard, AgentRequest, AgentStanding
from penstock.kernel.principal import Principal


def thread_of(principal: Principal, card: AgentCard, name: str) -> str:
    """The thread behind a name that a client chose: clients use one name for several agents, and two of them may choose the same. A
    workflow has none."""
    if card.kind != "agent":
        return ""
    whose = f"{principal.person or principal.key_id}/{card.name}/{name}"
    return "thread_" + hashlib.sha256(whose.encode()).hexdigest()[:32]


def key_of(principal: Principal, protocol: str, *names: str) -> str:
    """The key of a run behind names that a client chose: what another person's, or another key's, client chooses is another run, whose
    answer is not for this one."""
    whose = "\0".join((principal.person or principal.key_id, *names))
    return f"{protocol}/{hashlib.sha256(whose.encode()).hexdigest()}"


def unanswered(standing: AgentStanding, answered: Collection[str] = ()) -> Sequence[AgentRequest]:
    """Those that a run waits for but for what was ``answered`` just now: a run takes a moment to see its answer, and is not waited for
    again because of it."""
    return [one for one in standing.requests if one.id not in answered] if standing.state == "waiting" else []


__all__ = ["key_of", "thread_of", "unanswered"]
