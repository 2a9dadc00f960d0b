from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.observability.out.receiver import said
from tests.observability.out.test_words import a_span, json

from penstock import __version__
from penstock.observability.out.encode import encoder
from penstock.observability.out.hops import HOPS
from penstock.observability.own.calls import SERVICE, SOURCE
from penstock.observability.redaction import Redactor
from penstock.observability.settings import OtelDestination
from penstock.storage.telemetry.span import Payload, Span


def export(*spans: Span, **terms: Any) -> Any:
    return ExportTraceServiceRequest.FromString(encoder(OtelDestination(**terms)).encode(spans))


def ours(**fields: Any) -> Span:
    return a_span(**{"service": SERVICE, "release": __version__, "source": SOURCE, **fields})


def test_spans_are_grouped_by_whose_they_are() -> None:
    other = a_span(service="other", source="lib@1")
    made = export(ours(), ours(), other, a_span(service="other", source="lib@2"), resource={"wandb.project": "p"}, service_name="gate")
    mine, theirs = made.resource_spans
    assert said(mine.resource.attributes) == {"service.name": "gate", "service.version": __version__, "wandb.project": "p"}
    assert len(mine.scope_spans[0].spans) == 2
    assert said(theirs.resource.attributes) == {"service.name": "other", "service.version": "1.2", "wandb.project": "p"}
    assert [(one.scope.name, one.scope.version) for one in theirs.scope_spans] == [("lib", "1"), ("lib", "2")]


def test_kinds_status_and_times() -> None:
    attempt = ours(kind="span", operation="attempt", status="failed", error_code="upstream_reset", payload=None)
    made = export(ours(), attempt, ours(kind="run", operation="run", provider=""))
    call, step, run = made.resource_spans[0].scope_spans[0].spans
    assert (call.kind, step.kind, run.kind) == (2, 3, 1)
    assert (call.status.code, step.status.code, step.status.message) == (0, 2, "upstream_reset")
    assert (call.start_time_unix_nano, call.end_time_unix_nano, call.parent_span_id.hex()) == (10, 30, "2" * 16)


def test_without_payloads_nothing_that_may_quote_one_goes_out() -> None:
    span = a_span(
        status="failed",
        message="cannot answer: my secret question",
        attributes=json({"long": "my secret question " * 20, "short": "v", "n": 3, "list": ["my secret question"]}),
        events=json([{"name": "exception", "at_ns": 5, "attributes": {"exception.type": "E", "exception.message": "my secret question"}}]),
        links=json([{"trace": "3" * 32, "span": "4" * 16, "attributes": {"q": "my secret question"}}, {"trace": "x", "span": "y"}]),
    )
    quiet = encoder(OtelDestination()).encode([span])
    assert b"secret question" not in quiet
    assert b"Weather?" not in quiet
    (one,) = ExportTraceServiceRequest.FromString(quiet).resource_spans[0].scope_spans[0].spans
    assert said(one.events[0].attributes) == {"exception.type": "E"}
    assert (said(one.attributes)["short"], said(one.attributes)["n"]) == ("v", 3)
    assert [link.trace_id.hex() for link in one.links] == ["3" * 32]
    (full,) = export(span, payloads="redacted").resource_spans[0].scope_spans[0].spans
    assert full.status.message == "cannot answer: my secret question"
    assert said(full.attributes)["list"] == ["my secret question"]
    assert "Weather?" in said(full.attributes)["gen_ai.input.messages"]


def test_any_value_can_be_said() -> None:
    told = {"t": True, "big": 1 << 70, "float": 0.5, "none": None, "deep": {"a": [1, {"b": "c"}]}, "bad": "half \ud800 pair"}
    span = a_span(attributes="", payload=None)
    span.attributes = '{"t":true,"big":1180591620717411303424,"float":0.5,"none":null,"deep":{"a":[1,{"b":"c"}]}}'
    (one,) = export(span, payloads="redacted").resource_spans[0].scope_spans[0].spans
    found = said(one.attributes)
    assert (found["t"], found["big"], found["float"], found["deep"]) == (True, float(1 << 70), 0.5, told["deep"])
    assert "none" not in found
    (named,) = export(a_span(task="half \ud800 pair", payload=None)).resource_spans[0].scope_spans[0].spans
    assert said(named.attributes)["penstock.task"] == "half ? pair"


def test_what_is_kept_as_it_came_goes_out_clean() -> None:
    secret = "sk-ant-api03-" + "a" * 90
    span = ours(name=secret, payload=Payload(input=f"my key is {secret}"))
    data = encoder(OtelDestination(payloads="redacted"), Redactor()).encode([span])
    assert secret.encode() not in data
    assert b"redacted" in data
    assert span.name == secret, "what is stored is not changed"


def test_a_caller_that_names_its_service_is_that_one() -> None:
    made = export(ours(service="shop", release=""), ours(), service_name="gate", resource={})
    assert [said(one.resource.attributes)["service.name"] for one in made.resource_spans] == ["shop", "gate"]


def test_the_resource_of_what_is_sent_on_is_told() -> None:
    made = export(a_span(resource=json({HOPS: 2, "scope": {"a": 1}, "host": "h"})))
    assert said(made.resource_spans[0].resource.attributes) == {HOPS: 2, "host": "h", "service.name": "bot", "service.version": "1.2"}
