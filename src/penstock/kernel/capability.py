"""What a capability is and what it offers; adding one is a folder and a line in `app.py`, or an entry point from outside.

A capability is a class with the attributes of `Capability`. Its class attributes are read without opening it (settings, migrations,
commands), so that ``--help``, ``migrate`` and the docs stay cheap; ``open`` builds its parts and returns an `Offer`.

Another distribution adds a capability with an entry point in the group ``penstock.capabilities`` that names such a class.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from penstock.kernel.events import Events
from penstock.kernel.measures import MarkSource, MeasureSource
from penstock.kernel.ports import MetricSource, Ports
from penstock.kernel.stage import Stage
from penstock.kernel.tasks import Task
from penstock.kernel.web import Endpoint, NavItem, Page, Panel, Route

ENTRY_POINT_GROUP = "penstock.capabilities"

S = TypeVar("S", bound=msgspec.Struct)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a doctor's check found: ``status`` is ``ok``, ``off`` (not configured, fine), ``warn`` or ``fail``; ``mend`` says what to do."""

    name: str
    status: str
    what: str
    mend: str | None = None


Check = Callable[[], Awaitable[Sequence[Finding]]]
TaskCheck = Callable[[Task], Awaitable[Sequence[Finding]]]
"""What a room finds missing before a task can be routed with proof; nothing where all that it knows of is there."""


class TaskChecks(list[TaskCheck]):
    """The checks of all rooms; filled by `app.py` once everything is open."""


class TaskPanels(list[Panel]):
    """What all rooms show of one task, beside its own page; filled by `app.py` once everything is open."""


class Service(Protocol):
    """Something with a life of its own. Started in the order of the capabilities, stopped in reverse.

    ``start`` may raise a `PenstockError`, which ends the start-up with its message. ``stop`` flushes what must not be lost and is
    called at most once, also after a failed start of a later service.
    """

    name: str

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class Drain(Protocol):
    """Something with work in flight that may finish before the process ends."""

    async def drain(self, seconds: float) -> None:
        """Take no new work, return when what runs has ended, after ``seconds`` at the latest by cancelling the rest."""
        ...


class Holding(Protocol):
    """Something that one process works on at a time. A request to a route, page or endpoint that names it is answered by the worker of
    the machine that holds it."""

    name: str

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        ...

    async def take(self, *, change: bool) -> bool:
        """Hold it if it can be had, for a request that may ``change`` something; whether this process may answer now.

        False when another process holds it. Where a request can be answered, or refused, without holding it, nothing is taken.
        """
        ...


class House(Protocol):
    """What `app.py` hands to a capability's ``open``."""

    data_dir: Path
    ports: Ports
    events: Events

    def settings(self, kind: type[S]) -> S:
        """The capability's own slice of the settings tree, or a base slice such as the server's."""
        ...


class Offer(msgspec.Struct, kw_only=True):
    """Everything that an open capability contributes; empty by default."""

    stages: Sequence[Stage] = ()
    endpoints: Sequence[Endpoint] = ()
    routes: Sequence[Route] = ()
    pages: Sequence[Page] = ()
    nav: Sequence[NavItem] = ()
    services: Sequence[Service] = ()
    drains: Sequence[Drain] = ()
    checks: Sequence[Check] = ()
    task_checks: Sequence[TaskCheck] = ()
    task_panels: Sequence[Panel] = ()
    metrics: Sequence[MetricSource] = ()
    measures: Sequence[MeasureSource] = ()
    marks: Sequence[MarkSource] = ()
    holdings: Sequence[Holding] = ()
    ports: Mapping[type[Any], object] = msgspec.field(default_factory=dict[type[Any], object])


def joined(*offers: Offer) -> Offer:
    """One offer of the parts of a room, in their order. No two of them may offer the same port."""
    ports = [port for offer in offers for port in offer.ports]
    assert len(ports) == len(set(ports))
    whole = {name: tuple(one for offer in offers for one in getattr(offer, name)) for name in Offer.__struct_fields__ if name != "ports"}
    return Offer(**whole, ports={port: made for offer in offers for port, made in offer.ports.items()})


class Capability(Protocol):
    """One room of the house.

    ``name`` is also the settings section and the prefix of its tables' migrations. ``settings`` is its slice: a frozen msgspec Struct
    whose every field carries a description. ``migrations`` is the dotted name of the package with its numbered migrations, ``commands``
    the ``module:attribute`` of a Typer app mounted under the capability's name, ``templates`` the package that holds a
    ``templates`` folder for its pages; each None when it has none.
    """

    name: ClassVar[str]
    settings: ClassVar[type[msgspec.Struct] | None]
    migrations: ClassVar[str | None]
    commands: ClassVar[str | None]
    templates: ClassVar[str | None]

    def open(self, house: House) -> Offer:
        """Build the parts; must not touch network or disk beyond ``house.data_dir`` (a service's ``start`` may)."""
        ...
