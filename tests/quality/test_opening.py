"""Texts of live traffic are for whoever may see prompts and replies, and who saw them is on the trail."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.observability.calls import OPERATOR, READER
from tests.quality.drift.house import put, stored
from tests.quality.replies import as_samples

from penstock.kernel.errors import Forbidden
from penstock.kernel.opening import Opening
from penstock.kernel.principal import Scope
from penstock.observability.access.service import PayloadAccess
from penstock.observability.recorded import Recorded
from penstock.observability.redaction import Redactor
from penstock.quality.grounded.choice import Detectors
from penstock.quality.opening import shown_to
from penstock.quality.replies import Replies
from penstock.quality.settings import QualitySettings
from penstock.storage.records import Records

KEPT = as_samples("org_a")[:3]


async def nothing() -> None:
    """Nothing waits to be stored."""


def desk(store: Records, scope: Scope) -> tuple[Opening, Replies, PayloadAccess]:
    access = PayloadAccess(store, scope)
    recorded = Recorded(store, nothing, Redactor(), "redacted", access)
    opening = Opening(lambda: recorded)
    detectors = Detectors(QualitySettings(), lambda: None, lambda: None)
    return opening, Replies(store, detectors, lambda *_: None, lambda: None, opening), access


async def test_who_may_see_them_leaves_a_line(tmp_path: Path) -> None:
    with stored(tmp_path) as store:
        put(store, KEPT)
        opening, replies, access = desk(store, Scope.READ)
        assert await shown_to(opening, READER, KEPT) == KEPT
        assert (await replies.get(OPERATOR, KEPT[0].id, "console")).prompt == KEPT[0].prompt
        lines = await access.lines("org_a", None, None, 10)
        assert [(line.by, line.subject, line.via) for line in lines] == [
            ("key_root", KEPT[0].id, "console"), ("key_a", "samples", "api"),
        ]  # fmt: skip


async def test_who_may_not_sees_that_there_are_some_and_no_words(tmp_path: Path) -> None:
    with stored(tmp_path) as store:
        put(store, KEPT)
        opening, replies, access = desk(store, Scope.ADMIN)
        shown = await shown_to(opening, READER, KEPT)
        assert [one.id for one in shown] == [one.id for one in KEPT]
        said = msgspec.json.encode(shown).decode()
        assert not any(text in said for one in KEPT for text in (one.prompt, one.answer, one.context) if text)
        with pytest.raises(Forbidden, match="payload_scope"):
            await replies.get(READER, KEPT[0].id, "api")
        assert await access.lines("org_a", None, None, 10) == []


def test_without_a_record_there_are_no_rules() -> None:
    assert Opening(lambda: None).may(READER)
