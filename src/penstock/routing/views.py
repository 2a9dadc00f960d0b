"""What is told of costs and qualities: frontiers, estimates on recorded traffic, what-ifs. Plain data."""

from __future__ import annotations

from typing import Literal

import msgspec

from penstock.routing.policy import Considered, Policy


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One way to do the task. ``cost`` is micro-dollars a call, ``quality`` the mean score; both with 95 % intervals.

    ``dial`` is the threshold of a cascade, or what one more good answer may cost a router (micro-dollars). ``certified``: a current
    certificate claims the floor of it. ``serving``: it is what the task's calls get now.
    """

    name: str
    kind: Literal["candidate", "router", "cascade"]
    cost: float
    cost_low: float
    cost_high: float
    quality: float
    low: float
    high: float
    labels: int
    dial: float | None = None
    certified: bool = False
    serving: bool = False


class Frontier(msgspec.Struct, frozen=True, kw_only=True):
    """``line`` is the floor as a quality; of a relative one, at the reference's mean on these labels. ``left_out`` says of candidates
    without a point why they have none, ``notes`` what else is missing."""

    task: str
    floor: str
    line: float
    labels: int
    fitted_on: int
    points: list[Point]
    policy: str | None
    left_out: dict[str, str]
    notes: list[str]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Quality and cost (micro-dollars a call) of a policy on the recorded traffic, with 95 % intervals; None where the record cannot tell.

    ``calls`` are the judged calls, ``matched`` those of which an answer of the candidate that the policy picks was judged, ``effective``
    how many calls of equal weight these are worth. ``weighed`` is the same by inverse propensity alone.
    """

    calls: int
    matched: int
    effective: float
    quality: float | None
    low: float | None
    high: float | None
    cost: float | None
    weighed: float | None
    enough: bool
    why: str


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """``policy`` is what the evidence would support: its kind, whom it asks, its quality and cost on labels; not stored, not live, and
    no certificate, since these labels may have certified before. ``now`` is what the recorded traffic got, ``then`` what it would have got.
    """

    task: str
    supported: bool
    policy: Policy
    considered: list[Considered]
    now: Estimate
    then: Estimate | None
    why: str
