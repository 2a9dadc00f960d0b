"""What may be done with webhooks: subscriptions of other programs to events, made over the API or the console."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection

from penstock.alerts import check, hooks
from penstock.alerts.announce import KINDS, Fact, tell
from penstock.alerts.guard import check_url
from penstock.alerts.hooks import Hook
from penstock.alerts.settings import AlertSettings
from penstock.alerts.signing import derived
from penstock.alerts.targets import HOOK, Targets
from penstock.kernel.errors import Conflict, NotFound, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.storage.records import Records

MOST = 50
"""Webhooks of one organisation."""


class Subscribing:
    """Webhooks, for routes and pages."""

    def __init__(
        self,
        records: Records,
        targets: Targets,
        settings: AlertSettings,
        *,
        home: Callable[[], str],
        master: Callable[[], bytes],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._targets = targets
        self._settings = settings
        self._home = home
        self._master = master
        self._clock = clock

    async def listed(self, actor: Principal) -> list[Hook]:
        """Webhooks within reach."""
        return await self._records.read(lambda c: hooks.listed(c, actor.reach))

    async def one(self, actor: Principal, id: str) -> Hook:
        """One webhook. Raises `NotFound`."""
        return await self._records.read(lambda c: _there(hooks.one(c, id), actor, id))

    async def create(self, actor: Principal, url: str, events: Sequence[str], *, everywhere: bool = False) -> tuple[Hook, str]:
        """Subscribe an address; and the secret that signs what goes there, which can be had again only by changing it."""
        check.everywhere(actor, everywhere)
        hook = Hook(
            id=new_id("hook"),
            organisation=actor.organisation,
            url=url.strip(),
            events=_events(events),
            everywhere=everywhere,
            created_at=self._clock(),
            created_by=actor.key_id,
        )
        self._check(hook)

        def work(connection: Connection) -> None:
            if len(hooks.listed(connection, hook.organisation)) >= MOST:
                raise RequestError(f"an organisation has at most {MOST} webhooks", param="url")
            hooks.put(connection, hook)

        await self._records.write(work)
        return hook, derived(self._master(), hook.id, hook.turn)

    async def change(
        self, actor: Principal, id: str, *, url: str | None = None, events: Sequence[str] | None = None, enabled: bool | None = None
    ) -> Hook:
        """Change what is given."""

        def work(connection: Connection) -> Hook:
            before = _there(hooks.one(connection, id), actor, id)
            after = msgspec.structs.replace(
                before,
                url=before.url if url is None else url.strip(),
                events=before.events if events is None else _events(events),
                enabled=before.enabled if enabled is None else enabled,
                why_off="" if enabled else before.why_off,
            )
            self._check(after)
            hooks.put(connection, after)
            return after

        return await self._records.write(work)

    async def rotate(self, actor: Principal, id: str) -> str:
        """Another secret, in force at once."""

        def work(connection: Connection) -> Hook:
            before = _there(hooks.one(connection, id), actor, id)
            after = msgspec.structs.replace(before, turn=before.turn + 1)
            hooks.put(connection, after)
            return after

        hook = await self._records.write(work)
        return derived(self._master(), hook.id, hook.turn)

    async def delete(self, actor: Principal, id: str) -> None:
        """Unsubscribe; what waits for it is given up."""

        def work(connection: Connection) -> None:
            hooks.drop(connection, _there(hooks.one(connection, id), actor, id).id)

        await self._records.write(work)

    async def test(self, actor: Principal, id: str) -> str:
        """Put an event in the outbox that says only that it is a test; the id of its delivery."""
        key, now = new_id("event"), self._clock()

        def work(connection: Connection) -> None:
            hook = _there(hooks.one(connection, id), actor, id)
            if not hook.enabled:
                raise Conflict("this webhook is switched off")
            fact = Fact("penstock.webhook.test", hook.organisation, hook.id, key, {"text": f"A test by {actor.name}."})
            tell(connection, self._targets, fact, self._settings.public_url, now, only=HOOK + hook.id)

        await self._records.write(work)
        return f"{key}.{HOOK}{id}"

    def _check(self, hook: Hook) -> None:
        check_url(hook.url, private=hook.organisation == self._home() or self._settings.private_addresses)


def _events(given: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(one.strip() for one in given if one.strip()))
    if not found:
        raise RequestError("events: name one type at least; penstock.* is all of them", param="events")
    for one in found:
        if not any(kind == one or (one.endswith("*") and kind.startswith(one[:-1])) for kind in KINDS):
            raise RequestError(f"events: there is no type {one[:60]!r}; there are {', '.join(KINDS)}", param="events")
    return found


def _there(found: Hook | None, actor: Principal, id: str) -> Hook:
    if found is None or actor.reach not in (None, found.organisation):
        raise NotFound(f"there is no webhook {id[:60]!r}")
    return found
