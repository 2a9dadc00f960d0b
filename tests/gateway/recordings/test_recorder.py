from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from penstock.gateway.recordings import Exchange, Player, Recorder
from penstock.kernel.errors import SettingsError, StorageError, StorageFull

NAMES = ["r.jsonl", "r.jsonl.gz"]


def exchange(question: str, answer: str = "yes") -> Exchange:
    request = {"model": msgspec.Raw(b'"m"'), "messages": msgspec.Raw(json.dumps([{"role": "user", "content": question}]).encode())}
    return Exchange(shape="openai.chat", request=request, body=answer.encode())


def lines(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.name.endswith(".gz") else data).splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_header_once_then_one_line_each(tmp_path: Path, name: str):
    path = tmp_path / "deep" / name
    for number in range(2):
        with Recorder(path, source="us", licence="MIT", note="n") as recorder:
            recorder.add(exchange(str(number)))
    first, *rest = lines(path)
    assert json.loads(first) == {"penstock_recording": 1, "source": "us", "licence": "MIT", "note": "n"}
    assert len(rest) == 2


@pytest.mark.parametrize("name", NAMES)
def test_an_exchange_is_on_disk_when_add_returns(tmp_path: Path, name: str):
    path = tmp_path / name
    recorder = Recorder(path)
    recorder.add(exchange("a"))
    with Player(path) as player:
        assert player.count == 1
    recorder.close()


def test_only_the_owner_may_read(tmp_path: Path):
    with Recorder(tmp_path / "r.jsonl") as recorder:
        assert recorder.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", NAMES)
def test_a_torn_end_is_closed_off(tmp_path: Path, name: str):
    path = tmp_path / name
    with Recorder(path) as recorder:
        recorder.add(exchange("a"))
        recorder.add(exchange("b" * 300))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 20)
    with Player(path) as player:
        assert (player.count, player.damaged) == (1, 1)
    with Recorder(path) as recorder:
        recorder.add(exchange("c"))
    with Player(path) as player:
        assert player.count == 2
        assert player.find("openai.chat", exchange("c").request).body == b"yes"


@pytest.mark.parametrize("name", NAMES)
def test_a_torn_end_left_by_another_writer_is_closed_off_while_open(tmp_path: Path, name: str):
    path = tmp_path / name
    with Recorder(path) as recorder, Recorder(path) as other:
        other.add(exchange("a"))
        with path.open("ab") as file:
            file.write(b"\x1f\x8b\x08 torn" if name.endswith(".gz") else b'{"shape":"torn')
        recorder.add(exchange("b"))
        other.add(exchange("c"))
    with Player(path) as player:
        assert player.count == 3


@pytest.mark.parametrize("name", NAMES)
def test_threads_do_not_interleave(tmp_path: Path, name: str):
    path = tmp_path / name
    recorders = [Recorder(path) for _ in range(2)]

    def write(who: int) -> None:
        for number in range(40):
            recorders[who % 2].add(exchange(f"{who}-{number}", "x" * 5000))

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for recorder in recorders:
        recorder.close()
    with Player(path) as player:
        assert (player.count, player.damaged) == (160, 0)


WRITER = """
import sys
from penstock.gateway.recordings import Exchange, Recorder
recorder = Recorder(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    recorder.add(Exchange(shape="openai.chat", request={}, body=b"x" * 70000, meta={"who": sys.argv[2], "number": number}))
    number += 1
    print(number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", NAMES)
def test_what_add_returned_for_survives_kill_9_of_several_writers(tmp_path: Path, name: str):
    path = tmp_path / name
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(who)], stdout=subprocess.PIPE, text=True) for who in range(3)]
    told = []
    for after, writer in enumerate(writers):
        assert writer.stdout is not None
        for _ in range(6 + 5 * after):
            writer.stdout.readline()
        writer.kill()
        told.append([int(line) for line in writer.stdout.read().split()] or [0])
        writer.stdout.close()
        writer.wait()
    with Player(path) as player:
        found = [player.find("openai.chat", {}).meta for _ in range(player.count)]
        # One torn line at most for each writer that was killed.
        assert player.damaged <= len(writers)
    for who, numbers in enumerate(told):
        mine = [meta["number"] for meta in found if meta["who"] == str(who)]
        assert mine == list(range(len(mine)))
        assert len(mine) >= max(numbers)


def test_a_full_disk_leaves_nothing_half_written():
    # /dev/full is not a regular file, so the write's failure is what is looked at here.
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(StorageFull, match="No space left"):
        Recorder("/dev/full")


def test_a_write_that_fails_half_way_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "r.jsonl"
    real = os.write
    with Recorder(path) as recorder:
        recorder.add(exchange("a"))
        calls = 0

        def half(file: int, data: bytes) -> int:
            nonlocal calls
            calls += 1
            if calls > 1:
                raise OSError(28, "No space left on device")
            return real(file, bytes(data)[:10])

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", half)
            with pytest.raises(StorageFull):
                recorder.add(exchange("b"))
        recorder.add(exchange("c"))
    assert len(lines(path)) == 3
    with Player(path) as player:
        assert (player.count, player.damaged) == (2, 0)


def test_a_folder_cannot_be_recorded_to(tmp_path: Path):
    with pytest.raises(SettingsError, match="cannot be opened"):
        Recorder(tmp_path)


def test_a_closed_recorder_says_so(tmp_path: Path):
    recorder = Recorder(tmp_path / "r.jsonl")
    recorder.close()
    recorder.close()
    with pytest.raises(StorageError, match="closed"):
        recorder.add(exchange("a"))
