"""One sampled reply with what its context does not support, and the sources of the rest: judged anew, by the task's detector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from msgspec import Struct

from penstock.kernel.errors import NotFound
from penstock.kernel.evidence import Via
from penstock.kernel.opening import Opening
from penstock.kernel.principal import Principal
from penstock.kernel.tasks import DetectorKind, Tasks
from penstock.quality import samples
from penstock.quality.grounded.choice import Detectors
from penstock.quality.grounded.judgement import Judgement, Limits
from penstock.quality.judging import LimitsOf
from penstock.quality.samples import Kept
from penstock.storage.records import Records

DOUBTFUL = 0.5
"""The score from which a part of a reply counts as unsupported."""
NEAR = 0.35
"""The share of a sentence's words from which the nearest part of the context is shown as its source."""
Mark = Literal["", "doubtful", "missing"]


class Piece(Struct, frozen=True):
    """A stretch of text. ``mark``: ``doubtful`` is in a sentence that nothing supports, ``missing`` are words that stand nowhere in the
    context. ``sentence`` is the place of its sentence in `Reply.sentences`, None outside of any."""

    text: str
    mark: Mark = ""
    sentence: int | None = None


class Sentence(Struct, frozen=True, kw_only=True):
    """A sentence of the reply. ``source`` is the stretch of the context that comes nearest, by its place in `Reply.context`, None where
    none comes near; ``share`` of the sentence's words by weight stand in it."""

    text: str
    score: float
    source: int | None = None
    share: float = 0.0


class Reply(Struct, frozen=True, kw_only=True):
    """A reply with its highlights. ``score`` is from 0 to 1, how much it looks unsupported as a whole; None where nothing was judged, and
    ``why`` says for what reason. ``instead`` says why another detector judged than the one that was wanted."""

    id: str
    task: str
    candidate: str
    at: float
    verdict: str
    score: float | None
    why: str
    detector: str
    instead: str
    prompt: str
    pieces: list[Piece]
    sentences: list[Sentence]
    context: list[Piece]
    judged: float | None
    judge: str
    reason: str
    model_score: float | None
    model_judge: str


class Replies:
    """Looks at sampled replies."""

    def __init__(
        self, records: Records, detectors: Detectors, limits: LimitsOf, tasks: Callable[[], Tasks | None], opening: Opening
    ) -> None:
        self._records = records
        self._opening = opening
        self._detectors = detectors
        self._limits = limits
        self._tasks = tasks

    async def get(self, reader: Principal, id: str, via: Via) -> Reply:
        """One of them. `NotFound` where it was not sampled, or is another's, and `Forbidden` for who may see no prompts and replies."""
        kept = await self._records.read(lambda c: samples.one(c, id))
        if kept is None or reader.reach not in (None, kept.organisation):
            raise NotFound(f"the reply to call {id[:100]!r} was not sampled", param="id")
        await self._opening.opened(reader, kept.id, kept.organisation, via)
        told = await self._detectors.judge(self._wanted(kept), (kept.context,) if kept.context.strip() else (), kept.answer)
        instead = f"{told.fault.code}: {told.fault.message}" if told.fault is not None else ""
        limits = self._limits(kept.organisation, kept.task, told.judgement.detector)
        return highlighted(kept, told.judgement, limits, instead)

    def _wanted(self, kept: Kept) -> DetectorKind | None:
        tasks = self._tasks()
        task = tasks.find(kept.organisation, kept.task) if tasks is not None else None
        return task.judge.detector if task is not None and task.judge is not None and task.judge.kind == "groundedness" else None


def highlighted(kept: Kept, found: Judgement, limits: Limits | None = None, instead: str = "") -> Reply:
    """A reply with what was said of it, as stretches of text to be shown one after the other."""
    verdict = found.verdict if limits is None or found.score is None else limits.verdict(found.score)
    spans = sorted((span for span in found.spans if span.kind == "sentence"), key=lambda span: span.start)
    supports = [span.support if span.support is not None and span.support.share >= NEAR else None for span in spans]
    stretches = sorted({(one.start, one.end) for one in supports if one is not None})
    apart = [one for at, one in enumerate(stretches) if at == 0 or one[0] >= stretches[at - 1][1]]
    context = _cut(kept.context, [(start, end, "", place) for place, (start, end) in enumerate(apart)])
    places = {one: place for place, one in enumerate(apart)}
    marks: list[tuple[int, int, Mark, int | None]] = [
        (span.start, span.end, "doubtful" if span.score >= DOUBTFUL else "", place) for place, span in enumerate(spans)
    ]
    # Words that stand nowhere are told inside doubtful sentences alone: elsewhere they are other words for what is there.
    missing = [(span.start, span.end) for span in found.spans if span.kind == "words"]
    missing += [(span.start, span.end) for span in found.spans if span.kind == "tokens" and span.score >= DOUBTFUL]
    everywhere = any(span.kind == "tokens" for span in found.spans)
    return Reply(
        id=kept.id,
        task=kept.task,
        candidate=kept.candidate,
        at=kept.at,
        verdict=verdict,
        score=found.score,
        why=found.why,
        detector=found.detector,
        instead=instead,
        prompt=kept.prompt,
        pieces=_marked(kept.answer, marks, missing, everywhere=everywhere),
        sentences=[
            Sentence(
                text=kept.answer[span.start : span.end].strip(),
                score=span.score,
                source=places.get((support.start, support.end)) if support is not None else None,
                share=support.share if support is not None else 0.0,
            )
            for span, support in zip(spans, supports, strict=True)
        ],
        context=context,
        judged=kept.score,
        judge=kept.judge,
        reason=kept.reason,
        model_score=kept.model_score,
        model_judge=kept.model_judge,
    )


def _cut(text: str, spans: Sequence[tuple[int, int, Mark, int | None]]) -> list[Piece]:
    """The text in stretches, of which those of ``spans`` (in order, apart) carry what they say."""
    pieces: list[Piece] = []
    at = 0
    for start, end, mark, place in spans:
        pieces += [Piece(text[at:start])] if start > at else []
        pieces += [Piece(text[start:end], mark, place)] if end > start else []
        at = max(at, end)
    return pieces + ([Piece(text[at:])] if at < len(text) else [])


def _marked(
    text: str, sentences: Sequence[tuple[int, int, Mark, int | None]], missing: Sequence[tuple[int, int]], *, everywhere: bool
) -> list[Piece]:
    """The same, and the missing words within: of doubtful sentences, or ``everywhere``."""
    cut: list[tuple[int, int, Mark, int | None]] = []
    for start, end, mark, place in sentences:
        at = start
        for begins, ends in sorted(missing):
            first, last = max(begins, at), min(ends, end)
            if first < last and (mark or everywhere):
                cut.append((at, first, mark, place))
                cut.append((first, last, "missing", place))
                at = last
        cut.append((at, end, mark, place))
    return _cut(text, cut)


__all__ = ["Piece", "Replies", "Reply", "Sentence", "highlighted"]
