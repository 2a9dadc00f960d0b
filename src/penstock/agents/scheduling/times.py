"""When a schedule is due: cron lines in a time zone, and what becomes of moments at which nobody was there.

Where clocks go forward, a moment that does not exist is the first that does; where they go back, one that comes twice is taken once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from penstock.kernel.errors import RequestError

Missed = Literal["once", "all", "skip"]
"""What is done after a pause in which several moments passed: one start for all, one for each (the last `MOST_MISSED`), or none."""
MOST_MISSED = 100
GRACE = 60.0
"""Seconds by which a start may be late before it counts as missed."""


def next_after(cron: str, zone: str, moment: float) -> float | None:
    """The first moment after ``moment`` that the line names, in Unix seconds; None where there is none in fifty years.

    Raises `RequestError` for what is no line of five (or six, with seconds at the end) fields, and for an unknown zone.
    """
    from cronsim import CronSim, CronSimError  # of the extra `journal`, without which nothing runs

    try:
        found = CronSim(cron, datetime.fromtimestamp(moment, known_zone(zone)))
    except CronSimError as fault:
        raise RequestError(f"cron: {cron[:100]!r} is no cron line: {fault}", param="cron") from fault
    try:
        return next(found).timestamp()
    except StopIteration:
        return None


def known_zone(zone: str) -> ZoneInfo:
    """Raises `RequestError` for a name that is no zone."""
    try:
        return ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise RequestError(f"zone: {zone[:100]!r} is no time zone; one is Europe/Berlin", param="zone") from None


def due(cron: str, zone: str, first: float, now: float, missed: Missed) -> tuple[list[float], float | None]:
    """Which moments from ``first`` on, which is due, are to be started now, and the one after ``now``."""
    moments = [first]
    following = next_after(cron, zone, first) if cron else None
    passed = 1
    while following is not None and following <= now:
        passed += 1
        if passed > 100_000:  # a line of every second after a day away: the others are not counted one by one
            following = next_after(cron, zone, now)
            break
        moments = [*moments[-MOST_MISSED + 1 :], following]
        following = next_after(cron, zone, following)
    if missed == "all":
        return moments, following
    last = moments[-1]
    if missed == "skip" and now > last + GRACE:
        return [], following
    return [last], following


def missed_by(cron: str, zone: str, first: float, now: float) -> int:
    """How many moments from ``first`` on have passed; counted to `MOST_MISSED`."""
    passed, moment = 0, first
    while moment <= now and passed < MOST_MISSED:
        passed += 1
        following = next_after(cron, zone, moment) if cron else None
        if following is None:
            break
        moment = following
    return passed
