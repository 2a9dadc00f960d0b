"""The tasks in memory: those of the settings, and what was last read of those that organisations declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from penstock.kernel.tasks import Task


class Known:
    """`Tasks`. Knows no task before the first `apply`."""

    def __init__(self) -> None:
        self.version = 0
        self._shared: dict[str, Task] = {}
        self._own: dict[tuple[str, str], Task] = {}
        self._of: dict[str, tuple[Task, ...]] = {}

    def apply(self, shared: Mapping[str, Task], own: Iterable[Task]) -> bool:
        """Take in all that there are; whether anything has changed."""
        fresh = {(task.organisation, task.name): task for task in own}
        if self.version and fresh == self._own and shared == self._shared:
            return False
        self._shared, self._own, self._of = dict(shared), fresh, {}
        self.version += 1
        return True

    def find(self, organisation: str, name: str) -> Task | None:
        """See `Tasks.find`."""
        return self._own.get((organisation, name)) or self._shared.get(name)

    def all(self, organisation: str | None = None) -> Sequence[Task]:
        """See `Tasks.all`."""
        if organisation is None:
            return sorted((*self._shared.values(), *self._own.values()), key=lambda task: (task.name, task.organisation))
        found = self._of.get(organisation)
        if found is None:
            names = {*self._shared, *(name for whose, name in self._own if whose == organisation)}
            found = self._of[organisation] = tuple(task for name in sorted(names) if (task := self.find(organisation, name)) is not None)
        return found
