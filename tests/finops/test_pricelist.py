from __future__ import annotations

import datetime
import random
from pathlib import Path

import pytest

from penstock.finops import pricelist
from penstock.finops.pricelist import ListedModel, ListedProvider, ListPrice, Match, PriceList
from penstock.finops.snapshot import build, installed_version

NOON = datetime.datetime(2026, 3, 4, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def shipped() -> PriceList:
    return pricelist.read(pricelist.SHIPPED)


@pytest.mark.timeout(30)
def test_the_shipped_list_is_what_the_package_gives(shipped: PriceList) -> None:
    if installed_version() != shipped.version:
        pytest.skip(f"the list is of genai-prices {shipped.version}, installed is {installed_version()}")
    assert build() == shipped, "run scripts/price_list.py"


@pytest.mark.timeout(30)
def test_names_are_matched_as_the_package_matches_them(shipped: PriceList) -> None:
    if installed_version() != shipped.version:
        pytest.skip(f"the list is of genai-prices {shipped.version}, installed is {installed_version()}")
    from genai_prices.data_snapshot import get_snapshot

    theirs = get_snapshot()
    chance = random.Random(3)
    names = [m.id for p in shipped.providers for m in p.models]
    asked = ["openai", "azure", "anthropic", "google-vertex", "bedrock", "mistral", "groq", "openrouter", "xai", "x-ai", "nobody"]
    refs = [*chance.sample(names, 60), "gpt-5.2-20251211", "GPT-4o", "claude-sonnet-4-20250514", "no-such-model", ""]
    compared = 0
    for provider in asked:
        for ref in refs:
            try:
                _, model = theirs.find_provider_model(ref, None, provider, None)
                expected = model.id
            except LookupError:
                expected = None
            found = shipped.find(provider, ref)
            assert (found[1].id if found else None) == expected, (provider, ref)
            compared += expected is not None
    assert compared > 50


def test_an_unknown_model_is_not_guessed(shipped: PriceList) -> None:
    assert shipped.find("openai", "a-model-that-nobody-sells") is None
    assert shipped.find("a-provider-that-nobody-knows", "gpt-4o") is None


def entry(*prices: ListPrice) -> ListedModel:
    return ListedModel(id="m", match=Match(equals="m"), prices=prices)


def test_the_last_price_whose_day_has_come_counts_and_the_next_change_is_known() -> None:
    old, new = ListPrice(input=1), ListPrice(input=2, since=datetime.date(2026, 3, 5))
    model = entry(old, new)
    assert model.price(NOON) == old
    change = model.next_change(NOON)
    assert change == datetime.datetime(2026, 3, 5, tzinfo=datetime.UTC).timestamp()
    assert model.price(datetime.datetime.fromtimestamp(change, datetime.UTC)) == new
    assert model.next_change(datetime.datetime.fromtimestamp(change, datetime.UTC)) == float("inf")


@pytest.mark.parametrize(("hour", "night"), [(12, False), (17, True), (23, True), (0, True), (1, False)])
def test_a_daily_price_may_run_over_midnight(hour: int, night: bool) -> None:
    dear, cheap = ListPrice(input=2), ListPrice(input=1, daily=(datetime.time(16, 30), datetime.time(0, 30)))
    moment = NOON.replace(hour=hour)
    model = entry(dear, cheap)
    assert (model.price(moment) == cheap) is night
    change = model.next_change(moment)
    assert moment.timestamp() < change <= moment.timestamp() + 86_400
    assert model.price(datetime.datetime.fromtimestamp(change, datetime.UTC)) != model.price(moment)


def test_a_reseller_has_the_prices_of_those_whose_models_it_sells() -> None:
    maker = ListedProvider(id="maker", name="Maker", models=(entry(ListPrice(input=7)),))
    shop = ListedProvider(id="shop", name="Shop", match=Match(contains="shop"), resells=("maker",))
    found = PriceList(source="s", version="1", providers=(maker, shop)).find("My-Shop", "M")
    assert found is not None
    assert found[0] is maker


def test_a_newer_refreshed_list_is_used_and_an_older_one_is_not(tmp_path: Path, shipped: PriceList) -> None:
    def refreshed(version: str) -> PriceList:
        made = PriceList(source="genai-prices", version=version, providers=shipped.providers[:2])
        pricelist.write(made, tmp_path / pricelist.REFRESHED_NAME)
        return made

    refreshed("0.0.1")
    assert pricelist.load(tmp_path).version == shipped.version
    newer = refreshed("99.10.0")
    assert pricelist.load(tmp_path) == newer
    assert pricelist.version_key("0.10.0") > pricelist.version_key("0.9.9")
