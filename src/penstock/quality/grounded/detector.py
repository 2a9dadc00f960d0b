"""The detector that is always there: by words alone in under a millisecond, or with an embedding model beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from penstock.quality.grounded.features import Context, Part, glance, measure, split
from penstock.quality.grounded.judgement import Judgement, Limits, Span, Support, not_judged
from penstock.quality.grounded.meaning import compared, similarities
from penstock.quality.grounded.model import Model, shipped
from penstock.quality.grounded.words import CONTENT

MAX_REPLY, MAX_CONTEXT = 50_000, 400_000
"""Characters. What is longer is not judged, and said so: the time grows with both."""


class Embedder(Protocol):
    """`penstock.kernel.recall.Embedder`, as far as it is needed here."""

    @property
    def id(self) -> str: ...

    async def embed(self, texts: Sequence[str]) -> list[bytes]: ...


class WordDetector:
    """By words alone. Holds nothing but the model, so one serves all calls and threads."""

    def __init__(self, limits: Limits | None = None, model: Model | None = None) -> None:
        """``limits`` are those of a calibration; without one, half the scale parts the two verdicts."""
        self._model = model or shipped()
        self._weights = self._model.weights
        self._limits = limits or Limits(low=0.5, high=0.5)

    @property
    def id(self) -> str:
        return f"{self._model.id}/words"

    async def judge(self, context: Sequence[str], reply: str) -> Judgement:
        return self.judge_now(context, reply)

    def judge_now(self, context: Sequence[str], reply: str) -> Judgement:
        """`judge` without waiting, since nothing is waited for."""
        read = self.read(context, reply)
        if isinstance(read, Judgement):
            return read
        held, parts = read
        figures = measure(parts, reply.count("?"), held)
        return self._judgement(self._model.lexical.score(figures), self._model.lexical.shares(figures), held, parts, reply)

    def read(self, context: Sequence[str], reply: str) -> tuple[Context, list[Part]] | Judgement:
        """Context and reply taken apart, or why that cannot be."""
        if (nothing := not_judged(self.id, context, reply)) is not None:
            return nothing
        if len(reply) > MAX_REPLY or sum(map(len, context)) > MAX_CONTEXT:
            why = f"The reply or its context is too long: {MAX_REPLY:,} and {MAX_CONTEXT:,} characters are read."
            return Judgement(verdict="not_judged", detector=self.id, why=why)
        held = Context(context, self._weights, self._model.rare)
        parts = split(reply, held)
        if not parts or not held.order:
            return Judgement(verdict="not_judged", detector=self.id, why="The reply or its context holds no words.")
        return held, parts

    def _judgement(self, score: float, shares: dict[str, float], held: Context, parts: Sequence[Part], reply: str) -> Judgement:
        against = sorted((name for name, share in shares.items() if share > 0.1), key=lambda name: -shares[name])[:3]
        return Judgement(
            verdict=self._limits.verdict(score),
            detector=self.id,
            score=score,
            spans=tuple(span for part in parts for span in self._spans(part, reply, held)),
            why=", ".join(against),
        )

    def _spans(self, part: Part, reply: str, held: Context) -> list[Span]:
        score = self._model.sentence.score(glance(part, reply.count("?", part.start, part.end)))
        support = None
        if part.best >= 0:
            text, start, end = held.sentences[part.best]
            support = Support(text=text, start=start, end=end, share=part.share)
        return [Span(kind="sentence", start=part.start, end=part.end, score=score, support=support), *_runs(part, held)]


class MeaningDetector(WordDetector):
    """By words and by what an embedding model sees in the most doubtful sentences."""

    def __init__(self, embedder: Embedder, limits: Limits | None = None, model: Model | None = None) -> None:
        super().__init__(limits, model)
        self._embedder = embedder

    @property
    def id(self) -> str:
        return f"{self._model.id}/meaning/{self._embedder.id}"

    async def judge(self, context: Sequence[str], reply: str) -> Judgement:
        # A thread, since a long answer beside a long context takes more than the event loop should wait for.
        read = await asyncio.to_thread(self.read, context, reply)
        if isinstance(read, Judgement):
            return read
        held, parts = read
        pairs = await asyncio.to_thread(compared, parts, held, reply)
        vectors = await self._embedder.embed([text for pair in pairs for text in pair])
        figures = [*await asyncio.to_thread(measure, parts, reply.count("?"), held), *similarities(vectors)]
        return self._judgement(self._model.full.score(figures), self._model.full.shares(figures), held, parts, reply)


def _runs(part: Part, held: Context) -> list[Span]:
    """Runs of the sentence whose content words all stand nowhere in the context; the score is their share of the sentence by weight."""
    if not part.missing:
        return []
    weights = iter(part.weights)
    found: list[Span] = []
    start = end = 0
    weight = 0.0
    for stem, kind, (begin, close) in zip(part.stems, part.kinds, part.spans, strict=True):
        if not kind & CONTENT:
            continue
        tells = next(weights)
        if stem not in held.at:
            start = start if weight else begin
            end = close
            weight += tells
        elif weight:
            found.append(Span(kind="words", start=start, end=end, score=weight / part.total))
            weight = 0.0
    if weight:
        found.append(Span(kind="words", start=start, end=end, score=weight / part.total))
    return found
