"""What a detector says of a reply, and the protocol that every detector keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

Verdict = Literal["grounded", "ungrounded", "unsure", "not_judged"]
"""``unsure``: between the two limits of a calibration. ``not_judged``: there was nothing to hold the reply against, or nothing to judge."""


class Support(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the context that comes nearest: characters ``start`` to ``end`` of text ``text``; ``share`` of the span's words by
    weight stand there."""

    text: int
    start: int
    end: int
    share: float


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the reply, by character offsets. ``score``: 0 to 1, how much it looks unsupported.

    ``sentence``: a whole one. ``words``: a run whose content words stand nowhere in the context. ``tokens``: what a token classifier marks.
    """

    kind: Literal["sentence", "words", "tokens"]
    start: int
    end: int
    score: float
    support: Support | None = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """``score`` is None exactly when nothing was judged; ``why`` then says for what reason, and else what spoke most against the reply.

    ``detector`` names who said so, its version and its path; scores of two detectors cannot be compared.
    """

    verdict: Verdict
    detector: str
    score: float | None = None
    spans: tuple[Span, ...] = ()
    why: str = ""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where verdicts change: scores up to ``low`` are grounded, from ``high`` on ungrounded, between them unsure. One line when equal."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"the lower limit {self.low} lies above the upper one {self.high}")

    def verdict(self, score: float) -> Verdict:
        if score <= self.low:
            return "grounded"
        return "ungrounded" if score >= self.high else "unsure"


class Detector(Protocol):
    """Judges whether a reply says only what its context supports."""

    @property
    def id(self) -> str:
        """Who judges: model, version and way of judging."""
        ...

    async def judge(self, context: Sequence[str], reply: str) -> Judgement:
        """``context`` are the texts that the reply may rest on. Raises `PenstockError` where the detector itself cannot work; what
        cannot be judged is a judgement (``not_judged``), no error."""
        ...


def not_judged(detector: str, context: Sequence[str], reply: str) -> Judgement | None:
    """The judgement of what cannot be judged; None when it can."""
    if not reply.strip():
        return Judgement(verdict="not_judged", detector=detector, why="The reply holds no text.")
    if not any(text.strip() for text in context):
        return Judgement(verdict="not_judged", detector=detector, why="No context was given that the reply could rest on.")
    return None
