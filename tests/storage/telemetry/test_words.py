from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.kernel.errors import RequestError, StorageError
from penstock.storage.telemetry.words import Words, query


@pytest.fixture
def words(tmp_path: Path) -> Iterator[Words]:
    opened = Words(tmp_path / "words.db")
    yield opened
    opened.close()


def test_the_latest_come_first_and_in_portions(words: Words) -> None:
    words.add([(id, "org_a", f"lost parcel {id}") for id in range(1, 8)], 7)
    words.add([(8, "org_b", "lost parcel")], 9)

    assert words.upto == 9
    assert words.find("parcel", "org_a", 3) == [7, 6, 5]
    assert words.find("parcel", "org_a", 3, before=5) == [4, 3, 2]
    assert words.find("parcel", None, 1) == [8]
    assert words.find("org_a", "org_a", 9) == []


def test_what_is_removed_is_found_no_more_and_off_the_disk(words: Words, tmp_path: Path) -> None:
    words.add([(1, "o", "an unmistakable secret"), (2, "o", "a common secret")], 2)

    words.remove([(1, "o", "an unmistakable secret")])
    words.remove([(1, "o", "an unmistakable secret"), (5, "o", "never held")])
    words.scrub()

    assert words.find("unmistakable", None, 9) == []
    assert words.find("secret", None, 9) == [2]
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm"))
    assert b"unmistakable" not in on_disk
    assert b"common" in on_disk


def test_a_batch_is_indexed_whole_or_not_at_all(words: Words) -> None:
    words.add([(1, "o", "first")], 1)
    with pytest.raises(StorageError):
        words.add([(2, "o", "second"), (1, "o", "first again")], 2)
    assert words.upto == 1
    assert words.find("second", None, 9) == []


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("two words", 'text : ("two" AND "words")'),
        ('"a phrase" beg*', 'text : ("a phrase" AND "beg"*)'),
        ('unclosed "phrase', 'text : ("unclosed" AND "phrase")'),
        ("NEAR(a b) ^x text:y", 'text : ("NEAR(a" AND "b)" AND "^x" AND "text:y")'),
        ("- *** ok", 'text : ("ok")'),
    ],
)
def test_what_people_write_is_never_syntax(text: str, asked: str, words: Words) -> None:
    assert query(text) == asked
    assert words.find(text, "o", 1) == []


@pytest.mark.parametrize("text", ["", "  ", "***", '""', '"'])
def test_no_word_is_no_question(text: str) -> None:
    with pytest.raises(RequestError, match="no word"):
        query(text)
