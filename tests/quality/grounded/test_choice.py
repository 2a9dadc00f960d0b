"""Which detector judges: the one that is named, once it was scanned and loaded; or words alone, and it is said why."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.quality.grounded.classifier import CONTEXT, GROUNDED, MADE_UP, make

from penstock.kernel.errors import Unavailable
from penstock.quality.grounded.choice import AGAIN_SECONDS, Detectors
from penstock.quality.settings import QualitySettings
from penstock.registry.weights import FolderScan


class Counting(FolderScan):
    """The registry's scan, counted."""

    def __init__(self) -> None:
        self.looked = 0

    def inspect(self, folder: Path) -> tuple[str, Sequence[str]]:
        self.looked += 1
        return super().inspect(folder)


class Failing:
    """An embedder whose model is gone."""

    id = "gone"

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        raise Unavailable("the model's package is not installed", code="local_model_missing")


def detectors(scan: FolderScan | None = None, *, embedder: Any = None, clock: Any = lambda: 0.0, **settings: Any) -> Detectors:
    return Detectors(QualitySettings(**settings), lambda: embedder, lambda: scan, clock)


async def test_words_alone_where_nobody_says_otherwise() -> None:
    told = await detectors().judge(None, CONTEXT, MADE_UP)
    assert (told.wanted, told.fault) == ("lexical", None)
    assert told.judgement.detector.endswith("/words")


async def test_the_classifier_of_the_settings_is_scanned_once_and_judges(tmp_path: Path) -> None:
    scan = Counting()
    found = detectors(scan, detector="tokens", detector_folder=str(make(tmp_path / "once")))
    good, bad = await found.judge(None, CONTEXT, GROUNDED), await found.judge("tokens", CONTEXT, MADE_UP)
    assert (good.judgement.verdict, bad.judgement.verdict, good.fault, bad.fault) == ("grounded", "ungrounded", None, None)
    assert good.judgement.detector.startswith("once/tokens/")
    assert scan.looked == 1
    assert (await found.judge("lexical", CONTEXT, GROUNDED)).judgement.detector.endswith("/words")
    assert found.instead.total() == 0


async def test_what_is_missing_refused_or_another_is_told_and_words_judge(tmp_path: Path) -> None:
    folder = make(tmp_path / "once")
    (folder / "extra.pkl").write_bytes(pickle.dumps(print))
    for settings, scan, said in (
        ({}, FolderScan(), "quality.detector_folder names no folder"),
        ({"detector_folder": str(tmp_path / "nothing")}, FolderScan(), "nothing has no model.onnx"),
        ({"detector_folder": str(folder)}, FolderScan(), "extra.pkl"),
        ({"detector_folder": str(make(tmp_path / "good"))}, None, "the room of the registry is missing"),
        ({"detector_folder": str(tmp_path / "good"), "detector_digest": "0" * 64}, FolderScan(), "quality.detector_digest wants"),
        ({"detector_folder": str(make(tmp_path / "three", labels=3))}, FolderScan(), "not with two logits"),
    ):
        found = detectors(scan, **settings)
        told = await found.judge("tokens", CONTEXT, MADE_UP)
        assert told.wanted == "tokens"
        assert told.fault is not None
        assert told.fault.code == "detector_unavailable"
        assert said in told.fault.message
        assert told.judgement.detector.endswith("/words")
        assert told.judgement.score is not None
        assert found.instead == {"tokens": 1}


async def test_a_digest_that_is_the_folders_own_is_taken(tmp_path: Path) -> None:
    folder = make(tmp_path / "once")
    digest, faults = FolderScan().inspect(folder)
    assert not faults
    found = detectors(FolderScan(), detector_folder=str(folder), detector_digest=digest)
    assert (await found.choose("tokens")).fault is None


async def test_a_folder_that_is_mended_is_taken_after_a_while_and_not_read_with_every_reply(tmp_path: Path) -> None:
    folder, now, scan = make(tmp_path / "once"), [0.0], Counting()
    extra = folder / "extra.pkl"
    extra.write_bytes(pickle.dumps(print))
    found = detectors(scan, clock=lambda: now[0], detector_folder=str(folder))
    for _ in range(3):
        assert (await found.choose("tokens")).fault is not None
    extra.unlink()
    assert scan.looked == 1
    now[0] = AGAIN_SECONDS
    assert (await found.choose("tokens")).fault is None
    assert scan.looked == 2


async def test_meaning_needs_an_embedding_model(caplog: pytest.LogCaptureFixture) -> None:
    none = await detectors().judge("meaning", CONTEXT, GROUNDED)
    assert none.fault is not None
    assert (none.fault.code, "penstock[local]" in none.fault.message) == ("detector_unavailable", True)
    gone = await detectors(embedder=Failing()).judge("meaning", CONTEXT, GROUNDED)
    assert gone.fault is not None
    assert (gone.fault.code, gone.judgement.verdict) == ("local_model_missing", "grounded")
    assert [record.code for record in caplog.records] == ["detector_unavailable", "local_model_missing"]  # type: ignore[attr-defined]


async def test_a_detector_that_fails_later_is_replaced_for_that_reply(tmp_path: Path) -> None:
    class Later(Failing):
        fails = False

        async def embed(self, texts: Sequence[str]) -> list[bytes]:
            if self.fails:
                return await super().embed(texts)
            return [b"\0\0\x80?" for _ in texts]  # 1.0 as a float32

    embedder = Later()
    found = detectors(embedder=embedder)
    assert (await found.judge("meaning", CONTEXT, GROUNDED)).judgement.detector.endswith("/meaning/gone")
    embedder.fails = True
    told = await found.judge("meaning", CONTEXT, GROUNDED)
    assert told.fault is not None
    assert told.judgement.detector.endswith("/words")
    embedder.fails = False
    assert (await found.judge("meaning", CONTEXT, GROUNDED)).fault is None
