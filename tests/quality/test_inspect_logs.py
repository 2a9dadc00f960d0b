"""Logs of Inspect AI, as it wrote them itself (0.3.285), and as we write them."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.kernel.errors import PenstockError, RequestError
from penstock.quality import inspect_logs
from penstock.quality.inspect_logs import LogScore, Written, read, value_of, write

LOGS = Path(__file__).parent / "logs"


def log(name: str) -> bytes:
    """A recorded log."""
    return gzip.decompress((LOGS / f"{name}.gz").read_bytes())


def written(id: str = "a", **more: object) -> Written:
    fields = {"id": id, "input": "2+2?", "target": "4", "choices": [], "metadata": {}, "text": "4", "finish": "stop", "error": None}
    return Written(**{**fields, "score": 1.0, "reason": "", "input_tokens": 3, "output_tokens": 1, "seconds": 0.1, **more})  # type: ignore[arg-type]


def made(*samples: Written, eval: bool = True) -> bytes:
    return write(samples, id="eval_1", task="t", dataset="d", model="up/m", scorer="exact", whole=True, began=1.7e9, ended=1.7e9, eval=eval)


def test_a_log_of_its_own() -> None:
    found = read(log("sums.json"))
    assert (found.eval.model, found.eval.task, found.version) == ("mockllm/model", "sums", 2)
    assert [(one.id, value_of(one.scores["match"])) for one in found.samples or () if one.scores] == [("a", 1.0), ("b", 0.0), ("c", 1.0)]


def test_a_log_in_a_zip_packed_with_zstandard() -> None:
    pytest.importorskip("zstandard")
    found = read(log("sums.eval"))
    assert sorted((one.id, one.epoch) for one in found.samples or ()) == [(id, epoch) for id in "abc" for epoch in (1, 2)]


def test_without_zstandard_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise ImportError

    monkeypatch.setattr(inspect_logs.importlib, "import_module", missing)
    with pytest.raises(PenstockError) as refused:
        read(log("sums.eval"))
    assert refused.value.code == "quality_extra_missing"


@pytest.mark.parametrize("eval", [True, False])
def test_what_is_written_is_read(eval: bool) -> None:
    samples = [written("a/b"), written("a_b", score=0.0), written("c", score=None, error="upstream_error", text="")]
    found = read(made(*samples, eval=eval))
    assert [one.id for one in found.samples or ()] == ["a/b", "a_b", "c"]
    assert [one.scores and value_of(one.scores["exact"]) for one in found.samples or ()] == [1.0, 0.0, None]
    assert [one.error is None for one in found.samples or ()] == [True, True, False]


def test_what_is_no_log_is_refused() -> None:
    whole = made(written())
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("x", b"y")
    for wrong in (b"", b"{}", b"[]", b"PK\x03\x04", whole[:-40], whole[:300], empty.getvalue(), made(eval=False), b"[" * 9999):
        with pytest.raises(RequestError) as refused:
            read(wrong)
        assert refused.value.code == "inspect_log_refused"


@given(st.integers(0, 20_000), st.integers(0, 255))
def test_a_damaged_zip_raises_nothing_else(at: int, byte: int) -> None:
    data = bytearray(log("sums.eval"))
    data[at % len(data)] = byte
    try:
        read(bytes(data))
    except PenstockError as fault:
        told = fault.code
    else:
        told = "inspect_log_refused"
    assert told in {"inspect_log_refused", "quality_extra_missing"}


def test_values() -> None:
    told = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "maybe": None, True: 1.0, 0.25: 0.25, 7: None, None: None}
    assert {value: value_of(LogScore(value=value)) for value in told} == told
