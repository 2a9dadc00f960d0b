"""A price list made of the package's own types: every kind of price and match, as this package has them."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from penstock.finops.pricelist import ListPrice, Match
from penstock.finops.snapshot import _match, _price, installed_version

types = pytest.importorskip("genai_prices.types", reason="genai-prices is not installed")


def test_the_installed_version_is_known() -> None:
    assert installed_version()


def test_prices_become_micro_units_and_what_we_do_not_charge_by_is_named() -> None:
    price = types.ModelPrice(
        input_mtok=Decimal("0.18000000000000002"),
        output_mtok=types.TieredPrices(base=Decimal(5), tiers=[types.Tier(start=200_000, price=Decimal("7.5"))]),
        cache_read_mtok=Decimal(1) / 3,
        requests_kcount=Decimal("1.5"),
    )
    made = _price(price, None)
    assert (made.input, made.output) == (180_000, (5_000_000, ((200_000, 7_500_000),)))
    assert (made.cached, made.request, made.beyond) == (333_333, 1_500_000_000, ())


def test_conditions_are_days_and_hours_of_utc() -> None:
    one = types.ModelPrice(input_mtok=Decimal(1))
    since = _price(one, types.StartDateConstraint(start_date=datetime.date(2026, 3, 4)))
    assert (since.since, since.daily) == (datetime.date(2026, 3, 4), None)
    east = datetime.timezone(datetime.timedelta(hours=2))
    hours = types.TimeOfDateConstraint(start_time=datetime.time(1, 30, tzinfo=east), end_time=datetime.time(8, 30, tzinfo=datetime.UTC))
    assert _price(one, hours).daily == (datetime.time(23, 30), datetime.time(8, 30))
    assert isinstance(since, ListPrice)


def test_every_way_to_match_a_name() -> None:
    starts, ends = types.ClauseStartsWith(starts_with="gpt"), types.ClauseEndsWith(ends_with="mini")
    rule = types.ClauseOr(
        or_=[
            types.ClauseAnd(and_=[starts, ends]),
            types.ClauseContains(contains="sonnet"),
            types.ClauseRegex(regex="^o[134]$"),
            types.ClauseEquals(equals="davinci"),
        ]
    )
    assert _match(rule) == Match(
        any=(
            Match(all=(Match(starts_with="gpt"), Match(ends_with="mini"))),
            Match(contains="sonnet"),
            Match(regex="^o[134]$"),
            Match(equals="davinci"),
        )
    )
