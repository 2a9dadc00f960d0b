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


def test_what_is_not_sold_by_the_token_has_its_published_price() -> None:
    minute = Usage(audio_ms=60_000)
    assert book().cost("openai", "whisper-1", minute)[0] == 6_000  # 0.006 USD a minute
    assert book().cost("openai", "tts-1", Usage(characters=1_000))[0] == 15_000  # 15 USD a million
    # Tokens and minutes are both counted; only what the vendor sells by is charged.
    assert book().cost("openai", "gpt-4o-transcribe", Usage(input=100, audio_input=100, audio_ms=60_000))[0] == 600
    # Pictures have tokens of their own price: 5 USD for text, 8 for pictures that are read, 32 for those that are made.
    usage = Usage(input=1000, image_input=400, output=2000, image_output=2000, images=1)
    assert book().cost("openai", "gpt-image-1.5", usage)[0] == 600 * 5 + 400 * 8 + 2000 * 32


def test_own_prices_by_other_measures() -> None:
    own = book(
        prices={
            "p/draw": PriceSettings(image=0.04),
            "p/hear": PriceSettings(audio_minute=0.006),
            "p/rank": PriceSettings(search=0.002),
            "p/speak": PriceSettings(characters=15),
        }
    )
    assert own.cost("p", "draw", Usage(images=3))[0] == 120_000
    assert own.cost("p", "hear", Usage(audio_ms=1_500))[0] == 150
    assert own.cost("p", "rank", Usage(searches=2, input=50))[0] == 4_000
    assert own.cost("p", "speak", Usage(characters=200))[0] == 3_000


def test_a_price_for_something_else_is_no_price() -> None:
    own = book(prices={"p/m": PriceSettings(input=1), "p/given": PriceSettings(), "p/flat": PriceSettings(request=4)})
    assert own.cost("p", "m", Usage(images=1)) == (0, None)
    assert own.cost("p", "m", Usage(images=1, input=10))[0] == 10
    assert own.cost("p", "given", Usage(images=1))[1] is not None
    assert own.cost("p", "flat", Usage(images=1))[0] == 4
    assert book().cost("openai", "whisper-1", Usage(input=10)) == (0, None)
    assert book().cost("vllm", "m", Usage(images=1))[1] is not None


def test_what_a_vendor_gives_away_is_free_unless_the_operator_says_otherwise() -> None:
    assert book().gives_away("openai", "omni-moderation-latest", "moderations")
    assert book(price_lists={"mine": "openai"}).gives_away("mine", "m", "moderations")
    assert not book().gives_away("mistral", "mistral-moderation-latest", "moderations")
    assert not book().gives_away("openai", "gpt-4o", "chat")
    assert not book(prices={"openai/*": PriceSettings(input=1)}).gives_away("openai", "m", "moderations")
