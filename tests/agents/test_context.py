"""What of a conversation is sent: all of it while it fits, its beginning and its newest turns always."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.agents.context import Conversation, tokens_of

HEAD = [{"role": "system", "content": "Help."}, {"role": "user", "content": "go"}]


def turn(n: int, size: int) -> list[dict[str, Any]]:
    """A turn of the model and the result of its call."""
    call = {"id": f"c{n}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    made = {"role": "assistant", "content": "", "tool_calls": [call]}
    return [made, {"role": "tool", "tool_call_id": f"c{n}", "content": "x" * size}]


def talk(sizes: list[int], window: int | None, answer: int = 100) -> Conversation:
    made = Conversation(HEAD[:1], HEAD[1], (), window, answer)
    for n, size in enumerate(sizes):
        for message in turn(n, size):
            made.add(message)
    return made


def test_without_a_window_nothing_is_left_out() -> None:
    made = talk([100_000] * 20, None)
    assert (made.full, len(made.messages)) == (False, 42)


def test_what_was_used_is_known_better_than_estimated() -> None:
    made = talk([3000], 2000)
    made.answered({"role": "assistant", "content": "ok"}, 500)
    assert (made.size, made.full) == (500, False)


def test_a_summary_says_what_it_stands_for() -> None:
    made = talk([600] * 10, 2000)
    assert made.full
    assert len(made.older()) == 18
    assert made.prompt(made.older()).count("tool: xxx") == 9
    made.summarise("They read.")
    note = made.messages[2]["content"]
    assert made.messages[:2] == HEAD
    assert note.startswith("[18 earlier messages, about ")
    assert note.endswith("in short:]\nThey read.")
    assert [one["role"] for one in made.messages[3:]] == ["assistant", "tool"]
    assert not made.full


def test_without_a_summary_it_says_what_was_called() -> None:
    made = talk([600] * 10, 2000)
    made.summarise("")
    assert "They called: read 9x.]" in made.messages[2]["content"]


def test_what_was_said_before_is_summarised_first_and_the_question_stays() -> None:
    before = [{"role": role, "content": f"{n} " + "y" * 900} for n in range(4) for role in ("user", "assistant")]
    made = Conversation(HEAD[:1], HEAD[1], (), 2000, 100, before=before)
    assert made.full
    assert made.messages[-1] is HEAD[1]
    made.summarise("They talked.")
    assert [one["role"] for one in made.messages] == ["system", "user", "assistant", "user"]
    assert made.messages[-1] is HEAD[1]
    for message in turn(1, 3000):
        made.add(message)
    made.summarise("They talked more.")
    assert HEAD[1] in made.messages
    assert not made.full


def test_one_result_that_is_too_long_is_cut() -> None:
    made = talk([30_000], 2000)
    assert (made.full, made.older()) == (True, [])
    made.summarise("")
    assert not made.full
    assert made.messages[-1]["content"].endswith("more characters were left out to make room]")


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 6000), min_size=1, max_size=30), window=st.integers(1500, 8000), words=st.integers(0, 300))
def test_there_is_room_afterwards_and_no_result_without_its_call(sizes: list[int], window: int, words: int) -> None:
    made = talk(sizes, window)
    if not made.full:
        return
    older = made.older()
    if older:
        assert len(made.prompt(older)) < 3 * window
    made.summarise("w" * words)
    assert made.messages[:2] == HEAD
    assert tokens_of(made.messages) + 100 <= window or len(made.older()) == 0
    ids = [call["id"] for one in made.messages for call in one.get("tool_calls", ())]
    assert [one["tool_call_id"] for one in made.messages if one["role"] == "tool"] == ids
