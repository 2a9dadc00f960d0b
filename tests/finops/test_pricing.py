from __future__ import annotations

import pytest

from penstock.finops.pricing import PriceBook
from penstock.finops.settings import FinopsSettings, PriceSettings
from penstock.kernel.call import Usage
from penstock.kernel.errors import SettingsError


def book(**settings: object) -> PriceBook:
    return PriceBook(FinopsSettings(**settings), None)  # type: ignore[arg-type]


def test_own_prices_come_first_the_models_before_the_providers() -> None:
    own = book(prices={"p/m": PriceSettings(input=1, output=2), "p/*": PriceSettings(input=3)})
    assert own.cost("p", "m", Usage(input=10, output=10))[0] == 30
    assert own.cost("p", "other", Usage(input=10))[0] == 30
    assert own.quote("p", "m").source == "settings"
    assert book().quote("vllm", "anything").source == "free"
    assert book().cost("nowhere", "unknown", Usage(input=10)) == (0, None)


def test_parts_of_the_usage_at_their_own_prices() -> None:
    own = book(prices={"p/m": PriceSettings(input=10, output=20, cached=1, cache_written=12.5, reasoning=30)})
    usage = Usage(input=1000, cached=600, cache_written=200, output=100, reasoning=40)
    # 200 fresh at 10, 600 cached at 1, 200 written at 12.5, 60 at 20, 40 at 30, in micro-dollars a token.
    assert own.cost("p", "m", usage)[0] == 2000 + 600 + 2500 + 1200 + 1200


def test_a_model_may_cost_what_another_does() -> None:
    alike = book(prices={"azure/my-deployment": PriceSettings(like="openai/gpt-4o-mini")})
    usage = Usage(input=1_000_000, output=1_000_000)
    assert alike.cost("azure", "my-deployment", usage) == book().cost("openai", "gpt-4o-mini", usage)
    assert alike.cost("azure", "my-deployment", usage)[0] > 0
    assert "genai-prices" in alike.quote("azure", "my-deployment").source


@pytest.mark.parametrize(
    ("name", "price", "said"),
    [
        ("m", PriceSettings(input=1), "write provider/model"),
        ("p/m", PriceSettings(like="gpt-4o"), "write provider/model"),
        ("p/m", PriceSettings(like="openai/gpt-4o", input=1), "not both"),
        ("p/m", PriceSettings(input=0.0000001), "finer than a millionth"),
    ],
)
def test_prices_that_make_no_sense_are_refused_at_the_start(name: str, price: PriceSettings, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        book(prices={name: price})
