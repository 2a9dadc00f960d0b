"""The calls behind a figure: the slowest, the failed, the costliest of a period."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import msgspec

from penstock.kernel.measures import Example
from penstock.storage.telemetry.questions import MAX_LIMIT, Filter
from penstock.storage.telemetry.span import Span
from penstock.storage.telemetry.store import TelemetryStore

_KINDS = {"error_rate": ("status", "failed"), "refusal_rate": ("status", "refused"), "blocked_rate": ("verdict", "block")}
_SIZES: dict[str, Callable[[Span], float]] = {
    "first_token_p50_ms": lambda span: (span.first_token_ns or 0) / 1e6,
    "first_token_p95_ms": lambda span: (span.first_token_ns or 0) / 1e6,
    "spend_usd": lambda span: (span.cost_micros or 0) / 1e6,
    "cost_per_call_usd": lambda span: (span.cost_micros or 0) / 1e6,
    "input_tokens": lambda span: span.input_tokens or 0,
    "output_tokens": lambda span: span.output_tokens or 0,
    "output_tokens_per_call": lambda span: span.output_tokens or 0,
}


class Examples:
    """Looks for them in the store of spans. The store lists spans by time only, so the largest are found above a bound that the period's
    own figures give, among the latest `MAX_LIMIT` of those."""

    def __init__(self, store: TelemetryStore) -> None:
        self._store = store

    async def worst(self, name: str, which: Filter, limit: int) -> list[Example]:
        """Up to ``limit`` calls that moved the measure of this name up, the worst first; the latest where neither way is bad."""
        if name in _KINDS:
            dimension, value = _KINDS[name]
            which = msgspec.structs.replace(which, equal={**which.equal, dimension: (value,)})
            return [_shown(span, None) for span in (await self._store.search(which, limit)).spans]
        if name == "flagged_rate":
            return [_shown(span, None) for span in (await self._store.search(msgspec.structs.replace(which, flagged=True), limit)).spans]
        if name.startswith("latency_"):
            return await self._largest(await self._bounded(which, name, limit), lambda span: (span.end_ns - span.start_ns) / 1e6, limit)
        if name in _SIZES:
            return await self._largest(await self._bounded(which, name, limit), _SIZES[name], limit)
        return [_shown(span, None) for span in (await self._store.search(which, limit)).spans]

    async def _largest(self, which: Filter, size: Callable[[Span], float], limit: int) -> list[Example]:
        spans = (await self._store.search(which, MAX_LIMIT)).spans
        sized = sorted(((size(span), span) for span in spans), key=lambda one: (-one[0], -one[1].start_ns))
        return [_shown(span, value) for value, span in sized[:limit] if value > 0]

    async def _bounded(self, which: Filter, name: str, limit: int) -> Filter:
        """Only spans that may be among the largest: enough of them, and not too many."""
        found = await self._store.groups(which, ())
        if not found or not found[0].measures.spans:
            return which
        measures = found[0].measures
        if name.startswith("latency_"):
            bound = measures.p99_ms if measures.spans >= 100 * limit else measures.p50_ms
        elif name.startswith("first_token_"):
            # What took no longer than that has not waited longer either.
            bound = measures.first_token_p95_ms
        elif "usd" in name:
            # At least one call cost the mean or more.
            return msgspec.structs.replace(which, min_cost_micros=measures.cost_micros // measures.spans)
        else:
            return which
        # Quantiles are estimates within 1 %.
        return msgspec.structs.replace(which, min_ms=bound * 0.98) if bound else which


def _shown(span: Span, value: float | None) -> Example:
    said = [one for one in (span.task or span.name, span.answered or span.model, span.error_code or _short(span.message)) if one]
    if span.status != "ok":
        said.insert(0, span.status)
    return Example(id=f"{span.trace_id}/{span.span_id}", href=href_of(span), at=span.start_ns / 1e9, value=value, why=", ".join(said))


def href_of(span: Span) -> str:
    """Where the console shows a span: on the page of its trace."""
    return f"/console/traces/{quote(span.trace_id)}?span={quote(span.span_id)}"


def _short(message: str) -> str:
    return message if len(message) <= 120 else f"{message[:119]}…"
