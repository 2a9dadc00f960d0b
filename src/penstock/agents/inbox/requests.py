"""Requests to people and validators: opened by a run, answered once, told to the run however often a process dies in between.

Every change is one transaction with its line on the trail and with the notices that tell of it. That a request has ended is signalled to
its run afterwards; `tell` does it for those whose process died before it could.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from penstock.agents.inbox import store, who
from penstock.agents.inbox.model import ADMINS, Kind, Need, Proposal, Request, RequestState, Vote, request_id
from penstock.agents.tables import EFFECTS, REQUESTS
from penstock.kernel.agents import REQUEST, AgentRequest
from penstock.kernel.errors import Conflict, Forbidden, JournalUnavailable, NotFound, RequestError
from penstock.kernel.journal import ENDED, Journal, forkers
from penstock.kernel.principal import Principal, Scope
from penstock.storage.moment import moment
from penstock.storage.records import Records

WEEK = 604_800.0
Tell = Callable[[Connection, Request, str, float], None]
"""Puts notices of an event of a request into the outbox, within the transaction that makes the event."""


class Decision(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody says to a proposed call. ``digest`` is that of what they saw: another one by now is refused. A note is told to the
    model when the call is rejected."""

    approve: bool
    note: Annotated[str, Meta(max_length=4096)] = ""
    digest: Annotated[str, Meta(max_length=64)] = ""


def topic(id: str) -> str:
    """Under which the run waits for the end of a request."""
    return REQUEST + id


class Requests:
    """The requests, in the records."""

    def __init__(
        self,
        records: Records,
        journal: Callable[[], Journal],
        standing: who.Standing,
        *,
        tell: Tell = lambda connection, request, event, at: None,
        clock: Callable[[Connection], float] = moment,
    ) -> None:
        self._records = records
        self._journal = journal
        self._standing = standing
        self._tell = tell
        self.clock = clock

    async def open(
        self,
        *,
        run: str,
        ordinal: int | str,
        organisation: str,
        kind: Kind,
        text: str,
        agent: str = "",
        key: str = "",
        person: str = "",
        schema: dict[str, Any] | None = None,
        to: Sequence[str] = (ADMINS,),
        expires: float | None = None,
        proposal: Proposal | None = None,
        need: Need | None = None,
        policy: str = "",
    ) -> AgentRequest:
        """Open a request, once for each run, kind and ordinal (a question's number in the run, the key of a call); what is open already, or
        was, is returned as it is. For a step of the run.

        ``key`` and ``person`` are who began the run and who it works for. ``to`` may answer a question, besides them, within ``expires``
        seconds. A ``proposal`` needs what its ``need`` says.
        """
        need = need or Need()
        who.check(to, "to")

        def write(connection: Connection) -> Request:
            id = request_id(run, kind, ordinal)
            kept = store.one(connection, id)
            if kept is not None:
                return kept
            now = self.clock(connection)
            made = Request(
                id=id,
                organisation=organisation,
                run=run,
                kind=kind,
                ordinal=str(ordinal),
                agent=agent,
                text=text,
                state="open",
                key=key,
                person=person,
                opened_at=now,
                expires_at=now + (expires if expires is not None else need.expires if proposal is not None else WEEK),
                proposal=proposal,
                digest=proposal.digest if proposal is not None else "",
                need=need,
                policy=policy,
                schema=schema,
                to=tuple(to),
            )
            store.add(connection, made, _escalates(made, now))
            store.note(connection, organisation, id, "opened", now, by=key, person=person, run=run, digest=made.digest, needs=need.told())
            if not need.validators:  # people are told once the validators have agreed
                self._tell(connection, made, "opened", now)
            return made

        return (await self._records.write(write)).told()

    async def answer(self, principal: Principal, id: str, value: Any) -> Request:
        """Answer a question with a value of its schema, or say yes or no to a call with a `Decision`. Raises `NotFound`, `Forbidden` for
        who may not, `Conflict` for a request that is over or that they have answered, and `RequestError` for what is no answer to it."""

        forked = await forkers(self._journal(), (await self.get(principal, id)).run)

        def write(connection: Connection) -> Request:
            now = self.clock(connection)
            kept = _seen(connection, principal, id)
            if principal.organisation != kept.organisation:
                raise Forbidden("requests are answered by people of their own organisation", code="not_asked")
            if kept.state != "open":
                raise Conflict(f"request {id} is over: it is {kept.state}", code="request_over", param="id")
            if now >= kept.expires_at:
                raise Conflict(f"request {id} has expired", code="request_expired", param="id")
            if kept.kind == "question":
                self._answered(connection, kept, principal, value, now)
            else:
                self._voted(connection, kept, principal, _decision(value), now, forked)
            return _certain(connection, id)

        return await self._and_told(await self._records.write(write))

    async def validated(self, id: str, validator: str, key: str, approve: bool, note: str) -> Request:
        """Keep what a validator says, whose model is asked for another key than the run's; once. For a step of the run."""

        def write(connection: Connection) -> Request:
            now = self.clock(connection)
            kept = _certain(connection, id)
            if kept.state != "open" or any(vote.validator == validator for vote in kept.votes):
                return kept
            if validator not in kept.need.validators or key in ("", kept.key) or validator == kept.agent:
                raise Forbidden(f"{validator} is no validator of this request", code="self_approval")
            said = Vote(voter=f"validator:{validator}", key=key, approve=approve, note=note[:4096], validator=validator, at=now)
            self._count(connection, kept, said, now)
            after = _certain(connection, id)
            if after.state == "open" and {vote.validator for vote in after.votes}.issuperset(after.need.validators):
                self._tell(connection, after, "opened", now)
            return after

        return await self._and_told(await self._records.write(write))

    async def revoke(self, principal: Principal, id: str, note: str) -> Request:
        """Take an approval back before its call has begun: by who gave it, or an administrator. `Conflict` when it is too late."""

        def write(connection: Connection) -> Request:
            now = self.clock(connection)
            kept = _seen(connection, principal, id)
            if principal.organisation != kept.organisation or not (
                principal.may(Scope.ADMIN) or any(vote.voter == principal.person for vote in kept.votes)
            ):
                raise Forbidden("an approval is taken back by who gave it, or by an administrator", code="not_asked")
            if kept.state != "approved" or kept.proposal is None:
                raise Conflict(f"request {id} is no approval that holds: it is {kept.state}", code="request_over", param="id")
            begun = connection.execute(select(EFFECTS.c.state).where(EFFECTS.c.key == kept.proposal.call)).scalar()
            if begun not in (None, "failed"):
                raise Conflict(f"the call has begun: it is {begun}", code="request_over", param="id")
            store.end(connection, id, "approved", "revoked", now, by=principal.person or principal.key_id, note=note[:4096], told=True)
            self._noted(connection, kept, "revoked", now, by=principal.key_id, person=principal.person or "", **_noted_as(id, note[:4096]))
            return _certain(connection, id)

        return await self._records.write(write)

    async def get(self, principal: Principal, id: str) -> Request:
        """One request. Raises `NotFound`."""
        return await self._records.read(lambda connection: _seen(connection, principal, id))

    async def keeps(self, id: str) -> bool:
        """Whether there is, or was, a request of this id."""
        return await self._records.read(lambda connection: store.one(connection, id)) is not None

    async def list(
        self, principal: Principal, *, state: RequestState | None = None, run: str = "", before: float | None = None, limit: int = 100
    ) -> list[Request]:
        """Requests that the principal may see, the latest first."""
        r = REQUESTS.c
        asked = select(REQUESTS).order_by(r.opened_at.desc(), r.id).limit(limit)
        if principal.reach is not None:
            asked = asked.where(r.organisation == principal.reach)
        if state is not None:
            asked = asked.where(r.state == state)
        if run:
            asked = asked.where(r.run == run)
        if before is not None:
            asked = asked.where(r.opened_at < before)
        return await self._records.read(lambda connection: store.several(connection, asked))

    async def tell(self, limit: int = 100) -> int:
        """Signal to runs what was answered and not yet told to them; how many were told: fewer where the journal cannot be reached."""
        r = REQUESTS.c
        asked = select(REQUESTS).where(r.state.in_(("approved", "answered", "rejected")), r.told.is_(False)).limit(limit)
        found = await self._records.read(lambda connection: store.several(connection, asked))
        for number, one in enumerate(found):
            if not await self._told(one):
                return number
        return len(found)

    async def expire(self, limit: int = 200) -> int:
        """Write down which requests have expired, and ask others where that is due; how many there were."""
        r = REQUESTS.c

        def write(connection: Connection) -> int:
            now = self.clock(connection)
            late = store.several(connection, select(REQUESTS).where(r.state == "open", r.expires_at <= now).limit(limit))
            for one in late:
                store.end(connection, one.id, "open", "expired", now, told=True)  # its run's wait ends by itself
                self._noted(connection, one, "expired", now)
            due = store.several(connection, select(REQUESTS).where(r.state == "open", r.escalates_at <= now).limit(limit))
            for one in due:
                store.escalated(connection, one.id, _escalates(one, now))
                self._noted(connection, one, "escalated", now)
            return len(late) + len(due)

        return await self._records.write(write)

    async def close(self, run: str) -> int:
        """A run has ended: nobody needs to answer it any more; how many requests that were."""
        mine = select(REQUESTS).where(REQUESTS.c.run == run, REQUESTS.c.state == "open")
        if not await self._records.read(lambda connection: store.several(connection, mine)):
            return 0

        def write(connection: Connection) -> int:
            now = self.clock(connection)
            found = store.several(connection, mine)
            for one in found:
                store.end(connection, one.id, "open", "closed", now, told=True)
                self._noted(connection, one, "closed", now)
            return len(found)

        return await self._records.write(write)

    async def sweep(self, after: str, limit: int = 50) -> str:
        """Look after some requests from behind the id ``after``: those of runs that ended are closed, those that were closed are open again
        where their run was taken up again. The id to go on from, empty at the end."""
        r = REQUESTS.c
        asked = select(REQUESTS).where(r.state.in_(("open", "closed")), r.id > after).order_by(r.id).limit(limit)
        found = await self._records.read(lambda c: store.several(c, asked.where(r.expires_at > self.clock(c))))
        for one in found:
            try:
                ended = (await self._journal().get(None, one.run)).state in ENDED
            except NotFound:
                ended = True
            if ended and one.state == "open":
                await self.close(one.run)
            elif not ended and one.state == "closed":
                await self._reopen(one)
        return found[-1].id if len(found) == limit else ""

    async def _reopen(self, one: Request) -> None:
        def write(connection: Connection) -> None:
            now = self.clock(connection)
            if store.end(connection, one.id, "closed", "open", now):
                self._noted(connection, one, "opened", now)

        await self._records.write(write)

    def _answered(self, connection: Connection, kept: Request, principal: Principal, value: Any, now: float) -> None:
        if not who.own(kept, principal) and not who.among(
            kept.to, principal.person or "", principal.team or "", principal.may(Scope.ADMIN)
        ):
            raise Forbidden("this question goes to others", code="not_asked")
        if kept.schema is not None:
            _obeys(value, kept.schema)
        by = principal.person or principal.key_id
        store.end(connection, kept.id, "open", "answered", now, answer=value, by=by)
        self._noted(connection, kept, "answered", now, by=principal.key_id, person=principal.person or "")

    def _voted(
        self, connection: Connection, kept: Request, principal: Principal, said: Decision, now: float, forked: frozenset[str]
    ) -> None:
        if said.digest and said.digest != kept.digest:
            raise Conflict("what was shown is not what is asked any more; look at it again", code="approval_void", param="digest")
        own = who.own(kept, principal) or not forked.isdisjoint(principal.ids)
        if own and said.approve:
            raise Forbidden("who began a run, or has it work for them, may not approve what it does", code="self_approval")
        person = principal.person or ""
        if not person and not own:
            raise Forbidden("this needs a person, and the key belongs to none; use one of a person's keys", code="person_needed")
        lent = store.lent(connection, kept.organisation, now, taker=person) if person else []
        counts, loan = who.counts(kept, principal, lent, self._standing, now)
        if not counts and not own:
            raise Forbidden(f"this needs {kept.need.told()}", code="not_asked")
        voter = person or principal.key_id
        if any(vote.voter == voter for vote in kept.votes):
            raise Conflict("you have answered this already", code="request_over", param="id")
        behalf, lent_by = (loan.giver, loan.key) if loan is not None else ("", "")
        told: dict[str, Any] = {"approve": said.approve, "note": said.note, "behalf": behalf, "behalf_key": lent_by}
        self._count(connection, kept, Vote(voter=voter, key=principal.key_id, counts=counts, at=now, **told), now)

    def _count(self, connection: Connection, kept: Request, said: Vote, now: float) -> None:
        """Keep what somebody said, and end the request where that decides it."""
        store.vote(connection, kept.id, said)
        details = {"approve": said.approve, "behalf": said.behalf, "digest": kept.digest, **_noted_as(kept.id, said.note)}
        person = "" if said.validator else said.voter
        store.note(connection, kept.organisation, kept.id, "said", now, by=said.key, person=person, validator=said.validator, **details)
        if not said.approve:
            store.end(connection, kept.id, "open", "rejected", now, by=said.voter, note=said.note)
            self._noted(connection, kept, "rejected", now)
        elif who.satisfied(kept.need, (*who.upheld(kept, self._standing), said), kept.key, kept.person):
            store.end(connection, kept.id, "open", "approved", now, by=said.voter, valid_until=now + kept.need.valid)
            self._noted(connection, kept, "approved", now)

    def _noted(self, connection: Connection, kept: Request, event: str, now: float, *, by: str = "", person: str = "", **more: Any) -> None:
        store.note(connection, kept.organisation, kept.id, event, now, by=by, person=person, **more)
        self._tell(connection, kept, event, now)

    async def _and_told(self, one: Request) -> Request:
        """Tell the run how its request ended, where it has; whoever fails leaves it to `tell`."""
        if one.state in ("approved", "answered", "rejected"):
            await self._told(one)
        return one

    async def _told(self, one: Request) -> bool:
        said = one.answer if one.kind == "question" else {"approve": one.state == "approved", "note": one.note}
        with contextlib.suppress(JournalUnavailable):
            with contextlib.suppress(Conflict, NotFound):  # the run has ended, or was taken away: nobody waits
                value = {"value": said, "by": one.by, "at": one.ended_at, "request": one.id}
                await self._journal().signal(None, one.run, topic(one.id), value, key=one.id)
            await self._records.write(lambda connection: store.knows(connection, one.id))
            return True
        return False


def _noted_as(request: str, note: str) -> dict[str, str]:
    """A note on the trail, which is never changed: its digest. The words stand with the vote, from where they can be erased."""
    return {"note_sha256": hashlib.sha256(f"{request}\n{note}".encode()).hexdigest()} if note else {}


def _decision(value: Any) -> Decision:
    try:
        return msgspec.convert(value, Decision)
    except msgspec.ValidationError as fault:
        raise RequestError(f"an approval is answered with approve, a note and the digest: {fault}", param="value") from fault


def _obeys(value: Any, schema: dict[str, Any]) -> None:
    # Imported where somebody answers a question: the validators take long to load.
    from jsonschema import exceptions, validators

    try:
        validators.validator_for(schema)(schema).validate(value)
    except exceptions.ValidationError as fault:
        raise RequestError(f"the answer is not as the question wants it: {fault.message[:500]}", param="value") from fault


def _seen(connection: Connection, principal: Principal, id: str) -> Request:
    kept = store.one(connection, id)
    if kept is None or principal.reach not in (None, kept.organisation):
        raise NotFound(f"there is no request {id[:100]!r}", param="id")
    return kept


def _certain(connection: Connection, id: str) -> Request:
    kept = store.one(connection, id)
    if kept is None:
        raise NotFound(f"there is no request {id[:100]!r}", param="id")
    return kept


def _escalates(one: Request, now: float) -> float | None:
    """When others are to be asked, next after now."""
    due = (one.opened_at + quorum.escalate for quorum in one.need.quorums if quorum.escalate is not None)
    return min((at for at in due if at > now), default=None)
