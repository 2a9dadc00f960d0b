"""Tests of code, run."""

from __future__ import annotations

import pytest

from penstock.quality.examples import Item
from penstock.quality.graders.code import Code, code_of

ADD = Item(id="a", input="Write add(a, b).", tests="assert add(2, 3) == 5\nassert add(-1, 1) == 0")


@pytest.mark.parametrize(
    ("answer", "score", "reason"),
    [
        ("Sure:\n```python\ndef add(a, b):\n    return a + b\n```\nThere.", 1.0, ""),
        ("def add(a, b):\n    return a - b", 0.0, "AssertionError"),
        ("def add(a, b)\n    return a + b", 0.0, "SyntaxError"),
        ("import sys\nsys.exit(0)", 0.0, "ended before the tests did"),
        ("import os\nos._exit(0)", 0.0, "ended before the tests did"),
        ("while True: pass", 0.0, "not done within 1 s"),
        ("x = 'x' * (4 << 30)\ndef add(a, b): return a + b", 0.0, "MemoryError"),
    ],
)
async def test_answers(answer: str, score: float, reason: str) -> None:
    grade = await Code(on=True, seconds=1.0).grade(ADD, answer)
    assert (grade.state, grade.score) == ("judged", score)
    assert reason in grade.reason


async def test_no_network_where_linux_lets_us() -> None:
    code = Code(on=True, seconds=5.0)
    connect = "socket.create_connection(('127.0.0.1', 1), 1)"
    tests = f"import socket\ntry:\n    {connect}\nexcept OSError as fault:\n    assert fault.errno == 101, fault"
    grade = await code.grade(Item(id="a", input="?", tests=tests), "")
    if not code._apart:
        pytest.skip("this machine does not let us take the network away")
    assert grade.score == 1.0, grade.reason


async def test_off_is_not_judged() -> None:
    assert (await Code(on=False).grade(ADD, "x")).state == "unjudged"
    assert (await Code(on=True).grade(Item(id="a", input="?"), "x")).state == "unjudged"


def test_several_blocks_are_one_program() -> None:
    assert code_of("```python\na\n```\nand\n```\nb\n```") == "a\n\n\nb\n"
