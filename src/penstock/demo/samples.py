"""The recorded questions and answers that ship with Penstock, read as plain data: what the demo asks, and what it must hear."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

FOLDER = Path(__file__).parent / "recordings"
GPT4 = "gpt-4-1106-preview"
MIXTRAL = "mistralai/Mixtral-8x7B-Instruct-v0.1"
CHATGPT = "gpt-3.5-turbo"
FILES: Mapping[str, tuple[str, ...]] = {
    "openai": ("gsm8k-gpt4.jsonl.gz", "halueval.jsonl.gz"),
    "together": ("gsm8k-mixtral.jsonl.gz",),
}
"""Which recordings stand for which provider."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One question with a model's recorded answer; tokens as the recording's usage says, ``meta`` its labels."""

    model: str
    question: str
    answer: str
    input: int
    output: int
    meta: dict[str, Any]


class _Message(msgspec.Struct):
    content: str


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]


class _Choice(msgspec.Struct):
    message: _Message


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Body(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage


class _Line(msgspec.Struct):
    request: _Request
    body: str
    meta: dict[str, Any]


def read(file: Path) -> list[Sample]:
    """The samples of one recording, in its order."""
    found: list[Sample] = []
    with gzip.open(file) as lines:
        next(lines)  # the header
        for line in lines:
            entry = msgspec.json.decode(line, type=_Line)
            body = msgspec.json.decode(entry.body, type=_Body)
            found.append(
                Sample(
                    model=entry.request.model,
                    question=entry.request.messages[-1].content,
                    answer=body.choices[0].message.content,
                    input=body.usage.prompt_tokens,
                    output=body.usage.completion_tokens,
                    meta=entry.meta,
                )
            )
    return found


def read_all(folder: Path = FOLDER) -> dict[str, list[Sample]]:
    """All samples by the model that answered; questions with several answers are left out, for then nobody knows which one must come."""
    by_model: dict[str, list[Sample]] = {}
    for files in FILES.values():
        for name in files:
            for sample in read(folder / name):
                by_model.setdefault(sample.model, []).append(sample)
    return {model: _once(found) for model, found in by_model.items()}


def _once(found: list[Sample]) -> list[Sample]:
    often = Counter(sample.question for sample in found)
    return [sample for sample in found if often[sample.question] == 1]


def merge(folder: Path, into: Path) -> dict[str, Path]:
    """One recording for each provider, made by joining its files; recordings and gzip both allow that."""
    into.mkdir(parents=True, exist_ok=True)
    made: dict[str, Path] = {}
    for provider, files in FILES.items():
        made[provider] = into / f"{provider}.jsonl.gz"
        made[provider].write_bytes(b"".join((folder / name).read_bytes() for name in files))
    return made
