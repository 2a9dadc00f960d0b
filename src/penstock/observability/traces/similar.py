"""Spans whose prompt resembles one: found by its rarest words, put in order by an embedding model where the house has one.

The store looks for words, not for meaning. So the words of the prompt that fewest prompts have are looked for together, then ever
fewer of them until enough is found, and what is found is compared with the prompt as a whole.
"""

from __future__ import annotations

import asyncio
import math
import re
from array import array
from collections.abc import Callable, Sequence

import msgspec

from penstock.kernel.errors import PenstockError, RequestError
from penstock.kernel.principal import Principal
from penstock.kernel.recall import Embedder
from penstock.observability.access.service import Via
from penstock.observability.traces.conversation import last_said
from penstock.observability.traces.service import Traces
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.span import Span

WEIGHED = 12
"""Words whose rarity is asked for: the longest, since long words are rare ones."""

TOGETHER = 4
"""How many of the rarest words must be in a prompt at first; then fewer, then each alone."""

CANDIDATES = 40
"""Spans that are compared."""

_WORD = re.compile(r"[^\W_]{3,40}")
_MOST_WORDS = 2000
_EMBEDDED = 2000


class Alike(msgspec.Struct, frozen=True, kw_only=True):
    """A span with a prompt that resembles the one asked about; ``likeness`` lies between 0 and 1."""

    span: Span
    likeness: float
    said: str


class Similar(msgspec.Struct, frozen=True, kw_only=True):
    """What resembles a span, the most alike first. ``words`` were looked for; ``method`` says how it was put in order: ``words`` (the share
    of words in common, rare ones counting more) or ``embedding`` (the cosine by the model ``model``)."""

    data: list[Alike]
    words: list[str]
    method: str
    model: str


class Likeness:
    """The service. ``embedder`` is asked anew each time: there may be none."""

    def __init__(self, traces: Traces, embedder: Callable[[], Embedder | None]) -> None:
        self._traces = traces
        self._embedder = embedder

    async def like(self, reader: Principal, trace: str, span: str, limit: int = 20, via: Via = "api") -> Similar:
        """Spans like this one. Raises `NotFound` for a span that is not there, `RequestError` for one whose prompt is not stored."""
        self._traces.access.require(reader)
        found = await self._traces.span(reader, trace, span)
        stored = await self._traces.store.payload(trace, span, reader.reach)
        said = last_said(stored.input, "user") if stored is not None else ""
        mine = words_of(said)
        if not mine:
            raise RequestError("nothing of this span's prompt is stored in which there are words")
        rare = await self._rare(reader.reach, mine, trace)
        spans = await self._with(reader.reach, list(rare), found.span)
        texts = [await self._said(one, reader.reach) for one in spans]
        scores, model = await self._compared(said, texts, rare)
        # A call within an agent has the agent's words: the same words in the same trace are no second case.
        order = sorted(zip(spans, texts, scores, strict=True), key=lambda one: one[2], reverse=True)
        data = [Alike(span=one, likeness=score, said=text[:500]) for one, text, score in order if text][:limit]
        for whose in sorted({found.span.organisation, *(one.span.organisation for one in data)}):
            await self._traces.access.note(reader, "opened", "spans", f"like {trace}/{span}", whose, via)
        return Similar(data=data, words=list(rare)[:TOGETHER], method="embedding" if model else "words", model=model)

    async def _rare(self, reach: str | None, words: set[str], trace: str) -> dict[str, float]:
        """The words by how much each tells, the rarest first; without those that no other trace has."""
        longest = sorted(words, key=lambda word: (-len(word), word))[:WEIGHED]

        async def weight(word: str) -> float:
            which = Filter(organisation=reach, text=f'"{word}"', unequal={"trace_id": (trace,)})
            counted = await self._traces.store.groups(which, ())
            return 1 / math.log(2 + counted[0].measures.spans) if counted and counted[0].measures.spans else 0.0

        weights = await asyncio.gather(*(weight(word) for word in longest))
        return dict(sorted((one for one in zip(longest, weights, strict=True) if one[1]), key=lambda one: (-one[1], one[0])))

    async def _with(self, reach: str | None, rare: Sequence[str], asked: Span) -> list[Span]:
        found: dict[tuple[str, str], Span] = {}
        together = [rare[:count] for count in range(min(TOGETHER, len(rare)), 1, -1)]
        for words in (*together, *([word] for word in rare[:TOGETHER])):
            text = " ".join(f'"{word}"' for word in words)
            which = Filter(organisation=reach, text=text, equal={"kind": (asked.kind,)}, unequal={"trace_id": (asked.trace_id,)})
            page = await self._traces.store.search(which, CANDIDATES)
            for span in page.spans:
                found.setdefault((span.trace_id, span.span_id), span)
            if len(found) >= CANDIDATES // 2:
                break
        return list(found.values())[:CANDIDATES]

    async def _said(self, span: Span, reach: str | None) -> str:
        stored = await self._traces.store.payload(span.trace_id, span.span_id, reach)
        return last_said(stored.input, "user") if stored is not None else ""

    async def _compared(self, said: str, texts: Sequence[str], rare: dict[str, float]) -> tuple[list[float], str]:
        embedder = self._embedder()
        if embedder is not None and texts:
            try:
                first, *rest = await embedder.embed([(text or " ")[:_EMBEDDED] for text in (said, *texts)])
                return [max(0.0, _cosine(first, one)) for one in rest], embedder.id
            except PenstockError:
                # The model cannot be used now (it is fetched, or its files are broken): words do, and the answer says so.
                pass
        mine = words_of(said)
        return [_shared(mine, words_of(text), rare) for text in texts], ""


def words_of(text: str) -> set[str]:
    """The words of a text that may tell it from others."""
    found = (match[0].lower() for match in _WORD.finditer(text))
    return {word for word, _ in zip(found, range(_MOST_WORDS), strict=False)}


def _shared(mine: set[str], theirs: set[str], weights: dict[str, float]) -> float:
    def weight(words: set[str]) -> float:
        return sum(weights.get(word, 0.2) for word in words)

    either = weight(mine | theirs)
    return weight(mine & theirs) / either if either else 0.0


def _cosine(one: bytes, other: bytes) -> float:
    return sum(a * b for a, b in zip(array("f", one), array("f", other), strict=True))
