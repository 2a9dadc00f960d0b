from __future__ import annotations

import json
from typing import Any

import msgspec

from penstock.gateway.shapes.openai_chunks import ChunkDecoder, ChunkEncoder, ChunkWire
from penstock.kernel import messages as m
from penstock.kernel.call import Usage


class Word(msgspec.Struct):
    word: str = ""


class Words(ChunkDecoder[Word]):
    def _choice(self, choice: Word, deltas: list[m.Delta]) -> None:
        deltas.append(m.TextDelta(choice.word))


class Written(ChunkEncoder):
    object = "words"

    def encode(self, delta: m.Delta) -> bytes:
        if isinstance(delta, m.Begin):
            self._begin(delta)
        if isinstance(delta, m.UsageDelta):
            self._usage = delta.usage
        return self._chunk([{"word": delta.text}]) if isinstance(delta, m.TextDelta) else b""


STREAM = (
    b'data: {"id":"x","model":"mm","created":1.0,"choices":[{"word":"a"}]}\n\n'
    b'data: {"choices":[{"word":"b"}]}\n\ndata: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\ndata: [DONE]\n\n'
)


def test_chunks_begin_once_bring_their_choices_and_end_with_usage() -> None:
    decoder = Words(msgspec.json.Decoder(ChunkWire[Word]).decode)
    deltas = decoder.feed(STREAM)
    assert deltas[:3] == [m.Begin("x", "mm", 1), m.TextDelta("a"), m.TextDelta("b")]
    assert deltas[3] == m.UsageDelta(Usage(input=3, output=2))
    assert decoder.finished
    assert decoder.usage == Usage(input=3, output=2)


def events(encoder: Written) -> list[Any]:
    begun = encoder.encode(m.Begin("x", "theirs", 7))
    out = begun + encoder.encode(m.TextDelta("a")) + encoder.encode(m.UsageDelta(Usage(input=3, output=2))) + encoder.finish()
    return [e if e == "[DONE]" else json.loads(e) for e in (line.removeprefix("data: ") for line in out.decode().split("\n\n") if line)]


def test_every_chunk_names_the_reply_and_usage_comes_last_to_whom_asked() -> None:
    head = {"id": "x", "object": "words", "created": 7, "model": "ours"}
    plain = events(Written("ours", include_usage=False))
    assert plain == [{**head, "choices": [{"word": "a"}]}, "[DONE]"]
    asked = events(Written("ours", include_usage=True))
    assert asked[1]["choices"] == []
    assert asked[1]["usage"]["prompt_tokens"] == 3
