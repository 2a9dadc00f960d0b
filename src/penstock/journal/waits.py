"""What running runs wait for, as far as DBOS's tables know.

DBOS journals a sleep when it begins, with its end as its completion, and a wait when it is over; the time limit of a wait is journalled
when it begins, as a sleep under the number after the wait's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from penstock.kernel.waits import Wait

FOREVER = 50 * 365 * 86_400.0
"""Seconds from which on a time limit is none."""


class Only:
    """Narrows a list down to runs that wait, for what one of the kinds is: ``sleeping``, ``receiving``, or one ``of`` those runs, or for a
    signal and none ``but`` of those."""

    def __init__(self, *, sleeping: bool = False, receiving: bool = False, of: Sequence[str] = (), but: Sequence[str] = ()) -> None:
        self._sleeping = sleeping
        self._receiving = receiving
        self._of = tuple(of)
        self._but = tuple(but)

    def clause(self, runs: Any, steps: Any) -> Any:
        """The condition on DBOS's tables."""
        mine, now = steps.c.workflow_uuid == runs.c.workflow_uuid, int(time.time() * 1e3)
        found: list[Any] = []
        if self._sleeping:
            found.append(sa.exists().where(mine, *sleeping(steps, now)))
        if self._receiving:
            receives = sa.exists().where(mine, *receiving(steps, now))
            found.append(sa.and_(receives, runs.c.workflow_uuid.notin_(self._but)) if self._but else receives)
        if self._of:
            found.append(runs.c.workflow_uuid.in_(self._of))
        return sa.and_(runs.c.status == "PENDING", sa.or_(sa.false(), *found))


def sleeping(steps: Any, now: int) -> Sequence[Any]:
    """Conditions of a sleep that lasts; ``now`` in milliseconds."""
    return (steps.c.function_name == "DBOS.sleep", steps.c.completed_at_epoch_ms > now)


def receiving(steps: Any, now: int) -> Sequence[Any]:
    """Conditions of the time limit of a wait that lasts."""
    wait = steps.alias("waits")
    over = sa.exists().where(wait.c.workflow_uuid == steps.c.workflow_uuid, wait.c.function_id == steps.c.function_id - 1)
    return (steps.c.function_name == "DBOS.sleep", steps.c.completed_at_epoch_ms <= now, _end(steps) * 1e3 > now, ~over)


def asked(steps: Any, ids: Sequence[str]) -> Any:
    """The statement that finds what these runs wait for, as far as the journal knows; `told` reads its rows."""
    now = int(time.time() * 1e3)
    lasts = sa.or_(sa.and_(*sleeping(steps, now)), sa.and_(*receiving(steps, now)))
    columns = (steps.c.workflow_uuid, steps.c.started_at_epoch_ms, _end(steps), steps.c.completed_at_epoch_ms > now)
    return sa.select(*columns).where(steps.c.workflow_uuid.in_(ids), lasts).order_by(steps.c.function_id)


def told(rows: Sequence[Any]) -> Mapping[str, Sequence[Wait]]:
    """What the rows of `asked` say, by run."""
    found: dict[str, list[Wait]] = {}
    for run, since, until, sleeps in rows:
        end = None if until > time.time() + FOREVER else until
        found.setdefault(run, []).append(Wait(kind="time" if sleeps else "signal", since=(since or 0) / 1e3, until=end))
    return found


def _end(steps: Any) -> Any:
    # Only of sleeps: what other steps gave is no number, and a database may look at it first.
    return sa.case((steps.c.function_name == "DBOS.sleep", sa.cast(steps.c.output, sa.Double)), else_=0.0)
