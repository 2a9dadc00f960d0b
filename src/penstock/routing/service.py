"""The service of routing: policies told, begun, suspended; what candidates, routers and cascades cost and are worth."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from penstock.kernel.errors import Conflict, Forbidden, NotFound, Unavailable
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import Task, Tasks
from penstock.routing import store
from penstock.routing.certifying import Certifying, shown
from penstock.routing.memory import Policies
from penstock.routing.policy import Policy
from penstock.storage.records import Records


class RoutingOf:
    """Who may see and do what with the policies of tasks. Tasks and their policies belong to one organisation."""

    def __init__(
        self,
        records: Records,
        policies: Policies,
        certifying: Certifying,
        tasks: Callable[[], Tasks | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._policies = policies
        self._certifying = certifying
        self._tasks = tasks
        self._clock = clock

    def task(self, reader: Principal, name: str) -> Task:
        """The reader's task. Raises `NotFound`, and `Forbidden` for one that the organisation running the installation declares for all."""
        tasks = self._tasks()
        if tasks is None:
            raise Unavailable("there are no tasks here: the room that declares them is missing")
        task = tasks.find(reader.organisation, name)
        if task is None:
            raise NotFound(f"no task named {name[:200]!r}; GET /v1/tasks lists them")
        if reader.reach not in (None, task.organisation):
            raise Forbidden(f"the task {name!r} is declared by the organisation that runs the installation, and so are its policies")
        return task

    async def policies(self, reader: Principal, name: str) -> list[Policy]:
        """The task's policies, newest first."""
        task = self.task(reader, name)
        found = await self._records.read(lambda c: store.of_task(c, task.organisation, task.name))
        return shown(found, self._clock())

    async def policy(self, reader: Principal, name: str, id: str) -> Policy:
        """One policy, by its id or its number. Raises `NotFound`."""
        for found in await self.policies(reader, name):
            if found.id == id or str(found.number) == id:
                return found
        raise NotFound(f"the task {name!r} has no policy {id[:100]!r}")

    async def certify(self, actor: Principal, name: str) -> Policy:
        """Begin to certify; the policy is ``fitting`` until it is done. Raises `Conflict` while another one is, or without a floor."""
        return await self._certifying.begin(self.task(actor, name), actor.key_id)

    async def suspend(self, actor: Principal, name: str, id: str, why: str) -> Policy:
        """Suspend an active policy: the default serves until something is certified anew. Raises `Conflict` for one that is not active."""
        policy = await self.policy(actor, name, id)
        if not await suspend(self._records, self._policies, policy.id, why, self._clock()):
            said = f"policy {policy.number} of {name!r} is {policy.state}, and only an active one can be suspended"
            raise Conflict(said, code="not_active")
        return await self.policy(actor, name, policy.id)


async def suspend(records: Records, policies: Policies, id: str, why: str, now: float) -> bool:
    """Suspend a policy if it is active; when this returns, this process acts on it, and others do within a second."""

    def work(connection: Connection) -> bool:
        policy = store.one(connection, id)
        if policy is None or policy.state != "active":
            return False
        store.put(connection, msgspec.structs.replace(policy, state="suspended", changed_at=now, changed_why=why))
        store.bump(connection)
        return True

    done = await records.write(work)
    await policies.fresh.now()
    return done
