"""A token classifier from a folder: a real one in ONNX, small enough to be made here."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.quality.grounded.classifier import CONTEXT, make

from penstock.quality.grounded.judgement import Detector
from penstock.quality.grounded.tokens import DetectorUnavailable, TokenDetector
from penstock.registry.scan import scan


def inspect(folder: Path) -> tuple[str, Sequence[str]]:
    report = scan(folder)
    return report.digest, [f"{finding.path}: {finding.message}" for finding in report.findings]


async def test_spans_of_what_the_model_marks(tmp_path: Path) -> None:
    detector: Detector = TokenDetector(make(tmp_path / "once"), inspect)
    reply = "the plant stands in obermatt for 12 billion"
    found = await detector.judge(CONTEXT, reply)
    assert [(reply[s.start : s.end], s.kind) for s in found.spans] == [("for 12 billion", "tokens")]
    assert found.verdict == "ungrounded"
    assert found.score == pytest.approx(0.982, abs=0.001)
    assert found.detector.startswith("once/tokens/")
    assert (await detector.judge(CONTEXT, "it gives 88 megawatts")).verdict == "grounded"


async def test_a_long_context_is_read_in_pieces_and_any_may_support(tmp_path: Path) -> None:
    detector = TokenDetector(make(tmp_path / "once"), inspect, most=16)
    reply = "plant bought obermatt"
    found = await detector.judge(["the plant gives", *["88 megawatts"] * 12, "it stands in obermatt"], reply)
    assert [reply[s.start : s.end] for s in found.spans] == ["bought"]


async def test_what_it_cannot_judge(tmp_path: Path) -> None:
    detector = TokenDetector(make(tmp_path / "once"), inspect, most=16)
    assert (await detector.judge([], "the plant")).verdict == "not_judged"
    too_long = await detector.judge(CONTEXT, "plant " * 12)
    assert (too_long.verdict, too_long.score) == ("not_judged", None)
    assert "16 tokens" in too_long.why


async def test_a_folder_that_lacks_a_file_is_told(tmp_path: Path) -> None:
    folder = make(tmp_path / "once")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(DetectorUnavailable, match=r"once has no tokenizer\.json"):
        TokenDetector(folder, inspect).load()


async def test_a_pickle_beside_it_is_refused_by_the_scan(tmp_path: Path) -> None:
    folder = make(tmp_path / "once")
    (folder / "extra.pkl").write_bytes(pickle.dumps(print))
    with pytest.raises(DetectorUnavailable, match=r"the scan refuses .*extra\.pkl") as fault:
        TokenDetector(folder, inspect).load()
    assert fault.value.code == "detector_unavailable"


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
async def test_a_torn_file_is_told(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path / "once")
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    with pytest.raises(DetectorUnavailable):
        TokenDetector(folder, inspect).load()
    with pytest.raises(DetectorUnavailable, match="cannot be opened"):
        TokenDetector(folder, lambda folder: ("", [])).load()


async def test_another_shape_of_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(DetectorUnavailable, match="not with two logits"):
        await TokenDetector(make(tmp_path / "three", labels=3), inspect).judge(CONTEXT, "the plant")
    fixed = TokenDetector(make(tmp_path / "fixed", length=4), inspect)
    with pytest.raises(DetectorUnavailable, match="cannot read"):
        await fixed.judge(CONTEXT, "the plant")
    with pytest.raises(DetectorUnavailable, match="asks for position_ids"):
        await TokenDetector(make(tmp_path / "odd", inputs=("input_ids", "position_ids")), inspect).judge(CONTEXT, "the plant")
