"""What may be done with tasks, by whom, and what the trail says of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from penstock.kernel.candidates import Candidates
from penstock.kernel.errors import Conflict, Forbidden, NotFound
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import Task
from penstock.storage.records import Records
from penstock.tasks import store
from penstock.tasks.declaration import Declaration, task_of
from penstock.tasks.memory import Known
from penstock.tasks.model import Entry, Kept, TaskView
from penstock.tasks.refresh import Refresh
from penstock.tasks.validation import Invalid, faults, misfits

_MORE_THAN_ENOUGH = 1_000_000


class TaskService:
    """Tasks and their changes. Every change is one transaction with its line in the audit trail, and this process acts on it before the
    caller is answered.

    ``settings`` are the declarations of the shared tasks.
    """

    def __init__(
        self,
        records: Records,
        known: Known,
        refresh: Refresh,
        settings: Mapping[str, Declaration],
        candidates: Callable[[], Candidates | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._known = known
        self._refresh = refresh
        self._settings = settings
        self._candidates = candidates
        self._clock = clock

    # ---- reading

    def list(self, actor: Principal) -> list[TaskView]:
        """Every task that the actor's organisation finds, or every one there is for administrators of the installation; by name."""
        return [self._view(task) for task in self._known.all(actor.reach)]

    def task(self, actor: Principal, name: str, organisation: str | None = None) -> Task:
        """The task that the organisation finds under this name. Raises `NotFound`, `Forbidden` for another organisation's."""
        whose = _whose(actor, organisation)
        found = self._known.find(whose, name)
        if found is None:
            raise NotFound(f"there is no task {name[:130]!r}; GET /v1/tasks lists them")
        return found

    def get(self, actor: Principal, name: str, organisation: str | None = None) -> TaskView:
        """That task as it is shown. Raises as `task`."""
        return self._view(self.task(actor, name, organisation))

    async def trail(self, actor: Principal, name: str | None, after: int, limit: int) -> list[Entry]:
        """Lines of the organisation's audit trail, oldest first."""
        return await self._records.read(lambda c: store.trail(c, actor.organisation, name, after, limit))

    async def first_broken(self, actor: Principal) -> int | None:
        """The first line of the organisation's trail that was changed, or behind one that was taken out; None when all is whole."""
        return store.broken(await self._records.read(lambda c: store.trail(c, actor.organisation, None, 0, _MORE_THAN_ENOUGH)))

    # ---- changing

    async def create(self, actor: Principal, name: str, told: Declaration) -> TaskView:
        """A new task of the actor's organisation. Raises `RequestError` (``task_invalid``) and `Conflict`."""
        self._free(name)
        self._check(actor.organisation, name, told)
        now = self._clock()
        made = Kept(
            id=new_id("task"),
            organisation=actor.organisation,
            name=name,
            declaration=told,
            created_at=now,
            created_by=actor.key_id,
            changed_at=now,
            changed_by=actor.key_id,
        )

        def work(connection: Connection) -> None:
            store.add(connection, made)
            self._note(connection, actor, name, "created", _changes({}, _said(told)), now)

        try:
            await self._records.write(work)
        except Conflict as fault:
            raise Conflict(f"name: there is a task {name!r} already; replace it with PUT /v1/tasks/{name}", param="name") from fault
        await self._refresh.now()
        return self.get(actor, name, actor.organisation)

    async def replace(self, actor: Principal, name: str, told: Declaration, digest: str) -> TaskView:
        """Declare the task anew. Raises `NotFound`, `RequestError`, and `Conflict` (``task_changed``) when it is not as ``digest`` says."""
        self._changeable(actor, name)
        self._check(actor.organisation, name, told)
        now = self._clock()

        def work(connection: Connection) -> None:
            old = _as_it_was(store.one(connection, actor.organisation, name), name, digest)
            changes = _changes(_said(old.declaration), _said(told))
            if changes:
                store.put(connection, msgspec.structs.replace(old, declaration=told, changed_at=now, changed_by=actor.key_id))
                self._note(connection, actor, name, "replaced", changes, now)

        await self._records.write(work)
        await self._refresh.now()
        return self.get(actor, name, actor.organisation)

    async def delete(self, actor: Principal, name: str, digest: str) -> None:
        """Delete the task; calls for it are refused from then on. Raises `NotFound` and `Conflict` as `replace` does."""
        self._changeable(actor, name)
        now = self._clock()

        def work(connection: Connection) -> None:
            old = _as_it_was(store.one(connection, actor.organisation, name), name, digest)
            store.remove(connection, old.id)
            self._note(connection, actor, name, "deleted", _changes(_said(old.declaration), {}), now)

        await self._records.write(work)
        await self._refresh.now()

    # ---- how

    def _view(self, task: Task) -> TaskView:
        if task.shared:
            declared = self._settings[task.name]
            return TaskView(name=task.name, organisation=task.organisation, shared=True, digest=task.digest, declaration=declared)
        kept = self._refresh.kept[task.organisation, task.name]
        return TaskView(
            name=kept.name,
            organisation=kept.organisation,
            shared=False,
            digest=task.digest,
            declaration=kept.declaration,
            created_at=kept.created_at,
            created_by=kept.created_by,
            changed_at=kept.changed_at,
            changed_by=kept.changed_by,
        )

    def _free(self, name: str) -> None:
        if name in self._settings:
            raise Conflict(f"name: the settings declare a task {name!r} for every organisation", code="task_in_settings", param="name")

    def _changeable(self, actor: Principal, name: str) -> None:
        if (actor.organisation, name) not in self._refresh.kept:
            if name in self._settings:
                raise Conflict(f"the task {name!r} stands in the settings; change it there", code="task_in_settings", param="name")
            raise NotFound(f"there is no task {name[:130]!r} of your organisation; GET /v1/tasks lists them")

    def _check(self, organisation: str, name: str, told: Declaration) -> None:
        found = list(faults(name, told))
        candidates = self._candidates()
        if not found and candidates is not None:
            found = list(misfits(organisation, name, told, candidates))
        if found:
            raise Invalid(found)

    @staticmethod
    def _note(connection: Connection, actor: Principal, name: str, action: str, changes: dict[str, tuple[Any, Any]], now: float) -> None:
        store.bump(connection)
        store.note(
            connection,
            Entry(
                id=0,
                organisation=actor.organisation,
                task=name,
                action=action,
                changes=changes,
                by=actor.key_id,
                person=actor.person,
                at=now,
                digest="",
            ),
        )


def _whose(actor: Principal, organisation: str | None) -> str:
    if organisation is not None and actor.reach not in (None, organisation):
        raise Forbidden("only administrators of the installation see the tasks of others", param="organisation")
    return organisation or actor.organisation


def _as_it_was(found: Kept | None, name: str, digest: str) -> Kept:
    if found is None:
        raise NotFound(f"there is no task {name[:130]!r} any more")
    now = task_of(found.organisation, found.name, found.declaration).digest
    if now != digest:
        said = f"the task {name!r} is {now} now, and you know {digest[:64]!r}: somebody changed it; look at it and ask again"
        raise Conflict(said, code="task_changed", param="digest")
    return found


def _said(told: Declaration) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(told)
    return found


def _changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    plain = {field.name: msgspec.to_builtins(field.default) for field in msgspec.structs.fields(Declaration) if not field.required}
    fields = {**before, **after}
    return {
        name: (before.get(name), after.get(name))
        for name in fields
        if before.get(name, plain.get(name)) != after.get(name, plain.get(name))
    }
