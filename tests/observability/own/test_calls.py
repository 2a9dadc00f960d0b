"""A finished call as spans: every field that is known, attempts and verdicts below it, secrets nowhere."""

from __future__ import annotations

import json

from tests.observability.calls import NOW, ended

from penstock.kernel.call import Attempt, Call, Cost, Recall, Trace, Usage, Verdict
from penstock.kernel.errors import UpstreamError
from penstock.observability.own.calls import CALL_ID, SOURCE, CallSpans
from penstock.observability.payloads import PayloadKeeper
from penstock.observability.redaction import Redactor
from penstock.storage.telemetry.span import KINDS, STATUSES, Span

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"


def spans(call: Call, mode: str = "redacted") -> list[Span]:
    redactor = Redactor()
    return CallSpans(redactor).of(call, PayloadKeeper(mode, 10_000, redactor).kept(call))


def test_a_call_that_went_well_is_one_span_with_all_that_is_known() -> None:
    call = ended(
        task="support.intent", ask="hi", told="hello", first_token_ms=4.0, prompt="greet@3", step=("run_1", 7),
        usage=Usage(input=100, output=20, cached=60, reasoning=5, images=2), labels={"session": "s-1", "environment": "live", "team": "x"},
        trace=Trace("a" * 32, "b" * 16, "c" * 16, "01", None),
    )  # fmt: skip
    (span,) = spans(call)
    assert (span.trace_id, span.span_id, span.parent_id) == ("a" * 32, "b" * 16, "c" * 16)
    assert (span.kind, span.name, span.status, span.operation) == ("call", "chat m", "ok", "chat")
    assert (span.organisation, span.team, span.project, span.key) == ("org_a", "team_a", "project_a", "key_a")
    assert (span.start_ns, span.end_ns - span.start_ns, span.first_token_ns) == (int(NOW * 1e9), 12_500_000, 4_000_000)
    assert (span.model, span.answered, span.provider, span.task, span.prompt, span.run) == (
        "m", "p-m", "p", "support.intent", "greet@3", "run_1",
    )  # fmt: skip
    assert (span.input_tokens, span.output_tokens, span.cached_tokens, span.reasoning_tokens) == (100, 20, 60, 5)
    assert (span.cost_micros, span.currency, span.session, span.environment, span.service) == (1500, "USD", "s-1", "live", "penstock")
    assert span.source == SOURCE
    attributes = json.loads(span.attributes)
    assert attributes[CALL_ID] == call.id
    assert (attributes["penstock.usage.images"], attributes["penstock.step"], attributes["penstock.label.team"]) == (2, 7, "x")
    assert span.payload is not None
    assert json.loads(span.payload.input) == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    assert json.loads(span.payload.output)[0]["parts"] == [{"type": "text", "content": "hello"}]


def test_a_call_that_failed_has_its_attempts_below_it_and_skipped_ones_were_never_sent() -> None:
    error = UpstreamError(f"key {SECRET} does not work", status=502)
    attempts = [
        Attempt(provider="p", model="a", started_ms=1.0, ended_ms=3.0, status=500, error="upstream_failed", message=f"no {SECRET}"),
        Attempt(provider="q", model="b", started_ms=3.0, skipped="circuit"),
        Attempt(provider="r", model="c", started_ms=4.0, hedge=True),
    ]
    outer, first, hedge = spans(ended(error=error, attempts=attempts))
    assert (outer.status, outer.error_code, outer.provider, outer.answered) == ("failed", error.code, "r", "c")
    assert (first.name, first.kind, first.operation, first.parent_id) == ("attempt p/a", "span", "attempt", outer.span_id)
    assert (first.status, first.error_code, json.loads(first.attributes)) == (
        "failed", "upstream_failed", {"http.response.status_code": 500},
    )  # fmt: skip
    assert (first.start_ns - outer.start_ns, first.end_ns - first.start_ns) == (1_000_000, 2_000_000)
    assert (hedge.name, hedge.end_ns, hedge.organisation, hedge.trace_id) == ("hedge r/c", outer.end_ns, "org_a", outer.trace_id)
    assert first.input_tokens is first.cost_micros is None  # counted at the call
    assert len({one.span_id for one in (outer, first, hedge)}) == 3
    assert SECRET not in str([outer, first, hedge])


def test_spans_of_a_call_are_the_same_whenever_they_are_made() -> None:
    call = ended(attempts=[Attempt(provider="p", model=m, started_ms=1.0) for m in "ab"])
    assert spans(call) == spans(call)
    assert len(spans(call)) == 3


def test_what_guards_objected_to_is_flagged_and_stands_below() -> None:
    verdicts = [
        Verdict(guard="pii", verdict="allow"), Verdict(guard="topic", verdict="not_scanned"),
        Verdict(guard="injection", verdict="block", reason=f"asks for {SECRET}"), Verdict(guard="tone", verdict="flag"),
    ]  # fmt: skip
    outer, injection, tone = spans(ended(verdicts=verdicts))
    assert (outer.verdict, outer.flagged) == ("block", True)
    assert (injection.kind, injection.name, injection.verdict, injection.status) == ("guard", "injection", "block", "refused")
    assert (tone.name, tone.verdict, tone.status) == ("tone", "flag", "ok")
    assert SECRET not in injection.message
    (quiet,) = spans(ended(verdicts=verdicts[:2]))
    assert (quiet.verdict, quiet.flagged) == ("not_scanned", False)


def test_kinds_follow_from_operations() -> None:
    for operation, kind in {"embeddings": "embedding", "rerank": "rerank", "images": "call", "transcription": "call"}.items():
        (span,) = spans(ended(operation=operation))
        assert span.kind == kind
        assert span.kind in KINDS
        assert span.status in STATUSES


def test_a_caller_whom_nobody_knows_is_nobodys_span() -> None:
    (span,) = spans(ended(who=None, model="", target=None, attempts=[], usage=None, cost=Cost(amount=0, priced=False)))
    assert (span.organisation, span.key, span.name, span.model) == ("", "", "chat", "")
    assert span.cost_micros is span.input_tokens is None


def test_secrets_are_replaced_unless_all_is_kept_and_nothing_is_kept_where_the_settings_say_so() -> None:
    call = ended(ask=f"my key is {SECRET}", told=f"{SECRET}!", labels={"note": SECRET})
    (redacted,) = spans(call)
    assert SECRET not in str(redacted)
    assert redacted.payload is not None
    assert "[redacted: api-key]" in redacted.payload.input
    (full,) = spans(call, "full")
    assert full.payload is not None
    assert SECRET in full.payload.input
    assert SECRET not in full.attributes
    (nothing,) = spans(call, "none")
    assert nothing.payload is None


def test_an_answer_from_the_cache_says_so() -> None:
    (span,) = spans(ended(recalled=Recall(kind="exact", call="call_0", provider="p", model="m", age=3)))
    assert json.loads(span.attributes)["penstock.cache"] == "exact"
