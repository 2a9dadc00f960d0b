"""Subscriptions of other programs to events of the house, in SQL."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from penstock.alerts.tables import HOOKS
from penstock.kernel.principal import allows
from penstock.storage.schema import encode_json


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told of what. ``everywhere``: of all organisations, which only operators may. ``turn`` counts changes of its secret."""

    id: str
    organisation: str
    url: str
    events: tuple[str, ...]
    everywhere: bool = False
    enabled: bool = True
    turn: int = 0
    why_off: str = ""
    created_at: float = 0.0
    created_by: str = ""

    def wants(self, kind: str, organisation: str) -> bool:
        """Whether it is to be told of an event of this type in an organisation; those of the whole installation have none."""
        return self.enabled and (self.everywhere or (organisation == self.organisation)) and allows(self.events, kind)


def listed(connection: Connection, organisation: str | None) -> list[Hook]:
    """The subscriptions of an organisation, of all where None, the oldest first."""
    query = select(HOOKS).order_by(HOOKS.c.created_at, HOOKS.c.id)
    if organisation is not None:
        query = query.where(HOOKS.c.organisation == organisation)
    return [_hook(row) for row in connection.execute(query).mappings()]


def one(connection: Connection, id: str) -> Hook | None:
    """One subscription."""
    row = connection.execute(select(HOOKS).where(HOOKS.c.id == id)).mappings().first()
    return None if row is None else _hook(row)


def put(connection: Connection, hook: Hook) -> None:
    """Write a subscription, new or changed."""
    values: dict[str, Any] = {
        "url": hook.url,
        "events": encode_json(hook.events),
        "everywhere": int(hook.everywhere),
        "enabled": int(hook.enabled),
        "turn": hook.turn,
        "why_off": hook.why_off,
    }
    if connection.execute(update(HOOKS).where(HOOKS.c.id == hook.id).values(values)).rowcount == 0:
        first = {
            "id": hook.id,
            "organisation": hook.organisation,
            "created_at": hook.created_at,
            "created_by": hook.created_by,
        }
        connection.execute(insert(HOOKS).values(**first, **values))


def turn_off(connection: Connection, id: str, why: str) -> None:
    """Send nothing more to it."""
    connection.execute(update(HOOKS).where(HOOKS.c.id == id).values(enabled=0, why_off=why))


def drop(connection: Connection, id: str) -> None:
    """Forget a subscription."""
    connection.execute(delete(HOOKS).where(HOOKS.c.id == id))


def _hook(row: RowMapping) -> Hook:
    told = {"everywhere": bool(row["everywhere"]), "enabled": bool(row["enabled"]), "events": msgspec.json.decode(row["events"])}
    return msgspec.convert({**{str(name): value for name, value in row.items()}, **told}, Hook)
