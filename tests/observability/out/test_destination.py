from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from penstock.kernel.errors import SettingsError
from penstock.observability.out.destination import Destination, destinations
from penstock.observability.settings import ObservabilitySettings, OtelSettings
from penstock.storage.telemetry.span import Span


def of(environ: dict[str, str] | None = None, payloads: str = "redacted", **otel: Any) -> list[Destination]:
    return destinations(msgspec.convert({"payloads": payloads, "otel": otel}, ObservabilitySettings), environ or {})


def one(**terms: Any) -> Destination:
    (found,) = of(terms.pop("environ", None), destinations={"x": {"endpoint": "http://r:4318", **terms}})
    return found


def span(**fields: Any) -> Span:
    return Span(**{"trace_id": "0" * 31 + "1", "span_id": "1" * 16, "start_ns": 1, "end_ns": 2, **fields})


def test_where_the_default_one_goes() -> None:
    traces, base = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert of() == []
    assert [(d.name, d.url) for d in of(endpoint="http://a:4318/")] == [("default", "http://a:4318/v1/traces")]
    assert of({traces: "http://c/x"}, endpoint="http://a:4318")[0].url == "http://a:4318/v1/traces"
    assert of({base: "http://b"})[0].url == "http://b/v1/traces"
    # The specific variable is taken as it is.
    assert of({traces: "http://c/x", base: "http://b"})[0].url == "http://c/x"
    (grpc,) = of({base: "https://b:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert (grpc.url, grpc.secure, grpc.terms.protocol) == ("b:4317", True, "grpc")
    with pytest.raises(SettingsError, match="http/json"):
        of({base: "http://b", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


def test_opentelemetrys_own_headers_count_where_the_settings_have_none() -> None:
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20abc,x-a = b"}
    assert of(environ, endpoint="http://a")[0].headers == {"authorization": "Basic abc", "x-a": "b"}
    assert of(environ, endpoint="http://a", headers={"X-B": "c"})[0].headers == {"x-b": "c"}
    (other,) = of(environ, destinations={"x": {"endpoint": "http://a"}})
    assert other.headers == {}


def test_addresses() -> None:
    assert one(endpoint="https://h/api/public/otel").url == "https://h/api/public/otel/v1/traces"
    assert one(endpoint="https://h/otel/v1/traces/").url == "https://h/otel/v1/traces"
    assert one(endpoint="https://otlp.arize.com/v1", protocol="grpc").url == "otlp.arize.com:443"
    assert one(endpoint="h", protocol="grpc").url == "h:4317"
    assert one(endpoint="http://[::1]:1234", protocol="grpc").url == "[::1]:1234"
    assert one(endpoint="http://[::1]", protocol="grpc").url == "[::1]:4317"


def test_secrets_come_from_the_environment() -> None:
    environ = {"T": "s3cret", "U": "pk", "P": "sk"}
    assert one(environ=environ, headers_env={"X-Api-Key": "T"}).headers == {"x-api-key": "s3cret"}
    assert one(environ=environ, bearer_env="T").headers == {"authorization": "Bearer s3cret"}
    assert one(environ=environ, basic_env=["U", "P"]).headers == {"authorization": "Basic cGs6c2s="}


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"endpoint": ""}, r"destinations\.x\.endpoint"),
        ({"endpoint": "ftp://h"}, "http://"),
        ({"endpoint": "http://user:hidden@h"}, "credentials in headers"),
        ({"bearer_env": "NOT_SET"}, "NOT_SET is not set"),
        ({"basic_env": ["A"]}, "two variables"),
        ({"headers": {"a b": "x"}}, "cannot be sent"),
        ({"headers": {"a": "hidden\r\nb: c"}}, "cannot be sent"),
        ({"ca": "/nowhere.pem"}, "no file /nowhere.pem"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(terms: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        one(**terms)
    assert "hidden" not in caught.value.message


def test_payloads_that_are_not_kept_cannot_be_sent() -> None:
    with pytest.raises(SettingsError, match=r"observability\.payloads"):
        destinations(ObservabilitySettings(payloads="none", otel=OtelSettings(endpoint="http://a", payloads="redacted")), {})


def test_two_of_one_name() -> None:
    with pytest.raises(SettingsError, match="name it otherwise"):
        of(endpoint="http://a", destinations={"default": {"endpoint": "http://b"}})
    assert [d.name for d in of(destinations={"default": {"endpoint": "http://b"}})] == ["default"]


def test_which_spans_are_wanted() -> None:
    some = one(organisations=["org_a"], tasks=["support-*", "faq"])
    assert some.wants(span(organisation="org_a", task="support-eu"))
    assert some.wants(span(organisation="org_a", task="faq"))
    assert not some.wants(span(organisation="org_b", task="faq"))
    assert not some.wants(span(organisation="org_a"))
    assert one().wants(span())


def test_a_sample_is_of_whole_traces_and_the_same_everywhere() -> None:
    ids = [hashlib.md5(str(n).encode()).hexdigest() for n in range(2000)]
    tenth, half = one(sample=0.1), one(sample=0.5)
    chosen = {id for id in ids if tenth.wants(span(trace_id=id))}
    assert 0.05 < len(chosen) / len(ids) < 0.15
    assert all(half.wants(span(trace_id=id)) for id in chosen)
    assert not any(one(sample=0).wants(span(trace_id=id)) for id in ids)
