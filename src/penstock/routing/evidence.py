"""The evidence of a task, ready to be fitted on: outcomes as labels, prompts as vectors, prices as costs."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.kernel.call import Usage
from penstock.kernel.candidates import Candidates
from penstock.kernel.errors import Conflict, PenstockError, Unavailable
from penstock.kernel.evidence import Evidence, Outcome
from penstock.kernel.recall import Embedder, Prices
from penstock.kernel.tasks import Floor, Task
from penstock.routing.binding import Bound, bound_to, measured, of_model
from penstock.routing.labels import Labels, covered, table
from penstock.routing.prompts import embedded
from penstock.routing.settings import RoutingSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 64
REMEMBERED = 5_000
"""Embeddings that are kept at least, some ten megabytes."""
COUNTED_SECONDS = 3600.0
"""How long a count of fresh prompts may spare the next one, which reads all that was ever judged."""


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """``costs`` by candidate of ``labels``; ``vectors`` [n, d] by label, None without an embedding model, and ``unembedded`` says why."""

    task: Task
    floor: Floor
    reference: str
    labels: Labels
    costs: tuple[float, ...]
    vectors: NDArray[Any] | None
    embedder: str
    unembedded: str
    left_out: dict[str, str]
    outcomes: Sequence[Outcome]
    models: dict[str, tuple[str, str]] = {}
    others: Mapping[str, int] = {}
    """Judged answers, by candidate, that are of another model or version than its name leads to, and have no part in anything."""
    of_prompt: Mapping[str, NDArray[Any]] = {}
    """Vectors of the prompts of judged traffic, where that was asked for."""


class _Counted(msgspec.Struct, frozen=True):
    """``at`` that moment ``judged`` outcomes held ``fresh`` prompts."""

    at: float
    judged: int
    fresh: int


class Gathering:
    """Gathers it from the rooms that have it."""

    def __init__(
        self,
        settings: RoutingSettings,
        candidates: Callable[[], Candidates],
        evidence: Callable[[], Evidence | None],
        embedder: Callable[[], Embedder | None],
        prices: Callable[[], Prices | None],
    ) -> None:
        self._settings = settings
        self._candidates = candidates
        self._evidence = evidence
        self._embedder = embedder
        self._prices = prices
        # The same prompts are asked for again and again: by attempts, frontiers, what-ifs. Kept by digest: prompts are not ours to keep.
        self._vectors: dict[bytes, bytes] = {}
        self._vectors_of = ""
        self._counted: dict[tuple[object, ...], _Counted] = {}

    async def gather(self, task: Task, names: Sequence[str] | None = None, *, traffic: bool = False, until: float = math.inf) -> Material:
        """Everything of the task's candidates, or of those named, which may have left it, ``until`` a moment (Unix seconds); of judged
        ``traffic`` the vectors too.

        Raises `Conflict` for a task without a floor, or whose reference nobody judged or priced, and `Unavailable` where nobody keeps
        evidence.
        """
        floor, evidence = task.floor, self._evidence()
        if floor is None:
            raise Conflict(f"the task {task.name!r} states no floor, so there is nothing to certify", code="no_floor")
        if importlib.util.find_spec("numpy") is None:
            said = "numpy is not installed, and certificates take it; pip install 'penstock[local]'"
            raise Unavailable(said, code="local_extra_missing")
        if evidence is None:
            raise Unavailable("nothing here keeps evidence: the room that judges answers is missing")
        reference = (floor.reference or task.default) if floor.kind == "relative" else task.default
        wanted = list(dict.fromkeys([reference, *(names or task.candidates)])) if names is None else list(names)
        # What is no score from 0 to 1 would spoil every mean, and the bounds that rest on that range.
        judged = [one for one in await evidence.outcomes(task.organisation, task.name) if 0 <= one.score <= 1 and one.at <= until]
        # Names may lead elsewhere than when their answers were judged.
        models = measured(self._candidates(), wanted, task.organisation)
        outcomes = [one for one in judged if of_model(one, models)]
        kept, left_out = covered(outcomes, wanted, (reference,), self._settings.least_labels)
        labels = table(outcomes, kept, self._settings.most_labels, judged)
        kept, costs = self._affordable(task, labels, reference, left_out, fixed=names is not None)
        if len(kept) < len(labels.candidates):
            labels = table(outcomes, kept, self._settings.most_labels, judged)
        live = [one.prompt for one in outcomes if one.source != "evaluation"] if traffic else []
        found, embedder, why = await self._embed([*labels.prompts, *live])
        vectors = found[: len(labels)] if found is not None else None
        return Material(
            task=task,
            floor=floor,
            reference=reference,
            labels=labels,
            costs=tuple(costs),
            vectors=vectors,
            embedder=embedder,
            unembedded=why,
            left_out=left_out,
            outcomes=outcomes,
            models={name: models[name] for name in labels.candidates},
            others=Counter(one.candidate for one in judged if one.candidate in models and not of_model(one, models)),
            of_prompt=dict(zip(live, found[len(labels) :], strict=True)) if found is not None else {},
        )

    def models(self, task: Task) -> Bound:
        """Where the task's candidates lead at this moment, its default and its floor's reference too."""
        floor = task.floor
        reference = floor.reference if floor is not None and floor.reference else task.default
        return bound_to(self._candidates(), tuple({*task.candidates, task.default, reference}), task.organisation)

    async def fresh(self, task: Task, names: Sequence[str] | None, since: float, wanted: int | None) -> int:
        """How many prompts that were judged first after ``since`` could certify: of ``names``, or of the task's candidates. Where fewer
        were judged than ``wanted``, or none are, they are not looked at closely: the figure is then what there is at most."""
        evidence = self._evidence()
        if evidence is None or importlib.util.find_spec("numpy") is None:
            return 0
        recent = await evidence.outcomes(task.organisation, task.name, since=since)
        late = len({one.item for one in recent})
        if wanted is None or late < wanted:
            return late
        # Prompts that are judged again look late though they are none: what was counted before can have grown by each new outcome only.
        of = (task.organisation, task.name, task.candidates, tuple(names or ()), since, tuple(sorted(self.models(task).items())))
        now = time.monotonic()
        known = self._counted.get(of)
        if known is not None and now - known.at < COUNTED_SECONDS and (most := known.fresh + max(0, len(recent) - known.judged)) < wanted:
            return most
        judged = [one for one in await evidence.outcomes(task.organisation, task.name) if 0 <= one.score <= 1]
        models = measured(self._candidates(), tuple({one.candidate for one in judged}), task.organisation)
        outcomes = [one for one in judged if of_model(one, models)]
        floor = task.floor
        reference = (floor.reference if floor is not None and floor.kind == "relative" else None) or task.default
        least = self._settings.least_labels

        def count() -> int:
            among = (
                names
                if names is not None
                else covered(outcomes, list(dict.fromkeys([reference, *task.candidates])), (reference,), least)[0]
            )
            return int((table(outcomes, among, self._settings.most_labels, judged).at > since).sum())

        fresh = await asyncio.to_thread(count)
        self._counted = {key: kept for key, kept in self._counted.items() if now - kept.at < COUNTED_SECONDS}
        self._counted[of] = _Counted(now, len(recent), fresh)
        return fresh

    def _affordable(
        self, task: Task, labels: Labels, reference: str, left_out: dict[str, str], *, fixed: bool
    ) -> tuple[list[str], list[float]]:
        """The candidates whose cost is known and that keep the task's latency, and what a call costs there."""
        kept: list[str] = []
        costs: list[float] = []
        for name in labels.candidates:
            cost, times = self._cost(task, labels, name), labels.latencies[name]
            late = task.latency_ms is not None and bool(times) and _quantile(times, task.latency_quantile) > task.latency_ms
            if cost is None:
                if name == reference:
                    said = f"what {name} costs is not known, so nothing can be called cheaper; set finops.prices for it"
                    raise Conflict(said, code="model_not_priced")
                left_out[name] = "no known price"
            elif late and name != reference and not fixed:
                left_out[name] = f"slower than the task's {task.latency_ms:g} ms for {task.latency_quantile:.0%} of the calls"
            else:
                kept.append(name)
                costs.append(cost)
        return kept, costs

    def _cost(self, task: Task, labels: Labels, name: str) -> float | None:
        if labels.costs[name] is not None:
            return labels.costs[name]
        prices, tokens = self._prices(), (labels.inputs[name], labels.outputs[name])
        if prices is None or tokens[0] is None or tokens[1] is None:
            return None
        try:
            target = self._candidates().resolve(name)
        except PenstockError:
            return None
        return prices.estimate(target.provider, target.model, Usage(input=round(tokens[0]), output=round(tokens[1])))

    async def _embed(self, prompts: Sequence[str]) -> tuple[NDArray[Any] | None, str, str]:
        embedder = self._embedder()
        if embedder is None:
            return None, "", "there is no embedding model (penstock[local]), so nothing is estimated by prompt"
        texts = [embedded(text) for text in prompts]
        if self._vectors_of != embedder.id or len(self._vectors) > REMEMBERED:
            self._vectors, self._vectors_of = {}, embedder.id
        vectors = self._vectors
        keys = [_key(text) for text in texts]
        missing = [(key, text) for key, text in dict(zip(keys, texts, strict=True)).items() if key not in vectors]
        try:
            for start in range(0, len(missing), BATCH):
                part = missing[start : start + BATCH]
                vectors |= zip([key for key, _ in part], await embedder.embed([text for _, text in part]), strict=True)
        except PenstockError as fault:
            return None, "", f"prompts cannot be embedded, so nothing is estimated by prompt: {fault.message}"
        found = [vectors[key] for key in keys]
        if not found:
            return None, "", "there are no labels"
        import numpy as np  # lazy: of the extra `local`, which embeds

        return np.stack([np.frombuffer(one, dtype=np.float32) for one in found]).astype(np.float64), embedder.id, ""


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()


def _quantile(values: Sequence[float], quantile: float) -> float:
    """The least value that at least this share of them does not exceed."""
    return sorted(values)[max(0, math.ceil(quantile * len(values)) - 1)]
