"""Keeps the tasks in memory fresh: looks for changes that this or another process committed, at least once a second."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from sqlalchemy import Connection

from penstock.kernel.events import Events
from penstock.kernel.ports import Metric
from penstock.kernel.tasks import Task, TasksChanged
from penstock.storage.freshness import Freshness
from penstock.storage.records import Records
from penstock.tasks import store
from penstock.tasks.declaration import task_of
from penstock.tasks.memory import Known
from penstock.tasks.model import Kept


class Refresh:
    """A service. While the database does not answer, what is in memory holds, and its age is measured.

    ``shared`` gives the tasks of the settings, and raises `SettingsError` for those that cannot be. They belong to the organisation that
    ``home`` names, which a new installation gets only after its start, so they are asked for again when that changes.
    """

    name = "tasks"

    def __init__(
        self,
        records: Records,
        known: Known,
        shared: Callable[[], Mapping[str, Task]],
        home: Callable[[], str],
        events: Events,
        seconds: float,
    ) -> None:
        self._records = records
        self._known = known
        self._ask = shared
        self._home = home
        self._shared: Mapping[str, Task] = {}
        self._whose = ""
        self._events = events
        self._seen = -1
        self.kept: dict[tuple[str, str], Kept] = {}
        """The tasks that organisations declared, as they are stored, by organisation and name."""
        self.unread = 0
        self._fresh = Freshness(
            self.name,
            self._look,
            seconds,
            logger=logging.getLogger("penstock.tasks"),
            failing="tasks cannot be refreshed, what is in memory holds",
            again="tasks are refreshed again",
        )
        self.now = self._fresh.now

    async def start(self) -> None:
        """Load every task. Raises `SettingsError` for faults of those in the settings, `StorageError` when the database is not there."""
        self._whose, self._shared = self._home(), self._ask()
        await self._fresh.start()

    async def stop(self) -> None:
        await self._fresh.stop()

    def metrics(self) -> Iterable[Metric]:
        age = "Seconds since changes of tasks were last looked for successfully; a task changed elsewhere is not seen in the meantime."
        yield Metric(name="penstock_tasks_age_seconds", help=age, kind="gauge", samples=(({}, self._fresh.age),))
        many = (({"from": "settings"}, len(self._shared)), ({"from": "api"}, len(self.kept)))
        yield Metric(name="penstock_tasks", help="Tasks that are declared.", kind="gauge", samples=many)
        unread = "Stored tasks that this version cannot read; calls for them are refused as for unknown ones."
        yield Metric(name="penstock_tasks_unreadable", help=unread, kind="gauge", samples=(({}, self.unread),))

    async def _look(self) -> None:
        if self._whose != self._home():
            self._whose, self._shared, self._seen = self._home(), self._ask(), -1
        seen = self._seen

        def work(connection: Connection) -> tuple[int, tuple[list[Kept], list[str]] | None]:
            counted = store.counted(connection)
            return counted, None if counted == seen else store.all_kept(connection)

        counted, found = await self._records.read(work)
        if found is None:
            return
        kept, unread = found
        self.kept, self.unread = {(one.organisation, one.name): one for one in kept}, len(unread)
        changed = self._known.apply(self._shared, [task_of(one.organisation, one.name, one.declaration) for one in kept])
        self._seen = counted
        if changed:
            self._events.publish(TasksChanged())
