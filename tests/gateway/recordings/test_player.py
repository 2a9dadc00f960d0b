from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from penstock.gateway.recordings import Exchange, Player, Recorder, models
from penstock.kernel.errors import SettingsError, UnknownModel

CHAT = "openai.chat"
HEADER = b'{"penstock_recording":1}\n'


def asked(question: str, model: str = "gpt-4", **more: object) -> dict[str, msgspec.Raw]:
    request = {"model": model, "messages": [{"role": "user", "content": question}], **more}
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in request.items()}


def said(body: str, question: str = "q", model: str = "gpt-4", shape: str = CHAT, **more: object) -> Exchange:
    return Exchange(shape=shape, request=asked(question, model, **more), body=body.encode())


Made = Callable[..., Player]


@pytest.fixture(params=["r.jsonl", "r.jsonl.gz"])
def made(request: pytest.FixtureRequest, tmp_path: Path):
    players: list[Player] = []

    def make(*exchanges: Exchange) -> Player:
        path = tmp_path / request.param
        with Recorder(path, source="test") as recorder:
            for exchange in exchanges:
                recorder.add(exchange)
        players.append(Player(path))
        return players[-1]

    yield make
    for player in players:
        player.close()


def test_finds_by_request(made: Made):
    player = made(said("one", "1"), said("two", "2"), said("three", "1", model="mixtral"))
    assert player.find(CHAT, asked("1")).body == b"one"
    assert player.find(CHAT, asked("2", stream=True)).body == b"two"
    assert player.find(CHAT, asked("1", model="alias"), "mixtral").body == b"three"


def test_facts_of_the_file(made: Made):
    player = made(said("a", model="b"), said("a", model="a"), said("a", model="b", shape="openai.embeddings"))
    assert player.models == ["b", "a"]
    assert player.shapes == {CHAT, "openai.embeddings"}
    assert (player.count, player.damaged, player.header.source) == (3, 0, "test")
    assert models(player.path) == ["b", "a"]


def test_several_recordings_of_one_request_take_turns_in_order(made: Made):
    player = made(said("1"), said("2"), said("other", "else"), said("3"))
    assert [player.find(CHAT, asked("q")).body for _ in range(7)] == [b"1", b"2", b"3", b"1", b"2", b"3", b"1"]


def test_exact_request_before_other_sampling(made: Made):
    player = made(said("cold", temperature=0), said("hot", temperature=1), said("plain"))
    assert player.find(CHAT, asked("q", temperature=1)).body == b"hot"
    assert player.find(CHAT, asked("q")).body == b"plain"
    assert [player.find(CHAT, asked("q", max_tokens=9)).body for _ in range(4)] == [b"plain", b"cold", b"hot", b"plain"]


def test_sampling_does_not_excuse_another_conversation(made: Made):
    player = made(said("a", temperature=0))
    with pytest.raises(UnknownModel):
        player.find(CHAT, asked("another", temperature=0))


def test_a_miss_names_the_model_the_file_and_what_to_do(made: Made):
    player = made(said("a", model="gpt-4-1106-preview"), said("a", model="mixtral"))
    with pytest.raises(UnknownModel, match=r"r\.jsonl.* no reply of 'mixtral' to this openai\.chat request; record it with") as known:
        player.find(CHAT, asked("never asked", model="mixtral"))
    assert (known.value.code, known.value.status) == ("recording_miss", 404)
    with pytest.raises(UnknownModel, match="nothing of model 'gpt-4-1106'; the nearest is 'gpt-4-1106-preview'"):
        player.find(CHAT, asked("q", model="gpt-4-1106"))
    with pytest.raises(UnknownModel, match="it holds gpt-4-1106-preview, mixtral"):
        player.find(CHAT, asked("q", model="zzz"))


def test_an_empty_recording_says_that_it_is(made: Made):
    with pytest.raises(UnknownModel, match="it is empty"):
        made().find(CHAT, asked("q"))


def test_written_by_hand_without_keys_or_last_line_feed(tmp_path: Path):
    path = tmp_path / "hand.jsonl"
    line = {"shape": CHAT, "request": {"model": "m", "messages": []}, "body": "hi"}
    path.write_bytes(HEADER + b"\n" + json.dumps(line).encode())
    with Player(path) as player:
        assert player.damaged == 0
        assert player.find(CHAT, {"model": b'"m"', "messages": b"[]"}).body == b"hi"


def test_joined_files_are_one_recording(tmp_path: Path):
    for name in ("a", "b"):
        with Recorder(tmp_path / f"{name}.gz") as recorder:
            recorder.add(said(name, name))
    both = tmp_path / "both.gz"
    both.write_bytes((tmp_path / "a.gz").read_bytes() + (tmp_path / "b.gz").read_bytes())
    with Player(both) as player:
        assert (player.count, player.damaged) == (2, 0)
        assert player.find(CHAT, asked("b")).body == b"b"


@pytest.mark.parametrize(
    "bad",
    [b"garbage\n", b'{"shape":1}\n', b'{"shape":"s","request":[],"body":""}\n', b'{"shape":"s","request":{},"key":"zz"}\n', b"\xff\n"],
)
def test_damaged_lines_are_counted_and_left_out(tmp_path: Path, bad: bytes):
    path = tmp_path / "r.jsonl"
    with Recorder(path) as recorder:
        recorder.add(said("a"))
    path.write_bytes(path.read_bytes() + bad)
    with Recorder(path) as recorder:
        recorder.add(said("b", "2"))
    with Player(path) as player:
        assert (player.count, player.damaged) == (2, 1)
        assert player.find(CHAT, asked("2")).body == b"b"


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_cut_file_keeps_all_whole_lines(tmp_path: Path, cut: int):
    path = tmp_path / "r.jsonl"
    with Recorder(path) as recorder:
        recorder.add(said("a", "1"))
        recorder.add(said("b" * 200, "2"))
    path.write_bytes(path.read_bytes()[:-cut])
    with Player(path) as player:
        # Without its line feed alone the last line is still whole.
        assert (player.count, player.damaged) == ((2, 0) if cut == 1 else (1, 1))


def test_a_cut_single_member_gzip_keeps_what_can_be_read(tmp_path: Path):
    plain = tmp_path / "r.jsonl"
    with Recorder(plain) as recorder:
        for number in range(200):
            recorder.add(said(f"answer {number * 7919}", f"{number}"))
    packed = tmp_path / "r.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes())[:-3000])
    with Player(packed) as player:
        assert 0 < player.count < 200
        assert player.damaged >= 1
        assert player.find(CHAT, asked("0")).body == b"answer 0"


def test_a_broken_gzip_member_in_the_middle_costs_only_itself(tmp_path: Path):
    pieces = []
    for name in ("a", "b", "c"):
        path = tmp_path / name
        with Recorder(path.with_suffix(".gz")) as recorder:
            recorder.add(said(name * 100, name))
        pieces.append(path.with_suffix(".gz").read_bytes())
    broken = tmp_path / "r.gz"
    broken.write_bytes(pieces[0] + pieces[1][:-30] + pieces[2])
    with Player(broken) as player:
        assert player.find(CHAT, asked("a")).body == b"a" * 100
        assert player.find(CHAT, asked("c")).body == b"c" * 100
        assert player.damaged >= 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "first line is not a header"),
        (b"{}\n", "first line is not a header"),
        (b'{"penstock_recording":2}\n', "update it"),
        (b"\xff\xfe\n", "not a header"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        Player(path)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"nowhere\.jsonl cannot be read"):
        Player(tmp_path / "nowhere.jsonl")


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_twenty_thousand_exchanges_fit_in_little_memory(tmp_path: Path):
    path = tmp_path / "large.jsonl"
    body = "x" * 400
    with path.open("wb") as file:
        file.write(HEADER)
        for number in range(20_000):
            key = f"{number:064x}"
            file.write(b'{"shape":"openai.chat","request":{"model":"m"},"key":"%s","body":"%s"}\n' % (key.encode(), body.encode()))
    tracemalloc.start()
    with Player(path) as player:
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert player.count == 20_000
    assert held < 8e6  # the file is 11 MB
