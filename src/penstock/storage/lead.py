"""Who of several processes does a piece of work: a lease in the database, by the database's clock."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Double, MetaData, Table, Text, insert, select, update

from penstock.kernel.errors import Conflict
from penstock.storage.moment import moment


def lead_table(name: str, metadata: MetaData) -> Table:
    """The table of a room's leases; one row for each piece of work."""
    return Table(
        name,
        metadata,
        Column("name", Text, primary_key=True),
        Column("holder", Text, nullable=False),
        Column("beat_at", Double, nullable=False),
    )


class Lead:
    """The lease of the work ``name`` in ``table`` (`lead_table`). Transactions exclude each other (`Records.write`), so one holder has it.

    Whoever holds it takes it again well before ``seconds`` are over, and asks with `hold` in the transaction that writes what was decided:
    a process that stood still for longer than its lease writes nothing then.
    """

    def __init__(self, table: Table, name: str) -> None:
        self._table = table
        self._name = name

    def take(self, connection: Connection, holder: str, seconds: float, now: float | None = None) -> bool:
        """Whether ``holder`` has it now: it had it, or whoever did gave no sign of life for ``seconds``.

        A sign of life from further ahead than that is of a clock that was set back since, and tells nothing.
        """
        lease = self._table.c
        now = moment(connection) if now is None else now
        values = {"holder": holder, "beat_at": now}
        row = connection.execute(select(lease.holder, lease.beat_at).where(lease.name == self._name)).first()
        if row is None:
            connection.execute(insert(self._table).values(name=self._name, **values))
            return True
        if row.holder not in ("", holder) and now - seconds < row.beat_at <= now + seconds:
            return False
        connection.execute(update(self._table).where(lease.name == self._name).values(values))
        return True

    def leave(self, connection: Connection, holder: str) -> None:
        """Let it go, for the next."""
        lease = self._table.c
        connection.execute(update(self._table).where(lease.name == self._name, lease.holder == holder).values(holder=""))

    def hold(self, connection: Connection, holder: str) -> None:
        """Raise `Conflict` where another process has taken it: what this one decided is not written then."""
        if connection.execute(select(self._table.c.holder).where(self._table.c.name == self._name)).scalar() != holder:
            raise Conflict(f"another process has taken over {self._name}")
