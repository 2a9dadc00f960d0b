"""Long-term memory: kept for its owner, found again by words and by meaning, let go of when its time is over."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence

from msgspec import structs
from sqlalchemy import Connection

from penstock.agents.memory import store
from penstock.agents.memory.settings import MemorySettings
from penstock.agents.recollection import Memory, Owner
from penstock.kernel.errors import Conflict, NotFound, PenstockError, RequestError
from penstock.kernel.ids import new_id
from penstock.kernel.recall import Embedder
from penstock.storage.records import Records

_log = logging.getLogger("penstock.agents")
MOST_FOUND = 50
MOST_COMPARED = 5000
"""Memories whose meaning is compared with a question: the newest of those that may be seen."""
NEAR = 0.3
"""The cosine from which on two texts have to do with each other; below it a memory is no answer to a question."""
_RANKS = 60
"""Ranks of two searches are put together as 1 / (60 + rank) each (Cormack, Clarke, Buettcher: Reciprocal Rank Fusion, SIGIR 2009)."""
MOST_LABELS, LONGEST_LABEL = 16, 64


class Memories:
    """Keeps what is remembered. ``among`` are the owners whose memory may be seen, None for all of the organisation. The embedder is asked
    for when it is needed: another room provides it, or nobody does."""

    def __init__(
        self,
        records: Records,
        settings: MemorySettings,
        embedder: Callable[[], Embedder | None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._settings = settings
        self._embedder = embedder
        self._clock = clock

    async def remember(
        self,
        organisation: str,
        owner: Owner,
        text: str,
        *,
        labels: Sequence[str] = (),
        days: float | None = None,
        agent: str = "",
        run: str = "",
        person: str = "",
        key: str = "",
    ) -> Memory:
        """Keep it; a second time with the same ``key`` gives the first. Raises `RequestError` for what cannot be kept, and `Conflict`
        (``memory_full``) where the owner has as many as it may have."""
        self._check(text, labels, days)
        now, settings = self._clock(), self._settings
        made = Memory(
            id="mem_" + hashlib.sha256(f"{organisation}/{key}".encode()).hexdigest()[:32] if key else new_id("mem"),
            scope=owner.scope,
            owner=owner.id,
            text=text.strip(),
            labels=list(dict.fromkeys(labels)),
            agent=agent,
            run=run,
            person=person,
            created_at=now,
            used_at=now,
            expires_at=now + (days or settings.keep_days) * 86_400,
        )
        embedder, vector = await self._vector(made.text)

        def write(connection: Connection) -> Memory:
            before = store.get(connection, organisation, made.id, None, now)
            if before is not None:
                return before
            if store.count(connection, organisation, owner, now) >= settings.most_records:
                most = f"agents.memory.most_records, {settings.most_records}"
                raise Conflict(f"the memory of {owner.scope} {owner.id} is full ({most}); forget something", code="memory_full")
            store.add(connection, organisation, made, embedder, vector)
            return made

        return await self._records.write(write)

    async def recall(
        self, organisation: str, among: Sequence[Owner] | None, query: str, *, label: str = "", most: int = 10, touch: bool = True
    ) -> list[Memory]:
        """What has to do with the query, the best first; ``touch`` says that it is of use, so that it is kept on."""
        now = self._clock()
        most = min(most, MOST_FOUND)
        worded = await self._records.read(lambda c: store.worded(c, organisation, among, query, now, label=label, most=MOST_FOUND))
        meant = await self._meant(organisation, among, query, now, label)
        found = _fused(worded, meant)[:most]
        if touch and found:
            keep = now + self._settings.keep_days * 86_400
            await self._records.write(lambda c: store.touch(c, [one.id for one in found], now, keep))
            found = [structs.replace(one, used_at=now, expires_at=max(one.expires_at, keep)) for one in found]
        return found

    async def list(
        self, organisation: str, among: Sequence[Owner] | None, *, label: str = "", before: float | None = None, most: int = 50
    ) -> list[Memory]:
        """The newest first."""
        now = self._clock()
        return await self._records.read(lambda c: store.listed(c, organisation, among, now, label=label, before=before, most=most))

    async def get(self, organisation: str, among: Sequence[Owner] | None, id: str) -> Memory:
        """One. Raises `NotFound`."""
        now = self._clock()
        # No database holds a NUL in a text, and some say so with a fault.
        found = None if "\0" in id else await self._records.read(lambda c: store.get(c, organisation, id, among, now))
        if found is None:
            raise missing(id)
        return found

    async def forget(self, organisation: str, among: Sequence[Owner] | None, id: str) -> None:
        """Delete one. Raises `NotFound`."""
        now = self._clock()
        if "\0" in id or not await self._records.write(lambda c: store.remove(c, organisation, id, among, now)):
            raise missing(id)

    async def expire(self) -> int:
        """Let go of those whose time is over; how many."""
        now = self._clock()
        return await self._records.write(lambda c: store.remove_expired(c, now))

    async def erase(self, organisation: str, person: str) -> int:
        """Take away what is remembered of a person, and what comes from runs for that person; how many."""
        return await self._records.write(lambda c: store.remove_person(c, organisation, person))

    def _check(self, text: str, labels: Sequence[str], days: float | None) -> None:
        most = self._settings.most_characters
        if not text.strip():
            raise RequestError("there is nothing to remember: 'text' is empty", param="text")
        if len(text) > most:
            raise RequestError(f"'text' has {len(text)} characters; a memory may have {most} (agents.memory.most_characters)", param="text")
        if "\0" in text:
            raise RequestError("'text' holds a zero character, which no database keeps", param="text")
        if len(labels) > MOST_LABELS or any(not 0 < len(one) <= LONGEST_LABEL for one in labels):
            raise RequestError(f"'labels': at most {MOST_LABELS}, each of 1 to {LONGEST_LABEL} characters", param="labels")
        if days is not None and not 0 < days <= 36_500:
            raise RequestError("'days' must be more than 0 and at most 36500", param="days")

    async def _vector(self, text: str) -> tuple[str | None, bytes | None]:
        embedder = self._embedder()
        if embedder is None:
            return None, None
        try:
            (vector,) = await embedder.embed([text])
        except PenstockError as fault:  # it is found by its words all the same
            _log.warning("a memory is kept without its meaning", extra={"fault": fault.message, "code": fault.code})
            return None, None
        return embedder.id, vector

    async def _meant(self, organisation: str, among: Sequence[Owner] | None, query: str, now: float, label: str) -> list[Memory]:
        embedder, vector = await self._vector(query) if query.strip() else (None, None)
        if embedder is None or vector is None:
            return []
        return await self._records.read(
            lambda c: _nearest(vector, store.vectors(c, organisation, among, embedder, now, label=label, most=MOST_COMPARED))
        )


def missing(id: str) -> NotFound:
    """What is said of a memory that is not there, or not for this reader."""
    return NotFound(f"there is no memory {id[:100]!r}", param="id")


def _nearest(vector: bytes, held: Sequence[tuple[Memory, bytes]]) -> list[Memory]:
    # Lazy: heavy, and there where an embedder is.
    import numpy as np

    held = [one for one in held if len(one[1]) == len(vector)]
    if not held:
        return []
    rows = np.frombuffer(b"".join(data for _, data in held), dtype=np.float32).reshape(len(held), -1)
    near = rows @ np.frombuffer(vector, dtype=np.float32)
    order = np.argsort(-near)[:MOST_FOUND]
    return [held[place][0] for place in order if near[place] >= NEAR]


def _fused(*found: Sequence[Memory]) -> list[Memory]:
    scores: dict[str, float] = {}
    known: dict[str, Memory] = {}
    for ranked in found:
        for rank, one in enumerate(ranked):
            known[one.id] = one
            scores[one.id] = scores.get(one.id, 0.0) + 1 / (_RANKS + rank)
    return sorted(known.values(), key=lambda one: -scores[one.id])
