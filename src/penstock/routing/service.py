"""The service of routing: policies told, begun, suspended; what candidates, routers and cascades cost and are worth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

import msgspec
from sqlalchemy import Connection

from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError, Unavailable
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import Floor, Task, Tasks
from penstock.routing import store
from penstock.routing.binding import Bound, seen
from penstock.routing.certifying import Certifying, shown
from penstock.routing.evidence import Gathering
from penstock.routing.memory import Policies
from penstock.routing.policy import VERSION, WATCH, Policy, claim_of
from penstock.routing.recertifying import Recertifying, Waiting
from penstock.routing.settings import RoutingSettings
from penstock.routing.views import Frontier, WhatIf
from penstock.storage.records import Records


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is other than the task declares; or the id or number of a stored ``policy`` to replay as it is."""

    floor: Floor | None = None
    candidates: tuple[str, ...] | None = None
    mode: Literal["default", "route", "cascade"] | None = None
    policy: str | None = None


class RoutingOf:
    """Who may see and do what with the policies of tasks. Tasks and their policies belong to one organisation."""

    def __init__(
        self,
        records: Records,
        policies: Policies,
        certifying: Certifying,
        gathering: Gathering,
        settings: RoutingSettings,
        tasks: Callable[[], Tasks | None],
        again: Recertifying | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._policies = policies
        self._certifying = certifying
        self._gathering = gathering
        self._settings = settings
        self._tasks = tasks
        self._again = again
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

    def outlook(self, reader: Principal, name: str) -> tuple[Task, Waiting | None]:
        """The task, and how far off its next attempt of its own accord is, as far as this process knows."""
        task = self.task(reader, name)
        return task, self._again.waiting.get((task.organisation, task.name)) if self._again is not None else None

    async def left(self, policy: Policy) -> float | None:
        """The least share of the kept evidence that any process which watches a policy can still bet with; None where none has said."""
        found = await self._records.read(lambda c: store.watches(c, policy.id))
        return min((one.unspent for one in found if one.unspent is not None), default=None)

    async def policy(self, reader: Principal, name: str, id: str) -> Policy:
        """One policy, by its id or its number. Raises `NotFound`."""
        for found in await self.policies(reader, name):
            if found.id == id or str(found.number) == id:
                return found
        raise NotFound(f"the task {name!r} has no policy {id[:100]!r}")

    async def certify(self, actor: Principal, name: str) -> Policy:
        """Begin to certify; the policy is ``fitting`` until it is done. Raises `Conflict` while another one is, or without a floor."""
        return await self._certifying.begin(self.task(actor, name), actor.key_id)

    async def frontier(self, reader: Principal, name: str) -> Frontier:
        """What the task's candidates, routers and cascades cost and are worth. Raises what `Gathering.gather` raises."""
        task = self.task(reader, name)
        material = await self._gathering.gather(task)
        live = self._policies.of(task)
        policy = live.policy if live is not None and live.unusable(task, claim_of(task), self._gathering.models(task)) is None else None
        from penstock.routing.frontier import frontier  # numpy, of the extra `local`; `gather` has said so where it is missing

        return await asyncio.to_thread(frontier, material, policy, self._settings)

    async def what_if(self, reader: Principal, name: str, change: Change) -> WhatIf:
        """What another floor, other candidates or another policy would do. Raises `NotFound`, and what `Gathering.gather` raises."""
        task = self.task(reader, name)
        try:
            floor = change.floor or task.floor
            changed = msgspec.structs.replace(
                task, floor=floor, candidates=change.candidates or task.candidates, mode=change.mode or task.mode
            )
        except ValueError as fault:
            raise RequestError(str(fault), param="floor") from fault
        given, packed = None, None
        if change.policy is not None:
            given = await self.policy(reader, name, change.policy)
            if given.kind is None:
                raise Conflict(f"policy {given.number} has certified nothing, so there is nothing to replay", code="not_active")
            packed = await self._records.read(lambda c, id=given.id: store.arrays(c, id))
        material = await self._gathering.gather(changed, given.candidates if given is not None else None, traffic=True)
        now = self._clock()
        shell = Policy(id="", organisation=task.organisation, task=task.name, number=0, state="fitting", created_at=now, by=reader.key_id)
        from penstock.routing.whatif import what_if

        return await asyncio.to_thread(what_if, material, shell, given, packed, self._settings)

    async def suspend(self, actor: Principal, name: str, id: str, why: str) -> Policy:
        """Suspend an active policy: the default serves until something is certified anew; or say so of one that the watch has suspended, or
        whose models are others now, so that it is not certified again until a person asks. Raises `Conflict` for any other."""
        policy = await self.policy(actor, name, id)
        if not await suspend(self._records, self._policies, policy.id, why, self._clock(), actor.key_id):
            said = f"policy {policy.number} of {name!r} is {policy.state}; only what is active, or no person has suspended yet, can be"
            raise Conflict(said, code="not_active")
        return await self.policy(actor, name, policy.id)


async def suspend(records: Records, policies: Policies, id: str, why: str, now: float, by: str) -> bool:
    """Suspend a policy if it is active, or suspended by nobody; when this returns, this process acts on it, and others do within a second.

    One that the watch has suspended, and whose models are others now (`VERSION`), is suspended once more: labels count from then on. So is
    one that either of them has suspended, by a person, whose word it takes from then on to certify again.
    """

    def work(connection: Connection) -> bool:
        policy = store.one(connection, id)
        over = {WATCH: (), VERSION: (WATCH,)}.get(by, (WATCH, VERSION))
        if policy is None or not (policy.state == "active" or (policy.state == "suspended" and policy.changed_by in over)):
            return False
        store.put(connection, msgspec.structs.replace(policy, state="suspended", changed_at=now, changed_why=why, changed_by=by))
        store.bump(connection)
        return True

    done = await records.write(work)
    await policies.fresh.now()
    return done


async def bind(records: Records, policies: Policies, id: str, models: Bound) -> None:
    """Write down where names of a policy lead: of names that it says nothing of, or that had no registered version."""

    def work(connection: Connection) -> None:
        policy = store.one(connection, id)
        if policy is None or policy.state not in ("active", "suspended"):
            return
        found = {name: models[name] for name in seen(policy, models) if name in models}
        if not found:
            return  # another process was faster
        presumed = tuple(dict.fromkeys([*policy.presumed, *(name for name in found if name not in policy.models)]))
        store.put(connection, msgspec.structs.replace(policy, models={**policy.models, **found}, presumed=presumed))
        store.bump(connection)

    await records.write(work)
    await policies.fresh.now()
