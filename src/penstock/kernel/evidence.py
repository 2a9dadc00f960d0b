"""Evidence: what is known of how well candidates do a task. Quality gathers it, routing lives on it, the registry keeps what came out.

An *outcome* is one answer of one candidate to one item, with a score from 0 to 1 and who gave it. Outcomes of several candidates to the
same item are paired, which is what comparisons need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from penstock.kernel.events import Event
from penstock.kernel.principal import Principal


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One judged answer. ``item`` is the example's id in its dataset, or the call's id for live traffic; ``candidate`` a name of the task.

    ``score`` lies in 0..1. ``judge`` names who scored it (``exact``, ``rubric:openai/gpt-4o``, ``human``). ``source`` says where the answer
    is from: an evaluation, a call that was served, or one in its shadow. ``propensity`` is the probability with which this answer came to
    be judged at all, and by this candidate (1 for evaluations). ``cost`` is micro-dollars, ``latency_ms`` the whole answer's time.
    ``groups`` are its slices by kind (``{"language": "de"}``). ``at`` is Unix seconds.

    ``answered_by`` is the model that answered (``provider/model``), whatever the name leads to by now, and ``version`` the registered
    version that stood behind it then; empty where nobody noted it, or none was registered.
    """

    item: str
    candidate: str
    score: float
    judge: str
    source: Literal["evaluation", "live", "shadow"]
    prompt: str
    reply: str
    at: float
    propensity: float = 1.0
    cost: int | None = None
    latency_ms: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    groups: dict[str, str] = {}  # msgspec gives each its own
    answered_by: str = ""
    version: str = ""


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer that is to be judged. ``shape``, ``request``, ``reply``: as they went over the wire, the reply as a stream where ``stream``
    says so. ``call``: the id on the record.

    ``item`` is the call that was served, and ``call`` the one that gave this answer: the same, or its shadow. ``answered_by`` is the model
    that gave it (``provider/model``).
    """

    organisation: str
    task: str
    item: str
    call: str
    candidate: str
    source: Literal["live", "shadow"]
    propensity: float
    shape: str
    request: bytes
    reply: bytes
    at: float
    stream: bool = False
    cost: int | None = None
    latency_ms: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    groups: dict[str, str] = {}  # msgspec gives each its own
    answered_by: str = ""


class Evidence(Protocol):
    """What is known of how well candidates do. Quality provides it."""

    async def outcomes(self, organisation: str, task: str, *, since: float = 0.0) -> Sequence[Outcome]:
        """Every judged answer of the task that counts (the task's own judge, or people), oldest first."""
        ...

    def submit(self, sample: Sample) -> bool:
        """Have an answer judged by the task's judge, some time later; from the event loop, at once. False when it was dropped, which is
        counted: nothing waits for judgements."""
        ...


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whose call it was, for which task, and who answered it (``provider/model``)."""

    id: str
    organisation: str
    task: str | None
    candidate: str | None


Via = Literal["console", "api"]
"""Where somebody looked at prompts and replies."""


class CallRecords(Protocol):
    """What the record may keep of calls, and what it knows of them. Observability provides it."""

    @property
    def keeps(self) -> bool:
        """Whether anything of prompts and replies may be kept at all."""
        ...

    def clean(self, text: str) -> str:
        """A text as it may be kept: with secrets replaced, where the settings say so. For whoever stores what people and models said."""
        ...

    async def find(self, reach: str | None, call: str) -> CallRecord | None:
        """A call on the record; None also for one beyond ``reach``."""
        ...

    def may_open(self, reader: Principal) -> bool:
        """Whether this reader may see prompts and replies of what they may see."""
        ...

    async def opened(self, reader: Principal, what: str, organisation: str, via: Via, kind: Literal["call", "run"] = "call") -> None:
        """To be said before anything of prompts and replies is shown: ``what`` is the id of a call or a run, or says which are meant.

        Raises `Forbidden` for a reader who may not see them, and `StorageError` where it cannot be written down."""
        ...


@dataclass(frozen=True, slots=True)
class Judged(Event):
    """An outcome of live traffic (served or shadow) has come in."""

    organisation: str
    task: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ClaimSuspended(Event):
    """What a policy of a task claims is not believed any more: its default serves until something is certified anew."""

    organisation: str
    task: str
    policy: str
    why: str


@dataclass(frozen=True, slots=True)
class CertificationEnded(Event):
    """An attempt to certify a policy of a task has ended: ``active`` where it claims the floor and serves, ``refused`` where the labels do
    not carry it, ``failed`` where it could not be made. ``automatic``: nobody asked for it but the task's declaration."""

    organisation: str
    task: str
    policy: str
    state: str
    automatic: bool
    why: str


__all__ = ["CallRecord", "CallRecords", "CertificationEnded", "ClaimSuspended", "Evidence", "Judged", "Outcome", "Sample", "Via"]
