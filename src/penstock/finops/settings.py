"""Settings of finops: the ``[finops]`` section."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field


class PriceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Prices of one model, in dollars per million tokens unless said otherwise: ``[finops.prices."provider/model"]``.

    A kind of token that is left out costs what it is part of. What is sold by another measure (images, minutes) and has no price here is
    not known to cost anything, and calls that used nothing else are counted as unpriced.
    """

    input: Annotated[float, Meta(ge=0, description="Input tokens.")] = 0.0
    output: Annotated[float, Meta(ge=0, description="Output tokens.")] = 0.0
    cached: Annotated[float | None, Meta(description="Input tokens read from the provider's prompt cache.")] = None
    cache_written: Annotated[float | None, Meta(description="Input tokens written to the provider's prompt cache.")] = None
    reasoning: Annotated[float | None, Meta(description="Reasoning tokens.")] = None
    audio_input: Annotated[float | None, Meta(description="Audio input tokens.")] = None
    audio_output: Annotated[float | None, Meta(description="Audio output tokens.")] = None
    image_input: Annotated[float | None, Meta(description="Image input tokens.")] = None
    image_output: Annotated[float | None, Meta(description="Image output tokens.")] = None
    request: Annotated[float, Meta(ge=0, description="Per million requests.")] = 0.0
    image: Annotated[float | None, Meta(description="Per image made.")] = None
    audio_minute: Annotated[float | None, Meta(description="Per minute of sound heard.")] = None
    characters: Annotated[float | None, Meta(description="Per million characters spoken.")] = None
    search: Annotated[float | None, Meta(description="Per search unit of a reranking (Cohere: a query with up to 100 documents).")] = None
    like: Annotated[
        str | None,
        Meta(description="Costs what another model costs: its provider/model in the published price list. Then no price may stand here."),
    ] = None


class FinopsSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Prices, the ledger and budgets."""

    prices: Annotated[dict[str, PriceSettings], Meta(description="Own prices by provider/model; provider/* stands for all its models.")] = (
        field(default_factory=dict[str, PriceSettings])
    )
    price_lists: Annotated[
        dict[str, str], Meta(description="Whose published prices a provider charges, where its name does not say: NAME = 'openai'.")
    ] = field(default_factory=dict[str, str])
    batch_factors: Annotated[
        dict[str, Annotated[float, Meta(ge=0, le=1)]],
        Meta(description="What a vendor's own batch takes of the price in real time, by provider/model or provider/*."),
    ] = field(default_factory=dict[str, float])
    free_providers: Annotated[tuple[str, ...], Meta(description="Providers whose calls cost nothing: own hardware, recordings.")] = (
        "local",
        "ollama",
        "vllm",
        "sglang",
        "llamacpp",
        "lmstudio",
    )
    unpriced: Annotated[
        Literal["allow", "refuse"],
        Meta(description="Calls to models without a known price: 'allow' them at cost 0 and count them, or 'refuse' them."),
    ] = "allow"
    budget_refresh_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            description="How often budgets take over what other processes have spent; their shares of it hold meanwhile (docs/scaling.md).",
        ),
    ] = 5.0
    durability: Annotated[
        Literal["process", "disk"],
        Meta(
            description="When a ledger row is safe before its reply ends: 'process' survives a kill of Penstock, 'disk' also loss of power,"
            " at the cost of a disk flush shared by the calls of a moment."
        ),
    ] = "process"
    assumed_output_tokens: Annotated[
        int, Meta(ge=0, description="Output tokens reserved against budgets for a call that names no cap of its own.")
    ] = 1024
    drain_seconds: Annotated[float, Meta(gt=0, le=60, description="How often journalled rows are moved into the database.")] = 0.25
