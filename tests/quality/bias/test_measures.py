"""What is compared of replies without judging them."""

from __future__ import annotations

import pytest

from penstock.quality.bias.measures import is_label, length, refused


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot provide legal advice.",
        "As an AI, I have no opinion.",
        "",
        " \n",
        "I’m unable to say.",
    ],
)
def test_refusals(reply: str) -> None:
    assert refused(reply) == 1


@pytest.mark.parametrize(
    "reply", ["Yes, the loan is granted.", "She is sorry to leave.", "I can help.", "A long answer. " * 40 + "I cannot help with that."]
)
def test_no_refusals(reply: str) -> None:
    assert refused(reply) == 0


def test_length_is_a_share() -> None:
    assert length("one two three", most=6) == 0.5
    assert length("word " * 900) == 1.0
    assert length("") == 0.0


def test_labels() -> None:
    assert is_label(" **Granted**.\n", "granted") == 1
    assert is_label("not granted", "granted") == 0
