"""How the parts of the agents are put together, and what they do by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from penstock.agents.effects import Effects
from penstock.agents.model import LineModel
from penstock.agents.routes import routes
from penstock.agents.service import Agents
from penstock.agents.settings import AgentSettings
from penstock.kernel.capability import Finding, House, Offer
from penstock.kernel.journal import Journal
from penstock.kernel.ports import Holders, Metric, ModelClient
from penstock.kernel.rounds import Rounds, Step
from penstock.storage.records import Records

CLEAN_SECONDS = 3600.0


def wire(house: House) -> Offer:
    """Build the agents inside ``house``."""
    ports, settings = house.ports, house.settings(AgentSettings)
    effects = Effects(ports.get(Records))
    agents = Agents(settings, effects, lambda: ports.get(Journal), lambda: LineModel(ports.get(ModelClient), ports.get(Holders)))
    life = AgentLife(agents, settings)
    return Offer(routes=routes(agents), services=(life,), checks=(life.check,), metrics=(life,))


class AgentLife:
    """The agents as a service: defines their runs before the journal opens, and forgets effects that were kept long enough."""

    name = "agents"

    def __init__(self, agents: Agents, settings: AgentSettings) -> None:
        self._agents = agents
        self._settings = settings
        self._rounds = Rounds(self.name, (Step("forget", self._forget, CLEAN_SECONDS),), seconds=60.0)

    async def start(self) -> None:
        """Import and define them. Raises `SettingsError`."""
        self._agents.load()
        self._agents.define()
        if self._agents.known:
            self._rounds.begin()

    async def stop(self) -> None:
        """What the journal executes it stops by itself."""
        await self._rounds.stop()

    async def check(self) -> Sequence[Finding]:
        """Whether what the settings name can be loaded, and whether something is in doubt."""
        self._agents.load()
        known = self._agents.known
        if not known:
            return [Finding(name="agents", status="off", what="no agents are declared")]
        doubts = [one for one in await self._agents.effects.in_doubt(None) if one.state == "in_doubt"]
        if not doubts:
            return [Finding(name="agents", status="ok", what=", ".join(sorted(known)))]
        what = f"{len(doubts)} calls of tools may or may not have happened, the oldest of {doubts[0].tool}"
        return [Finding(name="agents", status="warn", what=what, mend="GET /v1/agents/effects/in-doubt")]

    def metrics(self) -> Iterable[Metric]:
        """Steps of its rounds that failed."""
        yield from self._rounds.metrics()

    async def _forget(self) -> None:
        before = time.time() - self._settings.keep_effects_days * 86_400
        while await self._agents.effects.forget(before):
            pass
