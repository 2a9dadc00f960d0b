from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.finops.money import UnitPrices, amount, decimal, micro
from penstock.kernel.call import Usage

tokens = st.integers(0, 10_000_000)
price = st.integers(0, 10**9)
prices = st.builds(
    UnitPrices,
    input=price,
    output=price,
    cached=price,
    cache_written=price,
    reasoning=price,
    audio_input=price,
    audio_output=price,
    request=price,
    image_input=price,
    image_output=price,
    images=price,
    audio_hours=price,
    characters=price,
    searches=price,
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    parts = [draw(tokens) for _ in range(9)]
    cached, written, audio_in, image_in, fresh, audio_out, image_out, reasoning, text = parts
    return Usage(
        input=cached + written + audio_in + image_in + fresh,
        output=audio_out + image_out + reasoning + text,
        image_input=image_in,
        image_output=image_out,
        images=draw(tokens),
        audio_ms=draw(tokens),
        characters=draw(tokens),
        searches=draw(tokens),
        cached=cached,
        cache_written=written,
        audio_input=audio_in,
        audio_output=audio_out,
        reasoning=reasoning,
    )


@given(p=prices, u=usages())
def test_an_amount_is_the_exact_sum_rounded_once_half_up(p: UnitPrices, u: Usage) -> None:
    fresh = u.input - u.cached - u.cache_written - u.audio_input - u.image_input
    text = u.output - u.audio_output - u.image_output - u.reasoning
    exact = Fraction(
        p.request
        + fresh * p.input
        + u.cached * p.cached
        + u.cache_written * p.cache_written
        + u.audio_input * p.audio_input
        + text * p.output
        + u.reasoning * p.reasoning
        + u.audio_output * p.audio_output
        + u.image_input * p.image_input
        + u.image_output * p.image_output
        + u.images * p.images
        + Fraction(u.audio_ms, 3_600_000) * p.audio_hours
        + u.characters * p.characters
        + u.searches * p.searches,
        1_000_000,
    )
    assert amount(p, u) == (exact + Fraction(1, 2)).__floor__()


@given(p=price, i=tokens, o=tokens, parts=st.lists(st.integers(0, 2 * 10**7), min_size=7, max_size=7))
def test_parts_never_count_twice_even_when_they_exceed_the_whole(p: int, i: int, o: int, parts: list[int]) -> None:
    same = UnitPrices(
        input=p, output=p, cached=p, cache_written=p, reasoning=p, audio_input=p, audio_output=p, image_input=p, image_output=p
    )
    cached, written, audio_in, audio_out, reasoning, image_in, image_out = parts
    usage = Usage(
        input=i,
        output=o,
        cached=cached,
        cache_written=written,
        audio_input=audio_in,
        audio_output=audio_out,
        reasoning=reasoning,
        image_input=image_in,
        image_output=image_out,
    )
    assert amount(same, usage) == amount(same, Usage(input=i, output=o))


@pytest.mark.parametrize(("tokens", "expected"), [(499_999, 0), (500_000, 1), (1_499_999, 1), (1_500_000, 2)])
def test_half_a_micro_unit_rounds_up(tokens: int, expected: int) -> None:
    assert amount(UnitPrices(input=1), Usage(input=tokens)) == expected


@pytest.mark.parametrize(("text", "expected"), [("2.50", 2_500_000), (0.15, 150_000), (0.1 + 0.2 - 0.0, None), (3, 3_000_000), ("0", 0)])
def test_decimals_are_read_exactly(text: str | float, expected: int | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match="finer than a millionth"):
            micro(text)
    else:
        assert micro(text) == expected


@pytest.mark.parametrize(
    "text", ["-1", "nan", "inf", "twelve", "0.0000001", "1." + "0" * 30 + "1", "1e-999999", "1e23", "1e999999", "1e999999999999"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a decimal number|not an amount|finer|too large"):
        micro(text)


@given(st.integers(0, 10**15))
def test_amounts_are_written_and_read_back(value: int) -> None:
    assert micro(decimal(value)) == value
    assert decimal(-value) == ("-" if value else "") + decimal(value)
