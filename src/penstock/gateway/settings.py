"""What the gateway can be told: limits of the line, providers, and the names under which models are offered."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from penstock.gateway.circuit import Rules
from penstock.kernel.tasks import Place


class ProviderSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One provider. Its name is the section's: ``[gateway.providers.NAME]``."""

    profile: Annotated[
        str | None,
        Meta(description="Which profile describes it (see docs/providers.md); default: the profile of the same name."),
    ] = None
    base_url: Annotated[str | None, Meta(description="Address up to and including the version, such as http://127.0.0.1:8000/v1.")] = None
    api_key: Annotated[str | None, Meta(description="The provider's key. Better: leave it out and set the variable below.")] = None
    api_key_env: Annotated[str | None, Meta(description="Environment variable that holds the key; default: the profile's own.")] = None
    auth: Annotated[
        Literal["key", "aws", "google", "entra"] | None,
        Meta(
            description="How it lets us in: a key, AWS's signature, Google's tokens, Entra's tokens (docs/clouds.md); default: a key where"
            " there is one, else what the profile knows."
        ),
    ] = None
    credentials: Annotated[
        str | None,
        Meta(
            description="Which credentials, where not those of the vendor's usual chain: the name of an AWS profile, the path of a Google"
            " credentials file, the client id of an Azure managed identity."
        ),
    ] = None
    region: Annotated[
        str | None,
        Meta(
            description="AWS region, or Google Cloud location (such as europe-west4 or global); elsewhere the region that it is known to"
            " keep to, which tasks may ask for (docs/tasks.md)."
        ),
    ] = None
    place: Annotated[
        Place | None,
        Meta(
            description="Where what is sent to it goes: `device` (this machine), `own` (another machine of yours), `region` (a vendor that"
            " keeps to its region), `vendor`; default: what profile and address tell (docs/tasks.md)."
        ),
    ] = None
    project: Annotated[str | None, Meta(description="Google Cloud project; default: the environment's, or the credentials file's.")] = None
    headers: Annotated[dict[str, str], Meta(description="Extra headers sent with every request.")] = field(default_factory=dict[str, str])
    models: Annotated[
        tuple[str, ...],
        Meta(description="Models it serves, listed by /v1/models and found by their bare name. Empty: the profile's name patterns."),
    ] = ()
    sampling: Annotated[
        bool, Meta(description="Whether it takes temperature, top_p and top_k; where not, translated requests with them are refused.")
    ] = True
    api_version: Annotated[str | None, Meta(description="Value of the api-version query parameter (Azure OpenAI).")] = None
    try_seconds: Annotated[float, Meta(gt=0, description="Longest wait for an attempt's reply, or a stream's next bytes.")] = 300.0
    connect_seconds: Annotated[float, Meta(gt=0, description="Longest wait for a connection.")] = 5.0
    max_connections: Annotated[
        int, Meta(ge=1, description="Most connections open to it at once by all workers of a machine; further calls wait for one.")
    ] = 1024
    adaptive: Annotated[
        Literal["refusals", "pace", "off"],
        Meta(
            description="What lowers the calls in flight below max_connections: 429, 503, 529 and timeouts; also a pace per token that"
            " falls (own hardware, whose load is all yours); or nothing."
        ),
    ] = "refusals"
    file: Annotated[str | None, Meta(description="Recording file (profiles recording and replay).")] = None
    records: Annotated[str | None, Meta(description="Name of the provider whose exchanges profile `recording` writes to the file.")] = None
    speed: Annotated[float, Meta(ge=0, description="Replay speed: 1 as recorded, 20 twenty times faster, 0 without waiting.")] = 1.0
    free: Annotated[bool, Meta(description="Calls cost nothing here (own hardware), instead of having no known price.")] = False


class WeightedTarget(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A target of a group that is to get more or less than the others of it."""

    target: Annotated[str, Meta(min_length=1, description="provider/model.")]
    weight: Annotated[float, Meta(gt=0, le=1000, description="Its share, relative to the weights of the others.")] = 1.0


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A name that callers use, and where it leads: ``[gateway.models.NAME]``."""

    targets: Annotated[
        tuple[str | tuple[str | WeightedTarget, ...], ...],
        Meta(
            min_length=1,
            description="provider/model, tried in this order: the first is the model, the rest the fallback chain. A list within the list"
            " is a group of equal rank, balanced by tokens in flight; `{ target = ..., weight = 2 }` gets twice as much.",
        ),
    ]
    try_seconds: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Longest wait for an attempt's whole reply, or a stream's first bytes; default: the provider's."),
    ] = None
    hedge_seconds: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="Ask the next target too when the first has not begun to answer by then; the sooner answer counts."),
    ] = None


class ResilienceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When targets are left alone, how they come back, and how often anything is asked again (docs/resilience.md)."""

    failures: Annotated[int, Meta(ge=1, description="Failures one after another that open a target's circuit.")] = 5
    failure_share: Annotated[
        float, Meta(gt=0, le=1, description="Share of failures that opens it, once the window holds twice as many failures.")
    ] = 0.5
    window_seconds: Annotated[float, Meta(gt=0, description="Length of that window.")] = 10.0
    open_seconds: Annotated[float, Meta(gt=0, description="How long it first stays open; doubled each time its return fails.")] = 2.0
    longest_open_seconds: Annotated[float, Meta(gt=0, description="How long it stays open at most.")] = 30.0
    ramp_seconds: Annotated[float, Meta(ge=0, description="After a good probe: seconds until it gets all of its calls again.")] = 10.0
    retry_ratio: Annotated[float, Meta(ge=0, le=1, description="Further tries at a provider, per call that was sent to it first.")] = 0.1
    retry_reserve: Annotated[float, Meta(ge=0, description="Further tries that may be made beyond that ratio.")] = 10.0
    least_concurrency: Annotated[int, Meta(ge=1, description="Calls in flight that a provider under strain still gets.")] = 16
    batch_share: Annotated[
        float, Meta(gt=0, le=1, description="Part of every limit on calls in flight that priority `batch` may fill.")
    ] = 0.7

    def rules(self) -> Rules:
        """What of it concerns circuits."""
        return Rules(
            streak=self.failures,
            share=self.failure_share,
            window=self.window_seconds,
            open=self.open_seconds,
            longest=self.longest_open_seconds,
            ramp=self.ramp_seconds,
        )


class RealtimeSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sessions over WebSocket (docs/realtime.md)."""

    session_seconds: Annotated[float, Meta(gt=0, description="Longest session; then it is closed with `session_expired`.")] = 3600.0
    idle_seconds: Annotated[float, Meta(gt=0, description="A session in which nobody says anything for so long is closed.")] = 900.0
    ping_seconds: Annotated[float, Meta(gt=0, description="How often both sides are asked whether they are still there.")] = 20.0
    silent_seconds: Annotated[float, Meta(gt=0, description="How long such an answer may take, also from one who reads slowly.")] = 60.0
    max_frame_bytes: Annotated[
        int, Meta(ge=1024, description="Largest message of either side; a longer one closes the session with 1009.")
    ] = 16 * 1024 * 1024
    assumed_output_tokens: Annotated[
        int, Meta(ge=1, description="Audio tokens that a response is expected to have at most where the client sets no limit.")
    ] = 4096
    record_bytes: Annotated[int, Meta(ge=0, description="How much of a session's events is kept for its record; sound never is.")] = 65536


class GatewaySettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The line's limits, the providers, and the names of models."""

    discover: Annotated[bool, Meta(description="Add providers whose keys are in the environment, and an Ollama on this machine.")] = True
    providers: Annotated[dict[str, ProviderSettings], Meta(description="Providers by name.")] = field(
        default_factory=dict[str, ProviderSettings]
    )
    models: Annotated[dict[str, ModelSettings], Meta(description="Names of models and their fallback chains.")] = field(
        default_factory=dict[str, ModelSettings]
    )
    max_body_bytes: Annotated[
        int,
        Meta(
            ge=1024,
            description="Largest body of a model call (else 413); other routes take 1 MiB. At most 100 levels of nesting (else 400).",
        ),
    ] = 20 * 1024 * 1024
    max_upload_bytes: Annotated[
        int, Meta(ge=1024, description="Largest form with files (audio, images); beyond 1 MiB it is sent on while it arrives, not held.")
    ] = 64 * 1024 * 1024
    max_reply_bytes: Annotated[int, Meta(ge=1024, description="Largest whole reply that is read from a provider.")] = 64 * 1024 * 1024
    body_seconds: Annotated[float, Meta(gt=0, description="Longest time a client may take to send its body.")] = 30.0
    stall_seconds: Annotated[float, Meta(gt=0, description="Longest time a client may leave a stream unread before it is dropped.")] = 60.0
    call_seconds: Annotated[float, Meta(gt=0, description="Deadline of a call when the client names none (x-penstock-timeout).")] = 600.0
    max_in_flight: Annotated[int, Meta(ge=1, description="Calls in flight at most; further ones are refused with 503.")] = 2048
    retries: Annotated[int, Meta(ge=0, le=10, description="Further tries on one target after a failure that is safe to repeat.")] = 2
    retry_wait_seconds: Annotated[float, Meta(ge=0, description="Longest wait before a further try; a longer Retry-After moves on.")] = 5.0
    default_max_tokens: Annotated[
        int, Meta(ge=1, description="Output cap sent to providers that demand one (Anthropic) when the caller named none.")
    ] = 4096
    realtime: Annotated[RealtimeSettings, Meta(description="Sessions over WebSocket.")] = RealtimeSettings()
    resilience: Annotated[ResilienceSettings, Meta(description="Circuits, retries, priorities.")] = ResilienceSettings()
    priorities: Annotated[
        dict[str, Literal["interactive", "batch"]],
        Meta(description="Priority of calls that name none (x-penstock-priority), by the key's name; a trailing * stands for any rest."),
    ] = field(default_factory=dict[str, Literal["interactive", "batch"]])
    local_embeddings: Annotated[bool, Meta(description="Offer the local MiniLM embedding model when its package is installed.")] = True
