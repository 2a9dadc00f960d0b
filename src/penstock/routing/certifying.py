"""Certification: from a task's evidence to a policy that serves, or to words that say why there is none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from sqlalchemy import Connection

from penstock.kernel.errors import Conflict, PenstockError
from penstock.kernel.ids import new_id
from penstock.kernel.tasks import Task
from penstock.routing import store
from penstock.routing.evidence import Gathering, Material
from penstock.routing.policy import Policy, claim_of
from penstock.routing.series import Attempt, next_attempt
from penstock.routing.settings import RoutingSettings
from penstock.storage.records import Records

_log = logging.getLogger("penstock.routing")
GIVEN_UP_SECONDS = 1800.0
"""After which a policy that is still being fitted belongs to a process that died."""


class Certifying:
    """Certifies in the background, one task at a time each. ``refresh`` lets this process act on what was committed."""

    def __init__(
        self,
        records: Records,
        gathering: Gathering,
        settings: RoutingSettings,
        refresh: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._gathering = gathering
        self._settings = settings
        self._refresh = refresh
        self._clock = clock
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def begin(self, task: Task, by: str) -> Policy:
        """Make the task's next policy, which is being fitted when this returns. Raises `Conflict` while another is, or without a floor."""
        key = (task.organisation, task.name)
        if task.floor is None:
            raise Conflict(f"the task {task.name!r} states no floor, so there is nothing to certify", code="no_floor")
        now = self._clock()

        def work(connection: Connection) -> Policy:
            last = store.of_task(connection, *key, limit=1)
            if last and last[0].state == "fitting" and now - last[0].created_at < GIVEN_UP_SECONDS:
                raise Conflict(f"policy {last[0].number} of {task.name!r} is being fitted; wait for it", code="being_fitted")
            number = store.next_number(connection, *key)
            made = Policy(
                id=new_id("policy"), organisation=key[0], task=key[1], number=number, state="fitting", created_at=now, by=by, changed_at=now
            )
            store.add(connection, made)
            return made

        policy = await self._records.write(work)
        running = self._running[key] = asyncio.create_task(self._run(policy, task), name=f"certifying {task.name}")
        running.add_done_callback(lambda done: self._running.pop(key, None) if self._running.get(key) is done else None)
        return policy

    async def wait(self, task: Task) -> None:
        """Until nothing is being certified for the task here."""
        running = self._running.get((task.organisation, task.name))
        if running is not None:
            await asyncio.shield(running)

    async def stop(self) -> None:
        """Give up what runs; it is marked as failed."""
        running = [*self._running.values()]
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, policy: Policy, task: Task) -> None:
        try:
            done, arrays = await self._certified(policy, task)
        except asyncio.CancelledError:
            await self._put(msgspec.structs.replace(policy, state="failed", why="the process that fitted it was stopped"), None)
            raise
        except PenstockError as fault:
            done, arrays = msgspec.structs.replace(policy, state="failed", claim=claim_of(task), why=fault.message), None
        except Exception as fault:  # a fault of ours must not leave the policy "fitting" for ever; the log has its trace
            _log.exception("a policy could not be fitted", extra={"policy": policy.id, "task": task.name})
            said = f"a fault of Penstock's ({type(fault).__name__}); the log has it under {policy.id}"
            done, arrays = msgspec.structs.replace(policy, state="failed", claim=claim_of(task), why=said), None
        await self._put(done, arrays)
        how = {"policy": done.id, "task": done.task, "state": done.state, "kind": done.kind, "labels": done.labels, "why": done.why}
        _log.info("certification ended", extra=how)

    async def _put(self, policy: Policy, arrays: bytes | None) -> None:
        now = self._clock()
        policy = msgspec.structs.replace(policy, changed_at=now)

        def work(connection: Connection) -> None:
            if store.next_number(connection, policy.organisation, policy.task) > policy.number + 1:
                # It was given up, and the next attempt has its share of the confidence by now: what this one claims would be one too many.
                said = f"it took longer than {GIVEN_UP_SECONDS / 60:g} minutes, and another attempt was begun meanwhile"
                store.put(connection, msgspec.structs.replace(policy, state="failed", why=said))
                store.bump(connection)
                return
            if policy.state == "active":
                for old in store.serving(connection, policy.organisation, policy.task):
                    said = f"policy {policy.number} took its place"
                    store.put(connection, msgspec.structs.replace(old, state="superseded", changed_at=now, changed_why=said))
            store.put(connection, policy, arrays)
            store.bump(connection)

        await self._records.write(work)
        await self._refresh()

    async def _certified(self, policy: Policy, task: Task) -> tuple[Policy, bytes | None]:
        def history(connection: Connection) -> list[Policy]:
            return store.of_task(connection, task.organisation, task.name, limit=1000)

        assert task.floor is not None
        before = [one for one in await self._records.read(history) if one.id != policy.id]
        attempt = next_attempt(before, claim_of(task), task.candidates, task.floor.confidence)
        again, packed = attempt.again, None
        if again is not None and again.frozen is not None:
            packed = await self._records.read(lambda c: store.arrays(c, again.id))
            material = await self._gathering.gather(task, again.frozen.candidates)
        else:
            material = await self._gathering.gather(task)
        # Minutes of a core at worst, and numpy lets go of the interpreter while it works.
        return await asyncio.to_thread(_tried, policy, material, attempt, packed, self._settings)


def _tried(
    policy: Policy, material: Material, attempt: Attempt, packed: bytes | None, settings: RoutingSettings
) -> tuple[Policy, bytes | None]:
    from penstock.routing.trial import tried  # numpy, of the extra `local`; `gather` has said so where it is missing

    return tried(policy, material, attempt, packed, settings)


def shown(policies: Sequence[Policy], now: float) -> list[Policy]:
    """Policies as they are told: one whose process died while it fitted has failed."""
    return [
        msgspec.structs.replace(one, state="failed", why="the process that fitted it has ended; ask again")
        if one.state == "fitting" and now - one.created_at > GIVEN_UP_SECONDS
        else one
        for one in policies
    ]
