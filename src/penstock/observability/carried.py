"""Finished calls on their way to another process: what the record and the spans are made of, as MessagePack.

The other side gets `Call` objects that say the same to `penstock.observability.scribe`. Keys and targets that are equal are one object
there, as they are here, since spans' common parts are found by identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from penstock.kernel.call import Attempt, Call, Cost, Installment, Recall, Target, Trace, Usage, Verdict
from penstock.kernel.choice import Choice
from penstock.kernel.errors import PenstockError
from penstock.kernel.principal import Principal

NAMED = ("safety_identifier", "user", "metadata", "conversation")
"""Fields of a request that `penstock.observability.named` looks at."""

KNOWN_MOST = 10_000

Owner = tuple[str, str, str, str | None, str | None, str | None]
Place = tuple[str, str, str]


class Carried(msgspec.Struct, array_like=True, gc=False):
    """One call; the order is that of `carried`."""

    id: str
    operation: str
    shape: str
    trace: tuple[str, str, str | None]
    body: bytes
    started: float
    started_at: float
    fields: dict[str, bytes]
    model: str
    task: str | None
    stream: bool
    principal: Owner | None
    labels: dict[str, str]
    target: Place | None
    attempts: list[Attempt]
    verdicts: list[Verdict]
    reached: list[tuple[str, float]]
    notes: list[str]
    times: tuple[float, float | None, float]
    usage: Usage | None
    cost: Cost | None
    error: tuple[str, str] | None
    outcome: str
    reply_status: int
    reply_text: list[bytes]
    keepsake: bytes | None
    step: tuple[str, int] | None
    recalled: Recall | None
    prompt: str | None
    choice: Choice | None
    inside: str
    installments: tuple[Installment, ...]


def carried(call: Call) -> tuple[Any, ...]:
    """The values of `Carried`. Raises whatever the call's ``keepsake`` does."""
    trace, who, target, fields, error = call.trace, call.principal, call.target, call.fields, call.error
    return (
        call.id,
        call.operation,
        call.shape,
        (trace.trace_id, trace.span_id, trace.parent_id),
        call.body,
        call.started,
        call.started_at,
        {name: bytes(raw) for name in NAMED if (raw := fields.get(name)) is not None} if fields else fields,
        call.model,
        call.task,
        call.stream,
        (who.key_id, who.name, who.organisation, who.team, who.project, who.person) if who is not None else None,
        call.labels,
        (target.provider, target.model, target.name) if target is not None else None,
        call.attempts,
        call.verdicts,
        call.reached,
        call.notes,
        (call.queued_ms, call.first_token_ms, call.total_ms),
        call.usage,
        call.cost,
        (error.code, error.message) if error is not None else None,
        call.outcome,
        call.reply_status,
        call.reply_text if call.keepsake is None else (),
        call.keepsake() if call.keepsake is not None else None,
        call.step,
        call.recalled,
        call.prompt,
        call.choice,
        call.inside,
        call.installments,
    )


class Unpacker:
    """Makes calls of what was carried."""

    def __init__(self) -> None:
        self._owners: dict[Owner, Principal] = {}
        self._places: dict[Place, Target] = {}

    def calls(self, carried: Iterable[Carried]) -> Sequence[Call]:
        """One call for each, in order."""
        return [self._call(one) for one in carried]

    def _call(self, one: Carried) -> Call:
        trace, span, parent = one.trace
        call = Call(
            operation=one.operation,
            shape=one.shape,
            credential=None,
            deadline=0.0,
            trace=Trace(trace, span, parent, "01", None),
            body=one.body,
        )
        call.id, call.started, call.started_at = one.id, one.started, one.started_at
        call.fields = {name: msgspec.Raw(raw) for name, raw in one.fields.items()}
        call.model, call.task, call.stream = one.model, one.task, one.stream
        call.principal = self._owner(one.principal) if one.principal is not None else None
        call.target = self._place(one.target) if one.target is not None else None
        call.labels, call.attempts, call.verdicts, call.reached, call.notes = one.labels, one.attempts, one.verdicts, one.reached, one.notes
        call.queued_ms, call.first_token_ms, call.total_ms = one.times
        call.usage, call.cost, call.outcome, call.reply_status, call.reply_text = (
            one.usage, one.cost, one.outcome, one.reply_status, one.reply_text,
        )  # fmt: skip
        if one.error is not None:
            call.error = PenstockError(one.error[1], code=one.error[0])
        if (kept := one.keepsake) is not None:
            call.keepsake = lambda: kept
        call.step, call.recalled, call.prompt, call.choice = one.step, one.recalled, one.prompt, one.choice
        call.inside, call.installments = one.inside, one.installments
        return call

    def _owner(self, owner: Owner) -> Principal:
        found = self._owners.get(owner)
        if found is None:
            if len(self._owners) >= KNOWN_MOST:
                self._owners.clear()
            key, name, organisation, team, project, person = owner
            found = Principal(key_id=key, name=name, organisation=organisation, team=team, project=project, person=person)
            self._owners[owner] = found
        return found

    def _place(self, place: Place) -> Target:
        found = self._places.get(place)
        if found is None:
            if len(self._places) >= KNOWN_MOST:
                self._places.clear()
            found = self._places[place] = Target(*place)
        return found
