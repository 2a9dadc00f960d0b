"""A policy: what was fitted and certified for a task, as it is stored, served and told.

Policies are never changed, except in their state, and in where names lead as long as they do not say; a new certification makes a new one.
What a policy claims belongs to the task as it was declared then (`claim_of`): with another floor, judge or slices, or without one of its
candidates, it is stale and serves nobody.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, TypeAlias

import msgspec

from penstock.kernel.tasks import Floor, Task

State: TypeAlias = Literal["fitting", "active", "suspended", "superseded", "refused", "failed"]
"""``refused``: the labels do not carry the floor. ``failed``: the fit could not be made. Only an active policy is routed by."""

WATCH = "watch"
"""Who suspends what the traffic contradicts."""

VERSION = "version"
"""Who suspends what was measured on a model that is another one now."""

Kind: TypeAlias = Literal["single", "router", "cascade"]


class SliceFound(msgspec.Struct, frozen=True, kw_only=True):
    """A group of the labels: its floor, how many labels, and the mean score of the chosen policy in it; whether the floor is claimed there.

    ``judged`` is false where the group has too few labels to say anything.
    """

    by: str
    group: str
    level: float
    labels: int
    quality: float
    judged: bool
    holds: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate by itself on the labels that certify. ``bound`` is what its quality is at least, exactly, at the floor's confidence.

    ``cost`` is micro-dollars a call, ``latency_ms`` the quantile of the task's objective; None where the evidence does not say.
    ``certified`` says that the floor is claimed of everything going to it.
    """

    candidate: str
    labels: int
    quality: float
    low: float
    high: float
    bound: float
    certified: bool
    cost: float | None = None
    latency_ms: float | None = None
    output_tokens: float | None = None


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """A way to reach the floor that was tried: whether it was certified, what it costs a call, its quality, and why."""

    kind: Kind
    name: str
    certified: bool
    cost: float | None
    quality: float | None
    why: str


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of policies that are tested, safest first, as the fit settled them; the labels that certify have no part in this.

    ``singles`` are candidates by themselves, ``worths`` the router's dials over ``candidates``, ``thresholds`` the cascade ``pair``'s.
    ``costs`` are micro-dollars a call of each of ``candidates``. ``left_out`` says of the task's other candidates why they have no part.
    """

    candidates: tuple[str, ...]
    costs: tuple[float, ...]
    singles: tuple[str, ...]
    worths: tuple[float, ...] = ()
    pair: tuple[str, str] | None = None
    thresholds: tuple[float, ...] = ()
    left_out: dict[str, str] = {}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What was fitted and certified for a task, version ``number``.

    ``kind`` None: nothing is certified. A ``single`` sends everything to ``chosen``; a ``router`` picks for each prompt among
    ``candidates`` the best of ``worth * chance - cost`` (micro-dollars); a ``cascade`` asks ``chosen`` first and ``next`` when that
    promises to gain more than ``threshold``. ``singles`` are the candidates of which the floor is claimed by themselves, cheapest first.

    ``claim`` is the digest of what the task said that the certificate is about, ``evidence`` the digest of the labels. ``series`` and
    ``attempt`` count certifications (`penstock.routing.series`), ``alpha`` is what this attempt could get wrong, ``until`` the moment (Unix
    seconds) of the newest label that it has seen, ``since`` that after which labels could certify. ``embedder`` names the
    vectors that the arrays were made for, empty where none are needed; ``digest`` is SHA-256 over the arrays. ``durable``: the attempt is a
    run of the journal. ``automatic``: nobody asked for it but the task's declaration; ``spent`` says whose share of alpha it had among all
    that nobody asked for and the one before them (0 in policies that are older than this field). ``changed_by`` is who suspended it: a key,
    or `WATCH` for what it saw of the traffic, or `VERSION`. ``models`` says where the names that it serves by
    led (`penstock.routing.binding`); those in ``presumed`` were written down when somebody looked, after it was certified.

    What an attempt may do is settled when it is begun, and not changed by whatever happens until it is executed: ``claim``, ``series``,
    ``attempt``, ``spent``, ``alpha``, ``since``, ``again`` (the id of the policy whose fit it tests once more); outcomes from after
    ``created_at`` have no part in it. ``doubts`` are the task's policies that were suspended then, with the moment of that.
    """

    id: str
    organisation: str
    task: str
    number: int
    state: State
    created_at: float
    by: str
    durable: bool = False
    automatic: bool = False
    claim: str = ""
    floor: Floor | None = None
    kind: Kind | None = None
    candidates: tuple[str, ...] = ()
    chosen: str | None = None
    next: str | None = None
    worth: float = 0.0
    threshold: float = 0.0
    costs: tuple[float, ...] = ()
    cost: float | None = None
    quality: float | None = None
    bound: float | None = None
    singles: tuple[str, ...] = ()
    standings: tuple[Standing, ...] = ()
    considered: tuple[Considered, ...] = ()
    slices: tuple[SliceFound, ...] = ()
    labels: int = 0
    fitted_on: int = 0
    labels_wanted: int | None = None
    series: int = 1
    attempt: int = 1
    spent: int = 0
    alpha: float = 0.0
    since: float = 0.0
    again: str = ""
    doubts: dict[str, float] = {}
    until: float = 0.0
    fitted_until: float = 0.0
    frozen: Frozen | None = None
    evidence: str = ""
    embedder: str = ""
    models: dict[str, tuple[str, str]] = {}
    presumed: tuple[str, ...] = ()
    digest: str = ""
    why: str = ""
    changed_at: float = 0.0
    changed_why: str = ""
    changed_by: str = ""

    @property
    def served(self) -> tuple[str, ...]:
        """The candidates that a certified policy may send calls to, or whose score its floor refers to, as far as it says so; all of one
        that certified nothing."""
        if self.kind is None:
            return self.frozen.candidates if self.frozen is not None else self.candidates
        picked = self.candidates if self.kind == "router" else (self.chosen, self.next)
        floor = self.floor
        reference = floor.reference if floor is not None and floor.kind == "relative" else None
        return tuple(dict.fromkeys(one for one in (*picked, *self.singles, reference) if one is not None))

    def standing(self, candidate: str) -> Standing | None:
        """What the labels say of a candidate by itself."""
        return next((one for one in self.standings if one.candidate == candidate), None)


def claim_of(task: Task) -> str:
    """The digest of what a certificate is about. Candidates are not in it: one more changes nothing that was claimed without it."""
    floor = task.floor
    said = (
        floor and (floor.level, floor.kind, floor.confidence, floor.reference or task.default),
        msgspec.to_builtins(task.judge),
        [msgspec.to_builtins(one) for one in task.slices],
    )
    return sha256(msgspec.json.encode(said)).hexdigest()[:32]


def floor_in_words(floor: Floor, default: str) -> str:
    """``at least 95.0 % as good as openai/gpt-4o, at 95 % confidence``."""
    to = f"as good as {floor.reference or default}" if floor.kind == "relative" else "right"
    return f"at least {floor.level:.1%} {to}, at {floor.confidence:.0%} confidence"
