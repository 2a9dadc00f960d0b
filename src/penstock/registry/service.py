"""What may be done with models and versions, by whom, and what the trail says of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from penstock.kernel.approvals import Measured
from penstock.kernel.errors import Conflict, Forbidden, NotFound, RequestError
from penstock.kernel.events import VersionMoved
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.registry import store
from penstock.registry.model import VENDOR, WEIGHTS, Approval, Coverage, Entry, Evidence, Facts, Model, State, Version, advanced
from penstock.registry.weights import Weights, told
from penstock.storage.records import Records

T = TypeVar("T")
_MORE_THAN_ENOUGH = 1_000_000


class Registry:
    """Models, versions and their way through the states. Every change is one transaction with its line in the audit trail.

    ``changed`` is awaited after each, so that this process acts on it before the caller is answered.
    """

    def __init__(
        self,
        records: Records,
        weights: Weights,
        changed: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
        moved: Callable[[VersionMoved], None] = lambda event: None,
    ) -> None:
        self._records = records
        self._weights = weights
        self._changed = changed
        self._clock = clock
        self._moved = moved

    # ---- reading

    async def models(self, actor: Principal, after: str | None, limit: int) -> tuple[list[Model], str | None]:
        """A page of models, newest first, and the cursor of the next."""
        found = await self._records.read(lambda c: store.models(c, actor.reach, after, limit + 1))
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    async def model(self, actor: Principal, id: str) -> tuple[Model, list[Version]]:
        """A model and its versions, newest first. Raises `NotFound`."""

        def work(connection: Connection) -> tuple[Model, list[Version]]:
            model = _there(store.model(connection, actor.reach, id), "model", id)
            return model, store.versions(connection, model=model.id)[::-1]

        return await self._records.read(work)

    async def versions(self, actor: Principal) -> list[Version]:
        """All versions within reach, oldest first."""
        return await self._records.read(lambda c: store.versions(c, organisation=actor.reach))

    async def version(self, actor: Principal, id: str) -> Version:
        """One version. Raises `NotFound`."""
        return await self._records.read(lambda c: _there(store.version(c, actor.reach, id), "version", id))

    async def trail(self, actor: Principal, version: str | None, after: int, limit: int, *, model: str | None = None) -> list[Entry]:
        """Lines of the audit trail, oldest first."""
        return await self._records.read(lambda c: store.trail(c, actor.reach, version, after, limit, model=model))

    async def first_broken(self, actor: Principal) -> int | None:
        """The first line of the organisation's trail that was changed, or behind one that was taken out; None when all is whole."""
        return store.broken(await self._records.read(lambda c: store.trail(c, actor.organisation, None, 0, _MORE_THAN_ENOUGH)))

    # ---- making and changing

    async def register(self, actor: Principal, name: str, description: str) -> Model:
        """A new model of the actor's organisation. Raises `Conflict` when it has one of this name."""
        now = self._clock()
        model = Model(
            id=new_id("mdl"),
            organisation=actor.organisation,
            name=name.strip(),
            description=description,
            created_at=now,
            created_by=actor.key_id,
        )
        if not model.name:
            raise RequestError("name: must not be blank", param="name")

        def work(connection: Connection) -> None:
            store.add_model(connection, model)
            store.note(connection, entry(actor, model.id, "", "registered", "", "", model.name, now, model.organisation))

        try:
            await self._records.write(work)
        except Conflict as fault:
            raise Conflict(f"name: there is a model {model.name!r} already", param="name") from fault
        return model

    async def add_version(self, actor: Principal, model: str, facts: Facts) -> Version:
        """A new version, as a draft. Raises `NotFound`, `RequestError`, and `Conflict` when a live version has one of its targets."""
        await self._check(facts)
        now = self._clock()

        def work(connection: Connection) -> Version:
            held = _there(store.model(connection, actor.reach, model), "model", model)
            _untaken(connection, held.organisation, facts, None)
            made = Version(
                id=new_id("mver"),
                model=held.id,
                organisation=held.organisation,
                home=actor.home and actor.organisation == held.organisation,
                number=store.next_number(connection, held.id),
                state="draft",
                facts=facts,
                digest="",
                scan={},
                signature={},
                evidence=(),
                approvals=(),
                makers=people(actor),
                created_at=now,
                changed_at=now,
            )
            store.add_version(connection, made)
            store.note(connection, entry(actor, held.id, made.id, "made", "", "draft", "", now, held.organisation))
            store.bump(connection)
            return made

        return await self._done(work)

    async def change(self, actor: Principal, id: str, facts: Facts) -> Version:
        """Other facts for a version, which becomes a draft again: what was found, signed and approved was about the old ones."""
        await self._check(facts)

        def work(connection: Connection, old: Version) -> Version:
            if old.state == "revoked":
                advanced(old.facts.origin, old.state, "draft")
            _untaken(connection, old.organisation, facts, old.id)
            makers = tuple(dict.fromkeys((*old.makers, *people(actor))))
            fresh = msgspec.structs.replace(old, state="draft", facts=facts, digest="", scan={}, signature={}, evidence=(), approvals=())
            return msgspec.structs.replace(fresh, makers=makers)

        return await self._step(actor, id, "changed", "", work)

    # ---- the states

    async def scan(self, actor: Principal, id: str) -> Version:
        """Read the weights. Accepted, the version is ``scanned``; refused, it stays as it is and its ``scan`` says why."""
        before = await self.version(actor, id)
        advanced(before.facts.origin, before.state, "scanned")
        report = await asyncio.to_thread(self._weights.scan, before.facts.path)

        def work(connection: Connection, old: Version) -> Version:
            _unchanged(before, old)
            state = advanced(old.facts.origin, old.state, "scanned") if report.accepted else old.state
            return msgspec.structs.replace(old, state=state, digest=report.digest if report.accepted else "", scan=told(report))

        why = "" if report.accepted else "; ".join(f"{f.path}: {f.message}" for f in report.findings[:3])
        return await self._step(actor, id, "scanned" if report.accepted else "refused by the scan", why, work)

    async def sign(self, actor: Principal, id: str) -> Version:
        """Verify the signature beside the weights; the version is ``signed`` when a trusted key signed what was scanned."""
        before = await self.version(actor, id)
        advanced(before.facts.origin, before.state, "signed")
        signer = await asyncio.to_thread(self._weights.signer, before.facts.path, before.digest)

        def work(connection: Connection, old: Version) -> Version:
            _unchanged(before, old)
            signature = {"key": signer, "at": self._clock()}
            return msgspec.structs.replace(old, state=advanced(old.facts.origin, old.state, "signed"), signature=signature)

        return await self._step(actor, id, "signed", signer, work)

    async def evaluate(self, actor: Principal, id: str, evidence: Evidence) -> Version:
        """Add what an evaluation found; the first makes the version ``evaluated``."""

        def work(connection: Connection, old: Version) -> Version:
            later = old.state in ("evaluated", "approved")
            state: State = old.state if later else advanced(old.facts.origin, old.state, "evaluated")
            return msgspec.structs.replace(old, state=state, evidence=_with(old.evidence, evidence))

        return await self._step(actor, id, "evaluated", _found(evidence), work)

    async def record(self, principal: Principal, target: str, found: Measured) -> str | None:
        """See `penstock.kernel.approvals.VersionEvaluations`."""
        evidence = Evidence(**{name: getattr(found, name) for name in Evidence.__struct_fields__})

        def all_of_it(connection: Connection) -> Version | None:
            held = store.versions(connection, organisation=principal.organisation)
            old = next((one for one in held if target in one.facts.targets and one.state != "revoked"), None)
            if old is None:
                return None
            way = VENDOR if old.facts.origin == "vendor" else WEIGHTS
            state: State = "evaluated" if way.get(old.state) == "evaluated" else old.state
            facts = msgspec.structs.replace(old.facts, speed={**old.facts.speed, **found.speed})
            now = self._clock()
            new = msgspec.structs.replace(old, state=state, evidence=_with(old.evidence, evidence), facts=facts, changed_at=now)
            why = _found(evidence) + (f", evaluation {evidence.evaluation}" if evidence.evaluation else "")
            store.put_version(connection, new)
            store.note(connection, entry(principal, old.model, old.id, "evaluated", old.state, state, why, now, old.organisation))
            store.bump(connection)
            return new

        noted = await self._done(all_of_it)
        return noted.id if noted is not None else None

    async def approve(self, actor: Principal, id: str, coverage: Coverage, name: str, reason: str) -> Version:
        """Approve for everything, a task or a data class. Weights are verified once more before.

        Raises `Forbidden` (``same_person``) when the actor, or the person behind the key, made or changed the version.
        """
        if (coverage == "all") == bool(name):
            raise RequestError("name: the task or data class that is approved; none where coverage is 'all'", param="name")
        if not reason.strip():
            raise RequestError("reason: say why; the audit trail keeps it", param="reason")
        before = await self.version(actor, id)
        advanced(before.facts.origin, before.state, "approved")
        _second_person(actor, before)
        if before.facts.origin != "vendor":
            await asyncio.to_thread(self._weights.signer, before.facts.path, before.digest)

        def work(connection: Connection, old: Version) -> Version:
            _unchanged(before, old)
            _second_person(actor, old)
            made = Approval(coverage=coverage, name=name, by=actor.key_id, person=actor.person, at=self._clock(), reason=reason)
            kept = tuple(one for one in old.approvals if (one.coverage, one.name) != (coverage, name))
            return msgspec.structs.replace(old, state=advanced(old.facts.origin, old.state, "approved"), approvals=(*kept, made))

        return await self._step(actor, id, f"approved for {name or 'everything'}", reason, work)

    async def revoke(self, actor: Principal, id: str, reason: str) -> Version:
        """End a version for good; nobody may call it from then on."""
        if not reason.strip():
            raise RequestError("reason: say why; the audit trail keeps it", param="reason")

        def work(connection: Connection, old: Version) -> Version:
            return msgspec.structs.replace(old, state=advanced(old.facts.origin, old.state, "revoked"))

        return await self._step(actor, id, "revoked", reason, work)

    async def verify(self, actor: Principal, id: str) -> Version:
        """Look at the weights again: digest and signature. What is not as it was is revoked at once, and the trail says why.

        Raises `RequestError` when there is nothing to verify: a vendor's endpoint, or a version that nobody signed.
        """
        before = await self.version(actor, id)
        if not before.signature:
            raise RequestError("this version is not signed, so there is nothing to verify", param="id")
        if before.state == "revoked":
            advanced(before.facts.origin, before.state, "approved")
        fault = ""
        try:
            await asyncio.to_thread(self._weights.signer, before.facts.path, before.digest)
        except (Conflict, RequestError) as found:
            fault = found.message

        def work(connection: Connection, old: Version) -> Version:
            _unchanged(before, old)
            if fault:
                return msgspec.structs.replace(old, state="revoked")
            return msgspec.structs.replace(old, signature={**old.signature, "verified_at": self._clock()})

        return await self._step(actor, id, "revoked: not as it was signed" if fault else "verified", fault, work)

    # ---- how

    async def _check(self, facts: Facts) -> None:
        if facts.origin == "vendor" and facts.path:
            raise RequestError("path: a vendor's endpoint has no weights here", param="path")
        if facts.origin == "vendor" and not facts.targets:
            raise RequestError("targets: name the provider/model that it is called by", param="targets")
        if facts.origin != "vendor" and (facts.path or not facts.source):
            await asyncio.to_thread(self._weights.place, facts.path)

    async def _step(self, actor: Principal, id: str, action: str, why: str, work: Callable[[Connection, Version], Version]) -> Version:
        def all_of_it(connection: Connection) -> Version:
            old = _there(store.version(connection, actor.reach, id), "version", id)
            now = self._clock()
            new = msgspec.structs.replace(work(connection, old), changed_at=now)
            store.put_version(connection, new)
            store.note(connection, entry(actor, old.model, old.id, action, old.state, new.state, why, now, old.organisation))
            store.bump(connection)
            return new

        made = await self._done(all_of_it)
        if action.startswith(("approved", "revoked")):
            self._moved(VersionMoved(made.organisation, made.model, made.id, made.state, actor.key_id, why))
        return made

    async def _done(self, work: Callable[[Connection], T]) -> T:
        made = await self._records.write(work)
        await self._changed()
        return made


def _there(found: T | None, what: str, id: str) -> T:
    if found is None:
        raise NotFound(f"there is no {what} {id[:60]!r}")
    return found


def _with(before: tuple[Evidence, ...], evidence: Evidence) -> tuple[Evidence, ...]:
    return (*(one for one in before if not evidence.same_as(one)), evidence)[-100:]


def _found(evidence: Evidence) -> str:
    return f"{evidence.metric} {evidence.value:g} on {evidence.examples}"


def people(actor: Principal) -> tuple[str, ...]:
    """The key, and the person behind it: who made something, and may not approve it."""
    return (actor.key_id,) if actor.person is None else (actor.key_id, actor.person)


def _second_person(actor: Principal, version: Version) -> None:
    if set(people(actor)) & set(version.makers):
        raise Forbidden("who made or changed a version may not approve it; another person must", code="same_person")


def _untaken(connection: Connection, organisation: str, facts: Facts, but: str | None) -> None:
    for held in store.versions(connection, organisation=organisation):
        taken = set(held.facts.targets) & set(facts.targets)
        if taken and held.id != but and held.state != "revoked":
            raise Conflict(f"targets: {min(taken)} belongs to {held.id}; revoke that version first", code="target_taken", param="targets")


def _unchanged(before: Version, now: Version) -> None:
    """What was looked at without holding a transaction is what is stored."""
    if (before.state, before.facts, before.digest) != (now.state, now.facts, now.digest):
        raise Conflict("somebody else changed this version meanwhile; look at it and ask again")


def entry(
    actor: Principal, model: str, version: str, action: str, before: str, after: str, why: str, at: float, organisation: str
) -> Entry:
    """A line for the audit trail; its number and digest come when it is written."""
    return Entry(
        id=0,
        organisation=organisation,
        model=model,
        version=version,
        action=action,
        before=before,
        after=after,
        by=actor.key_id,
        person=actor.person,
        at=at,
        why=why[:1000],
        digest="",
    )
