"""Durable runs and their steps as spans: a run's trace follows from its id, its steps stand below it, and calls below the steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from penstock import __version__
from penstock.kernel.events import RunEnded, StepEnded
from penstock.kernel.journal import span_of, trace_of
from penstock.observability.own.calls import SERVICE
from penstock.observability.redaction import Redactor
from penstock.observability.rows import MESSAGE_LIMIT, NAME_LIMIT, clean
from penstock.storage.telemetry.span import Span

SOURCE = f"penstock.journal@{__version__}"
STATUS = {"done": "ok", "failed": "failed", "cancelled": "cancelled"}
_encode = msgspec.json.Encoder().encode


class RunSpans:
    """Makes spans of what the journal tells. What runs take and return is in the journal and not repeated here."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def run(self, ended: RunEnded) -> Span:
        """The span of a run, from its start, or its queueing, to its end."""
        said: dict[str, Any] = {"penstock.run.version": ended.version, "penstock.run.executions": ended.executions}
        links = ""
        if ended.parent:
            said["penstock.run.parent"] = ended.parent
            links = _encode([{"trace": trace_of(ended.parent), "span": span_of(ended.parent), "attributes": {}}]).decode()
        return self._span(
            trace_of(ended.run), span_of(ended.run), ended.created_at, ended.ended_at, ended.labels, said,
            kind="run", name=clean(ended.name, NAME_LIMIT), status=STATUS.get(ended.state, "failed"), organisation=ended.organisation,
            run=ended.run, operation="run", error_code=ended.error_kind[:NAME_LIMIT], message=ended.error, links=links,
        )  # fmt: skip

    def step(self, ended: StepEnded) -> Span:
        """The span of a step, its tries together."""
        key = ended.key
        said: dict[str, Any] = {"penstock.step": key.number, "penstock.step.attempts": ended.attempts}
        return self._span(
            key.trace_id, key.span_id, ended.started_at, ended.ended_at, ended.labels, said,
            parent_id=span_of(key.run), kind="step", name=clean(key.name, NAME_LIMIT), status="failed" if ended.error_kind else "ok",
            organisation=key.organisation, run=key.run, operation="step", error_code=ended.error_kind[:NAME_LIMIT], message=ended.error,
        )  # fmt: skip

    def _span(
        self,
        trace: str,
        span: str,
        began: float,
        ended: float,
        labels: Mapping[str, str],
        said: dict[str, Any],
        *,
        message: str,
        **told: Any,
    ) -> Span:
        said |= {f"penstock.label.{name}": value for name, value in labels.items()}
        data, _ = self._redactor.bytes(_encode(said))
        start = int(began * 1e9)
        return Span(
            trace_id=trace,
            span_id=span,
            start_ns=start,
            end_ns=max(start, int(ended * 1e9)),
            service=SERVICE,
            release=__version__,
            task=_label(labels, ("task",)),
            session=_label(labels, ("session", "session_id", "thread")),
            agent=_label(labels, ("agent",)),
            source=SOURCE,
            message=clean(self._redactor.text(message), MESSAGE_LIMIT) if message else "",
            attributes=data.decode("utf-8", "replace"),
            **told,
        )


def _label(labels: Mapping[str, str], names: Iterable[str]) -> str:
    return next((clean(found, NAME_LIMIT) for name in names if (found := labels.get(name))), "")
