"""How the parts of the agents are put together, and what they do by themselves."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from penstock.agents.effects import Effects
from penstock.agents.erasing import PersonalRequests, PersonalRuns
from penstock.agents.inbox.pages import pages as inbox_pages
from penstock.agents.inbox_routes import routes as inbox_routes
from penstock.agents.inbox_wiring import InboxLife, build
from penstock.agents.mcp.consents import Consents
from penstock.agents.mcp.pages import consent_pages
from penstock.agents.mcp.routes import mcp_routes
from penstock.agents.mcp.sealing import sealing
from penstock.agents.mcp.servers import Servers
from penstock.agents.mcp.trust import Trust
from penstock.agents.mcp.trust_pages import trust_pages
from penstock.agents.memory.wiring import wire as wire_memory
from penstock.agents.model import LineModel
from penstock.agents.occasions import KeptOccasions
from penstock.agents.pages import pages
from penstock.agents.policy_pages import policy_pages
from penstock.agents.routes import routes
from penstock.agents.runs import Runs
from penstock.agents.scheduling.pages import schedule_pages
from penstock.agents.scheduling.routes import schedule_routes
from penstock.agents.scheduling.schedules import ScheduleLife, Schedules
from penstock.agents.service import Agents
from penstock.agents.settings import AgentSettings
from penstock.agents.sight import Sight
from penstock.agents.startable import Startable
from penstock.agents.terms import ModelTerms
from penstock.agents.threads import THREADS
from penstock.agents.toolbox.places import Bounds
from penstock.agents.toolbox.sandbox import PLACES
from penstock.agents.waits import KnownWaits
from penstock.agents.words import Words
from penstock.kernel.agents import AgentRuns, EventSender
from penstock.kernel.candidates import Candidates
from penstock.kernel.capability import Finding, House, Offer, joined
from penstock.kernel.journal import Journal, installed
from penstock.kernel.opening import Opening
from penstock.kernel.ports import AllPersonalRecords, Holders, Membership, Metric, ModelClient
from penstock.kernel.principal import Principal
from penstock.kernel.recall import Prices
from penstock.kernel.rounds import Rounds, Step
from penstock.kernel.steps import StepTeller
from penstock.kernel.tasks import Tasks
from penstock.kernel.waits import WaitTeller
from penstock.kernel.web import NavItem
from penstock.storage.records import Records

_log = logging.getLogger("penstock.agents")

CLEAN_SECONDS = 3600.0
MEND = "pip install 'penstock[journal]'"


def wire(house: House) -> Offer:
    """Build the agents inside ``house``."""
    ports, settings = house.ports, house.settings(AgentSettings)
    effects = Effects(ports.get(Records))
    occasions = KeptOccasions(ports.get(Records), lambda: ports.get(Journal))
    inbox = build(house, settings.inbox)
    remembering, memory = wire_memory(house, settings.memory)
    bound = settings.sandboxes
    PLACES.bounds = Bounds(at_once=bound.at_once, waiting=bound.waiting, seconds=bound.wait_seconds)
    consents = Consents(ports.get(Records), sealing(settings.tokens_key, house.data_dir))
    servers = Servers(Trust(ports.get(Records)), consents)
    agents = Agents(
        settings,
        effects,
        lambda: ports.get(Journal),
        lambda: LineModel(ports.get(ModelClient), ports.get(Holders)),
        occasions,
        inbox=inbox,
        remembering=remembering,
        servers=servers,
        known=ModelTerms(lambda: ports.find(Candidates), lambda: ports.find(Prices), lambda: ports.find(Tasks)),
    )
    life = AgentLife(agents, occasions, settings, servers)
    agents.sight = Sight(lambda: ports.get(Journal), Opening.of(ports))
    runs = Runs(agents, lambda: ports.get(Journal), inbox.requests, sight=agents.sight)
    begin: dict[str, Any] = {"journal": lambda: ports.get(Journal), "members": lambda: ports.find(Membership)}
    schedules = Schedules(ports.get(Records), lambda: runs, lambda: ports.get(Holders), **begin)
    if (personal := ports.find(AllPersonalRecords)) is not None:
        held = (ports.get(Records), lambda: ports.get(Journal))
        personal += (schedules, PersonalRequests(*held), PersonalRuns(*held), consents)
    clock = ScheduleLife(schedules)
    inbox_life = InboxLife(house, inbox, settings.inbox, lambda: agents.known)

    def reachable(principal: Principal) -> dict[str, Startable]:
        return {one.name: agents.known[one.name] for one in agents.list(principal)}

    core = Offer(
        routes=(
            *routes(agents, occasions),
            *inbox_routes(inbox, lambda: agents.known),
            *schedule_routes(schedules),
            *mcp_routes(servers, consents),
        ),
        pages=(
            *pages(ports, agents, servers),
            *policy_pages(ports, inbox, reachable),
            *inbox_pages(ports, inbox),
            *schedule_pages(ports, schedules),
            *consent_pages(ports, consents, settings.inbox.public_url),
            *trust_pages(ports, servers),
        ),
        nav=(
            NavItem("Agents", "/console/agents", "spark", "Build", 15),
            NavItem("Inbox", "/console/inbox", "inbox", "Build", 22, "n"),
            NavItem("Schedules", "/console/schedules", "clock", "Build", 24),
        ),
        services=(life, inbox_life, clock),
        checks=(life.check, inbox_life.check),
        metrics=(life, inbox, inbox_life.rounds, clock),
        ports={
            AgentRuns: runs,
            EventSender: occasions,
            StepTeller: Words(lambda: agents.known),
            WaitTeller: KnownWaits(ports.get(Records)),
        },
    )
    return joined(core, memory)


class AgentLife:
    """The agents as a service: defines their runs before the journal opens, and forgets what was kept long enough."""

    name = "agents"

    def __init__(self, agents: Agents, occasions: KeptOccasions, settings: AgentSettings, servers: Servers) -> None:
        self._agents = agents
        self._servers = servers
        self._occasions = occasions
        self._settings = settings
        self._rounds = Rounds(self.name, (Step("forget", self._forget, CLEAN_SECONDS),), seconds=60.0)

    async def start(self) -> None:
        """Import and define them. Raises `SettingsError`."""
        self._agents.load()
        await self._agents.boxes.fresh(self._agents.known.values(), always=True)
        self._agents.define()
        if self._agents.known:
            if not installed():
                _log.warning("agents are declared, but the extra that they need is not installed", extra={"mend": MEND})
            self._rounds.begin()

    async def stop(self) -> None:
        """What the journal executes it stops by itself."""
        await self._rounds.stop()
        await self._servers.close()

    async def check(self) -> Sequence[Finding]:
        """Whether what the settings name can be loaded, and whether something is in doubt."""
        self._agents.load()
        known = self._agents.known
        if not known:
            return [Finding(name="agents", status="off", what="no agents are declared")]
        if not installed():
            what = "agents are declared, but the extra that they need is not installed"
            return [Finding(name="agents", status="fail", what=what, mend=MEND)]
        doubts = [one for one in await self._agents.effects.in_doubt(None) if one.state == "in_doubt"]
        if not doubts:
            return [Finding(name="agents", status="ok", what=", ".join(sorted(known)))]
        what = f"{len(doubts)} calls of tools may or may not have happened, the oldest of {doubts[0].tool}"
        return [Finding(name="agents", status="warn", what=what, mend="GET /v1/agents/effects/in-doubt")]

    def metrics(self) -> Iterable[Metric]:
        """Steps of its rounds that failed, and threads of tools."""
        yield from self._rounds.metrics()
        yield Metric(
            name="penstock_agent_threads",
            help="Threads on which tools run; left ones have callers that gave up, and go on until their function returns.",
            kind="gauge",
            samples=(({"state": "held"}, float(THREADS.held)), ({"state": "left"}, float(THREADS.left))),
        )
        yield Metric(
            name="penstock_agent_sandboxes",
            help="Programs of sandboxes that run, and calls that wait for a place.",
            kind="gauge",
            samples=(({"state": "running"}, float(PLACES.taken)), ({"state": "waiting"}, float(PLACES.waiting))),
        )
        yield Metric(
            name="penstock_agent_sandboxes_refused_total",
            help="Calls for which there was no place in time.",
            kind="counter",
            samples=(({}, float(PLACES.refused)),),
        )

    async def _forget(self) -> None:
        now = time.time()
        while await self._agents.effects.forget(now - self._settings.keep_effects_days * 86_400):
            pass
        while await self._occasions.forget(now - self._settings.keep_events_days * 86_400):
            pass
