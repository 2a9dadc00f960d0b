"""The ``[observability]`` section: what is recorded, for how long, and where else it goes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class OtelDestination(Struct, frozen=True, forbid_unknown_fields=True):
    """Where spans are sent, which ones, and in whose words."""

    endpoint: Annotated[
        str,
        Meta(
            description="Base URL of the OTLP receiver, such as http://127.0.0.1:4318; for http/protobuf /v1/traces is added. Empty in "
            "[observability.otel]: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT when set, else nothing is sent."
        ),
    ] = ""
    protocol: Annotated[Literal["http/protobuf", "grpc"], Meta(description="How it is spoken to; grpc needs the extra `otlp` as well.")] = (
        "http/protobuf"
    )
    headers: Annotated[dict[str, str], Meta(description="Headers sent with every export. Secrets are better in the three below.")] = {}
    headers_env: Annotated[
        dict[str, str], Meta(description="Headers whose values stand in environment variables: the variable's name by the header's.")
    ] = {}
    bearer_env: Annotated[str, Meta(description="Environment variable that holds a token, sent as `Authorization: Bearer`.")] = ""
    basic_env: Annotated[
        list[str], Meta(description="Two environment variables that hold user and password, sent as `Authorization: Basic`.")
    ] = []
    ca: Annotated[str, Meta(description="File with the certificates (PEM) to trust instead of the system's, for https.")] = ""
    service_name: Annotated[str, Meta(min_length=1, description="service.name of our own spans.")] = "penstock"
    resource: Annotated[
        dict[str, str], Meta(description="Further attributes of every resource, by which some receivers choose a project.")
    ] = {}
    convention: Annotated[
        Literal["gen_ai", "openinference"],
        Meta(description="Names of attributes: OpenTelemetry's GenAI conventions, or OpenInference (Phoenix, Arize)."),
    ] = "gen_ai"
    payloads: Annotated[
        Literal["none", "redacted"],
        Meta(description="Prompts and replies: not sent, or sent with secrets replaced, as far as observability.payloads keeps them."),
    ] = "none"
    calls: Annotated[bool, Meta(description="Send our own calls and runs.")] = True
    forward: Annotated[bool, Meta(description="Send on the spans that other programs sent here over OTLP, once they are stored.")] = False
    organisations: Annotated[list[str], Meta(description="Only spans of these organisations, by id; empty: of all.")] = []
    tasks: Annotated[list[str], Meta(description="Only spans of these tasks; a `*` at the end stands for any rest; empty: of all.")] = []
    sample: Annotated[float, Meta(ge=0, le=1, description="Share of the traces that is sent; a trace goes whole or not at all.")] = 1.0
    compression: Annotated[Literal["gzip", "none"], Meta(description="How exports are packed.")] = "gzip"
    queue: Annotated[int, Meta(ge=1, description="Spans that may wait to be sent; more are dropped and counted.")] = 20_000
    queue_bytes: Annotated[int, Meta(ge=65_536, description="Bytes of spans that may wait, about; more are dropped and counted.")] = (
        67_108_864
    )
    batch: Annotated[int, Meta(ge=1, le=10_000, description="Most spans of one export.")] = 512
    batch_bytes: Annotated[
        int, Meta(ge=1024, description="Bytes of one export before it is packed, about; a single span may be larger.")
    ] = 3_145_728
    timeout_seconds: Annotated[float, Meta(gt=0, description="How long one export may take.")] = 10.0
    retry_seconds: Annotated[
        float, Meta(ge=0, description="How long a batch that is not taken for now (429, 5xx, no connection) is tried again.")
    ] = 600.0


class OtelSettings(OtelDestination, frozen=True, forbid_unknown_fields=True):
    """Sending spans to OpenTelemetry receivers (docs/exporting.md); needs the extra ``otel``. It is itself a destination, named
    ``default``, where it has an endpoint."""

    destinations: Annotated[
        dict[str, OtelDestination],
        Meta(description="Further destinations by name, each with all of these settings: [observability.otel.destinations.NAME]."),
    ] = {}


class OtlpSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Spans that other programs send over OTLP: by HTTP at /v1/traces, and by gRPC where it has a port (extra ``otlp``)."""

    max_body_bytes: Annotated[
        int, Meta(ge=1024, description="Most bytes of one export, packed and unpacked; a larger one is refused with 413.")
    ] = 67_108_864
    waiting_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Bytes of exports that may be in work at once. Beyond half of it for one organisation 429 is answered, "
            "beyond all of it 503, each with Retry-After.",
        ),
    ] = 268_435_456
    attribute_max_bytes: Annotated[int, Meta(ge=64, description="Longest text of an attribute; a longer one is cut, counted.")] = 131_072
    span_max_bytes: Annotated[int, Meta(ge=1024, description="All texts of one span together; more is cut and counted.")] = 4_194_304
    span_attributes: Annotated[int, Meta(ge=1, description="Most attributes of a span; further ones are left out and counted.")] = 512
    future_seconds: Annotated[
        float, Meta(ge=0, description="How far ahead of ours a sender's clock may be; spans from further ahead are moved back and counted.")
    ] = 60.0
    grpc_host: Annotated[str, Meta(description="Address that gRPC listens on.")] = "127.0.0.1"
    grpc_port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)] | None,
        Meta(description="Port for OTLP over gRPC, usually 4317; 0 for a free one. Unset: no gRPC."),
    ] = None


class SpanRetention(Struct, frozen=True, forbid_unknown_fields=True):
    """How long spans are kept. Traces stay or go whole, and the same ones on every machine."""

    days: Annotated[float, Meta(gt=0, description="How long ordinary spans are kept.")] = 30.0
    interesting_days: Annotated[
        float,
        Meta(gt=0, description="How long traces in which something failed, was refused, flagged, slow or costly are kept."),
    ] = 90.0
    payload_days: Annotated[float, Meta(gt=0, description="How long their prompts and replies are kept.")] = 14.0
    sample: Annotated[float, Meta(ge=0, le=1, description="Share of the ordinary traces that outlives `whole_days`.")] = 1.0
    whole_days: Annotated[float, Meta(ge=0, description="How long all ordinary traces are kept, whatever `sample` says.")] = 1.0
    slow_ms: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="A span that takes as long is interesting. Unset: none is for its time.")
    ] = None
    costly_usd: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="A span that costs as much is interesting. Unset: none is for its cost.")
    ] = None


class SpansSettings(SpanRetention, frozen=True, forbid_unknown_fields=True):
    """The store of spans: what of ours goes there, and how long spans are kept, in all and for single organisations."""

    own: Annotated[bool, Meta(description="Keep the calls and runs of this house as spans, beside those that other programs send.")] = True
    own_seconds: Annotated[
        float,
        Meta(
            gt=0,
            le=60,
            description="Longest time such a span waits in memory, where a kill loses it; the store works once for all that come together.",
        ),
    ] = 1.0
    organisations: Annotated[
        dict[str, SpanRetention],
        Meta(description="Whole rules of single organisations by id: [observability.spans.organisations.org_...]."),
    ] = {}


class ObservabilitySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Records of calls: payloads, redaction, retention, the queue before the store, metrics and OpenTelemetry."""

    payloads: Annotated[
        str,
        Meta(
            pattern="^(full|redacted|none)$",
            description="Prompts and replies: kept as they came (full), with secrets replaced (redacted), or not at all (none).",
        ),
    ] = "redacted"
    payload_scope: Annotated[
        Literal["read", "admin"],
        Meta(description="What a key needs to see prompts and replies; what happened is for every key with the scope `read`."),
    ] = "read"
    payload_max_bytes: Annotated[
        int, Meta(ge=0, description="Most bytes kept of one request and of one reply each; the rest is cut off and the record says so.")
    ] = 131_072
    redact_emails: Annotated[bool, Meta(description="Replace e-mail addresses before storing payloads.")] = False
    redact_phones: Annotated[bool, Meta(description="Replace what looks like an international telephone number.")] = False
    redact_patterns: Annotated[
        dict[str, str],
        Meta(description="Further regular expressions to replace, by the name that takes their place: [redacted: name]."),
    ] = {}
    call_retention_days: Annotated[float, Meta(gt=0, description="How long calls are kept.")] = 30.0
    payload_retention_days: Annotated[
        float, Meta(gt=0, description="How long prompts and replies are kept; never longer than their calls.")
    ] = 14.0
    summary_retention_days: Annotated[
        float, Meta(gt=0, description="How long the counted summaries behind the overview are kept; they hold no payloads.")
    ] = 400.0
    queue_calls: Annotated[int, Meta(ge=1, description="Finished calls that may wait to be stored; more are dropped and counted.")] = 20_000
    queue_bytes: Annotated[
        int, Meta(ge=1, description="Bytes of payload that may wait to be stored; beyond it calls keep their facts and lose their payload.")
    ] = 67_108_864
    flush_seconds: Annotated[float, Meta(gt=0, le=10, description="Longest time a finished call waits before it is stored.")] = 0.25
    batch_calls: Annotated[int, Meta(ge=1, le=5000, description="Most calls stored in one transaction.")] = 500
    beside: Annotated[
        bool,
        Meta(description="While some 400 calls a second come, write them down in a process beside the one that serves them."),
    ] = True
    metrics_open: Annotated[
        bool, Meta(description="Serve /metrics without a key. Otherwise a key with the scope read is needed as bearer token.")
    ] = False
    metrics_series: Annotated[
        int,
        Meta(ge=1, description="Most combinations of task, model, provider and outcome in /metrics; later ones are counted as 'other'."),
    ] = 500
    otel: Annotated[OtelSettings, Meta(description="Where spans are sent, if anywhere: [observability.otel].")] = OtelSettings()
    spans: Annotated[SpansSettings, Meta(description="How long spans are kept: [observability.spans].")] = SpansSettings()
    otlp: Annotated[OtlpSettings, Meta(description="Spans from other programs: [observability.otlp].")] = OtlpSettings()
