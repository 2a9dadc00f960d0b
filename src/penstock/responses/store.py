"""The SQL of the stored responses; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, literal, select

from penstock.responses.tables import TURNS
from penstock.responses.turn import Turn
from penstock.storage.insert import insert_new

_COLUMNS = tuple(column.name for column in TURNS.columns)


def add(connection: Connection, turns: Sequence[Turn]) -> int:
    """Insert the turns that are not there yet; how many were new."""
    return insert_new(connection, TURNS.name, _COLUMNS, [_values(turn) for turn in turns])


def _values(turn: Turn) -> tuple[Any, ...]:
    """The values of a turn in the order of the columns."""
    return tuple(getattr(turn, name) for name in _COLUMNS)


def chain(connection: Connection, reach: str | None, id: str, now: float, most: int) -> list[Turn]:
    """The turn with this id and those that it follows, the last one first, as far as they are there; at most ``most``."""
    fields = (TURNS.c.id, TURNS.c.previous)
    found = select(*fields, literal(1).label("depth")).where(TURNS.c.id == id, *_within(reach, now)).cte("chain", recursive=True)
    earlier = (
        select(*fields, found.c.depth + 1).join(found, TURNS.c.id == found.c.previous).where(found.c.depth < most, *_within(reach, now))
    )
    whole = found.union_all(earlier)
    asked = select(TURNS).join(whole, TURNS.c.id == whole.c.id).order_by(whole.c.depth)
    return [_turn(row) for row in connection.execute(asked).mappings()]


def one(connection: Connection, reach: str | None, id: str, now: float) -> Turn | None:
    """The turn with this id."""
    row = connection.execute(select(TURNS).where(TURNS.c.id == id, *_within(reach, now))).mappings().first()
    return _turn(row) if row is not None else None


def remove(connection: Connection, reach: str | None, id: str, now: float) -> bool:
    """Delete a turn; whether there was one."""
    return connection.execute(delete(TURNS).where(TURNS.c.id == id, *_within(reach, now))).rowcount > 0


def remove_expired(connection: Connection, now: float) -> int:
    """Delete the turns whose time is over; how many."""
    return connection.execute(delete(TURNS).where(TURNS.c.expires_at <= now)).rowcount


def count(connection: Connection) -> int:
    """How many turns there are."""
    return int(connection.execute(select(func.count()).select_from(TURNS)).scalar_one())


def _within(reach: str | None, now: float) -> tuple[ColumnElement[bool], ...]:
    alive = TURNS.c.expires_at > now
    return (alive,) if reach is None else (alive, TURNS.c.organisation == reach)


def _turn(row: Any) -> Turn:
    values: dict[str, Any] = {name: row[name] for name in _COLUMNS}
    values["input"], values["response"] = bytes(values["input"]), bytes(values["response"])
    return Turn(**values)
