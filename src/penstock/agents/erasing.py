"""What agents keep of a person, taken away when the person is erased: runs that worked for them, what
these did and asked, what they said to what others asked. Schedules, consents, threads and memory are erased where they are kept.

Who agreed to what stays: the line on the trail, the vote, the policy in force and its note. They name people by their ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from sqlalchemy import Connection, delete, update

from penstock.agents.inbox import store
from penstock.agents.tables import EFFECTS, SENT, WAITS
from penstock.kernel.errors import JournalNotInstalled, NotFound
from penstock.kernel.journal import ENDED, Journal
from penstock.storage.records import Records

KINDS = ("agent", "workflow")
PIECE = 200


class PersonalRequests:
    """Requests of the inbox; implements `penstock.kernel.ports.PersonalRecords`."""

    name = "inbox"

    def __init__(self, records: Records, journal: Callable[[], Journal]) -> None:
        self._records = records
        self._journal = journal

    async def erase(self, organisation: str, person: str) -> int:
        """Take away requests of runs that worked for the person, once these have ended, and the person's own words in all others: notes
        and answers. How many there were of both. Requests of runs that go on stay until these end, or nobody could answer them."""
        asked = await self._records.read(lambda connection: store.working_for(connection, organisation, person))
        over = [request for request, run in asked if not await self._goes_on(run)]

        def write(connection: Connection) -> int:
            return store.drop(connection, over) + store.unsay(connection, organisation, person)

        return await self._records.write(write)

    async def _goes_on(self, run: str) -> bool:
        try:
            return (await self._journal().get(None, run)).state not in ENDED
        except (NotFound, JournalNotInstalled):
            return False


class PersonalRuns:
    """The runs themselves; implements `penstock.kernel.ports.PersonalRecords`."""

    name = "runs"

    def __init__(self, records: Records, journal: Callable[[], Journal]) -> None:
        self._records = records
        self._journal = journal

    async def erase(self, organisation: str, person: str) -> int:
        """Take away the runs of agents and workflows that worked for the person and have ended, with all that they were given and gave,
        and what their tools returned; how many runs. That a call is in doubt, which somebody has to settle yet, stays without its words."""

        def mine(name: str, given: Any) -> bool:
            return name.partition("/")[0] in KINDS and isinstance(given, dict) and cast("dict[str, Any]", given).get("person") == person

        try:
            runs = await self._journal().whose(organisation, mine)
            for start in range(0, len(runs), PIECE):
                piece = runs[start : start + PIECE]
                await self._records.write(lambda connection, piece=piece: _forget(connection, piece))
            if runs:  # last: while they are in the journal, whoever asks again finds what is left of them
                await self._journal().remove(organisation, runs)
        except JournalNotInstalled:  # nobody here has ever worked on a run
            return 0
        return len(runs)


def _forget(connection: Connection, runs: Sequence[str]) -> None:
    connection.execute(delete(SENT).where(SENT.c.run.in_(runs)))
    connection.execute(delete(WAITS).where(WAITS.c.run.in_(runs)))
    connection.execute(delete(EFFECTS).where(EFFECTS.c.run.in_(runs), EFFECTS.c.state.in_(("done", "failed"))))
    connection.execute(update(EFFECTS).where(EFFECTS.c.run.in_(runs)).values(outcome=None))
    store.drop(connection, store.of_runs(connection, runs))
