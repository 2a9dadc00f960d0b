"""What the responses keep of a person, taken away when the person is erased."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Table, delete, select

from penstock.responses.pending import Pending
from penstock.responses.tables import CONVERSATIONS, EVENTS, ITEMS, JOBS, TURNS
from penstock.storage.records import Records


class PersonalResponses:
    """Implements `penstock.kernel.ports.PersonalRecords`."""

    name = "responses"

    def __init__(self, records: Records, pending: Pending) -> None:
        self._records = records
        self._pending = pending

    async def erase(self, organisation: str, person: str) -> int:
        """Take away what the person's keys have stored: turns, work in the background, conversations. A response that is worked on is
        dropped: nobody gets its answer."""
        await self._pending.flush()
        return await self._records.write(lambda c: _erase(c, organisation, person))


def _erase(connection: Connection, organisation: str, person: str) -> int:
    def mine(table: Table) -> tuple[ColumnElement[bool], ...]:
        return (table.c.organisation == organisation, table.c.person == person)

    jobs = select(JOBS.c.id).where(*mine(JOBS))
    connection.execute(delete(EVENTS).where(EVENTS.c.response.in_(jobs)))
    conversations = select(CONVERSATIONS.c.id).where(*mine(CONVERSATIONS))
    connection.execute(delete(ITEMS).where(ITEMS.c.conversation.in_(conversations)))
    return sum(connection.execute(delete(table).where(*mine(table))).rowcount for table in (TURNS, JOBS, CONVERSATIONS))
