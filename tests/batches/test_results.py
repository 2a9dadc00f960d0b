"""The log of results, whole whatever is cut off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from penstock.batches.results import LOG_FILE, Result, ResultLog, blocks, record_of
from penstock.kernel.errors import StorageFull

RESULTS = [Result(b'{"n": %d}' % i, cost=i, code="" if i % 3 else "broken") for i in range(10)]


def filled(folder: Path) -> ResultLog:
    log = ResultLog(folder, len(RESULTS))
    for number, result in enumerate(RESULTS):
        log.add(number, result)
    return log


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    filled(tmp_path).close()
    log = ResultLog(tmp_path, len(RESULTS))
    assert (log.good, log.bad, log.cost, log.count) == (6, 4, 45, 10)
    assert log.codes == {"broken": 4}
    assert all(log.done)
    log.close()
    assert b"".join(blocks(tmp_path, 10, good=True)) == b"".join(r.json + b"\n" for r in RESULTS if not r.code)
    assert b"".join(blocks(tmp_path, 10, good=False)) == b"".join(r.json + b"\n" for r in RESULTS if r.code)
    assert b"".join(blocks(tmp_path, 10, good=None)).count(b"\n") == 10


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_whatever_is_cut_off_or_damaged_at_the_end_the_rest_stands_and_goes_on(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / LOG_FILE
    path.unlink(missing_ok=True)
    filled(tmp_path).close()
    whole = path.read_bytes()
    kept = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:kept] + data.draw(st.sampled_from([b"", b"\0" * 50, b"\n", b"1 o 1 - 00000000 {}\n"])))
    complete = whole[:kept].count(b"\n")
    log = ResultLog(tmp_path, len(RESULTS))
    assert log.count == complete
    for number, result in enumerate(RESULTS):
        log.add(number, result)
    log.sync()
    log.close()
    assert path.read_bytes() == whole
    assert sorted(b"".join(blocks(tmp_path, 10, good=None)).splitlines()) == sorted(r.json for r in RESULTS)


def test_a_line_has_one_result_whoever_wrote_two(tmp_path: Path) -> None:
    log = ResultLog(tmp_path, 2)
    log.add(0, RESULTS[1])
    log.add(0, RESULTS[2])
    assert (log.count, log.cost) == (1, 1)
    log.close()
    with (tmp_path / LOG_FILE).open("ab") as file:
        file.write(record_of(0, RESULTS[4]) + record_of(1, RESULTS[5]) + record_of(7, RESULTS[7]))
    assert b"".join(blocks(tmp_path, 2, good=True)) == b'{"n": 1}\n{"n": 5}\n'
    assert ResultLog(tmp_path, 2).count == 2


def test_line_breaks_in_an_answer_are_white_space(tmp_path: Path) -> None:
    log = ResultLog(tmp_path, 1)
    log.add(0, Result(b'{\r\n "a": 1\n}', code="two words"))
    log.close()
    again = ResultLog(tmp_path, 1)
    assert again.codes == {"two_words": 1}
    again.close()
    assert b"".join(blocks(tmp_path, 1, good=False)) == b'{   "a": 1 }\n'


def test_a_result_that_finds_no_room_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = filled(tmp_path)
    size = (tmp_path / LOG_FILE).stat().st_size
    log.done[3] = 0
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(StorageFull):
        log.add(3, RESULTS[3])
    monkeypatch.undo()
    assert not log.done[3]
    assert (tmp_path / LOG_FILE).stat().st_size == size
    log.close()
