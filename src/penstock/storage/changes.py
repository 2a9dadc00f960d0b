"""How a process sees that another one changed something: one row of a table counts the changes of a room."""

from __future__ import annotations

from sqlalchemy import Connection, Table, select, update


class ChangeCount:
    """The count in ``table``, which has one row and the column ``version``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def bump(self, connection: Connection) -> int:
        """Count one change, and how many there are now. Its row lock puts changes in the order of their commits."""
        version = self._table.c.version
        return connection.execute(update(self._table).values(version=version + 1).returning(version)).scalar_one()

    def counted(self, connection: Connection) -> int:
        """How many changes there were."""
        return connection.execute(select(self._table.c.version)).scalar_one()
