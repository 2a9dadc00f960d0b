"""Why a model did a call: every candidate as it stood at that moment, what ruled it out, and on what evidence the choice rests.

Routing writes it onto the call, the record keeps it, and whoever asks "why this model?" reads it there.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Constraint: TypeAlias = Literal[
    "unknown", "not_approved", "place", "modality", "context", "tools", "json", "deadline", "budget", "unhealthy"
]
"""What rules a candidate out: it leads nowhere; the registry refuses it; data may not go there; it does not take the content, the length,
the tools or the schema; it takes longer than there is time; it may cost more than is left; its circuit is open."""

Mode: TypeAlias = Literal["proof", "router", "cascade", "default", "instead"]
"""``proof``: a candidate whose evidence meets the floor. ``router``: the certified router's pick for this prompt. ``cascade``: a certified
one, whose small model answers first. ``default``: the task's default, since nothing cheaper is proven (``why`` says what is missing).
``instead``: the default is ruled out and another candidate, of which nothing is proven, does the call."""


class Considered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One candidate. ``ruled_out`` names the constraint that keeps it from the call, ``why`` says it in words.

    ``quality`` is the mean score in the evidence and ``bound`` what it is at least, at the confidence of the task's floor; None where
    nobody knows. ``cost`` is what a call of about this size is expected to cost there, in micro-dollars, None without a known price.
    """

    candidate: str
    provider: str = ""
    model: str = ""
    ruled_out: Constraint | None = None
    why: str | None = None
    quality: float | None = None
    bound: float | None = None
    cost: int | None = None


class Choice(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was chosen for a call of ``task``, and why. ``policy`` is the id of the policy that stood behind it, if any.

    ``chosen`` is the candidate that was asked first. Of a cascade, ``gain`` is by how much a better answer was expected of ``next``, and
    ``escalated`` whether it was asked; ``threshold`` is the certified gain above which it is. ``propensity`` is the probability with which
    this choice was made of this call. ``explored`` names a candidate that was asked in the answer's shadow as well, ``audited`` says that
    the answer was given to the judge. ``floor`` is the floor in words. ``answered`` are the tokens of input, output and cached input of the
    model that gave the answer, where another was asked and paid before it. ``estimates`` are the chances of a good answer to this
    prompt, by candidate.
    """

    task: str
    mode: Mode
    chosen: str
    why: str
    candidates: tuple[Considered, ...] = ()
    policy: str | None = None
    floor: str | None = None
    quality: float | None = None
    bound: float | None = None
    next: str | None = None
    threshold: float | None = None
    gain: float | None = None
    escalated: bool | None = None
    propensity: float = 1.0
    explored: str | None = None
    audited: bool = False
    answered: tuple[int, int, int] | None = None
    estimates: dict[str, float] = {}


__all__ = ["Choice", "Considered", "Constraint", "Mode"]
