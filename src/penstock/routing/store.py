"""The SQL of routing; decides nothing."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, or_, select, update

from penstock.routing.policy import Policy
from penstock.routing.tables import CHANGES, EXPLORED, NUMBERS, POLICIES, WATCHES
from penstock.storage.changes import ChangeCount
from penstock.storage.schema import encode_json

_CHANGES = ChangeCount(CHANGES)
bump, counted = _CHANGES.bump, _CHANGES.counted


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What a process that watches a policy has won, by how many calls and labels; ``state`` is what it goes on from."""

    policy: str
    watcher: str
    evidence: float
    calls: int
    labels: int
    changed_at: float
    state: bytes
    unspent: float | None = None
    """The share of the kept evidence that it can still bet with; None where an older process has written the row."""


def add(connection: Connection, policy: Policy) -> None:
    """Insert a policy, without arrays."""
    connection.execute(insert(POLICIES).values(_row(policy)))


def put(connection: Connection, policy: Policy, arrays: bytes | None = None) -> None:
    """Write a policy over the stored one with its id; its arrays too where given."""
    row = _row(policy) if arrays is None else {**_row(policy), "arrays": arrays}
    connection.execute(update(POLICIES).where(POLICIES.c.id == policy.id).values(row))


def next_number(connection: Connection, organisation: str, task: str) -> int:
    """The number after the task's last policy's."""
    where = (POLICIES.c.organisation == organisation, POLICIES.c.task == task)
    return int(connection.execute(select(func.max(POLICIES.c.number)).where(*where)).scalar() or 0) + 1


def one(connection: Connection, id: str) -> Policy | None:
    """The policy with this id."""
    found = connection.execute(select(POLICIES.c.policy).where(POLICIES.c.id == id)).scalar()
    return _policy(found) if found is not None else None


def arrays(connection: Connection, id: str) -> bytes | None:
    """The arrays of a policy."""
    return connection.execute(select(POLICIES.c.arrays).where(POLICIES.c.id == id)).scalar()


def of_task(connection: Connection, organisation: str, task: str, limit: int = 100) -> list[Policy]:
    """The task's policies, the newest first."""
    asked = select(POLICIES.c.policy).where(POLICIES.c.organisation == organisation, POLICIES.c.task == task)
    return [_policy(text) for (text,) in connection.execute(asked.order_by(POLICIES.c.number.desc()).limit(limit))]


def current(connection: Connection) -> list[Policy]:
    """Of every task the policy that is active or suspended, or else the last that came to anything."""
    said = ("active", "suspended", "refused", "failed")
    last = select(func.max(POLICIES.c.number)).where(POLICIES.c.state.in_(said)).group_by(POLICIES.c.organisation, POLICIES.c.task)
    asked = select(POLICIES.c.policy).where(
        POLICIES.c.state.in_(said), or_(POLICIES.c.state.in_(("active", "suspended")), POLICIES.c.number.in_(last))
    )
    found: dict[tuple[str, str], Policy] = {}
    for (text,) in connection.execute(asked.order_by(POLICIES.c.number)):
        policy = _policy(text)
        held = found.get((policy.organisation, policy.task))
        if held is None or held.state not in ("active", "suspended"):
            found[policy.organisation, policy.task] = policy
    return list(found.values())


def serving(connection: Connection, organisation: str, task: str) -> list[Policy]:
    """The task's policies that are active or suspended; one at most, unless two processes certified at once."""
    where = (POLICIES.c.organisation == organisation, POLICIES.c.task == task, POLICIES.c.state.in_(("active", "suspended")))
    return [_policy(text) for (text,) in connection.execute(select(POLICIES.c.policy).where(*where))]


def fitting(connection: Connection) -> list[Policy]:
    """The policies that are being fitted, the oldest first."""
    asked = select(POLICIES.c.policy).where(POLICIES.c.state == "fitting").order_by(POLICIES.c.created_at)
    return [_policy(text) for (text,) in connection.execute(asked)]


def watches(connection: Connection, policy: str) -> list[Watched]:
    """What every process has won against a policy."""
    return [Watched(**row) for row in connection.execute(select(WATCHES).where(WATCHES.c.policy == policy)).mappings()]


def keep_watch(connection: Connection, watched: Watched) -> None:
    """Write what a process has won in the place of what it had."""
    values = msgspec.structs.asdict(watched)
    where = (WATCHES.c.policy == watched.policy, WATCHES.c.watcher == watched.watcher)
    if not connection.execute(update(WATCHES).where(*where).values(values)).rowcount:
        connection.execute(insert(WATCHES).values(values))


def take_number(connection: Connection, holder: str, now: float, before: float) -> int:
    """The number that ``holder`` has, beaten now, or else the lowest that nobody has, or whose holder has not beaten since ``before``."""
    held = {number: (whose, at) for number, whose, at in connection.execute(select(NUMBERS.c.number, NUMBERS.c.holder, NUMBERS.c.beat_at))}
    mine = next((number for number, (whose, _) in held.items() if whose == holder), None)
    number = mine if mine is not None else next(n for n in range(len(held) + 1) if n not in held or held[n][1] < before)
    values = {"number": number, "holder": holder, "beat_at": now}
    connection.execute(
        update(NUMBERS).where(NUMBERS.c.number == number).values(values) if number in held else insert(NUMBERS).values(values)
    )
    return number


def leave_number(connection: Connection, holder: str) -> None:
    """Let a number go."""
    connection.execute(update(NUMBERS).where(NUMBERS.c.holder == holder).values(holder="", beat_at=0.0))


def forget_fits(connection: Connection, before: float, limit: int = 50) -> int:
    """Drop the arrays of some policies that serve no more, and have not since ``before``; how many. Those of a task's last attempt stay:
    the next one may go on with them. What watched policies that serve no more goes with them, at once."""
    gone = select(POLICIES.c.id).where(POLICIES.c.state.not_in(("active", "suspended")))
    connection.execute(delete(WATCHES).where(WATCHES.c.policy.in_(gone)))
    tested = POLICIES.alias()
    last = (
        select(func.max(tested.c.number))
        .where(
            tested.c.organisation == POLICIES.c.organisation, tested.c.task == POLICIES.c.task, tested.c.state.not_in(("fitting", "failed"))
        )
        .scalar_subquery()
    )
    held = select(POLICIES.c.id, POLICIES.c.policy).where(
        POLICIES.c.arrays.is_not(None), POLICIES.c.state.in_(("superseded", "refused", "failed")), POLICIES.c.number < last
    )
    old = [id for id, text in connection.execute(held) if _policy(text).changed_at < before][:limit]
    if old:
        connection.execute(update(POLICIES).where(POLICIES.c.id.in_(old)).values(arrays=None))
    return len(old)


def explore(connection: Connection, organisation: str, task: str, month: str, amount: int, limit: int, calls: int) -> bool:
    """Add to what a month's exploration has spent, unless that would exceed ``limit``; whether it was added."""
    where = (EXPLORED.c.organisation == organisation, EXPLORED.c.task == task, EXPLORED.c.month == month)
    spent = connection.execute(select(EXPLORED.c.spent).where(*where)).scalar()
    if (spent or 0) + amount > limit:
        return False
    if spent is None:
        row = {"organisation": organisation, "task": task, "month": month, "spent": max(0, amount), "calls": calls}
        connection.execute(insert(EXPLORED).values(row))
    else:
        added = {"spent": func.max(0, EXPLORED.c.spent + amount) if _sqlite(connection) else func.greatest(0, EXPLORED.c.spent + amount)}
        connection.execute(update(EXPLORED).where(*where).values(**added, calls=EXPLORED.c.calls + calls))
    return True


def explored(connection: Connection, organisation: str, task: str, month: str) -> tuple[int, int]:
    """What a month's exploration has spent, and its calls."""
    where = (EXPLORED.c.organisation == organisation, EXPLORED.c.task == task, EXPLORED.c.month == month)
    found = connection.execute(select(EXPLORED.c.spent, EXPLORED.c.calls).where(*where)).first()
    return (int(found[0]), int(found[1])) if found is not None else (0, 0)


def _sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def _row(policy: Policy) -> dict[str, Any]:
    columns = ("id", "organisation", "task", "number", "state", "created_at")
    return {**{name: getattr(policy, name) for name in columns}, "policy": encode_json(policy)}


def _policy(text: str) -> Policy:
    return msgspec.json.decode(text, type=Policy)
