"""Measures of several rooms, asked by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from penstock.kernel.errors import NotFound
from penstock.kernel.measures import Asked, Example, Mark, MarkSources, Measure, MeasureSources, Reading

ASKED = Asked(organisation="org_a", since=0.0, until=60.0, step=60.0)


class Room:
    """Knows some measures, and counts how often it was asked."""

    def __init__(self, *names: str) -> None:
        self.measures = [Measure(name=name, title=name, help=name, unit="share", dimensions=frozenset({"task"})) for name in names]
        self.asked: list[Sequence[str]] = []

    async def readings(self, names: Sequence[str], asked: Asked) -> Mapping[str, list[Reading]]:
        self.asked.append(names)
        return {name: [Reading(at=asked.since, value=0.5, count=2, group=name)] for name in names if name != "silent"}

    async def examples(self, name: str, asked: Asked, limit: int = 5) -> list[Example]:
        return []

    async def marks(self, organisation: str | None, since: float, until: float) -> Sequence[Mark]:
        return [Mark(at=until, kind="release", title="later"), Mark(at=since, kind="note", title=organisation or "all")]


async def test_each_room_is_asked_once_for_all_that_it_knows() -> None:
    one, other = Room("a", "b", "silent"), Room("c")
    sources = MeasureSources([one, other])
    found = await sources.readings(["c", "a", "b", "a", "silent"], ASKED)
    assert {name: [reading.group for reading in readings] for name, readings in found.items()} == {
        "c": ["c"],
        "a": ["a"],
        "b": ["b"],
        "silent": [],
    }
    assert (one.asked, other.asked) == ([["a", "b", "silent"]], [["c"]])
    assert [measure.name for measure in sources.all()] == ["a", "b", "silent", "c"]
    assert sources.of("c")[0] is other


async def test_a_measure_that_nobody_knows_is_named_with_those_there_are() -> None:
    with pytest.raises(NotFound, match=r"no measure 'd'; there are a, b"):
        await MeasureSources([Room("b", "a")]).readings(["d"], ASKED)


async def test_marks_of_all_rooms_come_in_order() -> None:
    marks = await MarkSources([Room(), Room()]).marks("org_a", 1.0, 2.0)
    assert [(mark.at, mark.title) for mark in marks] == [(1.0, "org_a"), (1.0, "org_a"), (2.0, "later"), (2.0, "later")]
