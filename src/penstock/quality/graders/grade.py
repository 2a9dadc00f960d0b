"""What a grader says of an answer, and what graders have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from msgspec import Struct, field

from penstock.quality.examples import Item

State = Literal["judged", "unjudged", "waiting"]


class Grade(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A score from 0 to 1, or why there is none: ``unjudged`` says that the judge failed, ``waiting`` that a person or the business has
    not spoken yet. Neither is ever counted as a score. ``cost`` is what judging cost, in micro-dollars, as a judge's calls were charged;
    ``paid`` what of it was not paid before. ``judge`` is who judged, where that is not the grader itself but another in its place."""

    state: State
    score: float | None = None
    reason: str = ""
    cost: int = 0
    paid: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    judge: str = ""


def judged(score: float, reason: str = "", **more: Any) -> Grade:
    """A score."""
    return Grade(state="judged", score=score, reason=reason, **more)


def unjudged(reason: str, **more: Any) -> Grade:
    """No score, since judging failed."""
    return Grade(state="unjudged", reason=reason, **more)


class Grader(Protocol):
    """Judges answers one by one. ``name`` is what the score's ``judge`` says; ``compares`` whether it wants an answer to compare with."""

    name: str
    compares: bool

    async def grade(self, item: Item, answer: str, against: str | None = None) -> Grade:
        """The grade of an answer; ``against`` is the reference's answer to the same item. Never raises for what an answer says."""
        ...


class Heard(Struct, frozen=True, kw_only=True):
    """What a judge's model answered. ``error`` is a code where it did not, ``paid`` what was not paid before."""

    text: str
    error: str | None = None
    cost: int = 0
    paid: int = 0


class Asks(Protocol):
    """How a grader asks a model: an ordinary call, charged and recorded as one."""

    async def __call__(self, model: str, messages: list[dict[str, Any]], max_tokens: int) -> Heard: ...


__all__ = ["Asks", "Grade", "Grader", "Heard", "State", "judged", "unjudged"]
