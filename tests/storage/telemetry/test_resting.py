"""What is known of a store that nobody has opened, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.kernel.errors import RequestError
from penstock.storage.telemetry.asked import Questions
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.questions import Facts, Filter, Removed, Retention
from penstock.storage.telemetry.resting import Nothing, Resting, bytes_in

from .conftest import DAY, NOW

FACTS = Facts(engine="duckdb", spans=3, payloads=1, bytes=5, oldest_ns=NOW - 10 * DAY, waiting=0, repeated=2, unreadable=1)


@pytest.fixture
def resting(tmp_path: Path) -> Resting:
    return Resting(tmp_path, Inbox(tmp_path / "inbox"))


def test_a_folder_without_a_database_holds_nothing(resting: Resting, tmp_path: Path) -> None:
    assert resting.empty
    facts = resting.facts()
    assert facts is not None
    assert (facts.spans, facts.oldest_ns) == (0, None)
    Inbox(tmp_path / "inbox").put("one", b"{}")
    assert not resting.empty


def test_a_file_that_goes_meanwhile_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"12345")
    (tmp_path / "folder").mkdir()
    (tmp_path / "gone").symlink_to(tmp_path / "never")
    assert bytes_in(tmp_path) == 5


def test_what_was_noted_is_known_until_the_engine_is_opened(resting: Resting, tmp_path: Path) -> None:
    (tmp_path / "spans.duckdb").write_bytes(b"x" * 100)
    assert resting.facts() is None, "after a crash only the engine knows"
    resting.note(FACTS)
    Inbox(tmp_path / "inbox").put("one", b"{}")
    facts = resting.facts()
    assert facts is not None
    assert (facts.spans, facts.repeated, facts.waiting) == (3, 2, 1)
    assert facts.bytes > 100
    resting.forget()
    assert resting.facts() is None
    (tmp_path / "facts.json").write_bytes(b"half a f")
    assert resting.facts() is None


@pytest.mark.parametrize(
    ("rule", "looks"),
    [
        (Retention(), False),
        (Retention(span_days=9), True),
        (Retention(payload_days=9), True),
        (Retention(sample=0.5), True),
        (Retention(sample=0.5, whole_days=11), False),
    ],
)
def test_retention_needs_the_engine_only_for_what_is_old_enough(resting: Resting, tmp_path: Path, rule: Retention, looks: bool) -> None:
    (tmp_path / "spans.duckdb").write_bytes(b"x")
    assert resting.retain([rule], NOW) is None
    resting.note(FACTS)
    assert (resting.retain([Retention(), rule], NOW) is None) is looks
    assert resting.retain([], NOW) == Removed()


def test_questions_of_nothing_are_answered_and_nonsense_is_refused() -> None:
    questions = Questions(Nothing())
    assert questions.search(Filter(text="word"), 50, "").spans == []
    assert questions.groups(Filter(), [], 50) == []
    assert questions.threads(Filter(), 50, "").threads == []
    with pytest.raises(RequestError, match="word"):
        questions.search(Filter(text="?"), 50, "")
    with pytest.raises(RequestError, match="two ends"):
        questions.series(Filter(), 1, "", 5)
