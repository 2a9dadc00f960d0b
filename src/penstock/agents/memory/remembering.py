"""What runs of agents have of threads and memory: what was said before, what was said now, and the memory that they may use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from penstock.agents.memory.own import OwnMemory
from penstock.agents.memory.service import Memories
from penstock.agents.memory.threads import Threads
from penstock.agents.patience import PATIENT
from penstock.kernel.errors import PenstockError
from penstock.kernel.journal import Run
from penstock.kernel.ports import Holders

Said = tuple[Literal["user", "assistant"], str]


class Remembering:
    """For the runs of one house. ``holders`` are asked for when they are needed: another room provides them."""

    def __init__(self, threads: Threads, memories: Memories, holders: Callable[[], Holders]) -> None:
        self.threads = threads
        self.memories = memories
        self._holders = holders

    def own(self, run: Run, key: str, person: str) -> OwnMemory:
        """The memory that a run may use, which the key behind it pays for."""

        def team() -> str | None:
            try:
                return self._holders().holder_of(key).team
            except PenstockError:  # revoked: nobody's team any more
                return None

        agent = run.labels.get("agent", "")
        return OwnMemory(self.memories, organisation=run.organisation, person=person, team=team, agent=agent, run=run.id)

    async def before(self, run: Run, thread: str, agent: str, person: str, said: str) -> list[dict[str, Any]]:
        """What was said in a thread before this run, as messages of chat completions. The journal keeps where the thread stood and not what
        it says, so that it does not grow with its square. Raises `StepFailed` for a thread of somebody else's."""
        until: int = await run.step("thread", self.threads.open, run.organisation, thread, agent, person, said, retry=PATIENT)
        return [{"role": role, "content": text} for role, text in await self.threads.history(run.organisation, thread, until)]

    async def keep(self, run: Run, thread: str, asked: str, answered: str) -> None:
        """Add what was said in this run."""
        said: list[Said] = [("user", asked), ("assistant", answered)]
        await run.step("remember thread", self.threads.keep, run.organisation, thread, run.id, said, retry=PATIENT)
