"""How the gateway's parts are put together, and what it does besides answering: discovery, draining, doctor's checks."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Iterable, Sequence

from msgspec import structs

from penstock.gateway.admission import Admission
from penstock.gateway.candidates import KnownCandidates
from penstock.gateway.choose import Catalogue, Choose
from penstock.gateway.discovery import OLLAMA, configured, find_ollama
from penstock.gateway.google_models import GoogleModels
from penstock.gateway.health import Health
from penstock.gateway.hearsay import Hearsay
from penstock.gateway.http import Edge
from penstock.gateway.inside import Inside
from penstock.gateway.local_embedder import LocalEmbedder
from penstock.gateway.models import listing
from penstock.gateway.pages import pages
from penstock.gateway.providers.minilm import installed
from penstock.gateway.realtime.endpoint import Realtime
from penstock.gateway.realtime.session import Limits
from penstock.gateway.relay import Relay
from penstock.gateway.replies import StoredReplies
from penstock.gateway.resolver import Resolver
from penstock.gateway.send import Send
from penstock.gateway.settings import GatewaySettings
from penstock.gateway.shapes import SHAPES
from penstock.gateway.standings import Standings, routes
from penstock.gateway.standings import pages as standing_pages
from penstock.gateway.task_check import TaskProviders
from penstock.gateway.told_by_running import told_by_running
from penstock.gateway.vendor_batches import Vendors
from penstock.kernel.approvals import Approvals
from penstock.kernel.candidates import Candidates, FreeProviders, Published, Registered
from penstock.kernel.capability import Finding, House, Offer
from penstock.kernel.circumstances import Wellbeing
from penstock.kernel.delegation import VendorBatches
from penstock.kernel.errors import PenstockError
from penstock.kernel.events import ApprovalsChanged, KeyRevoked
from penstock.kernel.ports import Authenticator, Broadcast, Meter, Metric, ModelClient, ModelStreams, Peers, Sessions, Traffic
from penstock.kernel.recall import Embedder, Prices, Replies
from penstock.kernel.seat import Seat
from penstock.kernel.stage import Line, Slot
from penstock.kernel.tasks import Tasks, TasksChanged
from penstock.kernel.web import NavItem
from penstock.settings import ServerSettings
from penstock.storage.counters import Counters

_log = logging.getLogger("penstock.gateway")


def wire(house: House) -> Offer:
    """Build the gateway inside ``house``."""
    settings = house.settings(GatewaySettings)
    seat, broadcast = house.ports.find(Seat), house.ports.find(Broadcast)
    if seat is not None:
        settings = shared_out(settings, seat.workers)
    catalogue = Catalogue(configured(settings, house.data_dir, os.environ), settings.models)
    candidates = KnownCandidates(catalogue, [name for name, section in settings.providers.items() if section.free])
    resolver = Resolver(catalogue, candidates)
    find = house.ports.find
    candidates.open(lambda: find(Registered), lambda: find(Published), lambda: find(Prices))
    health = Health(settings.resilience, settings.providers)
    hearsay = Hearsay(health, broadcast, lambda: catalogue.providers) if broadcast is not None else None
    admission = Admission(
        house.ports.get(Counters),
        max_in_flight=settings.max_in_flight,
        batch_share=settings.resilience.batch_share,
        priorities=settings.priorities,
    )
    send = Send(catalogue, Relay(SHAPES, settings), settings, health)
    edge = Edge(settings)
    google = GoogleModels(catalogue, resolver)
    standings = Standings(catalogue, health, house.ports.find(Peers))
    inside = Inside(SHAPES, settings.call_seconds)
    realtime = Realtime(settings, Limits(admission.again, admission.used))
    house.events.subscribe(KeyRevoked, realtime.revoked)
    house.events.subscribe(ApprovalsChanged, realtime.reapproved)
    house.events.subscribe(TasksChanged, realtime.reapproved)
    life = GatewayLife(house, settings, catalogue, resolver, admission, edge, inside, google, realtime, standings)
    return Offer(
        stages=(admission, Choose(resolver), send),
        endpoints=[*edge.endpoints(SHAPES), *google.endpoints(), *realtime.endpoints()],
        routes=(*listing(catalogue, resolver), *routes(standings)),
        pages=(*pages(house.ports), *standing_pages(house.ports, standings)),
        nav=(
            NavItem("Playground", "/console/playground", "playground", "Build", 10, "p"),
            NavItem("Providers", "/console/providers", "models", "Observe", 30, "v"),
        ),
        services=(life,),
        drains=(life,),
        checks=(life.check,),
        task_checks=(TaskProviders(catalogue, candidates, health),),
        metrics=(life, standings, realtime, *([hearsay] if hearsay is not None else [])),
        ports={
            ModelClient: inside,
            ModelStreams: inside,
            Candidates: candidates,
            FreeProviders: candidates,
            Traffic: admission,
            VendorBatches: Vendors(catalogue),
            Replies: StoredReplies(resolver),
            Wellbeing: health,
            **({Embedder: LocalEmbedder(house.data_dir / "models")} if installed() else {}),
        },
    )


def shared_out(settings: GatewaySettings, workers: int) -> GatewaySettings:
    """The settings of one of so many workers: what a provider is said to take, all of them together may ask of it."""
    providers = {
        name: structs.replace(given, max_connections=max(1, math.ceil(given.max_connections / workers)))
        for name, given in settings.providers.items()
    }
    return structs.replace(settings, providers=providers)


class GatewayLife:
    """The gateway as a service: joins the line at the start, finds a local Ollama, drains, closes connections."""

    name = "gateway"

    def __init__(
        self,
        house: House,
        settings: GatewaySettings,
        catalogue: Catalogue,
        resolver: Resolver,
        admission: Admission,
        edge: Edge,
        inside: Inside,
        google: GoogleModels,
        realtime: Realtime,
        standings: Standings,
    ) -> None:
        self._house = house
        self._google = google
        self._settings = settings
        self._catalogue = catalogue
        self._resolver = resolver
        self._admission = admission
        self._edge = edge
        self._inside = inside
        self._realtime = realtime
        self._standings = standings
        self._discovery: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the edge and the rooms to the line; look for an Ollama meanwhile."""
        ports = self._house.ports
        self._resolver.open(ports.find(Tasks))
        self._edge.open(ports.get(Line).walk, ports.get(Authenticator), ports.find(Sessions))
        line = ports.get(Line)
        self._inside.open(line.walk, line.part((Slot.RECORD, Slot.CHARGE, Slot.SEND)))
        self._realtime.open(ports.get(Line).walk, ports.get(Authenticator), ports.find(Meter), ports.find(Approvals))
        self._google.open(ports.get(Authenticator))
        if self._settings.discover and OLLAMA not in self._catalogue.providers:
            self._discovery = asyncio.get_running_loop().create_task(self._discover())

    async def drain(self, seconds: float) -> None:
        """Refuse new calls, wait for those in flight, cancel what is left after ``seconds``."""
        self._admission.draining = True
        sessions = asyncio.create_task(self._realtime.drain(seconds), name="draining sessions")
        running = self._edge.watch.tasks()
        if running:
            _log.info("draining", extra={"calls": len(running), "seconds": seconds})
            _, late = await asyncio.wait(running, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                _log.warning("calls cancelled at shutdown", extra={"calls": len(late)})
                await asyncio.wait(late, timeout=5)
        await sessions

    async def stop(self) -> None:
        """Close every provider's connections."""
        if self._discovery is not None:
            self._discovery.cancel()
        await asyncio.gather(*(p.close() for p in self._catalogue.providers.values()), return_exceptions=True)

    async def check(self) -> Sequence[Finding]:
        """Whether each provider can be reached and accepts our key."""
        providers = list(self._catalogue.providers.values())
        if not providers:
            return [
                Finding(
                    name="providers",
                    status="warn",
                    what="no provider is configured, so no model can be called",
                    mend="set a provider's key (such as OPENAI_API_KEY) in the environment, or add [gateway.providers.NAME]",
                )
            ]
        probes = await asyncio.gather(*(p.probe() for p in providers))
        return [
            Finding(
                name=f"provider {provider.name}",
                status="ok" if good else "fail",
                what=what,
                mend=None if good else f"check [gateway.providers.{provider.name}] and its key",
            )
            for provider, (good, what) in zip(providers, probes, strict=True)
        ] + await told_by_running(self._house.settings(ServerSettings), os.environ)

    def metrics(self) -> Iterable[Metric]:
        """Calls in flight and calls refused at the door."""
        admission = self._admission
        yield Metric(name="penstock_calls_in_flight", help="Calls on the line now.", kind="gauge", samples=(({}, admission.in_flight),))
        yield Metric(
            name="penstock_calls_refused_overload",
            help="Calls refused because of overload or draining.",
            kind="counter",
            samples=(({}, admission.refused),),
        )

    async def _discover(self) -> None:
        try:
            found = await find_ollama(os.environ)
        except PenstockError as fault:
            _log.debug("no Ollama here", extra={"reason": fault.message})
            return
        self._catalogue.add(found)
        _log.info("found Ollama", extra={"models": len(found.declared)})
