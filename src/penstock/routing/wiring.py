"""How the parts of routing are put together."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.kernel.approvals import Approvals
from penstock.kernel.candidates import Candidates
from penstock.kernel.capability import House, Offer
from penstock.kernel.circumstances import Installments, Purse, Wellbeing
from penstock.kernel.evidence import Evidence
from penstock.kernel.ports import Metric
from penstock.kernel.recall import Embedder, Prices, Replies
from penstock.kernel.tasks import Tasks
from penstock.routing.cascading import Cascading
from penstock.routing.certifying import Certifying
from penstock.routing.constraints import Constraints, Ports
from penstock.routing.evidence import Gathering
from penstock.routing.memory import Policies
from penstock.routing.plan import Planner
from penstock.routing.routes import routes
from penstock.routing.service import RoutingOf
from penstock.routing.settings import RoutingSettings
from penstock.routing.stage import Route
from penstock.storage.records import Records


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
    certifying = Certifying(records, gathering, settings, policies.fresh.now)
    routing = RoutingOf(records, policies, certifying, lambda: ports.find(Tasks))
    life = RoutingLife(house, settings, policies, stage, certifying)
    return Offer(stages=(stage,), routes=routes(routing), services=(life,), metrics=(life, policies))


class RoutingLife:
    """Routing as a service: joins the other rooms, keeps policies fresh."""

    name = "routing"

    def __init__(self, house: House, settings: RoutingSettings, policies: Policies, stage: Route, certifying: Certifying) -> None:
        self._house = house
        self._settings = settings
        self._policies = policies
        self._stage = stage
        self._certifying = certifying
        self._cascading: Cascading | None = None

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
        self._stage.open(ports.find(Tasks), Planner(constraints), replies=replies, embedder=ports.find(Embedder), cascading=self._cascading)
        await self._policies.fresh.start()

    async def stop(self) -> None:
        """Look no more, and certify no more."""
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
        one = self._cascading
        if one is not None:
            said = "Calls of cascades: accepted from the small model, escalated, or fallen to the next since the small one failed."
            counts = tuple(
                ({"how": n}, float(c)) for n, c in (("accepted", one.accepted), ("escalated", one.escalated), ("fallen", one.fallen))
            )
            yield Metric(name="penstock_routing_cascades", help=said, kind="counter", samples=counts)
