"""What the gateway can be told: limits of the line, providers, and the names under which models are offered."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field


class ProviderSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One provider. Its name is the section's: ``[gateway.providers.NAME]``."""

    profile: Annotated[
        str | None,
        Meta(description="Which profile describes it (see docs/providers.md); default: the profile of the same name."),
    ] = None
    base_url: Annotated[str | None, Meta(description="Address up to and including the version, such as http://127.0.0.1:8000/v1.")] = None
    api_key: Annotated[str | None, Meta(description="The provider's key. Better: leave it out and set the variable below.")] = None
    api_key_env: Annotated[str | None, Meta(description="Environment variable that holds the key; default: the profile's own.")] = None
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
    max_connections: Annotated[int, Meta(ge=1, description="Most connections open to it at once; further calls wait for one.")] = 1024
    file: Annotated[str | None, Meta(description="Recording file (profiles recording and replay).")] = None
    records: Annotated[str | None, Meta(description="Name of the provider whose exchanges profile `recording` writes to the file.")] = None
    speed: Annotated[float, Meta(ge=0, description="Replay speed: 1 as recorded, 20 twenty times faster, 0 without waiting.")] = 1.0
    free: Annotated[bool, Meta(description="Calls cost nothing here (own hardware), instead of having no known price.")] = False


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A name that callers use, and where it leads: ``[gateway.models.NAME]``."""

    targets: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="provider/model, tried in this order: the first is the model, the rest the fallback chain."),
    ]


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
    local_embeddings: Annotated[bool, Meta(description="Offer the local MiniLM embedding model when its package is installed.")] = True
