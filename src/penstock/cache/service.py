"""What is asked about the cache and done to it: sums, clearing, pairs, calibrations."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from penstock.cache import store
from penstock.cache.calibration import Evidence, calibrate
from penstock.cache.neighbours import score
from penstock.cache.rules import Rules
from penstock.cache.semantic import TRAFFIC, Semantic, pair_row
from penstock.cache.settings import CacheSettings
from penstock.cache.shelf import Shelf
from penstock.cache.tally import DAY
from penstock.cache.wording import wording_of
from penstock.kernel.errors import MalformedRequest, Unavailable
from penstock.kernel.ids import new_id
from penstock.kernel.principal import Principal
from penstock.kernel.recall import Embedder
from penstock.storage.records import Records
from penstock.storage.schema import encode_json

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(min_length=1, max_length=20_000)]
MOST_PAIRS = 500


class Sums(Struct, frozen=True, kw_only=True):
    """What happened to calls that could be answered from memory, and to input tokens in the providers' own caches.

    ``saved`` is an estimate in micro-units: what the replies that were given again would cost at the prices of that moment, by the usage of
    the call they were made for; ``unpriced`` hits are not in it. ``discount`` is by how much prompt caching at the providers changed what
    was paid: what the same tokens would cost without it, less what they cost (writing can cost more than it saves). ``input`` counts all
    tokens that providers were sent, ``cached`` and ``written`` among them.
    """

    name: str
    lookups: int
    exact: int
    semantic: int
    hit_rate: float
    saved: int
    unpriced: int
    saved_input: int
    saved_output: int
    input: int
    cached: int
    written: int
    discount: int


class Held(Struct, frozen=True, kw_only=True):
    """What is kept for a task and model. ``bytes`` are those of the replies."""

    task: str
    model: str
    entries: int
    bytes: int


class Stats(Struct, frozen=True, kw_only=True):
    """The whole, and its parts by task, by day (UTC) and by provider and model; and what is kept now."""

    days: int
    total: Sums
    tasks: list[Sums]
    daily: list[Sums]
    models: list[Sums]
    held: list[Held]


class Cleared(Struct, frozen=True, kw_only=True):
    """How many replies were forgotten."""

    entries: int


class LabelledPair(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two questions of a task, and whether they have the same answer."""

    a: Text
    b: Text
    same: bool


class PairCount(Struct, frozen=True, kw_only=True):
    """How many pairs there are of a task from one source: ``traffic``, or a name given with them."""

    task: str
    source: str
    pairs: int


class CalibrationView(Struct, frozen=True, kw_only=True):
    """A calibration as it is kept. ``holds`` says whether it is in force: the latest of its task, by the embedder of now."""

    id: str
    at: float
    organisation: str
    task: str
    source: str
    embedder: str
    threshold: float | None
    holds: bool
    why_not: str
    evidence: Evidence


class Caching:
    """Questions about the cache, each within the reach of who asks."""

    def __init__(
        self, records: Records, shelf: Shelf, rules: Rules, settings: CacheSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._shelf = shelf
        self._rules = rules
        self._settings = settings
        self._clock = clock
        self.semantic: Semantic | None = None
        self.embedder: Embedder | None = None

    async def stats(self, asker: Principal, days: int) -> Stats:
        """The sums of the last days, today included."""
        await self._shelf.flush()
        now, reach = self._clock(), asker.reach
        since = int(now) // DAY - days + 1

        def work(connection: store.Connection) -> tuple[list[Sums], list[Sums], list[Sums], list[Held]]:
            by = [
                [_sums(name, row) for name, row in store.days(connection, since, reach, one)] for one in ("task", "day", "provider_model")
            ]
            held = [Held(task=t, model=m, entries=n, bytes=b) for t, m, n, b in store.held(connection, reach, int(now * 1000))]
            return by[0], by[1], by[2], held

        tasks, daily, models, held = await self._records.read(work)
        return Stats(
            days=days,
            total=_added("", daily),
            tasks=sorted((t for t in tasks if t.lookups), key=lambda one: (-one.lookups, one.name)),
            daily=sorted((_dated(one) for one in daily), key=lambda one: one.name),
            models=sorted((m for m in models if m.name != "/"), key=lambda one: (-one.input, one.name)),
            held=held,
        )

    async def clear(self, asker: Principal, task: str = "", model: str = "") -> Cleared:
        """Forget the replies of one's organisation (of all, where one administers the installation), of a task and a model if named."""
        return Cleared(entries=await self._shelf.clear(asker.reach or "", task, model))

    async def pairs(self, asker: Principal) -> list[PairCount]:
        """The pairs of one's organisation."""
        await self._shelf.flush()
        found = await self._records.read(lambda c: store.paired(c, asker.organisation))
        return [PairCount(task=task, source=source, pairs=count) for _, task, source, count in sorted(found)]

    async def add_pairs(self, asker: Principal, task: str, source: str, given: Sequence[LabelledPair], *, replace: bool) -> PairCount:
        """Take in pairs that somebody judged, under the name ``source``; in the place of those there are with ``replace``.

        They are scored as if no question with another answer were near: the same pair never scores higher among others. A pair that is
        given twice counts once.
        """
        if source == TRAFFIC:
            raise MalformedRequest(f"source {TRAFFIC!r} is for pairs that the cache finds itself", param="source")
        embedder = self._comparing()
        texts = list(dict.fromkeys(text for pair in given for text in (pair.a, pair.b)))
        vectors = dict(zip(texts, await embedder.embed(texts) if texts else [], strict=True))
        rows: list[dict[str, object]] = []
        for pair in given:
            similarity = _cosine(vectors[pair.a], vectors[pair.b])
            worded = wording_of(pair.a) == wording_of(pair.b)
            rows.append(
                pair_row(
                    asker.organisation,
                    task,
                    source,
                    embedder.id,
                    similarity=similarity,
                    score=score(similarity, 0.0),
                    worded=worded,
                    same=pair.same,
                    id=_pair_id(asker.organisation, task, source, embedder.id, pair.a, pair.b),
                )
            )

        def work(connection: store.Connection) -> int:
            if replace:
                store.drop_pairs(connection, asker.organisation, task, source)
            store.add_pairs(connection, rows)
            return len(store.pairs(connection, asker.organisation, task, source, embedder.id))

        return PairCount(task=task, source=source, pairs=await self._records.write(work))

    async def calibrate(
        self, asker: Principal, task: str, source: str = TRAFFIC, bound: float | None = None, confidence: float | None = None
    ) -> CalibrationView:
        """Find the threshold that a task's pairs support, keep it with its evidence, and put it in force; also where they support none."""
        embedder = self._comparing()
        rule = self._rules.of_task(task)
        wording = rule.wording if rule is not None else True
        await self._shelf.flush()
        pairs = await self._records.read(lambda c: store.pairs(c, asker.organisation, task, source, embedder.id))
        evidence = await asyncio.to_thread(  # a few hundred milliseconds of arithmetic
            calibrate, pairs, bound=bound or self._settings.false_hits, confidence=confidence or self._settings.confidence, wording=wording
        )
        row = {
            "id": new_id("cal"),
            "at": int(self._clock() * 1000),
            "organisation": asker.organisation,
            "task": task,
            "embedder": embedder.id,
            "source": source,
            "threshold": evidence.threshold,
            "evidence": encode_json(evidence),
        }
        await self._records.write(lambda c: store.add_calibration(c, row))
        await self.refresh()
        found = await self.calibrations(asker)
        return next(view for view in found if view.id == row["id"])

    async def calibrations(self, asker: Principal) -> list[CalibrationView]:
        """The calibrations within one's reach, the latest first."""
        rows = await self._records.read(lambda c: store.calibrations(c, asker.reach))
        return self._views(rows)[::-1]

    async def refresh(self) -> None:
        """Put in force what is in the database: of each task the latest calibration, unless another embedder made it."""
        if self.semantic is None:
            return
        rows = await self._records.read(lambda c: store.calibrations(c, None))
        self.semantic.thresholds = {
            (view.organisation, view.task): view.threshold for view in self._views(rows) if view.holds and view.threshold is not None
        }

    def _views(self, rows: Sequence[store.RowMapping]) -> list[CalibrationView]:
        latest = {(row["organisation"], row["task"]): row["id"] for row in rows}
        embedder = self.embedder.id if self.embedder is not None else ""
        found: list[CalibrationView] = []
        for row in rows:
            evidence = msgspec.json.decode(row["evidence"], type=Evidence)
            rule = self._rules.of_task(row["task"])
            if latest[row["organisation"], row["task"]] != row["id"]:
                why_not = "a later one is in its place"
            elif row["threshold"] is None:
                why_not = evidence.reason
            elif row["embedder"] != embedder:
                why_not = "it was made with another embedding model" if embedder else "there is no embedding model here"
            elif rule is None:
                why_not = "no rule with `semantic` names its task"
            elif rule.wording != evidence.wording:
                why_not = "the rule's `wording` is not what it was made with"
            else:
                why_not = ""
            found.append(
                CalibrationView(
                    id=row["id"], at=row["at"] / 1000, organisation=row["organisation"], task=row["task"], source=row["source"],
                    embedder=row["embedder"], threshold=row["threshold"], holds=not why_not, why_not=why_not, evidence=evidence,
                )
            )  # fmt: skip
        return found

    def _comparing(self) -> Embedder:
        if self.embedder is None:
            raise Unavailable(
                "there is no embedding model here: install penstock[local] and the model's package (penstock doctor says which)"
            )
        return self.embedder


def _pair_id(*parts: str) -> str:
    return f"pair_{hashlib.blake2b(encode_json(parts).encode(), digest_size=16).hexdigest()}"


def _cosine(one: bytes, other: bytes) -> float:
    a, b = memoryview(one).cast("f"), memoryview(other).cast("f")
    return sum(x * y for x, y in zip(a, b, strict=True))


def _sums(name: str, row: dict[str, int]) -> Sums:
    hits = row["exact"] + row["semantic"]
    lookups = hits + row["misses"]
    rest = {key: value for key, value in row.items() if key != "misses"}
    return Sums(name=name, lookups=lookups, hit_rate=hits / lookups if lookups else 0.0, **rest)


def _added(name: str, parts: Sequence[Sums]) -> Sums:
    rows = [
        {**{key: getattr(one, key) for key in store.SUMS if key != "misses"}, "misses": one.lookups - one.exact - one.semantic}
        for one in parts
    ]
    return _sums(name, {key: sum(row[key] for row in rows) for key in store.SUMS})


def _dated(one: Sums) -> Sums:
    return msgspec.structs.replace(one, name=time.strftime("%Y-%m-%d", time.gmtime(int(one.name) * DAY)))
