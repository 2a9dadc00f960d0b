"""Making a price list out of the installed `genai-prices` package; the only file that imports it."""

from __future__ import annotations

import datetime
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from penstock.finops.money import micro
from penstock.finops.pricelist import ListedModel, ListedProvider, ListPrice, Match, PriceList, Rate

if TYPE_CHECKING:
    from genai_prices import types

PACKAGE = "genai-prices"
_MICRO = Decimal("0.000001")

_FIELDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_written",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
    "output_image_mtok": "image_output",
    "requests_kcount": "request",
    "input_mchars": "characters",
    "audio_hours": "audio_hours",
    "input_audio_hours": "audio_hours",  # after audio_hours, which it is the narrower form of
}
_TIMES = {"requests_kcount": 1000, "audio_hours": 1_000_000, "input_audio_hours": 1_000_000}
"""What a published price is multiplied by to be one for a million: those of tokens and characters are that already."""


def installed_version() -> str | None:
    """Version of the installed package, None when it is not installed. Does not import it."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return None


def build() -> PriceList:
    """The whole list. Takes about a second of CPU. ImportError when the package is not installed."""
    # Heavy (pydantic, 2,000 models): only for making a list, never at start.
    from genai_prices.data import providers

    return PriceList(
        source=PACKAGE,
        version=version(PACKAGE),
        providers=tuple(
            ListedProvider(
                id=provider.id,
                name=provider.name,
                match=_match(provider.provider_match) if provider.provider_match is not None else None,
                resells=tuple(provider.fallback_model_providers or ()),
                models=tuple(_model(model) for model in provider.models),
            )
            for provider in providers
        ),
    )


def _model(model: types.ModelInfo) -> ListedModel:
    from genai_prices.types import ModelPrice

    if isinstance(model.prices, ModelPrice):
        prices = (_price(model.prices, None),)
    else:
        prices = tuple(_price(conditional.prices, conditional.constraint) for conditional in model.prices)
    return ListedModel(id=model.id, match=_match(model.match), prices=prices, context=model.context_window or 0)


def _price(price: types.ModelPrice, constraint: types.StartDateConstraint | types.TimeOfDateConstraint | None) -> ListPrice:
    from genai_prices.types import StartDateConstraint, TimeOfDateConstraint

    rates: dict[str, Rate] = {}
    published: dict[str, Decimal | types.TieredPrices | None] = vars(price)
    for key, field in _FIELDS.items():
        value = published.get(key)
        if value is not None:
            rates[field] = _rate(value, _TIMES.get(key, 1))
    beyond = [key for key, value in published.items() if value is not None and key not in _FIELDS]
    return ListPrice(
        since=constraint.start_date if isinstance(constraint, StartDateConstraint) else None,
        daily=(_utc(constraint.start_time), _utc(constraint.end_time)) if isinstance(constraint, TimeOfDateConstraint) else None,
        beyond=tuple(beyond),
        **rates,
    )


def _rate(value: Decimal | types.TieredPrices, times: int) -> Rate:
    if isinstance(value, Decimal):
        return _whole(value * times)
    return _whole(value.base * times), tuple((tier.start, _whole(tier.price * times)) for tier in value.tiers)


def _whole(price: Decimal) -> int:
    # Some prices in the package came through binary floats (0.18000000000000002) or are thirds of a cent.
    return micro(price.quantize(_MICRO, ROUND_HALF_UP))


def _utc(time: datetime.time) -> datetime.time:
    if time.tzinfo is not None:
        time = datetime.datetime.combine(datetime.date(1970, 1, 2), time).astimezone(datetime.UTC).time()
    return time.replace(tzinfo=None)


def _match(rule: types.MatchLogic) -> Match:
    from genai_prices import types

    match rule:
        case types.ClauseStartsWith():
            return Match(starts_with=rule.starts_with)
        case types.ClauseEndsWith():
            return Match(ends_with=rule.ends_with)
        case types.ClauseContains():
            return Match(contains=rule.contains)
        case types.ClauseRegex():
            return Match(regex=rule.regex)
        case types.ClauseEquals():
            return Match(equals=rule.equals)
        case types.ClauseOr():
            return Match(any=tuple(_match(r) for r in rule.or_))
        case types.ClauseAnd():
            return Match(all=tuple(_match(r) for r in rule.and_))
