"""A finished call as spans: itself, its attempts where there was more than one that went well, and what guards objected to."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import msgspec

from penstock import __version__
from penstock.kernel.call import Call, Usage
from penstock.observability.named import person_of, session_of
from penstock.observability.own.said import answered, asked
from penstock.observability.payloads import Kept
from penstock.observability.redaction import Redactor
from penstock.observability.rows import MESSAGE_LIMIT, NAME_LIMIT, clean
from penstock.storage.telemetry.span import Payload, Span

SERVICE = "penstock"
SOURCE = f"penstock.gateway@{__version__}"
"""The source of spans of calls through this house's gateway. What comes over OTLP never has it."""

CALL_ID = "penstock.call.id"
"""Attribute of a span that is a call of ours: its id on the record."""

KINDS = {"embeddings": "embedding", "rerank": "rerank"}
"""Kinds by operation; every other one is a ``call``."""

SEVERITY = {"allow": 0, "not_scanned": 1, "flag": 2, "redact": 3, "block": 4}
FLAGGED = 2
"""From this severity on, guards objected to something."""

COMMON_MOST = 1000
"""Combinations of key, task and model whose spans' common part is kept."""

_APART = 0x9E3779B97F4A7C15
_MEASURES = ("cache_written", "audio_input", "audio_output", "images", "audio_ms", "characters", "searches")
_encode = msgspec.json.Encoder().encode


class CallSpans:
    """Makes spans of calls, on a thread. ``redactor`` sees to what errors say; prompts and replies come with secrets replaced already."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._common: dict[tuple[int, int, str, str, str | None], tuple[Span, object, object]] = {}

    def of(self, call: Call, kept: Kept | None) -> list[Span]:
        """The spans of a call, itself first; ``kept`` is what the record keeps of its prompt and reply."""
        trace, usage, cost, error = call.trace, call.usage, call.cost, call.error
        span = copy(self._known(call))
        span.trace_id, span.span_id = trace.trace_id, trace.span_id
        if trace.parent_id is not None:
            span.parent_id = trace.parent_id
        span.start_ns = span.end_ns = int(call.started_at * 1e9)
        if call.total_ms > 0:
            span.end_ns += int(call.total_ms * 1e6)
        span.status = call.outcome
        if call.fields or call.labels:
            if not span.person:
                span.person = person_of(call)
            span.session = session_of(call)
        if call.step is not None:
            span.run = call.step[0]
        if call.prompt:
            span.prompt = call.prompt
        if usage is not None:
            span.input_tokens, span.output_tokens = usage.input, usage.output
            span.cached_tokens, span.reasoning_tokens = usage.cached, usage.reasoning
        if cost is not None and cost.priced:
            span.cost_micros, span.currency = cost.amount, cost.currency
        if call.first_token_ms is not None:
            span.first_token_ns = int(call.first_token_ms * 1e6)
        span.attributes = self._attributes(call, usage)
        if kept is not None:
            shape = call.shape
            span.payload = Payload(input=asked(shape, kept.request), output=answered(shape, kept.reply, kept.entry.reply.form))
        if error is not None:
            span.error_code, span.message = error.code, clean(self._redactor.text(error.message), MESSAGE_LIMIT)
        if call.verdicts:
            span.verdict = max((one.verdict for one in call.verdicts), key=lambda said: SEVERITY.get(said, FLAGGED))
            span.flagged = SEVERITY.get(span.verdict, FLAGGED) >= FLAGGED
        if call.labels:
            _labelled(span, call.labels)
        spans = [span]
        if len(call.attempts) > 1 or call.error is not None:
            self._attempts(call, span, spans)
        if span.flagged:
            self._verdicts(call, span, spans)
        return spans

    def _known(self, call: Call) -> Span:
        """A span with all that calls of the same key, task and model have in common; not to be changed."""
        who, target = call.principal, call.target
        # By identity, which is cheap; what is kept holds both, so that nothing else gets their place in memory.
        key = (id(who), id(target), call.model, call.operation, call.task)
        held = self._common.get(key)
        if held is not None:
            return held[0]
        model = clean(call.model, NAME_LIMIT)
        provider, answers = (target.provider, target.model) if target is not None else _last(call)
        span = Span(
            trace_id="",
            span_id="",
            start_ns=0,
            end_ns=0,
            kind=KINDS.get(call.operation, "call"),
            name=f"{call.operation} {model}" if model else call.operation,
            service=SERVICE,
            release=__version__,
            task=clean(call.task, NAME_LIMIT) if call.task else "",
            operation=call.operation,
            provider=provider,
            model=model,
            answered=answers,
            source=SOURCE,
        )
        if who is not None:
            span.organisation, span.key = who.organisation, who.key_id
            span.team, span.project, span.person = who.team or "", who.project or "", who.person or ""
        if target is not None:
            if len(self._common) >= COMMON_MOST:
                self._common.clear()
            self._common[key] = (span, who, target)
        return span

    def _attributes(self, call: Call, usage: Usage | None) -> str:
        # Ids, shapes and numbers need no escaping.
        always = f'{{"{CALL_ID}":"{call.id}","penstock.shape":"{call.shape}","http.response.status_code":{call.reply_status}'
        said: dict[str, Any] = {}
        if call.stream:
            said["penstock.stream"] = True
        if call.queued_ms >= 1:
            said["penstock.queued_ms"] = round(call.queued_ms, 3)
        if call.step is not None:
            said["penstock.step"] = call.step[1]
        if call.inside:
            said["penstock.inside"] = call.inside
        if call.recalled is not None:
            said |= {"penstock.cache": call.recalled.kind, "penstock.cache.call": call.recalled.call}
        if usage is not None:
            if usage.estimated:
                said["penstock.usage_estimated"] = True
            if (
                usage.cache_written
                or usage.audio_input
                or usage.audio_output
                or usage.images
                or usage.audio_ms
                or usage.characters
                or usage.searches
            ):
                said |= {f"penstock.usage.{name}": count for name in _MEASURES if (count := getattr(usage, name))}
        if call.choice is not None:
            said["penstock.choice"] = msgspec.to_builtins(call.choice)
        if call.labels:
            said |= {f"penstock.label.{name}": value for name, value in call.labels.items()}
        if not said:
            return f"{always}}}"
        data, _ = self._redactor.bytes(_encode(said))
        return f"{always},{data.decode('utf-8', 'replace')[1:]}"

    def _attempts(self, call: Call, outer: Span, spans: list[Span]) -> None:
        for number, attempt in enumerate(call.attempts, 1):
            if attempt.skipped is not None:
                continue  # nothing was sent
            ended = attempt.ended_ms if attempt.ended_ms is not None else call.total_ms
            span = _within(outer, number, "span", f"{'hedge' if attempt.hedge else 'attempt'} {attempt.provider}/{attempt.model}")
            span.start_ns += int(attempt.started_ms * 1e6)
            span.end_ns = max(span.start_ns, outer.start_ns + int(ended * 1e6))
            span.operation = "attempt"
            span.provider, span.model = attempt.provider, attempt.model
            if attempt.first_token_ms is not None:
                span.first_token_ns = max(0, int((attempt.first_token_ms - attempt.started_ms) * 1e6))
            if attempt.status is not None:
                span.attributes = f'{{"http.response.status_code":{attempt.status}}}'
            if attempt.error is not None:
                span.status, span.error_code = "failed", attempt.error
                span.message = clean(self._redactor.text(attempt.message or ""), MESSAGE_LIMIT)
            spans.append(span)

    def _verdicts(self, call: Call, outer: Span, spans: list[Span]) -> None:
        for number, verdict in enumerate(call.verdicts, 1):
            if SEVERITY.get(verdict.verdict, FLAGGED) < FLAGGED:
                continue
            span = _within(outer, -number, "guard", clean(verdict.guard, NAME_LIMIT))
            span.operation, span.verdict, span.flagged = "guard", verdict.verdict, True
            span.message = clean(self._redactor.text(verdict.reason or ""), MESSAGE_LIMIT)
            if verdict.verdict == "block":
                span.status = "refused"
            spans.append(span)


def _last(call: Call) -> tuple[str, str]:
    """Provider and model that were tried last, where nobody served the call."""
    last = call.last_attempt()
    return (last.provider, last.model) if last is not None else ("", "")


def _labelled(span: Span, labels: Mapping[str, str]) -> None:
    span.agent = clean(labels.get("agent", ""), NAME_LIMIT)
    span.environment = clean(labels.get("environment", ""), NAME_LIMIT)
    if "service" in labels:
        # Then it is the caller's release that counts, where it says one.
        span.service, span.release = clean(labels["service"], NAME_LIMIT), ""
    if "release" in labels:
        span.release = clean(labels["release"], NAME_LIMIT)


def _within(outer: Span, number: int, kind: str, name: str) -> Span:
    """A span below another of the same owner. Its id follows from the outer one's, so that it is the same however often it is made."""
    return Span(
        trace_id=outer.trace_id,
        span_id=f"{(int(outer.span_id, 16) ^ (number * _APART & 0xFFFFFFFFFFFFFFFF)):016x}",
        parent_id=outer.span_id,
        start_ns=outer.start_ns,
        end_ns=outer.start_ns,
        kind=kind,
        name=name,
        organisation=outer.organisation,
        team=outer.team,
        project=outer.project,
        person=outer.person,
        key=outer.key,
        service=outer.service,
        release=outer.release,
        environment=outer.environment,
        task=outer.task,
        session=outer.session,
        run=outer.run,
        source=SOURCE,
    )
