"""Money as integers: micro-units of one currency, so that sums are exact and nobody's rounding differs.

A price is micro-units per million of what is sold, mostly tokens: 2.50 USD per million is 2,500,000. An amount is micro-units:
0.000015 USD is 15. A call's amount is rounded once, half up, after everything was added; calls cheaper than half a micro-unit therefore
cost 0, and their tokens and prices stay on the ledger for whoever wants the exact sum.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from penstock.kernel.call import Usage

MICRO = 1_000_000
_MICRO = Decimal("0.000001")
PER = 1_000_000
"""Tokens (requests, images, ...) that a price is for."""
_MS_PER_HOUR = 3_600_000


class UnitPrices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What each kind of token costs, in micro-units per million; the others are per million requests, images made, hours of sound heard,
    characters spoken and search units.

    Every kind of token is resolved: one without a price of its own has the price of the tokens that it is part of.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    request: int = 0
    image_input: int = 0
    image_output: int = 0
    images: int = 0
    audio_hours: int = 0
    characters: int = 0
    searches: int = 0


def amount(prices: UnitPrices, usage: Usage) -> int:
    """What ``usage`` costs at ``prices``, in micro-units, rounded half up.

    Parts never count twice: cached and cache-written tokens come off the input first, then audio, then images; audio comes off the output
    first, then images, then reasoning. Parts that exceed the whole are cut to it.
    """
    fresh = usage.input
    text = usage.output
    total = prices.request
    if usage.cached:
        part = min(usage.cached, fresh)
        total += part * prices.cached
        fresh -= part
    if usage.cache_written:
        part = min(usage.cache_written, fresh)
        total += part * prices.cache_written
        fresh -= part
    if usage.audio_input:
        part = min(usage.audio_input, fresh)
        total += part * prices.audio_input
        fresh -= part
    if usage.image_input:
        part = min(usage.image_input, fresh)
        total += part * prices.image_input
        fresh -= part
    if usage.audio_output:
        part = min(usage.audio_output, text)
        total += part * prices.audio_output
        text -= part
    if usage.image_output:
        part = min(usage.image_output, text)
        total += part * prices.image_output
        text -= part
    if usage.reasoning:
        part = min(usage.reasoning, text)
        total += part * prices.reasoning
        text -= part
    total += fresh * prices.input + text * prices.output
    if usage.images or usage.characters or usage.searches:
        total += usage.images * prices.images + usage.characters * prices.characters + usage.searches * prices.searches
    if usage.audio_ms and prices.audio_hours:
        # Over a common denominator, so that this too is rounded once.
        whole = total * _MS_PER_HOUR + usage.audio_ms * prices.audio_hours
        return (whole + PER * _MS_PER_HOUR // 2) // (PER * _MS_PER_HOUR)
    return (total + PER // 2) // PER


def times(prices: UnitPrices, factor: float) -> UnitPrices:
    """All the prices times ``factor``, each rounded half up to the micro-unit."""
    exact = Decimal(str(factor))
    return UnitPrices(**{f: int(exact * getattr(prices, f) + Decimal("0.5")) for f in UnitPrices.__struct_fields__})


def micro(value: str | float | Decimal) -> int:
    """A decimal number of currency units as micro-units. ValueError when it is negative, no number, too large or finer than a micro-unit.

    A float is read as the decimal that it is written as: 0.15 is 150,000.
    """
    try:
        exact = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation as fault:
        raise ValueError(f"{value!r} is not a decimal number") from fault
    if not exact.is_finite() or exact < 0:
        raise ValueError(f"{value!r} is not an amount of money")
    try:
        rounded = exact.quantize(_MICRO)
    except InvalidOperation as fault:  # more digits than a Decimal computes with; never a price, and int() of it could take for ever
        raise ValueError(f"{value!r} is too large") from fault
    # Compared with what came in, since arithmetic on it could have rounded already.
    if rounded != exact:
        raise ValueError(f"{value!r} is finer than a millionth")
    return int(rounded.scaleb(6))


def decimal(amount: int) -> str:
    """Micro-units as a decimal number without trailing zeros beyond the cents: 1500000 is ``1.50``, 15 is ``0.000015``."""
    sign = "-" if amount < 0 else ""
    whole, part = divmod(abs(amount), MICRO)
    digits = f"{part:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{digits}"
