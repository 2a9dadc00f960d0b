"""Patterns that may be run on what models write, and those that may not."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.tasks.pattern import fault_of

GOOD = [
    r"#### (-?[0-9.,]+)",
    r"answer is (.*)\.",
    r"\b([A-D])\b",
    r"(?:ab|cd)*",
    r"\{.*?\}",
    r"-?\d{1,3}(?:,\d{3})*(?:\.\d+)?",
    r"(?:\d{1,3},)*\d+",
    r"(?:,\d{1,3})*",
    r"(?:\w+\s)+x",
    r"^\s*(\S.*\S)\s*$",
    r"(?P<letter>[A-D])",
    r"(?i)yes|no",
    r"(?=a)b(?!c)",
]
BAD = [
    r"(a+)+$",
    r"(a|a)*$",
    r"(a|ab)*$",
    r"(?:x{1,3})+$",
    r".*.*.*.*=",
    r"a*a*a*a*a*b",
    r"(?:a{1,9}){1,9}$",
    r"(\w+\s?)*$",
    r"((a*)*)*$",
    r"(?:(?:a+)b?)*$",
    r"(x+x+)+y",
    r"(.*)\1",
    r"(?:a|.)*$",
    r"(?=(a+)+$)",
    r"(?>(?:a+)+)b",
]


@pytest.mark.parametrize("pattern", GOOD)
def test_what_people_write_is_taken(pattern: str) -> None:
    assert fault_of(pattern) is None


@pytest.mark.parametrize("pattern", BAD)
def test_what_can_take_for_ever_is_refused(pattern: str) -> None:
    assert re.search("time|too long", fault_of(pattern) or "")


@pytest.mark.parametrize("pattern", ["(", "a**", "[z-a]", "(?P<1>a)", "\\", "(" * 5000])
def test_what_is_no_pattern_says_so(pattern: str) -> None:
    assert (fault_of(pattern) or "").startswith("is no regular expression")


PIECES = st.recursive(
    st.sampled_from(["a", "b", "[ab]", r"\d", ".", r"\w"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        inner.map(lambda one: f"(?:{one})*"),
        inner.map(lambda one: f"(?:{one})+"),
        inner.map(lambda one: f"(?:{one}){{1,9}}"),
        st.lists(inner, min_size=2, max_size=2).map(lambda two: f"(?:{'|'.join(two)})"),
    ),
    max_leaves=5,
)


class Slow(Exception):
    pass


@pytest.fixture
def clock() -> Iterator[None]:
    """Interrupts what takes half a second of this process's time; the engine looks for signals while it matches."""

    def stop(*_: object) -> None:
        raise Slow

    old = signal.signal(signal.SIGVTALRM, stop)
    yield
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    signal.signal(signal.SIGVTALRM, old)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(piece=PIECES)
def test_what_is_taken_is_quick_on_texts_that_almost_match(clock: None, piece: str) -> None:
    pattern = f"{piece}$"
    if fault_of(pattern) is not None:
        return
    compiled = re.compile(pattern)
    for text in ("a" * 30 + "!", "ab" * 15 + "!", "1" * 30 + "!"):
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.5)
        compiled.match(text)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
