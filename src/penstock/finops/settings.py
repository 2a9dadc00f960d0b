"""What finops can be told: prices of one's own, how safe a ledger row is, and what a call is taken to cost at most."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

Money = str | int | float


class PriceSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A price of one's own: ``[finops.prices."provider/model"]``, or ``"provider/*"`` for all its models. Currency per million tokens."""

    like: Annotated[
        str | None,
        Meta(description="Start from the published price of this provider/model (ids of the price list); the fields below replace."),
    ] = None
    input: Annotated[Money | None, Meta(description="Input tokens.")] = None
    output: Annotated[Money | None, Meta(description="Output tokens.")] = None
    cached: Annotated[Money | None, Meta(description="Input read from the provider's cache; default: as input.")] = None
    cache_written: Annotated[Money | None, Meta(description="Input written to the provider's cache; default: as input.")] = None
    reasoning: Annotated[Money | None, Meta(description="Reasoning tokens; default: as output.")] = None
    audio_input: Annotated[Money | None, Meta(description="Audio input tokens; default: as input.")] = None
    audio_output: Annotated[Money | None, Meta(description="Audio output tokens; default: as output.")] = None
    request: Annotated[Money | None, Meta(description="Each request, in currency (not per million); default: nothing.")] = None


class FinopsSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Prices, ledger and budgets."""

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", description="Currency of prices, budgets and the ledger (ISO 4217).")] = "USD"
    usd_rate: Annotated[
        Money, Meta(description="What one US dollar costs in that currency; published prices are in dollars. 0: leave them out.")
    ] = 1
    prices: Annotated[dict[str, PriceSettings], Meta(description="Prices of your own by provider/model.")] = field(
        default_factory=dict[str, PriceSettings]
    )
    published_as: Annotated[
        dict[str, str], Meta(description="Provider name to the id under which the price list has its prices, where the names differ.")
    ] = field(default_factory=dict[str, str])
    free: Annotated[tuple[str, ...], Meta(description="Names of providers whose calls cost nothing, such as your own hardware.")] = ()
    durability: Annotated[
        str,
        Meta(
            pattern="^(process|disk)$",
            description="A ledger row survives the death of the process, or (slower: a disk sync before each reply ends) loss of power.",
        ),
    ] = "process"
    default_max_output: Annotated[
        int, Meta(ge=1, description="Output tokens that a budget sets aside for a call which names no cap of its own.")
    ] = 4096
    unpriced: Annotated[
        str,
        Meta(
            pattern="^(allow|refuse)$",
            description="Calls under a hard budget to a model without a known price, which the budget cannot hold.",
        ),
    ] = "allow"
    drain_seconds: Annotated[float, Meta(gt=0, description="How often journalled rows move to the database.")] = 0.5
    refresh_seconds: Annotated[
        float, Meta(gt=0, description="How often budgets and what other processes spent are read again from the database.")
    ] = 10.0
