"""What tools did to the world, written down before and after: so that a crash in between is known as such, and nothing is done twice.

A line is begun before a tool with an effect is called and ended with what came of it. Whoever finds a line that was begun and not ended
knows that the process died, or the answer was lost, in between: the call is *in doubt*.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from penstock.agents.inbox.gate import Withheld
from penstock.agents.tables import EFFECTS
from penstock.kernel.errors import Conflict, NotFound
from penstock.storage.records import Records

EffectState = Literal["begun", "done", "failed", "in_doubt"]
OVER = frozenset({"done", "in_doubt"})
"""States in which the call is not made again; one that ``failed`` did not happen, so it may be."""


class Line(Struct, frozen=True, kw_only=True):
    """One effect. ``key`` names the call, ``attempts`` counts how often it was begun. Times are Unix seconds."""

    key: str
    organisation: str
    run: str
    tool: str
    effect: str
    state: EffectState
    attempts: int
    outcome: Any
    begun_at: float
    ended_at: float | None


class Effects:
    """The lines, in the records."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def begin(
        self,
        key: str,
        organisation: str,
        run: str,
        tool: str,
        effect: str,
        permit: Callable[[Connection], Withheld | None] | None = None,
    ) -> Line | Withheld | None:
        """Write that the call begins. None where it has not happened: nobody has begun it before, or it is known to have failed. Else how
        the line stood. Raises `StorageError`.

        ``permit`` is asked in the same transaction whether the call may begin, or begin again; where it may not, nothing does. It is not
        asked about a call that is over."""

        def write(connection: Connection) -> Line | Withheld | None:
            kept = _one(connection, key)
            if permit is not None and (kept is None or kept.state not in OVER) and (withheld := permit(connection)) is not None:
                return structs.replace(withheld, begun=kept is not None and kept.state == "begun")
            if kept is None:
                try:
                    with connection.begin_nested():
                        row = {"key": key, "organisation": organisation, "run": run, "tool": tool, "effect": effect, "state": "begun"}
                        connection.execute(insert(EFFECTS).values(**row, attempts=1, begun_at=time.time()))
                    return None
                except IntegrityError:  # another process that was not as dead as it seemed
                    kept = _one(connection, key)
            if kept is None or kept.state in OVER:
                return kept
            again = {"state": "begun", "attempts": kept.attempts + 1, "ended_at": None}
            connection.execute(update(EFFECTS).where(EFFECTS.c.key == key).values(again))
            return None if kept.state == "failed" else kept

        return await self._records.write(write)

    async def end(self, key: str, state: EffectState, outcome: Any) -> None:
        """Write what came of it. Raises `StorageError`."""
        values = {"state": state, "outcome": msgspec.json.encode(outcome).decode(), "ended_at": time.time()}
        await self._records.write(lambda c: c.execute(update(EFFECTS).where(EFFECTS.c.key == key).values(values)))

    async def settle(self, reach: str | None, key: str, state: Literal["done", "failed"], note: str, by: str) -> Line:
        """Write what a person has found out of a call in doubt, and who says so. Raises `NotFound`, and `Conflict` for one that is not."""

        def write(connection: Connection) -> Line:
            kept = _one(connection, key)
            if kept is None or reach not in (None, kept.organisation):
                raise NotFound(f"there is no effect {key[:100]!r}", param="key")
            if kept.state != "in_doubt":
                raise Conflict(f"effect {key[:100]!r} is not in doubt: it is {kept.state}", param="key")
            outcome = {"state": state, "text": note, "code": "settled", "at": time.time(), "by": by, "before": kept.outcome}
            values = {"state": state, "outcome": msgspec.json.encode(outcome).decode(), "ended_at": outcome["at"]}
            connection.execute(update(EFFECTS).where(EFFECTS.c.key == key).values(values))
            settled = _one(connection, key)
            assert settled is not None
            return settled

        return await self._records.write(write)

    async def of_run(self, reach: str | None, run: str) -> list[Line]:
        """The effects of one run, in the order in which they were begun."""
        return await self._listed(EFFECTS.c.run == run, reach)

    async def in_doubt(self, reach: str | None, limit: int = 100) -> list[Line]:
        """Effects of which nobody knows whether they happened, and those under way, the oldest first."""
        return await self._listed(EFFECTS.c.state.in_(("begun", "in_doubt")), reach, limit)

    async def forget(self, before: float, limit: int = 500) -> int:
        """Take away lines that ended before, but for those in doubt, in small pieces; how many there were."""
        old = select(EFFECTS.c.key).where(EFFECTS.c.state.in_(("done", "failed")), EFFECTS.c.ended_at < before).limit(limit)
        return await self._records.write(lambda c: c.execute(delete(EFFECTS).where(EFFECTS.c.key.in_(old))).rowcount)

    async def _listed(self, where: Any, reach: str | None, limit: int | None = None) -> list[Line]:
        also = () if reach is None else (EFFECTS.c.organisation == reach,)
        asked = select(EFFECTS).where(where, *also).order_by(EFFECTS.c.begun_at, EFFECTS.c.key).limit(limit)

        def read(connection: Connection) -> Sequence[Any]:
            return connection.execute(asked).mappings().all()

        return [_line(row) for row in await self._records.read(read)]


def _one(connection: Connection, key: str) -> Line | None:
    row = connection.execute(select(EFFECTS).where(EFFECTS.c.key == key)).mappings().first()
    return None if row is None else _line(row)


def _line(row: Any) -> Line:
    values = dict(row)
    values["outcome"] = None if values["outcome"] is None else msgspec.json.decode(values["outcome"])
    return Line(**values)
