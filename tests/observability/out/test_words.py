from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.observability.otlp.exports import TRACE
from tests.observability.out.receiver import said

from penstock.observability.otlp.normalise import Normaliser, Owner
from penstock.observability.otlp.protobuf import Reader
from penstock.observability.otlp.sent import Limits, Tally
from penstock.observability.otlp.table import Table
from penstock.observability.out.encode import encoder
from penstock.observability.out.words import gen_ai, openinference
from penstock.observability.settings import OtelDestination
from penstock.storage.telemetry.span import Payload, Span

ASKED = [
    {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
    {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]},
]
TOLD = [{"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "weather", "arguments": {"city": "Delft"}}]}]


def json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def a_span(**fields: Any) -> Span:
    base: dict[str, Any] = {
        "trace_id": TRACE,
        "span_id": "1" * 16,
        "parent_id": "2" * 16,
        "start_ns": 10,
        "end_ns": 30,
        "kind": "call",
        "name": "chat m",
        "organisation": "org",
        "team": "team",
        "project": "project",
        "key": "key",
        "person": "ann",
        "service": "bot",
        "release": "1.2",
        "task": "support",
        "session": "s1",
        "run": "run_1",
        "operation": "chat",
        "provider": "openai",
        "model": "m",
        "answered": "m-2026",
        "prompt": "p@2",
        "input_tokens": 7,
        "output_tokens": 0,
        "cached_tokens": 2,
        "reasoning_tokens": 1,
        "cost_micros": 1500,
        "currency": "USD",
        "first_token_ns": 5_000_000,
        "payload": Payload(input=json(ASKED), output=json(TOLD)),
    }
    return Span(**{**base, **fields})


@pytest.mark.parametrize("convention", ["gen_ai", "openinference"])
@pytest.mark.parametrize(
    "span",
    [
        a_span(),
        a_span(kind="embedding", operation="embeddings", payload=Payload(input="some text")),
        a_span(
            kind="tool", operation="", tool="weather", provider="", model="", answered="", input_tokens=None, output_tokens=None,
            cached_tokens=None, reasoning_tokens=None, cost_micros=None, currency="", first_token_ns=None, prompt="",
            payload=Payload(input='{"city":"Delft"}', output="rain"), status="failed", error_code="ValueError", message="bad city",
        ),
    ],
    ids=["call", "embedding", "tool"],
)  # fmt: skip
def test_what_is_said_is_what_is_heard(convention: Any, span: Span) -> None:
    """Our own intake reads each convention: a span that went out and came in is the same one."""
    export = encoder(OtelDestination(convention=convention, payloads="redacted")).encode([span])
    tally = Tally()
    owner = Owner(span.organisation, span.team, span.project, "", span.key)
    (sent,) = Reader(export, Limits(), tally).spans()
    assert sent is not None
    heard = Normaliser(Table(), owner, tally, None).span(sent)
    differing = {name for name in Span.__struct_fields__ if getattr(heard, name) != getattr(span, name)}
    # It knows of more attributes by then; OpenInference has no word for an operation and one for both models.
    allowed = {"attributes", "resource"} | ({"operation", "model", "answered"} if convention == "openinference" else set())
    assert differing <= allowed | ({"operation"} if span.kind == "tool" else set()), {
        n: (getattr(heard, n), getattr(span, n)) for n in differing
    }


def test_openinference_numbers_its_messages() -> None:
    found = openinference(a_span())
    assert found["openinference.span.kind"] == "LLM"
    assert found["llm.model_name"] == "m-2026"
    assert (found["llm.token_count.prompt"], found["llm.token_count.completion"], found["llm.token_count.total"]) == (7, 0, 7)
    assert found["llm.cost.total"] == 0.0015
    assert (found["llm.input_messages.1.message.role"], found["llm.input_messages.1.message.content"]) == ("user", "Weather?")
    call = "llm.output_messages.0.message.tool_calls.0.tool_call"
    assert found[f"{call}.function.name"] == "weather"
    assert found[f"{call}.function.arguments"] == '{"city":"Delft"}'
    assert found["input.mime_type"] == "application/json"


def test_genai_says_money_in_dollars_and_messages_in_its_own_shape() -> None:
    found = gen_ai(a_span())
    assert found["gen_ai.usage.cost"] == 0.0015
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.conversation.id"] == "s1"
    assert msgspec.json.decode(found["gen_ai.input.messages"]) == ASKED
    plain = gen_ai(a_span(kind="chain", operation="", payload=Payload(input="a question", output="[1, 2]")))
    assert (plain["input.value"], plain["output.value"]) == ("a question", "[1, 2]")
    assert "gen_ai.operation.name" not in plain


@pytest.mark.parametrize("text", ["[{", "[{]", '[{"a": 1}]', '[{"parts": 3}]', "[1]", "{}", '[{"parts": []}, 3]'])
def test_what_only_looks_like_messages(text: str) -> None:
    payload = Payload(input=text, output=text)
    assert gen_ai(a_span(payload=payload))["input.value"] == text
    assert openinference(a_span(payload=payload))["input.value"] == text


def test_said_reads_what_was_encoded() -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    export = ExportTraceServiceRequest.FromString(encoder(OtelDestination()).encode([a_span()]))
    told = said(export.resource_spans[0].scope_spans[0].spans[0].attributes)
    assert told["penstock.task"] == "support"
    assert "gen_ai.input.messages" not in told
