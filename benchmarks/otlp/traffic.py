"""Exports as an agent's instrumentation makes them: 500 spans in traces of ten, a tenth of them with 2 KB of prompt and reply."""

from __future__ import annotations

import random
import time
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SENTENCE = "the a customer order refund delivery asks when will it arrive please tell me about model answer from of to and is was"


def export(seed: int, spans: int = 500, payloads: float = 0.1) -> bytes:
    """One export, different for every ``seed``. Some 18 attributes a span, as OpenTelemetry's GenAI conventions have them."""
    draw = random.Random(seed)
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    _say(group.resource.attributes, {"service.name": "agent", "service.version": "1.4.2", "telemetry.sdk.language": "python"})
    scoped = group.scope_spans.add()
    scoped.scope.name, scoped.scope.version = "opentelemetry.instrumentation.openai_v2", "2.2"
    now = time.time_ns()
    trace = root = b""
    for number in range(spans):
        if number % 10 == 0:
            trace, root = draw.randbytes(16), b""
        span = scoped.spans.add()
        span.trace_id, span.span_id, span.parent_span_id = trace, draw.randbytes(8), root
        root = root or span.span_id
        span.name, span.kind, span.status.code = "chat gpt-4o", 3, 1
        span.start_time_unix_nano = now - draw.randrange(10**10)
        span.end_time_unix_nano = span.start_time_unix_nano + draw.randrange(10**9)
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.response.id": f"chatcmpl-{draw.getrandbits(96):024x}",
            "gen_ai.usage.input_tokens": draw.randrange(3000),
            "gen_ai.usage.output_tokens": draw.randrange(600),
            "gen_ai.request.temperature": 0.7,
            "gen_ai.request.max_tokens": 1024,
            "gen_ai.response.finish_reasons": ["stop"],
            "gen_ai.conversation.id": f"s-{draw.randrange(10_000)}",
            "gen_ai.agent.name": draw.choice(["planner", "writer", "critic"]),
            "server.address": "api.openai.com",
            "server.port": 443,
            "user.id": f"u{draw.randrange(5000)}",
            "penstock.task": draw.choice(["support.intent", "contracts.summary"]),
            "llm.is_streaming": True,
            "thread.id": 140_000_000_000_000 + draw.randrange(8),
        }
        if draw.random() < payloads:
            asked, said = (" ".join(draw.choices(SENTENCE.split(), k=n)) for n in (260, 120))
            attributes["gen_ai.input.messages"] = f'[{{"role":"user","parts":[{{"type":"text","content":"{asked}"}}]}}]'
            attributes["gen_ai.output.messages"] = f'[{{"role":"assistant","parts":[{{"type":"text","content":"{said}"}}]}}]'
        _say(span.attributes, attributes)
    return made.SerializeToString()


def _say(into: Any, attributes: dict[str, Any]) -> None:
    for name, given in attributes.items():
        pair = into.add()
        pair.key = name
        if isinstance(given, bool):
            pair.value.bool_value = given
        elif isinstance(given, str):
            pair.value.string_value = given
        elif isinstance(given, int):
            pair.value.int_value = given
        elif isinstance(given, float):
            pair.value.double_value = given
        else:
            for one in given:
                pair.value.array_value.values.add().string_value = one
