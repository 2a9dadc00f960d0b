"""The memory that one run of an agent may use: that of the person it works for, of its team, and the agent's own. Nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.agents.memory.service import Memories
from penstock.agents.recollection import Memory, Owner, Scope
from penstock.kernel.errors import RequestError


class OwnMemory:
    """Long-term memory, for a run. ``team`` is asked for at each use: it is that of the key behind the run, as it is then."""

    def __init__(self, memories: Memories, *, organisation: str, person: str, team: Callable[[], str | None], agent: str, run: str) -> None:
        self._memories = memories
        self._organisation = organisation
        self._person = person
        self._team = team
        self._agent = agent
        self._run = run

    def owners(self) -> dict[Scope, Owner]:
        """Whose memory the run may use, by scope."""
        found: dict[Scope, Owner] = {}
        if self._person:
            found["person"] = Owner("person", self._person)
        team = self._team()
        if team:
            found["team"] = Owner("team", team)
        if self._agent:
            found["agent"] = Owner("agent", self._agent)
        return found

    async def remember(self, text: str, scope: Scope, *, labels: Sequence[str] = (), days: float | None = None, key: str = "") -> Memory:
        """Keep it for the owner of that scope. Raises `RequestError` where there is none."""
        owner = self.owners().get(scope)
        if owner is None:
            has = ", ".join(self.owners()) or "nobody"
            raise RequestError(f"this run has no {scope} whose memory it could use; it has {has}", param="scope")
        return await self._memories.remember(
            self._organisation,
            owner,
            text,
            labels=labels,
            days=days,
            agent=self._agent,
            run=self._run,
            person=self._person,
            key=key,
        )

    async def recall(self, query: str, scope: Scope | None = None, *, label: str = "", most: int = 10) -> list[Memory]:
        """What has to do with the query, the best first."""
        among = [one for name, one in self.owners().items() if scope in (None, name)]
        return await self._memories.recall(self._organisation, among, query, label=label, most=most)

    async def forget(self, id: str) -> None:
        """Delete one. Raises `NotFound`, also for what the run may not see."""
        await self._memories.forget(self._organisation, list(self.owners().values()), id)
