"""The composition root: the only file that knows everybody.

Adding a capability is its folder and one line in `CAPABILITIES`; one from another distribution comes by entry point
(`penstock.kernel.capability.ENTRY_POINT_GROUP`) and adds no line.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Sequence
from functools import partial
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from penstock import settings as settings_module
from penstock.kernel.beside import Beside
from penstock.kernel.capability import ENTRY_POINT_GROUP, Capability, House, Offer, Service, TaskChecks, TaskPanels
from penstock.kernel.errors import PenstockError, SchemaMismatch, SettingsError
from penstock.kernel.events import Events, HouseStarted
from penstock.kernel.measures import MarkSources, MeasureSources
from penstock.kernel.ports import AllPersonalRecords, Broadcast, MetricSources, Peers, Ports
from penstock.kernel.seat import Seat
from penstock.kernel.stage import Line
from penstock.settings import LogSettings, ServerSettings, Settings, StorageSettings

if TYPE_CHECKING:
    from penstock.storage.counters import Counters
    from penstock.storage.records import Records
    from penstock.storage.telemetry.store import TelemetryStore

_log = logging.getLogger("penstock.app")
S = TypeVar("S", bound=msgspec.Struct)

# The rooms of the house, in the order of their stages where they share a slot.
CAPABILITIES = (
    "penstock.observability.capability:Observability",
    "penstock.identity.capability:Identity",
    "penstock.finops.capability:Finops",
    "penstock.routing.capability:Routing",
    "penstock.gateway.capability:Gateway",
    "penstock.registry.capability:RegistryRoom",
    "penstock.tasks.capability:TasksRoom",
    "penstock.responses.capability:ResponsesRoom",
    "penstock.files.capability:FilesRoom",
    "penstock.batches.capability:Batches",
    "penstock.quality.capability:Quality",
    "penstock.cache.capability:Cache",
    "penstock.agents.capability:AgentsRoom",
    "penstock.interop.capability:InteropRoom",
    "penstock.alerts.capability:Alerts",
    "penstock.journal.capability:JournalRoom",
)


def capabilities() -> tuple[Capability, ...]:
    """Our own capabilities and those that other distributions bring. Raises `SettingsError` for one that cannot be loaded."""
    found: list[Capability] = [_load(reference) for reference in CAPABILITIES]
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda p: p.name):
        try:
            found.append(cast("Capability", point.load()()))
        except Exception as fault:  # somebody else's code: say whose it is
            raise SettingsError(f"capability {point.name!r} of {point.value} cannot be loaded: {fault}") from fault
    names = [c.name for c in found]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise SettingsError(f"two capabilities are named {', '.join(sorted(twice))}")
    return tuple(found)


def load_settings(rooms: Sequence[Capability], file: Path | None = None) -> Settings:
    """The settings tree with the slice of every capability."""
    return settings_module.load({c.name: c.settings for c in rooms if c.settings is not None}, file=file)


def open_store(settings: Settings) -> Records:
    """The database of records that the settings name."""
    from penstock.storage.records import open_records

    return open_records(settings.of(StorageSettings).records, data_dir(settings))


def open_counters(settings: Settings, seat: Seat | None) -> Counters:
    """The counters behind limits: in memory, in memory that the workers of this machine share, or on a server."""
    from penstock.storage.counters import MemoryCounters
    from penstock.storage.shared import SharedCounters

    storage = settings.of(StorageSettings)
    if storage.counters:
        # The driver is an extra, imported when a server is named.
        from penstock.storage.valkey import ValkeyCounters

        return ValkeyCounters(storage.counters, down=storage.counters_down, workers=seat.workers if seat is not None else 1)
    if seat is not None:
        return SharedCounters(seat.counters, seat.index, seat.workers)
    return MemoryCounters()


def open_broadcast(settings: Settings, nearby: Broadcast | None) -> Broadcast | None:
    """How processes tell each other: over the server of the counters, or ``nearby`` on one machine."""
    url = settings.of(StorageSettings).counters
    if not url:
        return nearby
    # The driver is an extra, imported when a server is named.
    from penstock.storage.broadcast import ValkeyBroadcast

    return ValkeyBroadcast(url, nearby)


def open_spans(settings: Settings) -> TelemetryStore | None:
    """The store of spans that the settings name; None where they say `off`, or the extra of the embedded one is not installed."""
    from penstock.engine import command
    from penstock.storage.telemetry.store import open_telemetry

    url = settings.of(StorageSettings).telemetry
    if url == "off" or (not url and find_spec("duckdb") is None):
        return None
    apart = settings.of(StorageSettings).telemetry_engine == "apart"
    return open_telemetry(url, data_dir(settings), command=partial(command, settings.of(LogSettings)) if apart else None)


class _Spans:
    """The life of the store of spans."""

    name = "telemetry"

    def __init__(self, store: TelemetryStore) -> None:
        self.start = store.start
        self.stop = store.close


def data_dir(settings: Settings) -> Path:
    """The data folder, made when missing, readable by its owner alone."""
    path = Path(settings.of(ServerSettings).data_dir)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise SettingsError(f"server.data_dir: {path} cannot be made: {fault.strerror}", param="server.data_dir") from fault
    return path


def migration_packages(rooms: Sequence[Capability]) -> tuple[str, ...]:
    """The packages that hold the capabilities' migrations."""
    return tuple(c.migrations for c in rooms if c.migrations is not None)


class App(House):
    """The house, opened: every capability built and wired. `start` and `stop` give it life; `penstock.edge.server` serves it."""

    def __init__(self, rooms: Sequence[Capability], settings: Settings, store: Records, seat: Seat | None = None) -> None:
        from penstock.console import Console
        from penstock.recording import beside
        from penstock.storage.blobs import Blobs, open_blobs
        from penstock.storage.counters import Counters
        from penstock.storage.records import Records
        from penstock.storage.telemetry.store import TelemetryStore

        self.rooms = tuple(rooms)
        self.tree = settings
        self.store = store
        self.data_dir = data_dir(settings)
        self.ports = Ports()
        self.events = Events()
        self.console = Console(version=_version())
        self.ports.provide(Records, store)
        self.ports.provide(Blobs, open_blobs(settings.of(StorageSettings).blobs, self.data_dir))
        counters = open_counters(settings, seat)
        self.ports.provide(Counters, counters)
        self.ports.provide(Console, self.console)
        self.ports.provide(Events, self.events)
        if os.name == "posix":  # it is handed a socket as its standard input
            self.ports.provide(Beside, beside(settings, self.data_dir))
        self.ports.provide(AllPersonalRecords, AllPersonalRecords())
        self.offers: dict[str, Offer] = {"storage": _offer_of(counters)}
        spans = open_spans(settings)
        if spans is not None:
            self.ports.provide(TelemetryStore, spans)
            self.offers["telemetry"] = Offer(services=(_Spans(spans),))
        nearby: Broadcast | None = None
        if seat is not None:
            from penstock.edge.peers import PeerBroadcast, WorkerPeers

            peers = WorkerPeers(seat)
            nearby = PeerBroadcast(peers)
            self.offers["peers"] = Offer(services=(peers,))
            self.ports.provide(Seat, seat)
            self.ports.provide(Peers, peers)
        everywhere = open_broadcast(settings, nearby)
        if everywhere is not None:
            self.ports.provide(Broadcast, everywhere)
            if everywhere is not nearby:
                self.offers["broadcast"] = Offer(services=(cast("Service", everywhere),))
        for room in self.rooms:
            offer = self.offers[room.name] = room.open(self)
            for kind, implementation in offer.ports.items():
                self.ports.provide(kind, implementation)
            if room.templates is not None:
                static = Path(cast("str", importlib.import_module(room.templates).__file__)).parent / "static"
                self.console.add(room.name, package=room.templates, navigation=offer.nav, static=static if static.is_dir() else None)
            else:
                self.console.add_navigation(*offer.nav)
        self.line = Line((name, stage) for name, offer in self.offers.items() for stage in offer.stages)
        self.ports.provide(Line, self.line)
        self.ports.provide(TaskChecks, TaskChecks(check for offer in self.offers.values() for check in offer.task_checks))
        panels = (panel for offer in self.offers.values() for panel in offer.task_panels)
        self.ports.provide(TaskPanels, TaskPanels(sorted(panels, key=lambda panel: (panel.order, panel.label))))
        self.ports.provide(MetricSources, MetricSources(m for o in self.offers.values() for m in o.metrics))
        self.ports.provide(MeasureSources, MeasureSources(m for o in self.offers.values() for m in o.measures))
        self.ports.provide(MarkSources, MarkSources(m for o in self.offers.values() for m in o.marks))
        self.handing = None
        if seat is not None:
            from penstock.edge.handing import Handing

            self.handing = Handing(seat, [holding for offer in self.offers.values() for holding in offer.holdings])
        self._running: list[Service] = []

    def settings(self, kind: type[S]) -> S:
        """A slice of the settings tree by its type."""
        return self.tree.of(kind)

    async def start(self) -> None:
        """Check or mend the schema, then start every service in order. On a fault those that run are stopped and the fault is raised."""
        self._ready_schema()
        try:
            for offer in self.offers.values():
                for service in offer.services:
                    self._running.append(service)
                    await service.start()
        except BaseException:
            await self.stop()
            raise
        self.events.publish(HouseStarted())

    async def stop(self) -> None:
        """Stop every running service in reverse, each of them whatever the others do, and let go of the store."""
        while self._running:
            service = self._running.pop()
            try:
                await service.stop()
            except Exception:  # one service's fault must not keep the next from flushing
                _log.exception("service did not stop cleanly", extra={"service": service.name})
        self.store.close()

    def _ready_schema(self) -> None:
        from penstock.storage.migrations import migrate, verify

        packages = migration_packages(self.rooms)
        state = verify(self.store, packages)
        if state.ready:
            return
        on_start = self.tree.of(StorageSettings).migrate_on_start
        if on_start if on_start is not None else self.store.dialect == "sqlite":
            for revision in migrate(self.store, packages):
                _log.info("migrated", extra={"revision": revision})
            return
        raise SchemaMismatch(f"{self.store.place}: {state.explain()}")


def _offer_of(counters: Counters) -> Offer:
    """Counters on a server have a life of their own."""
    from penstock.storage.counters import ServedCounters

    if isinstance(counters, ServedCounters):
        return Offer(services=(counters,), checks=(counters.check,), metrics=(counters,))
    return Offer()


def _load(reference: str) -> Capability:
    module, _, name = reference.partition(":")
    kind: Any = getattr(importlib.import_module(module), name)
    return cast("Capability", kind())


def _version() -> str:
    from penstock import __version__

    return __version__


__all__ = ["CAPABILITIES", "App", "PenstockError", "capabilities", "data_dir", "load_settings", "migration_packages", "open_store"]
