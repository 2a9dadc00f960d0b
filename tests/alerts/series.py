"""Readings of a real list, and a source that answers from it as rooms do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from penstock.kernel.errors import RequestError
from penstock.kernel.measures import Asked, Example, Measure, Reading

NOW = 1_800_000_000.0 - 1_800_000_000.0 % 3600

LATENCY = Measure(
    name="toy_latency_ms", title="Latency", help="How long calls take.", unit="ms", dimensions=frozenset({"task", "model"}), worse="up"
)
ERRORS = Measure(
    name="toy_error_rate", title="Errors", help="Calls that failed.", unit="share", dimensions=frozenset({"task", "model"}), worse="up"
)
GROUNDED = Measure(name="toy_grounded", title="Grounded", help="An estimate.", unit="share", dimensions=frozenset({"task"}), worse="down")
SPEND = Measure(name="toy_spend_usd", title="Spend", help="What it cost.", unit="usd", dimensions=frozenset({"task"}), worse="up")


def steps(values: Iterable[float | None], *, step: float = 60.0, until: float = NOW, count: int = 10, group: str = "") -> list[Reading]:
    """Readings that end at ``until``; None leaves a step out."""
    values = list(values)
    first = until - len(values) * step
    return [
        Reading(at=first + number * step, value=value, count=count, group=group) for number, value in enumerate(values) if value is not None
    ]


class Listed:
    """A source whose readings stand in lists, by measure; those of another step than asked are not there."""

    def __init__(self, *measures: Measure) -> None:
        self._measures = measures
        self.held: dict[str, list[Reading]] = {}
        self.shown: list[Example] = []
        self.asked: list[Asked] = []
        self.fault: Exception | None = None

    @property
    def measures(self) -> Sequence[Measure]:
        return self._measures

    def put(self, name: str, readings: list[Reading]) -> None:
        self.held[name] = readings

    async def readings(self, names: Sequence[str], asked: Asked) -> Mapping[str, list[Reading]]:
        self.asked.append(asked)
        if self.fault is not None:
            raise self.fault
        if (asked.until - asked.since) / asked.step > 2000:
            raise RequestError("more than 2,000 steps")
        return {name: [one for one in self.held.get(name, []) if self._fits(one, asked)] for name in names}

    def _fits(self, one: Reading, asked: Asked) -> bool:
        wanted = next(iter(asked.equal.values()), None)
        grouped = bool(one.group) if asked.by else (one.group in wanted if wanted else not one.group)
        return asked.since <= one.at < asked.until and grouped

    async def examples(self, name: str, asked: Asked, limit: int = 5) -> list[Example]:
        return self.shown[:limit]
