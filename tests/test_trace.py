from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.observability.otlp.exports import OWNER, read
from tests.observability.otlp.keeping import keeping_house

from penstock.observability.otlp.normalise import Normaliser
from penstock.observability.otlp.table import Table
from penstock.storage.telemetry.span import Payload, Span
from penstock.trace import LONGEST, conversation, trace


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What OpenTelemetry would send."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(otel, "get_tracer", provider.get_tracer)
    return exporter


def stored(exported: InMemorySpanExporter) -> dict[str, Span]:
    """What a Penstock makes of it, by name."""
    sent, tally = read(encode_spans(exported.get_finished_spans()).SerializeToString())
    assert not tally.refused
    normaliser = Normaliser(Table(), OWNER, tally, None)
    return {span.name: span for span in map(normaliser.span, sent)}


def test_calls_within_calls_are_one_trace(exported: InMemorySpanExporter) -> None:
    @trace(kind="tool")
    def weather(city: str, *, days: int = 1) -> dict[str, Any]:
        """The weather."""
        return {"city": city, "days": days}

    @trace
    def plan(question: str) -> str:
        return str(weather("Delft", days=2))

    with conversation(session="s1"), conversation(user="ann"):
        plan("how?")
    spans = stored(exported)
    outer, inner = spans["plan"], spans["weather"]
    assert weather.__doc__ == "The weather."
    assert (inner.parent_id, inner.trace_id, outer.parent_id) == (outer.span_id, outer.trace_id, "")
    assert (outer.kind, inner.kind, inner.tool, inner.session, inner.person) == ("step", "tool", "weather", "s1", "ann")
    assert inner.payload == Payload(input='{"city": "Delft", "days": 2}', output='{"city": "Delft", "days": 2}')


async def test_coroutines_and_generators_last_until_they_end(exported: InMemorySpanExporter) -> None:
    @trace(kind="agent")
    async def answer(question: str) -> str:
        return "".join([part async for part in stream(question)])

    @trace(name="stream of parts")
    async def stream(question: str) -> AsyncIterator[str]:
        for part in letters(question):
            yield part

    @trace(kind="retrieval")
    def letters(question: str) -> Iterator[str]:
        yield from question

    assert await answer("abc") == "abc"
    spans = stored(exported)
    assert [spans[name].kind for name in ("answer", "stream of parts", "letters")] == ["agent", "step", "retrieval"]
    assert spans["answer"].agent == "answer"
    assert spans["letters"].parent_id == spans["stream of parts"].span_id
    assert all(span.payload is not None and span.payload.output == "abc" for span in spans.values())


def test_a_failure_is_told_and_goes_on(exported: InMemorySpanExporter) -> None:
    @trace(kind="tool")
    def breaks() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        breaks()
    span = stored(exported)["breaks"]
    assert (span.status, span.error_code) == ("failed", "ValueError")
    assert "bad" in span.message


def test_content_may_be_kept_out_and_never_has_no_end(exported: InMemorySpanExporter) -> None:
    loop: list[Any] = []
    loop.append(loop)

    @trace(content=False)
    def secret(x: str) -> str:
        return x

    @trace
    def large(x: str, y: object) -> object:
        return y

    secret("x")
    large("x" * 2 * LONGEST, loop)
    spans = stored(exported)
    assert spans["secret"].payload is None
    payload = spans["large"].payload
    assert payload is not None
    assert len(payload.input) == LONGEST
    assert payload.output == "[[...]]"


async def test_the_examples_of_the_document_send_what_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parent.parent / "docs" / "tracing.md").read_text("utf-8")
    examples = [part.split("```")[0] for part in text.split("```python\n")[1:]]
    assert len(examples) == 2
    monkeypatch.setattr(otel, "set_tracer_provider", lambda provider: monkeypatch.setattr(otel, "get_tracer", provider.get_tracer))
    async with keeping_house(tmp_path) as (house, store):
        for example in examples:
            code = example.replace("http://127.0.0.1:8080", house.url).replace("psk_...", house.admin)
            await asyncio.to_thread(exec, code, {})
    assert [(span.name, span.kind, span.session, span.service) for span in sorted(store.spans, key=lambda span: span.start_ns)] == [
        ("answer", "span", "s-17", "support-bot"),
        ("answer", "agent", "s-17", "support-bot"),
        ("weather", "tool", "s-17", "support-bot"),
    ]


def test_nothing_of_the_server_is_imported() -> None:
    code = "import sys, penstock.trace; print([m for m in sys.modules if m.startswith('penstock.') and m != 'penstock.trace'])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
