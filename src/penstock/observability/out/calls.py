"""A call of ours as spans: the call itself, and one within it for each attempt at a provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from penstock import __version__
from penstock.kernel.call import Call
from penstock.kernel.ids import new_span_id
from penstock.observability.out.talk import payload_of
from penstock.observability.payloads import Entry
from penstock.storage.telemetry.span import Span

SOURCE = f"penstock@{__version__}"
_SEVEREST = ("block", "redact", "flag", "not_scanned", "allow")
_KINDS = {"embeddings": "embedding", "rerank": "rerank"}
_encode = msgspec.json.encode


def spans_of(call: Call, keep: Callable[[Call], Entry | None] | None) -> list[Span]:
    """The call's span first, in the caller's trace under its own ids. ``keep`` gives prompt and reply as they may be told."""
    began = int(call.started_at * 1e9)

    def at(ms: float) -> int:
        return began + max(0, int(ms * 1e6))

    principal, target, usage, cost = call.principal, call.target, call.usage, call.cost
    common: dict[str, Any] = {"trace_id": call.trace.trace_id, "source": SOURCE, "operation": call.operation, "task": call.task or ""}
    if principal is not None:
        common |= {
            "organisation": principal.organisation,
            "team": principal.team or "",
            "project": principal.project or "",
            "person": principal.person or "",
            "key": principal.key_id,
        }
    if call.step is not None:
        common["run"] = call.step[0]
    own: dict[str, Any] = {}
    if target is not None:
        own |= {"provider": target.provider, "answered": target.model}
    if usage is not None:
        own |= {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "cached_tokens": usage.cached or None,
            "reasoning_tokens": usage.reasoning or None,
        }
    if cost is not None and cost.priced:
        own |= {"cost_micros": cost.amount, "currency": cost.currency}
    said = {verdict.verdict for verdict in call.verdicts}
    entry = keep(call) if keep is not None else None
    call_span = Span(
        **common,
        **own,
        span_id=call.trace.span_id,
        parent_id=call.trace.parent_id or "",
        start_ns=began,
        end_ns=at(call.total_ms),
        kind=_KINDS.get(call.operation, "call"),
        name=f"{call.operation} {call.model}".strip(),
        status=call.outcome,
        model=call.model,
        prompt=call.prompt or "",
        first_token_ns=int(call.first_token_ms * 1e6) if call.first_token_ms is not None else None,
        error_code=call.error.code if call.error is not None else "",
        verdict=next((verdict for verdict in _SEVEREST if verdict in said), ""),
        attributes=_encode(_attributes(call)).decode(),
        payload=payload_of(call.shape, entry) if entry is not None else None,
    )
    spans = [call_span]
    for attempt in call.attempts:
        if attempt.skipped is not None:
            continue  # nothing was sent, so there is no span of it
        more = {"http.response.status_code": attempt.status} if attempt.status is not None else {}
        spans.append(
            Span(
                **common,
                span_id=new_span_id(),
                parent_id=call.trace.span_id,
                start_ns=at(attempt.started_ms),
                end_ns=at(max(attempt.started_ms, attempt.ended_ms if attempt.ended_ms is not None else call.total_ms)),
                kind="step",
                name=f"{call.operation} {attempt.model}",
                status="failed" if attempt.error is not None else "ok",
                provider=attempt.provider,
                model=attempt.model,
                error_code=attempt.error or "",
                attributes=_encode({**more, "penstock.hedge": True} if attempt.hedge else more).decode(),
            )
        )
    return spans


def _attributes(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = {
        "http.response.status_code": call.reply_status,
        "penstock.call.id": call.id,
        "penstock.outcome": call.outcome,
        "gen_ai.request.stream": call.stream,
    }
    if call.queued_ms:
        found["penstock.queued_ms"] = round(call.queued_ms, 3)
    if call.recalled is not None:
        found["penstock.cache"] = call.recalled.kind
    if call.usage is not None and call.usage.estimated:
        found["penstock.usage.estimated"] = True
    if call.step is not None:
        found["penstock.step"] = call.step[1]
    for name, label in list(call.labels.items())[:32]:
        found[f"penstock.label.{name}"] = label
    return found
