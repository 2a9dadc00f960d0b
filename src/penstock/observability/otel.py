"""OpenTelemetry out: each call as a server span with a client span per attempt, over OTLP/HTTP, named by the GenAI semantic conventions.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. The spans carry the call's own trace and span ids, so they join the
caller's trace. Prompts and replies are not sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penstock.kernel.call import Call
from penstock.kernel.errors import SettingsError
from penstock.kernel.events import CallEnded
from penstock.kernel.ids import new_span_id
from penstock.kernel.ports import Metric
from penstock.observability.settings import OtelSettings

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import ReadableSpan

_log = logging.getLogger("penstock.observability")

SECONDS = 1.0
BATCH = 512


def endpoint(settings: OtelSettings, environ: Mapping[str, str] = os.environ) -> str:
    """Where traces go, with its path; empty when nobody said."""
    traces = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    base = settings.endpoint or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    if settings.endpoint or not traces:
        return f"{base.rstrip('/')}/v1/traces" if base else ""
    return traces


class OtelOut:
    """A service that sends finished calls on. What does not fit its queue, or is not taken, is dropped and counted."""

    name = "opentelemetry"

    def __init__(self, settings: OtelSettings, url: str) -> None:
        self._settings = settings
        self._url = url
        self._queue: deque[Call] = deque()
        self._exporter: OTLPSpanExporter | None = None
        self._task: asyncio.Task[None] | None = None
        self.sent = 0
        self.dropped = 0

    def ended(self, event: CallEnded) -> None:
        """Queue one call; a subscriber of `CallEnded`."""
        if len(self._queue) >= self._settings.queue:
            self.dropped += 1
        else:
            self._queue.append(event.call)

    async def start(self) -> None:
        """Begin to send. Raises `SettingsError` when the extra ``otel`` is not installed."""
        try:
            # Takes half a second to import, and only who sends spans needs it.
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as fault:
            raise SettingsError(
                "observability.otel: sending spans needs the extra 'otel': pip install 'penstock[otel]'", param="observability.otel"
            ) from fault
        self._exporter = OTLPSpanExporter(endpoint=self._url, headers=dict(self._settings.headers), timeout=self._settings.timeout_seconds)
        self._task = asyncio.create_task(self._run(), name="opentelemetry")

    async def stop(self) -> None:
        """Send what is queued, once."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            await self.flush()
        if self._exporter is not None:
            self._exporter.shutdown()

    async def flush(self) -> None:
        """Send everything that is queued at this moment."""
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if await asyncio.to_thread(self._send, batch):
                self.sent += len(batch)
            else:
                self.dropped += len(batch)

    def metrics(self) -> Iterable[Metric]:
        """Calls sent and dropped."""
        yield Metric(name="penstock_otel_calls_sent", help="Calls sent as spans.", kind="counter", samples=(({}, self.sent),))
        yield Metric(name="penstock_otel_calls_dropped", help="Calls not sent as spans.", kind="counter", samples=(({}, self.dropped),))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            await self.flush()

    def _send(self, calls: Sequence[Call]) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        assert self._exporter is not None
        spans = [span for call in calls for span in spans_of(call, self._settings.service_name)]
        return self._exporter.export(spans) is SpanExportResult.SUCCESS


def spans_of(call: Call, service: str) -> list[ReadableSpan]:
    """The call's span, then one for each attempt."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    resource = Resource({"service.name": service})
    trace = call.trace
    trace_id = int(trace.trace_id, 16)

    def context(span_id: str, remote: bool = False) -> SpanContext:
        return SpanContext(trace_id, int(span_id, 16), remote, TraceFlags(int(trace.flags, 16)))

    def at(ms: float) -> int:
        return int((call.started_at + ms / 1e3) * 1e9)

    def status(error: str | None) -> Status:
        return Status(StatusCode.ERROR, error) if error is not None else Status(StatusCode.UNSET)

    error = call.error.code if call.error is not None else None
    own = context(trace.span_id)
    name = f"{call.operation} {call.model}".strip()
    spans = [
        ReadableSpan(
            name=name,
            context=own,
            parent=context(trace.parent_id, remote=True) if trace.parent_id is not None else None,
            resource=resource,
            attributes=_attributes(call, error),
            kind=SpanKind.SERVER,
            status=status(error),
            start_time=at(0),
            end_time=at(call.total_ms),
        )
    ]
    for attempt in call.attempts:
        if attempt.skipped is not None:
            continue  # nothing was sent, so there is no span of it
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": call.operation,
            "gen_ai.provider.name": attempt.provider,
            "gen_ai.request.model": attempt.model,
        }
        if attempt.status is not None:
            attributes["http.response.status_code"] = attempt.status
        if attempt.error is not None:
            attributes["error.type"] = attempt.error
        spans.append(
            ReadableSpan(
                name=f"{call.operation} {attempt.model}",
                context=context(new_span_id()),
                parent=own,
                resource=resource,
                attributes=attributes,
                kind=SpanKind.CLIENT,
                status=status(attempt.error),
                start_time=at(attempt.started_ms),
                end_time=at(attempt.ended_ms if attempt.ended_ms is not None else call.total_ms),
            )
        )
    return spans


def _attributes(call: Call, error: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "gen_ai.operation.name": call.operation,
        "gen_ai.request.model": call.model,
        "http.response.status_code": call.reply_status,
        "penstock.call.id": call.id,
        "penstock.outcome": call.outcome,
    }
    if call.target is not None:
        found |= {"gen_ai.provider.name": call.target.provider, "gen_ai.response.model": call.target.model}
    if call.usage is not None:
        found |= {"gen_ai.usage.input_tokens": call.usage.input, "gen_ai.usage.output_tokens": call.usage.output}
    if call.task is not None:
        found["penstock.task"] = call.task
    if call.prompt:
        found["gen_ai.prompt.name"] = call.prompt
    if call.cost is not None:
        found["penstock.cost.micros"] = call.cost.amount
    if error is not None:
        found["error.type"] = error
    return found
