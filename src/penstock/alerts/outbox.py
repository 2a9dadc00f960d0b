"""Messages on their way out, in SQL: written in the transaction that decides them, sent afterwards, once for each route.

Each delivery has an id that follows from what it tells and to whom, so deciding the same thing twice writes one row. Before a message is
sent its row says so; a process that dies then leaves it behind, and the next one sends it again under the same id, by which the receiver
knows it. Messages of one route about one thing go in order: no end before its beginning.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from penstock.alerts.model import Delivery
from penstock.alerts.tables import DELIVERIES

LONGEST = 3600.0
"""Longest wait between two attempts, in seconds."""
BATCH, TURN = 64, 16


def add(connection: Connection, one: Delivery) -> bool:
    """Put a message in the outbox; False where it is there already."""
    d = DELIVERIES.c
    if connection.execute(select(d.id).where(d.id == one.id)).first() is not None:
        return False
    values = {
        "id": one.id,
        "number": time.time_ns(),
        "organisation": one.organisation,
        "route": one.route,
        "kind": one.kind,
        "subject": one.subject,
        "alert": one.alert,
        "event": one.event,
        "state": one.state,
        "attempts": 0,
        "created_at": one.created_at,
        "next_at": one.next_at,
        "fault": "",
    }
    connection.execute(insert(DELIVERIES).values(values))
    return True


def due(connection: Connection, now: float, limit: int = BATCH, without: Collection[str] = ()) -> list[Delivery]:
    """What may be sent now: of each route and subject only what is first, and of each route at most `TURN`, so that one with many keeps no
    other waiting. ``without`` are routes that are left out."""
    d = DELIVERIES.c
    first = select(func.min(d.number).label("number")).where(d.state.in_(("waiting", "sending"))).group_by(d.route, d.subject).subquery()
    place = func.row_number().over(partition_by=d.route, order_by=d.number).label("place")
    ready = select(d.id, place).join(first, first.c.number == d.number)
    ready = ready.where(d.state == "waiting", d.next_at <= now, d.route.not_in(list(without))).subquery()
    query = select(DELIVERIES).join(ready, ready.c.id == d.id).where(ready.c.place <= TURN).order_by(ready.c.place, d.number)
    return [_delivery(row) for row in connection.execute(query.limit(limit)).mappings()]


def begin(connection: Connection, id: str, now: float) -> bool:
    """Say that a message is being sent; False where somebody else does."""
    d = DELIVERIES.c
    values = {"state": "sending", "attempts": d.attempts + 1, "last_at": now}
    return connection.execute(update(DELIVERIES).where(d.id == id, d.state == "waiting").values(values)).rowcount == 1


def delivered(connection: Connection, id: str, now: float) -> None:
    """It arrived."""
    connection.execute(update(DELIVERIES).where(DELIVERIES.c.id == id).values(state="delivered", delivered_at=now, fault=""))


def missed(connection: Connection, id: str, fault: str, next_at: float | None) -> None:
    """It did not arrive: it is tried again at a moment, or never."""
    state = {"state": "failed"} if next_at is None else {"state": "waiting", "next_at": next_at}
    connection.execute(update(DELIVERIES).where(DELIVERIES.c.id == id).values(fault=fault[:500], **state))


def take_over(connection: Connection, now: float, *, before: float | None = None) -> int:
    """Have sent again what a process that is gone was sending, or only what began to be sent before a moment: nobody knows whether it
    arrived. How many."""
    values = {"state": "waiting", "next_at": now, "fault": "the process that sent it died; nobody knows whether it arrived"}
    query = update(DELIVERIES).where(DELIVERIES.c.state == "sending")
    if before is not None:
        query = query.where(DELIVERIES.c.last_at < before)
    return connection.execute(query.values(values)).rowcount


def again(connection: Connection, id: str, now: float) -> bool:
    """Try a message once more that was given up; False where it was not."""
    d = DELIVERIES.c
    values = {"state": "waiting", "next_at": now, "created_at": now}
    return connection.execute(update(DELIVERIES).where(d.id == id, d.state == "failed").values(values)).rowcount == 1


def listed(
    connection: Connection, organisation: str | None, *, alert: str = "", route: str = "", state: str = "", limit: int = 100
) -> list[Delivery]:
    """Deliveries, the latest first."""
    d = DELIVERIES.c
    query = select(DELIVERIES).order_by(d.created_at.desc(), d.number.desc()).limit(limit)
    for column, value in ((d.alert, alert), (d.route, route), (d.state, state)):
        if value:
            query = query.where(column == value)
    if organisation is not None:
        query = query.where(d.organisation == organisation)
    return [_delivery(row) for row in connection.execute(query).mappings()]


def one(connection: Connection, id: str) -> Delivery | None:
    """One delivery."""
    row = connection.execute(select(DELIVERIES).where(DELIVERIES.c.id == id)).mappings().first()
    return None if row is None else _delivery(row)


def standing(connection: Connection) -> dict[tuple[str, str], tuple[int, float, str]]:
    """By route and state how many messages there are, when the last was made, and what its fault was."""
    d = DELIVERIES.c
    query = select(d.route, d.state, func.count(), func.max(d.created_at), func.max(d.fault)).group_by(d.route, d.state)
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in connection.execute(query)}


def forget(connection: Connection, before: float) -> int:
    """Drop finished messages that were made before a moment; how many."""
    d = DELIVERIES.c
    return connection.execute(delete(DELIVERIES).where(d.state.in_(("delivered", "failed")), d.created_at < before)).rowcount


def wait(attempts: int, seconds: float, spread: float) -> float:
    """Seconds until the next attempt: doubling from ``seconds`` up to an hour, shortened by up to a fifth by ``spread`` (0 to 1), so that
    many messages of one failed route do not come back in one moment."""
    return min(LONGEST, seconds * 2.0 ** min(attempts - 1, 30)) * (1 - 0.2 * spread)


def _delivery(row: RowMapping) -> Delivery:
    values = {str(name): value for name, value in row.items() if name != "number"}
    return msgspec.convert({**values, "event": bytes(row["event"])}, Delivery)
