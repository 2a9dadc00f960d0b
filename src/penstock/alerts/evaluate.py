"""Asks the sources of measures what a rule needs to know, and says what it finds of each group."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping

import msgspec

from penstock.alerts import burn, detect, threshold
from penstock.alerts.model import Cause, Rule, Terms, Verdict
from penstock.kernel.errors import PenstockError
from penstock.kernel.measures import Asked, Measure, MeasureSources, Reading

MOST_STEPS = 1900
"""Steps in one question; sources answer up to 2,000."""
EXAMPLES = 5
REST = "…"
"""The group of all that are not looked at by themselves."""


class Evaluation:
    """Looks at rules through whatever ``sources`` there are."""

    def __init__(self, sources: Callable[[], MeasureSources], most_groups: int) -> None:
        self._sources = sources
        self._most_groups = most_groups

    async def look(self, rule: Rule, now: float, held: Iterable[str] = ()) -> tuple[Measure, dict[str, Verdict]]:
        """What a rule finds at a moment, by group, ``held`` ones among them that have no readings; the measure too. Raises `NotFound` for a
        measure that nobody knows, and what its source raises."""
        terms = rule.terms
        _, measure = self._sources().of(terms.measure)
        since, until, step = span(terms, now)
        found = await self.readings(rule, since, until, step)
        if REST not in found:  # else it may be among the rest, which is not to have nothing
            for group in held:
                found.setdefault(group, [])
        falls = measure.worse == "down"
        verdicts: dict[str, Verdict] = {}
        for group, readings in found.items():
            if terms.threshold is not None:
                verdicts[group] = threshold.judge(terms.threshold, measure.unit, readings, now, summed=measure.summed)
            elif terms.objective is not None:
                verdicts[group] = burn.judge(terms.objective, measure.unit, readings, now, falls=falls)
            elif terms.detector is not None:
                # Some milliseconds for each group, which calls must not wait for.
                verdicts[group] = await asyncio.to_thread(detect.judge, terms.detector, measure, readings, now)
        if terms.objective is not None and any(one.state == "bad" for one in verdicts.values()):
            verdicts = await self._with_budgets(rule, measure, verdicts, now)
        return measure, {group: told(terms, measure, verdict) for group, verdict in verdicts.items()}

    async def readings(self, rule: Rule, since: float, until: float, step: float) -> dict[str, list[Reading]]:
        """The readings of a rule's measure by group, in order of time, asked in pieces that sources answer. Without groups, of ``""``."""
        terms, found = rule.terms, dict[str, list[Reading]]()
        if not terms.by:
            found[""] = []
        at = since
        while at < until:
            piece = min(until, at + MOST_STEPS * step)
            asked = Asked(
                organisation=rule.reach, since=at, until=piece, step=step, equal=terms.where, by=terms.by, groups=self._most_groups
            )
            for one in (await self._sources().readings((terms.measure,), asked))[terms.measure]:
                found.setdefault(one.group, []).append(one)
            at = piece
        return found

    async def examples(self, rule: Rule, group: str, verdict: Verdict, now: float) -> tuple[Cause, ...]:
        """Calls behind a verdict, the worst first; none where they cannot be had: an alert does not wait for its examples."""
        terms = rule.terms
        since, until, step = span(terms, now)
        if terms.objective is not None or terms.detector is not None:
            since = max(since, until - max(3600.0, 4 * step))
        step = max(step, math.ceil((until - since) / MOST_STEPS))
        equal = {**terms.where, **({terms.by: (group,)} if terms.by and group != REST else {})}
        asked = Asked(organisation=rule.reach, since=since, until=until, step=step, equal=equal)
        try:
            source, _ = self._sources().of(terms.measure)
            found = await source.examples(terms.measure, asked, EXAMPLES)
        except PenstockError:
            return ()
        return tuple(Cause(**msgspec.structs.asdict(one)) for one in found[:EXAMPLES])

    async def budget(self, rule: Rule, now: float) -> dict[str, float]:
        """What is left of the error budget by group, as a share; for rules with an objective."""
        objective = rule.terms.objective
        if objective is None:
            return {}
        _, measure = self._sources().of(rule.terms.measure)
        since, until, step = burn.budget_span(objective, now)
        found: dict[str, float] = {}
        for group, readings in (await self.readings(rule, since, until, step)).items():
            left = burn.budget_left(objective, measure.unit, readings, falls=measure.worse == "down")
            if left is not None:
                found[group] = left
        return found

    async def _with_budgets(self, rule: Rule, measure: Measure, verdicts: Mapping[str, Verdict], now: float) -> dict[str, Verdict]:
        left = await self.budget(rule, now)
        return {group: msgspec.structs.replace(one, budget_left=left.get(group)) for group, one in verdicts.items()}


def span(terms: Terms, now: float) -> tuple[float, float, float]:
    """From when to when, and in which steps, a rule needs readings."""
    if terms.threshold is not None:
        return *threshold.span(terms.threshold, now), float(terms.threshold.step_seconds)
    if terms.objective is not None:
        return *burn.span(terms.objective, now), float(terms.objective.step_seconds)
    assert terms.detector is not None
    return *detect.span(terms.detector, now), float(terms.detector.step_seconds)


def told(terms: Terms, measure: Measure, verdict: Verdict) -> Verdict:
    """The verdict with a sentence that says it, where it has none of its own."""
    one = terms.threshold
    if one is None or verdict.state != "bad":
        return verdict
    way = "above" if one.above is not None else "below"
    sentence = f"{measure.title}: {amount(verdict.value, measure.unit)}"
    if verdict.low is not None and verdict.high is not None:
        sentence += f" (between {amount(verdict.low, measure.unit)} and {amount(verdict.high, measure.unit)}, 95 %)"
    sentence += f", {way} {amount(verdict.limit, measure.unit)} for {one.for_seconds / 60:.3g} minutes"
    return msgspec.structs.replace(verdict, told=sentence)


def amount(value: float | None, unit: str) -> str:
    """A value as people read it."""
    if value is None:
        return "–"
    if unit == "ms":
        return f"{value / 1000:.3g} s" if abs(value) >= 1000 else f"{value:.3g} ms"
    if unit == "share":
        return f"{value * 100:.3g} %"
    if unit == "usd":
        return f"{value:,.2f} USD"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
