"""The inbox: requests, the policies that make them, who stands in for whom, and what the house is told of it all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection

from penstock.agents.asking import Asking
from penstock.agents.inbox import policy as policies
from penstock.agents.inbox import store, who
from penstock.agents.inbox.consent import Consent
from penstock.agents.inbox.gate import Gate
from penstock.agents.inbox.model import ANYONE, Delegation, Proposal, Request, RequestState, TrailLine
from penstock.agents.inbox.notices import Notices
from penstock.agents.inbox.policies import Policies
from penstock.agents.inbox.policy import Asked, Policy, PolicyVersion
from penstock.agents.inbox.requests import Requests
from penstock.agents.inbox.settings import InboxSettings
from penstock.agents.inbox.validators import Begin, Validators
from penstock.kernel.agents import AgentRequest
from penstock.kernel.errors import Forbidden, JournalUnavailable, NotFound, RequestError, SettingsError
from penstock.kernel.ids import new_id
from penstock.kernel.journal import Journal
from penstock.kernel.ports import Metric
from penstock.kernel.principal import Principal, Scope
from penstock.storage.moment import moment
from penstock.storage.records import Records

FOR_EVER = 315_360_000.0
"""Ten years: for questions whose run waits as long as it takes."""
LONGEST_LOAN = 90 * 86_400.0


class RequestView(Struct, frozen=True, kw_only=True):
    """A request, and whether the reader may answer it: ``why`` not, where not."""

    request: Request
    may: bool
    why: str = ""


class Inbox:
    """Everything about requests to people, on one set of records."""

    def __init__(
        self,
        records: Records,
        settings: InboxSettings,
        journal: Callable[[], Journal],
        *,
        standing: who.Standing,
        begin: Begin,
        environ: Mapping[str, str],
        home: Callable[[], str] = lambda: "",
        name: Callable[[str], str] = lambda id: id,
        clock: Callable[[Connection], float] = moment,
    ) -> None:
        """``standing`` says what a key is worth now. ``name`` is the name behind an id, or the id where nobody knows it. Raises
        `SettingsError` for rules that cannot be."""
        floor = Policy(rules=settings.rules, match=settings.match)
        try:
            policies.check(floor, settings.validators, "agents.inbox")
        except RequestError as fault:
            raise SettingsError(fault.message, param=fault.param) from fault
        self._records = records
        self._settings = settings
        self._name = name
        self._clock = clock
        self._keys = standing
        self._swept = ""
        self._standing: dict[str, tuple[int, float]] = {}
        self.policies = Policies(floor, home)
        self.notices = Notices(records, settings, environ, home=home)
        self.requests = Requests(records, journal, standing, tell=self.notices.tell, clock=clock)
        self.gate = Gate(self.policies, standing, clock=clock)
        self.validators = Validators(settings.validators, begin)

    def consent(self) -> Consent:
        """What one run asks with."""
        return Consent(self.requests, self.validators)

    async def open(self, asking: Asking) -> AgentRequest:
        """Keep a question of a run; implements `penstock.agents.asking.People`."""
        return await self.requests.open(
            run=asking.run,
            ordinal=asking.ordinal,
            organisation=asking.organisation,
            kind="question",
            text=asking.text,
            agent=asking.agent,
            key=asking.key,
            person=asking.person,
            schema=asking.schema,
            to=asking.to or (ANYONE,),
            expires=asking.seconds or FOR_EVER,
        )

    # What people do

    async def view(self, principal: Principal, id: str) -> RequestView:
        """One request as its reader sees it. Raises `NotFound`."""
        return (await self._views(principal, [await self.requests.get(principal, id)]))[0]

    async def list(
        self, principal: Principal, *, state: RequestState | None = None, run: str = "", before: float | None = None, limit: int = 100
    ) -> list[RequestView]:
        """Requests as their reader sees them, the latest first."""
        return await self._views(principal, await self.requests.list(principal, state=state, run=run, before=before, limit=limit))

    async def _views(self, principal: Principal, found: Sequence[Request]) -> list[RequestView]:
        def read(connection: Connection) -> tuple[float, list[Delegation]]:
            now = self._clock(connection)
            lent = store.lent(connection, principal.organisation, now, taker=principal.person) if principal.person else []
            return now, lent

        now, lent = await self._records.read(read)
        whys = [_why_not(one, principal, lent, self._keys, now) for one in found]
        return [RequestView(request=one, may=not why, why=why) for one, why in zip(found, whys, strict=True)]

    async def lend(self, principal: Principal, taker: str, seconds: float) -> Delegation:
        """Let another person agree in one's own place for a time. Raises `Forbidden` and `RequestError`."""
        if not principal.person:
            raise Forbidden("a person lets another one stand in, and the key belongs to none", code="person_needed")
        if taker == principal.person or self._name(taker) == taker:
            raise RequestError("taker: this is no other person of the organisation", param="taker")
        if not 0 < seconds <= LONGEST_LOAN:
            raise RequestError(f"seconds: at most {LONGEST_LOAN:g}", param="seconds")
        giver, team = principal.person, principal.team or ""

        def write(connection: Connection) -> Delegation:
            now = self._clock(connection)
            made = Delegation(
                id=new_id("delegation"),
                organisation=principal.organisation,
                giver=giver,
                taker=taker,
                key=principal.key_id,
                team=team,
                admin=principal.may(Scope.ADMIN),
                created_at=now,
                until=now + seconds,
            )
            store.lend(connection, made)
            store.note(
                connection, made.organisation, made.id, "lent", now, by=principal.key_id, person=giver, taker=taker, until=made.until
            )
            return made

        return await self._records.write(write)

    async def loans(self, principal: Principal) -> list[Delegation]:
        """Who stands in for whom now, in the principal's organisation."""
        return await self._records.read(lambda c: store.lent(c, principal.organisation, self._clock(c)))

    def worth(self, one: Delegation) -> Literal["holds", "less", "nothing"]:
        """Whether a delegation is worth what it was when it was given: the key that gave it may be gone, or may less."""
        return who.worth(one, self._keys)

    async def take_back(self, principal: Principal, id: str) -> None:
        """End a delegation: whoever gave it, or an administrator. Raises `NotFound` and `Forbidden`."""

        def write(connection: Connection) -> None:
            now = self._clock(connection)
            found = next((one for one in store.lent(connection, principal.organisation, now) if one.id == id), None)
            if found is None:
                raise NotFound(f"there is no delegation {id[:100]!r} that holds", param="id")
            if found.giver != principal.person and not principal.may(Scope.ADMIN):
                raise Forbidden("a delegation is ended by who gave it, or by an administrator")
            store.take_back(connection, id, now)
            store.note(connection, found.organisation, id, "taken back", now, by=principal.key_id, person=principal.person or "")

        await self._records.write(write)

    # What security officers do

    async def policy(self, principal: Principal) -> PolicyVersion:
        """The version in force for the principal's organisation; the settings' rules stand beside it."""
        return await self._records.read(lambda c: self.policies.current(c, principal.organisation))

    async def versions(self, principal: Principal) -> list[PolicyVersion]:
        """All versions of the organisation's policy, the latest first."""
        return await self._records.read(lambda c: self.policies.versions(c, principal.organisation))

    async def put(self, principal: Principal, policy: Policy, note: str, after: int) -> PolicyVersion:
        """Put a new version in force. Raises `RequestError` and `Conflict`."""
        policies.check(policy, self._settings.validators)

        def write(connection: Connection) -> PolicyVersion:
            return self.policies.put(
                connection,
                principal.organisation,
                policy,
                after=after,
                note=note,
                by=principal.key_id,
                person=principal.person or "",
                now=self._clock(connection),
            )

        return await self._records.write(write)

    async def needs(self, call: Proposal, draft: Policy | None = None) -> Asked:
        """What a call would need, by the policy in force or by a ``draft`` of one."""
        if draft is not None:
            policies.check(draft, self._settings.validators)
        return await self._records.read(lambda c: self.policies.needs(c, call, draft))

    async def trail(
        self, principal: Principal, subject: str = "", *, before: int | None = None, limit: int = 100
    ) -> tuple[list[TrailLine], int | None]:
        """Lines of the organisation's trail, the newest first, from below the line ``before``; and what is ``before`` for those that are
        older still, None where none are."""

        def read(connection: Connection) -> list[TrailLine]:
            return store.trail(connection, principal.organisation, subject=subject, before=before, limit=limit + 1)

        found = await self._records.read(read)
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    async def broken(self, principal: Principal) -> int | None:
        """The first line of the organisation's whole trail that was changed, or stands behind one that was taken out; None where all is
        whole. Follows it from its beginning."""
        return await self._records.read(lambda connection: store.broken(connection, principal.organisation))

    # What the house does by itself

    async def tell(self) -> None:
        """Tell runs what was answered."""
        while await self.requests.tell() == 100:
            pass

    async def expire(self) -> None:
        """Have requests expire, and go to others."""
        while await self.requests.expire():
            pass

    async def deliver(self) -> None:
        """Send notices."""
        await self.notices.deliver()

    async def sweep(self) -> None:
        """Look after some of the requests whose run may have ended unseen, and count those that are open."""
        with contextlib.suppress(JournalUnavailable):  # whoever works on the journal sees to it
            self._swept = await self.requests.sweep(self._swept)
        self._standing = await self._records.read(store.standing)

    async def forget(self) -> None:
        """Drop what is over and was kept long enough."""
        before = time.time() - self._settings.keep_days * 86_400
        await self.notices.forget(before)
        await self._records.write(lambda c: store.forget(c, before))

    def metrics(self) -> Iterable[Metric]:
        """How many requests are open, and since when the oldest is."""
        now = time.time()
        if self._standing:
            counted: list[tuple[dict[str, str], float]] = [({"kind": k}, float(n)) for k, (n, _) in sorted(self._standing.items())]
            ages: list[tuple[dict[str, str], float]] = [({"kind": k}, max(0.0, now - at)) for k, (_, at) in sorted(self._standing.items())]
            told = "Requests of runs that wait for people or validators."
            yield Metric(name="penstock_agents_requests_open", help=told, kind="gauge", samples=tuple(counted))
            told = "Age of the oldest request that is open."
            yield Metric(name="penstock_agents_requests_oldest_seconds", help=told, kind="gauge", samples=tuple(ages))

    async def faults(self) -> tuple[int, list[str], dict[str, Any]]:
        """For the doctor: notices that were given up, variables that are not set, and what is open."""
        failed = (await self.notices.standing()).get("failed", 0)
        return failed, self.notices.lacks, await self._records.read(store.standing)


def _why_not(one: Request, principal: Principal, lent: Sequence[Delegation], standing: who.Standing, now: float) -> str:
    """Why the reader may not answer; empty where they may."""
    if one.state != "open" or now >= one.expires_at:
        return "it is over"
    if principal.organisation != one.organisation:
        return "it is another organisation's"
    if one.kind == "question":
        asked = who.among(one.to, principal.person or "", principal.team or "", principal.may(Scope.ADMIN))
        return "" if asked or who.own(one, principal) else "it goes to others"
    if who.own(one, principal):
        return "the run is your own"
    if not principal.person:
        return "your key belongs to no person"
    if any(vote.voter == principal.person for vote in one.votes):
        return "you have answered it"
    return "" if who.counts(one, principal, lent, standing, now)[0] else "it goes to others"
