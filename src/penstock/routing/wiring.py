"""How the parts of routing are put together."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from penstock.kernel.approvals import Approvals
from penstock.kernel.candidates import Candidates
from penstock.kernel.capability import Finding, House, Offer
from penstock.kernel.circumstances import Installments, Purse, Wellbeing
from penstock.kernel.events import HouseStarted
from penstock.kernel.evidence import Evidence
from penstock.kernel.journal import Journal
from penstock.kernel.ports import Metric, ModelClient
from penstock.kernel.recall import Embedder, Prices, Replies
from penstock.kernel.rounds import Rounds, Step
from penstock.kernel.seat import Seat
from penstock.kernel.tasks import Tasks
from penstock.routing import store
from penstock.routing.aftermath import Aftermath
from penstock.routing.binding import Bindings, Bound, of_task
from penstock.routing.cascading import Cascading
from penstock.routing.certifying import Certifying, ended
from penstock.routing.constraints import Constraints, Ports
from penstock.routing.drift import Drift
from penstock.routing.evidence import Gathering
from penstock.routing.memory import Policies
from penstock.routing.numbers import Fixed, Leased
from penstock.routing.pages import PANELS, pages
from penstock.routing.patience import patient
from penstock.routing.plan import Planner
from penstock.routing.policy import Policy
from penstock.routing.readiness import Readiness
from penstock.routing.recertifying import Recertifying
from penstock.routing.routes import routes
from penstock.routing.service import RoutingOf, bind
from penstock.routing.settings import RoutingSettings
from penstock.routing.shadow import Shadows
from penstock.routing.stage import Route
from penstock.settings import ServerSettings, StorageSettings
from penstock.storage.records import Records

_log = logging.getLogger("penstock.routing")
FORGET_SECONDS = 3600.0


def wire(house: House) -> Offer:
    """Build routing inside ``house``."""
    settings = house.settings(RoutingSettings)
    records = house.ports.get(Records)
    policies = Policies(records, settings.refresh_seconds)
    stage = Route(policies, settings.embed_ms)
    ports = house.ports
    gathering = Gathering(
        settings, lambda: ports.get(Candidates), lambda: ports.find(Evidence), lambda: ports.find(Embedder), lambda: ports.find(Prices)
    )
    certifying = Certifying(
        records,
        gathering,
        settings,
        policies.fresh.now,
        journal=lambda: ports.find(Journal),
        tasks=lambda: ports.find(Tasks),
        ended=lambda policy: house.events.publish(ended(policy)),
    )
    again = Recertifying(records, certifying, gathering, lambda: ports.find(Tasks))
    routing = RoutingOf(records, policies, certifying, gathering, settings, lambda: ports.find(Tasks), again)
    seat, shared = ports.find(Seat), house.settings(StorageSettings).records.startswith("postgres")
    drift = Drift(records, policies, settings, house.events, number_of(settings, records, shared=shared, seat=seat))
    life = RoutingLife(house, settings, policies, stage, certifying, again, drift)
    return Offer(
        stages=(stage,),
        routes=routes(routing),
        pages=pages(ports, routing),
        services=(life,),
        checks=(life.check,),
        task_checks=(Readiness(policies, lambda: ports.find(Evidence), gathering.models).check,),
        task_panels=PANELS,
        metrics=(life, policies, drift, certifying, again, life.rounds),
    )


def number_of(settings: RoutingSettings, records: Records, *, shared: bool, seat: Seat | None) -> Fixed | Leased:
    """By which number this process watches: by the settings, under a lease where machines may share the database, or by its seat."""
    index, workers = (seat.index, seat.workers) if seat is not None else (0, 1)
    if settings.processes is not None:
        return Fixed(settings.first_process + index, max(settings.processes, workers), settings.alarm)
    return Leased(records, settings.alarm) if shared else Fixed(index, workers, settings.alarm)


def numbers_found(settings: RoutingSettings, workers: int) -> Finding:
    """Whether the numbers of processes can be right."""
    most, first = settings.processes, settings.first_process
    if most is None and first:
        what = f"routing.first_process is {first}, and means nothing without routing.processes"
        return Finding(name="watches", status="fail", what=what, mend="set routing.processes to all processes together, or leave both out")
    if most is not None and first and first + workers > most:
        what = f"routing.processes is {most}, and this machine has numbers {first} to {first + workers - 1}: too many false alarms"
        return Finding(name="watches", status="fail", what=what, mend="count all processes of all machines, or leave both settings out")
    told = f"{most} processes on all machines" if most is not None else "each process finds its number by itself"
    return Finding(name="watches", status="ok", what=told)


class RoutingLife:
    """Routing as a service: joins the other rooms, keeps policies fresh."""

    name = "routing"

    def __init__(
        self,
        house: House,
        settings: RoutingSettings,
        policies: Policies,
        stage: Route,
        certifying: Certifying,
        again: Recertifying,
        drift: Drift,
    ) -> None:
        self._house = house
        self._settings = settings
        self._policies = policies
        self._stage = stage
        self._certifying = certifying
        self._drift = drift
        self._shadows: Shadows | None = None
        self._cascading: Cascading | None = None
        self._bindings: Bindings | None = None
        self.rounds = Rounds(
            "routing",
            (
                Step("bindings", self._look_at_bindings),
                Step("attempts", certifying.take_up),
                Step("again", again.round),
                Step("forget", self._forget, FORGET_SECONDS),
            ),
        )

    async def start(self) -> None:
        """Join the stage to the rooms around it, and read the policies."""
        ports = self._house.ports
        replies = ports.get(Replies)
        self._cascading = Cascading(replies, ports.get(Installments), self._settings.cascade_stream_bytes)
        constraints = Constraints(
            Ports(
                candidates=ports.get(Candidates),
                approvals=ports.find(Approvals),
                wellbeing=ports.find(Wellbeing),
                purse=ports.find(Purse),
                prices=ports.find(Prices),
            )
        )
        embedder, tasks = ports.find(Embedder), ports.find(Tasks)
        self._shadows = Shadows(
            ports.get(Records), ports.get(ModelClient), lambda: ports.find(Evidence), ports.find(Prices), replies, self._settings.shadows
        )
        self._drift.open(tasks, embedder)
        if tasks is not None:
            at, suspend, note = of_task(tasks.find, ports.get(Candidates)), patient(self._drift.suspend), patient(self._bind)
            self._bindings = Bindings(self._policies.certified, at, suspend, note)
        self._stage.open(
            tasks,
            Planner(constraints),
            replies=replies,
            embedder=embedder,
            cascading=self._cascading,
            aftermath=Aftermath(self._policies, self._drift, self._shadows, replies, self._settings),
        )
        await self._policies.fresh.start()
        await self._drift.start()
        self._certifying.open()
        # Not before: what a round acts on, other rooms have yet to read, and the journal is opened last.
        self._house.events.subscribe(HouseStarted, lambda event: self.rounds.begin())

    async def check(self) -> Sequence[Finding]:
        """Whether each process that watches policies has a number of its own."""
        seat = self._house.ports.find(Seat)
        return [numbers_found(self._settings, seat.workers if seat is not None else self._house.settings(ServerSettings).workers)]

    async def _look_at_bindings(self) -> None:
        if self._bindings is not None:
            await self._bindings.round()

    async def _bind(self, policy: Policy, models: Bound) -> None:
        await bind(self._house.ports.get(Records), self._policies, policy.id, models)

    async def _forget(self) -> None:
        """Drop what policies that serve no more have kept of prompts."""
        records, before, gone = self._house.ports.get(Records), time.time() - self._settings.keep_fits_days * 86_400, 1
        while gone:  # in small pieces, so that nothing else waits long for the database
            gone = await records.write(lambda c: store.forget_fits(c, before))
            if gone:
                _log.info("arrays of policies that serve no more are dropped", extra={"policies": gone})

    async def stop(self) -> None:
        """Look no more, certify and explore no more; what the watch has won is saved."""
        await self.rounds.stop()
        if self._shadows is not None:
            await self._shadows.stop()
        await self._drift.stop()
        await self._certifying.stop()
        await self._policies.fresh.stop()

    def metrics(self) -> Iterable[Metric]:
        """Calls by how their model was chosen, and what became of cascades."""
        chosen = tuple(({"mode": mode}, float(count)) for mode, count in sorted(self._stage.modes.items()))
        yield Metric(
            name="penstock_routing_choices", help="Calls for tasks, by how their model was chosen.", kind="counter", samples=chosen
        )
        why = "Calls whose prompt could not be judged, by reason; certified single candidates or the default served them."
        missed = tuple(({"reason": reason}, float(count)) for reason, count in sorted(self._stage.unguessed.items()))
        yield Metric(name="penstock_routing_unjudged", help=why, kind="counter", samples=missed)
        if self._shadows is not None:
            done = tuple(({"what": what}, float(count)) for what, count in sorted(self._shadows.counts.items()))
            said = "Explorations and audits by what became of them; unjudged ones found nobody who takes samples."
            yield Metric(name="penstock_routing_explorations", help=said, kind="counter", samples=done)
            spent = "What this process has spent on explorations, in micro-units."
            yield Metric(name="penstock_routing_explored_micros", help=spent, kind="counter", samples=(({}, self._shadows.spent),))
        one = self._cascading
        if one is not None:
            said = "Calls of cascades: accepted from the small model, escalated, or fallen to the next since the small one failed."
            counts = tuple(
                ({"how": n}, float(c)) for n, c in (("accepted", one.accepted), ("escalated", one.escalated), ("fallen", one.fallen))
            )
            yield Metric(name="penstock_routing_cascades", help=said, kind="counter", samples=counts)
