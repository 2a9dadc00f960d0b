"""From a finished call to the row that is stored: all in the background, a few microseconds each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.kernel.call import Call, StageTime, Usage
from penstock.observability.named import person_of
from penstock.observability.redaction import Redactor
from penstock.observability.tables import calls

COLUMNS: tuple[str, ...] = tuple(column.name for column in calls.columns)
NULLABLE: frozenset[str] = frozenset(column.name for column in calls.columns if column.nullable)

ABSENT = ""
"""Stands for NULL in a row: binding None takes SQLite's driver a microsecond, and a call has a dozen of them."""

NAME_LIMIT = 200
MESSAGE_LIMIT = 2000
JSON_LIMIT = 32_768

MEASURES = ("images", "audio_ms", "characters", "searches")
"""Fields of a usage that are no tokens."""

Row = tuple[Any, ...]

_encode = msgspec.json.Encoder().encode


def row_of(call: Call, payload: int | None, redactor: Redactor) -> Row:
    """The values of `COLUMNS` for this call, `ABSENT` for null. ``payload`` is the pack that holds prompt and reply, if any."""
    who = call.principal
    usage = call.usage
    cost = call.cost
    error = call.error
    trace = call.trace
    provider, provider_model = served_by(call)
    return (
        call.id,
        int(call.started_at * 1e3),
        *(
            (who.organisation, who.team or ABSENT, who.project or ABSENT, person_of(call) or ABSENT, who.key_id)
            if who is not None
            else (ABSENT, ABSENT, ABSENT, ABSENT, ABSENT)
        ),
        clean(call.task, NAME_LIMIT) if call.task else ABSENT,
        clean(call.model, NAME_LIMIT),
        provider or ABSENT,
        clean(provider_model, NAME_LIMIT) if provider_model else ABSENT,
        call.operation,
        call.shape,
        call.stream,
        call.reply_status,
        call.outcome,
        *((error.code, clean(redactor.text(error.message), MESSAGE_LIMIT)) if error is not None else (ABSENT, ABSENT)),
        call.queued_ms,
        call.first_token_ms if call.first_token_ms is not None else ABSENT,
        call.total_ms,
        *(
            (
                usage.input,
                usage.output,
                usage.cached,
                usage.cache_written,
                usage.reasoning,
                usage.audio_input + usage.audio_output,
                usage.estimated,
            )
            if usage is not None
            else (ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT)
        ),
        *((cost.amount, cost.currency, cost.priced) if cost is not None else (ABSENT, ABSENT, ABSENT)),
        trace.trace_id,
        trace.span_id,
        trace.parent_id or ABSENT,
        _labels(call.labels, redactor) if call.labels else ABSENT,
        _json(call.attempts, redactor if error is not None or len(call.attempts) > 1 else None) if call.attempts else ABSENT,
        _stages(call) if call.reached else ABSENT,
        _json(call.verdicts, redactor) if call.verdicts else ABSENT,
        _json(call.notes, redactor) if call.notes else ABSENT,
        payload if payload is not None else ABSENT,
        _json(call.recalled, None) if call.recalled is not None else ABSENT,
        _measures(usage) if usage is not None else ABSENT,
        call.prompt or ABSENT,
        _choice(call, redactor) if call.choice is not None else ABSENT,
    )


def _choice(call: Call, redactor: Redactor) -> str:
    choice = call.choice
    if choice is not None and call.usage is not None and call.installments:
        used, paid = call.usage, [one.usage for one in call.installments]
        answered = (
            used.input - sum(one.input for one in paid),
            used.output - sum(one.output for one in paid),
            used.cached - sum(one.cached for one in paid),
        )
        choice = msgspec.structs.replace(choice, answered=answered)
    return _json(choice, redactor)


def _measures(usage: Usage) -> str:
    if not (usage.images or usage.audio_ms or usage.characters or usage.searches):
        return ABSENT
    return _encode({name: count for name in MEASURES if (count := getattr(usage, name))}).decode()


def _stages(call: Call) -> str:
    started = call.started
    return _encode([(name, round((at - started) * 1e6)) for name, at in call.reached]).decode()


def stage_times(text: str | None, total_ms: float) -> list[StageTime]:
    """The station times of a stored call: the column holds names and microseconds at which each was reached."""
    if not text:
        return []
    reached = msgspec.json.decode(text, type=list[tuple[str, int]])
    ends = [*(at / 1e3 for _, at in reached), total_ms][1:]
    return [StageTime(name, at / 1e3, max(0.0, round(end - at / 1e3, 3))) for (name, at), end in zip(reached, ends, strict=True)]


def served_by(call: Call) -> tuple[str | None, str | None]:
    """Provider and its name for the model: where the call was served, else where it was tried last; None twice when nowhere."""
    if call.target is not None:
        return call.target.provider, call.target.model
    last = call.last_attempt()
    return (last.provider, last.model) if last is not None else (None, None)


def clean(text: str, limit: int) -> str:
    """The text as every database takes it: no NUL, no half surrogates, at most ``limit`` characters."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _json(value: object, redactor: Redactor | None) -> str:
    data = _encode(value)
    if redactor is not None:
        data, _ = redactor.bytes(data)
    # A JSON text that was cut is no JSON; something that long is not worth keeping. "\u0000" is valid JSON and no valid text.
    return data.decode() if len(data) <= JSON_LIMIT and b"\\u0000" not in data else ABSENT


def _labels(labels: Mapping[str, str], redactor: Redactor) -> str:
    return _json({clean(key, 100): clean(value, 500) for key, value in labels.items()}, redactor)
