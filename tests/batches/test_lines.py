"""Lines out of a stream, checked, written down and read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.batches.lines import MOST_ERRORS, Checker, Lines, LinesWriter, Splitter, read_line, written


@given(st.binary(max_size=300).map(lambda b: b.replace(b"\0", b"\n")), st.lists(st.integers(1, 40)))
def test_however_it_is_cut_the_lines_are_the_same(text: bytes, cuts: list[int]) -> None:
    splitter, found, at = Splitter(20), [], 0
    for cut in [*cuts, len(text) + 1]:
        found += splitter.feed(text[at : at + cut])
        at += cut
    found += splitter.end()
    wanted = text.split(b"\n")
    if not wanted[-1]:
        wanted.pop()
    assert found == [line if len(line) <= 20 else None for line in wanted]


def test_a_line_that_is_too_long_is_not_held() -> None:
    splitter = Splitter(10)
    for _ in range(1000):
        assert list(splitter.feed(b"x" * 1000)) == []
    assert len(splitter._held) <= 1000
    assert list(splitter.feed(b"x\nshort\n")) == [None, b"short"]


def test_only_so_many_errors_are_told() -> None:
    checker = Checker("/v1/messages", 1000)
    assert not any(checker.takes(n, b"{") for n in range(1, 300))
    assert (len(checker.errors), checker.wrong) == (MOST_ERRORS, 299)


@given(st.binary(max_size=200))
def test_nothing_that_a_line_may_hold_breaks_the_checker(line: bytes) -> None:
    checker = Checker("/v1/chat/completions", 1000)
    if checker.takes(1, line):
        assert read_line(line).url == "/v1/chat/completions"


@pytest.mark.parametrize("body", [b'{"a": "\xe4"}', b'{"a": 1'])
def test_what_stays_raw_is_looked_into_too(body: bytes) -> None:
    line = b'{"custom_id":"a","method":"POST","url":"/v1/messages","body":' + body + b"}"
    assert not Checker("/v1/messages", 1000).takes(1, line)


def test_any_line_can_be_read_again(tmp_path: Path) -> None:
    writer = LinesWriter(tmp_path / "batch")
    made = [written(f"id-{i}", "/v1/messages", json.dumps({"n": i}, indent=1).encode()) for i in range(100)]
    for line in made:
        assert b"\n" not in line
        writer.add(line)
    assert writer.close() == 100
    with Lines(tmp_path / "batch") as lines:
        assert len(lines) == 100
        block, after = lines.block(0, lambda n: n % 2 == 1, 10, 1 << 20)
        assert [n for n, _ in block] == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
        assert [line for _, line in block] == [made[n] for n, _ in block]
        assert after == 20
        assert [n for n, _ in lines.block(95, lambda _: True, 100, 1)[0]] == [95], "one line at least, whatever its size"
        assert lines.block(100, lambda _: True, 10, 10) == ([], 100)
    assert json.loads(bytes(read_line(made[3]).body)) == {"n": 3}


def test_a_second_writer_begins_anew_and_one_that_gives_up_leaves_nothing(tmp_path: Path) -> None:
    for count in (5, 2):
        writer = LinesWriter(tmp_path)
        for i in range(count):
            writer.add(b"line %d" % i)
        writer.close()
    with Lines(tmp_path) as lines:
        assert len(lines) == 2
    LinesWriter(tmp_path / "other").discard()
    assert not list((tmp_path / "other").iterdir())
