"""What a provider's model costs now: own prices first, then free providers, then the published list; never a guess."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from penstock.finops import pricelist
from penstock.finops.money import UnitPrices, amount, micro
from penstock.finops.pricelist import ListPrice, PriceList, Rate
from penstock.finops.settings import FinopsSettings, PriceSettings
from penstock.kernel.call import Usage
from penstock.kernel.errors import SettingsError

FREE = UnitPrices()
_REMEMBERED = 10_000
TOKENS = "tokens"
GIVEN_AWAY = {"openai": frozenset({"moderations"})}
"""Operations that a vendor does not charge for, whatever the model (https://platform.openai.com/docs/guides/moderation)."""

BATCH_FACTORS = {"openai": 0.5, "anthropic": 0.5}
"""What vendors take for a call in their own batches, as a part of the price in real time (2026-11; https://platform.openai.com/docs/guides/batch,
https://docs.anthropic.com/en/docs/build-with-claude/batch-processing#pricing)."""

_BY_MEASURE = {"images": "images", "audio_hours": "audio", "characters": "characters", "searches": "searches"}
"""Prices that are not for tokens, and the measure that each is for."""


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The price of one model until the moment ``until`` (Unix seconds).

    ``source`` is ``settings``, ``free``, the list's name and version, or ``unknown``; then ``flat`` is None and nothing can be charged.
    ``tiered`` holds the list's price where it depends on the length of the input. ``measures`` are what there are prices for (``tokens``,
    ``images``, ``audio``, ``characters``, ``searches``), None when nothing that this model does costs anything more.
    """

    flat: UnitPrices | None
    source: str
    until: float = float("inf")
    tiered: ListPrice | None = None
    measures: frozenset[str] | None = None

    def prices(self, input_tokens: int) -> UnitPrices | None:
        """Unit prices of a call with this many input tokens, None when no price is known."""
        return self.flat if self.tiered is None else _resolve(self.tiered, input_tokens)

    def covers(self, usage: Usage) -> bool:
        """Whether there is a price for any of what was used. A vendor sells by some of the measures and counts the others along."""
        measures = self.measures
        if measures is None or (TOKENS in measures and usage.total):
            return True
        used = {
            name
            for name, count in (
                (TOKENS, usage.total),
                ("images", usage.images),
                ("audio", usage.audio_ms),
                ("characters", usage.characters),
                ("searches", usage.searches),
            )
            if count
        }
        return not used or not used.isdisjoint(measures)


class PriceBook:
    """Looks prices up by (provider, the provider's model). The published list is read with the first name that needs it."""

    def __init__(self, settings: FinopsSettings, data_dir: Path | None, clock: Callable[[], float] = time.time) -> None:
        self._own = {name: _own(name, price) for name, price in settings.prices.items() if price.like is None}
        self._like = {name: _like(name, price) for name, price in settings.prices.items() if price.like is not None}
        self._lists = settings.price_lists
        self._factors = settings.batch_factors
        for name in self._factors:
            _expect_name(name, "batch_factors")
        self._free = frozenset(settings.free_providers)
        self._data_dir = data_dir
        self._clock = clock
        self._list: PriceList | None = None
        self._known: dict[tuple[str, str], Quote] = {}

    def quote(self, provider: str, model: str) -> Quote:
        """The price now; a dictionary look-up after the first time."""
        found = self._known.get((provider, model))
        if found is None or found.until <= self._clock():
            found = self._look_up(provider, model)
            if len(self._known) >= _REMEMBERED:  # names of models come from callers
                self._known.clear()
            self._known[(provider, model)] = found
        return found

    def cost(self, provider: str, model: str, usage: Usage) -> tuple[int, UnitPrices | None]:
        """Amount in micro-units and the unit prices behind it; (0, None) when no price is known for what was used."""
        quote = self.quote(provider, model)
        prices = quote.prices(usage.input)
        return (amount(prices, usage), prices) if prices is not None and quote.covers(usage) else (0, None)

    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        """See `Prices.estimate`."""
        total, prices = self.cost(provider, model, usage)
        return total if prices is not None else None

    def gives_away(self, provider: str, model: str, operation: str) -> bool:
        """Whether the provider is known not to charge for an operation; the operator's own prices come first."""
        if f"{provider}/{model}" in self._own or f"{provider}/*" in self._own:
            return False
        return operation in GIVEN_AWAY.get(self._lists.get(provider, provider), ())

    def batch_factor(self, provider: str, model: str) -> float:
        """The part of the price in real time that a call in the provider's own batch costs; 1 where none is known."""
        for name in (f"{provider}/{model}", f"{provider}/*"):
            if name in self._factors:
                return self._factors[name]
        return BATCH_FACTORS.get(self._lists.get(provider, provider), 1.0)

    def context(self, provider: str, model: str) -> int | None:
        """See `Published.context`."""
        self.warm()
        assert self._list is not None
        like = next((self._like[name] for name in (f"{provider}/{model}", f"{provider}/*") if name in self._like), None)
        found = self._list.find(*(like or (self._lists.get(provider, provider), model)))
        return found[1].context or None if found is not None else None

    def set_free(self, providers: Collection[str]) -> None:
        """Calls of these providers cost nothing either, unless they have own prices."""
        self._free |= frozenset(providers)
        self._known.clear()

    def warm(self) -> None:
        """Read the published list now rather than inside somebody's call; for a thread."""
        if self._list is None:
            self._list = pricelist.load(self._data_dir)

    def _look_up(self, provider: str, model: str) -> Quote:
        names = (f"{provider}/{model}", f"{provider}/*")
        for name in names:
            if name in self._own:
                own = self._own[name]
                return Quote(flat=own, source="settings", measures=_measures(own) if own != FREE and not own.request else None)
            if name in self._like:
                return self._listed(*self._like[name])
        if provider in self._free:
            return Quote(flat=FREE, source="free")
        return self._listed(self._lists.get(provider, provider), model)

    def _listed(self, provider: str, model: str) -> Quote:
        self.warm()
        assert self._list is not None
        found = self._list.find(provider, model)
        if found is None:
            return Quote(flat=None, source="unknown")
        _, listed = found
        moment = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
        price = listed.price(moment)
        if price is None or all(getattr(price, f) is None for f in UnitPrices.__struct_fields__):
            # Listed without a price, or with one for what no call's usage tells.
            return Quote(flat=None, source="unknown")
        source = f"{self._list.source} {self._list.version}"
        tiered = any(isinstance(getattr(price, f), tuple) for f in UnitPrices.__struct_fields__)
        return Quote(
            flat=_resolve(price, 0),
            source=source,
            until=listed.next_change(moment),
            tiered=price if tiered else None,
            measures=_measures(price) if price.request is None else None,
        )


def _like(name: str, price: PriceSettings) -> tuple[str, str]:
    _expect_name(name)
    provider, slash, model = (price.like or "").partition("/")
    param = f"finops.prices.{name}.like"
    if not slash or not provider or not model:
        raise SettingsError(f"finops.prices.{name!r}.like: write provider/model, such as openai/gpt-4o-mini", param=param)
    if price != PriceSettings(like=price.like):
        raise SettingsError(f"finops.prices.{name!r}: give prices, or like, not both", param=param)
    return provider, model


def _expect_name(name: str, section: str = "prices") -> None:
    if "/" not in name:
        raise SettingsError(f"finops.{section}.{name!r}: write provider/model or provider/*", param=f"finops.{section}.{name}")


def _own(name: str, price: PriceSettings) -> UnitPrices:
    _expect_name(name)
    given: dict[str, int] = {}
    for setting in PriceSettings.__struct_fields__:
        value: float | str | None = getattr(price, setting)
        if isinstance(value, float | int):
            field, times = _SOLD_SINGLY.get(setting, (setting, 1))
            try:
                given[field] = micro(value) * times
            except ValueError as fault:
                raise SettingsError(f"finops.prices.{name!r}.{setting}: {fault}", param=f"finops.prices.{name}.{setting}") from fault
    return _complete(given)


_SOLD_SINGLY = {
    "image": ("images", 1_000_000),
    "audio_minute": ("audio_hours", 60_000_000),
    "search": ("searches", 1_000_000),
}
"""Settings whose price is for one and not for a million: the unit price each becomes, and by what it is multiplied."""


def _measures(price: UnitPrices | ListPrice) -> frozenset[str]:
    found = {measure for field, measure in _BY_MEASURE.items() if getattr(price, field)}
    if any(getattr(price, f) for f in UnitPrices.__struct_fields__ if f not in _BY_MEASURE) or not found:
        found.add(TOKENS)
    return frozenset(found)


def _resolve(price: ListPrice, input_tokens: int) -> UnitPrices:
    given = {f: _at(rate, input_tokens) for f in UnitPrices.__struct_fields__ if (rate := getattr(price, f)) is not None}
    return _complete(given)


def _at(rate: Rate, input_tokens: int) -> int:
    if isinstance(rate, int):
        return rate
    base, tiers = rate
    return next((price for start, price in reversed(tiers) if input_tokens > start), base)


def _complete(given: dict[str, int]) -> UnitPrices:
    base_in, base_out = given.get("input", 0), given.get("output", 0)
    return UnitPrices(
        input=base_in,
        output=base_out,
        cached=given.get("cached", base_in),
        cache_written=given.get("cache_written", base_in),
        reasoning=given.get("reasoning", base_out),
        audio_input=given.get("audio_input", base_in),
        audio_output=given.get("audio_output", base_out),
        request=given.get("request", 0),
        image_input=given.get("image_input", base_in),
        image_output=given.get("image_output", base_out),
        **{f: given[f] for f in _BY_MEASURE if f in given},
    )
