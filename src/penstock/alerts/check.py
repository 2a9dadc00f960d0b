"""Whether a rule can be: its condition, its measure, where it looks, and whom it tells. Each fault names the field."""

from __future__ import annotations

from collections.abc import Collection

from penstock.alerts import detect
from penstock.alerts.model import Rule, Silence, Terms
from penstock.kernel.errors import NotFound, RequestError
from penstock.kernel.measures import MeasureSources
from penstock.kernel.principal import Principal

MATCHERS = frozenset({"rule", "group", "measure", "severity"})
MOST_READINGS = 20_000
"""Readings of one group that a rule may ask for each time."""
LONGEST_SILENCE = 366 * 86_400.0


def shape(terms: Terms) -> None:
    """What can be said of a rule without knowing measures. Raises `RequestError` with the field as ``param``."""
    given = [name for name in ("threshold", "objective", "detector") if getattr(terms, name) is not None]
    if len(given) != 1:
        told = "give one of threshold, objective and detector" + (f", not {' and '.join(given)}" if given else "")
        raise RequestError(told, param="threshold")
    one = terms.threshold
    if one is not None:
        if (one.above is None) == (one.below is None):
            raise RequestError("threshold: give 'above' or 'below', one of the two", param="threshold")
        if one.for_seconds < one.step_seconds:
            raise RequestError("threshold.for_seconds: at least one reading long (step_seconds)", param="threshold.for_seconds")
        if max(one.for_seconds, one.clear_seconds or 0) / one.step_seconds > 1500:
            raise RequestError("threshold.for_seconds: at most 1,500 readings of step_seconds", param="threshold.for_seconds")
        limit = one.above if one.above is not None else one.below
        if one.clear is not None and limit is not None and (one.clear > limit if one.above is not None else one.clear < limit):
            raise RequestError("threshold.clear: on the good side of the threshold", param="threshold.clear")
    detector = terms.detector
    if detector is not None:
        readings = detector.history_days * 86_400 / detector.step_seconds
        if not detect.LEAST_PAST + 2 <= readings <= MOST_READINGS:
            told = f"detector.history_days: {detect.LEAST_PAST + 2} to {MOST_READINGS:,} readings of step_seconds, not {readings:,.0f}"
            raise RequestError(told, param="detector.history_days")
    objective = terms.objective
    if objective is not None:
        for burn in objective.burns:
            if burn.long_seconds / objective.step_seconds > MOST_READINGS:
                raise RequestError(f"objective.burns: at most {MOST_READINGS:,} readings of step_seconds", param="objective.burns")
            if burn.short_seconds > burn.long_seconds:
                raise RequestError("objective.burns: the short window is shorter than the long one", param="objective.burns")
            if burn.short_seconds < objective.step_seconds:
                raise RequestError("objective.burns: the short window is at least one reading long", param="objective.burns")
            if burn.rate * (1 - objective.target) > 1:
                told = (
                    f"objective.burns: nothing burns {burn.rate:g} times as fast, since all calls failing is {1 / (1 - objective.target):g}"
                )
                raise RequestError(told, param="objective.burns")


def sense(terms: Terms, sources: MeasureSources) -> None:
    """What a rule asks of its measure. Raises `NotFound` for one that nobody knows, else `RequestError`."""
    shape(terms)
    _, measure = sources.of(terms.measure)
    asked = [*terms.where, *([terms.by] if terms.by else [])]
    for name in asked:
        if name not in measure.dimensions:
            told = f"{measure.name} has no dimension {name!r}; it has {', '.join(sorted(measure.dimensions)) or 'none'}"
            raise RequestError(told, param="by" if name == terms.by else "where")
    if terms.by in terms.where:
        raise RequestError("by: 'where' narrows to this dimension already", param="by")
    for name, values in terms.where.items():
        if not values or len(values) > 50 or not all(0 < len(value) <= 200 for value in values):
            raise RequestError(f"where.{name}: one to 50 values of at most 200 characters", param="where")
    if terms.threshold is not None and terms.threshold.sure and measure.unit != "share":
        raise RequestError("threshold.sure: only a share has a bound that can be computed from counts", param="threshold.sure")
    if terms.objective is not None and terms.objective.limit is None and measure.unit not in ("share", "score"):
        told = f"objective.limit: say beyond which value a reading of {measure.name} ({measure.unit}) is bad"
        raise RequestError(told, param="objective.limit")


def routes(terms: Terms, known: Collection[str]) -> None:
    """Raise `RequestError` for a route that there is not, or that is not open to the organisation: which look the same."""
    for name in terms.routes:
        if name not in known:
            told = ", ".join(sorted(known)) or "none; [alerts.routes] of the settings declares them"
            raise RequestError(f"routes: there is no route {name[:60]!r} here; there are {told}", param="routes")


def fault(rule: Rule, sources: MeasureSources) -> str:
    """Why a rule cannot be looked at, empty where it can: for pages and the doctor."""
    try:
        sense(rule.terms, sources)
    except (RequestError, NotFound) as found:
        return found.message
    return ""


def silence(one: Silence, now: float) -> None:
    """Raise `RequestError` for a silence that means nothing, or lasts for ever."""
    unknown = one.match.keys() - MATCHERS
    if unknown or not one.match:
        raise RequestError(f"match: by {', '.join(sorted(MATCHERS))}; one of them at least", param="match")
    if any(not pattern or len(pattern) > 200 for pattern in one.match.values()):
        raise RequestError("match: patterns have 1 to 200 characters; * stands for anything", param="match")
    if not one.why.strip():
        raise RequestError("why: say why; whoever looks for the alert reads it", param="why")
    if not now < one.until <= now + LONGEST_SILENCE:
        raise RequestError("until: a moment to come, within a year", param="until")


def everywhere(principal: Principal, wanted: bool) -> str:
    """The organisation of what somebody makes: their own, or none, for all together, where they may and want to."""
    if wanted and principal.reach is not None:
        raise RequestError("everywhere: only who administers the installation watches all organisations", param="everywhere")
    return "" if wanted else principal.organisation
