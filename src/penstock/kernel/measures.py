"""Measures: figures over time that charts draw and rules watch, whichever room knows them; and marks on the same axis of time.

A room offers a `MeasureSource`; `app.py` collects them in `MeasureSources`. A page or an alert names a measure and asks its source, and
nobody else needs to know where the figure comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from penstock.kernel.errors import NotFound

Unit = Literal["ms", "share", "usd", "tokens", "count", "score"]
"""``share`` and ``score`` lie in 0..1; ``usd``, ``tokens`` and ``count`` are sums over a step of time; ``ms`` is a quantile."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured. ``name`` is stable and one of a kind in the house (``latency_p95_ms``, ``ungrounded_rate``).

    ``dimensions`` are what its readings can be narrowed to and grouped by, such as ``task``, ``model``, ``team``, ``release``. ``worse``
    says which way is bad, None where neither is (a count of calls). ``mean`` says of ``usd``, ``tokens`` and ``count`` that the value is
    one for each call: it is no sum, and where nothing happened it is unknown and not 0.
    """

    name: str
    title: str
    help: str
    unit: Unit
    dimensions: frozenset[str]
    worse: Literal["up", "down"] | None = "up"
    mean: bool = False

    @property
    def summed(self) -> bool:
        """Whether it adds up over a step: a step without anything is then one of 0."""
        return self.unit in ("usd", "tokens", "count") and not self.mean


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which readings are wanted: of ``since <= time < until`` (Unix seconds) in steps of ``step`` seconds, which begin at whole
    multiples of it since 1970.

    ``organisation`` is the reach of who asks: None sees all, for operators only. ``equal`` has values by dimension, of which one must
    match. ``by`` groups: the ``groups`` values with the most behind them get readings of their own, the rest together as ``…``.
    """

    organisation: str | None
    since: float
    until: float
    step: float
    equal: Mapping[str, tuple[str, ...]] = {}
    by: str = ""
    groups: int = 12


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of time. ``at`` is its beginning in Unix seconds, ``count`` how many calls or answers the value rests on.

    ``value`` is None where there is nothing to tell, which is not 0. ``low`` and ``high`` bound the true value with 95 % confidence where
    the value is an estimate from a sample; None where it was counted. ``note`` says what a reader must know of it (that nobody has
    checked a judge, say), and is empty mostly.
    """

    at: float
    value: float | None
    count: int
    group: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""


class Example(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call behind a reading: where it is on the record (``href`` in the console), when, its own value and what is notable about it."""

    id: str
    href: str
    at: float
    value: float | None = None
    why: str = ""


class MeasureSource(Protocol):
    """Who knows some measures."""

    @property
    def measures(self) -> Sequence[Measure]:
        """What it knows; the same for as long as the house is open."""
        ...

    async def readings(self, names: Sequence[str], asked: Asked) -> Mapping[str, list[Reading]]:
        """The readings of several of its measures at once, each in order of time; only steps in which there is something.

        Raises `RequestError` for a dimension that a measure does not have and for more than 2,000 steps, `StorageError` where the readings
        cannot be had.
        """
        ...

    async def examples(self, name: str, asked: Asked, limit: int = 5) -> list[Example]:
        """Calls that moved the measure in its bad direction most, the worst first; empty where there is none to show."""
        ...


class MeasureSources(list[MeasureSource]):
    """The sources of all rooms; filled by `app.py` once everything is open."""

    def all(self) -> list[Measure]:
        """Every measure there is, in the order of the rooms."""
        return [measure for source in self for measure in source.measures]

    def of(self, name: str) -> tuple[MeasureSource, Measure]:
        """Who knows the measure, and what it is. Raises `NotFound`."""
        for source in self:
            for measure in source.measures:
                if measure.name == name:
                    return source, measure
        raise NotFound(f"There is no measure {name!r}; there are {', '.join(sorted(one.name for one in self.all()))}", param="measure")

    async def readings(self, names: Sequence[str], asked: Asked) -> dict[str, list[Reading]]:
        """The readings of measures of any sources, by name. Raises what `of` and the sources raise."""
        wanted: dict[int, list[str]] = {}
        sources: dict[int, MeasureSource] = {}
        for name in dict.fromkeys(names):
            source, _ = self.of(name)
            sources[id(source)] = source
            wanted.setdefault(id(source), []).append(name)
        found: dict[str, list[Reading]] = {}
        for key, source in sources.items():
            found |= await source.readings(wanted[key], asked)
        return {name: found.get(name, []) for name in names}


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened at one moment (Unix seconds): a release, a version that was approved, an alert that fired.

    ``until`` is its end where it lasted; ``task`` narrows it to one task's charts, empty for all.
    """

    at: float
    kind: Literal["release", "alert", "incident", "note"]
    title: str
    href: str = ""
    until: float | None = None
    task: str = ""


class MarkSource(Protocol):
    """Who knows of moments that belong on an axis of time."""

    async def marks(self, organisation: str | None, since: float, until: float) -> Sequence[Mark]:
        """What happened then, within the reach of an organisation (None: of all), in order."""
        ...


class MarkSources(list[MarkSource]):
    """The sources of all rooms; filled by `app.py` once everything is open."""

    async def marks(self, organisation: str | None, since: float, until: float) -> list[Mark]:
        """What all rooms know of, in order."""
        found = [mark for source in self for mark in await source.marks(organisation, since, until)]
        return sorted(found, key=lambda mark: (mark.at, mark.title))
