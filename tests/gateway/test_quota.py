from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateway.quota import RARELY, Quota, span


class Head:
    """A reply's head."""

    def __init__(self, status: int = 200, **headers: str) -> None:
        self.status = status
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def header(self, name: str) -> str | None:
        return self._headers.get(name)

    async def read(self, limit: int) -> bytes:
        return b""

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b""

    def close(self) -> None:
        """Nothing is open."""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def quota() -> tuple[Quota, Clock]:
    clock = Clock()
    return Quota(clock, lambda: 1_700_000_000.0), clock


def test_openais_headers_hold_back_what_does_not_fit_until_the_reset() -> None:
    found, clock = quota()
    assert found.wait(10**9) == 0
    found.heard(
        Head(
            x_ratelimit_remaining_requests="2",
            x_ratelimit_reset_requests="6s",
            x_ratelimit_remaining_tokens="1000",
            x_ratelimit_reset_tokens="1m30s",
        )
    )
    assert found.wait(1000) == 0
    assert found.wait(1001) == pytest.approx(90)
    found.sent(400)
    found.sent(400)
    assert found.wait(200) == pytest.approx(0), "a reset was only said for tokens; requests were not used up then"
    clock.now += 91
    assert found.wait(5000) == 0, "filled up meanwhile; the next reply will say how far"


def test_a_used_up_request_limit_waits_for_its_reset() -> None:
    found, clock = quota()
    found.heard(Head(x_ratelimit_remaining_requests="0", x_ratelimit_reset_requests="120ms"))
    assert found.wait(1) == pytest.approx(0.12)
    clock.now += 0.13
    assert found.wait(1) == 0


def test_anthropics_headers_take_the_scarcest_of_their_token_limits() -> None:
    found, _ = quota()
    found.heard(
        Head(
            anthropic_ratelimit_requests_remaining="49",
            anthropic_ratelimit_tokens_remaining="80000",
            anthropic_ratelimit_tokens_reset="2023-11-14T22:13:50Z",
            anthropic_ratelimit_output_tokens_remaining="500",
            anthropic_ratelimit_output_tokens_reset="2023-11-14T22:13:30Z",
        )
    )
    assert found.wait(500) == 0
    assert found.wait(501) == pytest.approx(10)


def test_a_reset_that_is_not_said_is_short() -> None:
    found, _ = quota()
    found.heard(Head(x_ratelimit_remaining_requests="0"))
    assert 0 < found.wait(1) <= 1


def test_a_provider_that_says_nothing_is_looked_at_rarely_but_is_heard_when_it_begins() -> None:
    found, _ = quota()
    for _ in range(3 * RARELY):
        found.heard(Head())
    for _ in range(RARELY):
        found.heard(Head(x_ratelimit_remaining_tokens="5"))
    assert found.known
    assert found.wait(6) > 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("1h2m3.5s", 3723.5),
        ("20ms", 0.02),
        ("7", 7),
        ("2023-11-14T22:13:21+00:00", 1),
        ("soon", None),
        ("1x", None),
    ],
)
def test_spans(text: str, seconds: float | None) -> None:
    assert span(text, lambda: 1_700_000_000.0) == (pytest.approx(seconds) if seconds is not None else None)


@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 10**6))
def test_whatever_a_provider_says_the_wait_is_finite_and_nothing_raises(left: str, reset: str, tokens: int) -> None:
    found, _ = quota()
    found.heard(Head(429, x_ratelimit_remaining_requests=left, x_ratelimit_reset_requests=reset, x_ratelimit_remaining_tokens=left))
    assert 0 <= found.wait(tokens) <= 86_400
