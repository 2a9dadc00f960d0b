from __future__ import annotations

import msgspec
from tests.observability.calls import ended

from penstock.kernel.call import Attempt, Trace, Verdict
from penstock.kernel.errors import UpstreamReset
from penstock.observability.out.calls import spans_of
from penstock.observability.payloads import PayloadKeeper
from penstock.observability.redaction import Redactor

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
KEEP = PayloadKeeper("redacted", 10_000, Redactor()).entry


def test_a_call_keeps_its_trace_and_its_owner() -> None:
    call = ended(trace=Trace.begin(PARENT), task="t", first_token_ms=5.0, prompt="p@2", step=("run_1", 3), labels={"app": "web"})
    first, attempt = spans_of(call, None)
    assert (first.trace_id, first.span_id, first.parent_id) == ("0af7651916cd43dd8448eb211c80319c", call.trace.span_id, "b7ad6b7169203331")
    assert (first.kind, first.name, first.status, first.operation) == ("call", "chat m", "ok", "chat")
    assert (first.organisation, first.team, first.project, first.key) == ("org_a", "team_a", "project_a", "key_a")
    assert (first.task, first.run, first.prompt, first.model, first.answered, first.provider) == ("t", "run_1", "p@2", "m", "p-m", "p")
    assert (first.input_tokens, first.output_tokens, first.cost_micros, first.currency) == (100, 20, 1500, "USD")
    assert first.first_token_ns == 5_000_000
    assert first.end_ns - first.start_ns == 12_500_000
    assert first.payload is None
    told = msgspec.json.decode(first.attributes)
    assert (told["penstock.call.id"], told["penstock.label.app"], told["penstock.step"]) == (call.id, "web", 3)
    assert (attempt.parent_id, attempt.kind, attempt.provider, attempt.model) == (first.span_id, "step", "p", "p-m")
    assert (attempt.start_ns, attempt.cost_micros) == (first.start_ns + 1_000_000, None)


def test_what_failed_says_its_code_and_what_was_passed_over_is_no_span() -> None:
    attempts = [
        Attempt(provider="a", model="x", started_ms=1.0, skipped="circuit"),
        Attempt(provider="b", model="y", started_ms=2.0, status=502, error="upstream_reset", hedge=True),
    ]
    verdicts = [Verdict(guard="g", verdict="allow"), Verdict(guard="h", verdict="redact")]
    call = ended(error=UpstreamReset("gone, said the provider"), attempts=attempts, verdicts=verdicts)
    first, attempt = spans_of(call, None)
    assert (first.status, first.error_code, first.verdict) == ("failed", "upstream_reset", "redact")
    assert (attempt.provider, attempt.status, attempt.error_code) == ("b", "failed", "upstream_reset")
    assert msgspec.json.decode(attempt.attributes) == {"http.response.status_code": 502, "penstock.hedge": True}


def test_prompt_and_reply_come_along_where_they_may() -> None:
    first = spans_of(ended(ask="my key is sk-ant-api03-" + "a" * 90, told="hello"), KEEP)[0]
    assert first.payload is not None
    (asked,) = msgspec.json.decode(first.payload.input)
    assert asked["role"] == "user"
    assert "sk-ant" not in first.payload.input
    assert msgspec.json.decode(first.payload.output) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "hello"}], "finish_reason": "stop"}
    ]
