"""Streams of calls with a change at a known place, made of public questions, replies and traces; each text is of one half of the data.

Before the change calls are drawn at random from one pool, after it in part from another. Thresholds are tuned on the first half of the
texts, figures taken on the second.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from penstock.quality.samples import Kept

REFERENCE = 400

GERMAN = {
    "i": "ich", "my": "meine", "the": "die", "a": "eine", "is": "ist", "to": "zu", "do": "tun", "what": "was", "how": "wie", "can": "kann",
    "card": "Karte", "money": "Geld", "account": "Konto", "you": "Sie", "me": "mir", "for": "für", "in": "in", "of": "von", "and": "und",
    "why": "warum", "not": "nicht", "have": "habe", "it": "es", "on": "auf", "with": "mit", "when": "wann", "where": "wo", "was": "war",
    "are": "sind", "does": "tut", "need": "brauche", "please": "bitte", "payment": "Zahlung", "transfer": "Überweisung", "this": "das",
    "that": "dass", "from": "von", "but": "aber", "help": "Hilfe", "new": "neue", "get": "bekommen", "use": "benutzen", "if": "wenn",
    "there": "da", "want": "will", "change": "ändern", "cash": "Bargeld", "bank": "Bank", "day": "Tag", "time": "Zeit", "am": "bin",
}  # fmt: skip
"""Word by word, since the data hold no other language: what a detector sees of one, and no more."""


class Call(NamedTuple):
    """What a stream's call is made of."""

    prompt: str
    answer: str = "ok"
    tokens: tuple[int, int] = (0, 0)


Draw = Callable[[random.Random], Call]


class Change(NamedTuple):
    """``pools`` makes the draws before and after the change, for one half of the data (0 or 1) and one stream's chance."""

    name: str
    what: str
    pools: Callable[[int, random.Random], tuple[Draw, Draw]]


def half(text: str) -> int:
    """The half of the data that a text is of."""
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()[0] & 1


def changes(data: Path) -> list[Change]:
    """Every kind of change."""
    clinc: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for text, intent in json.loads((data / "intent" / "clinc150_full.json").read_text())["train"]:
        clinc[intent].append((text, half(text)))
    with (data / "intent" / "banking77_train.csv").open(newline="") as file:
        banking = [(row["text"].strip(), half(row["text"])) for row in csv.DictReader(file)]
    with (data / "routellm" / "gsm8k_responses.csv").open(newline="") as file:
        maths = list(csv.DictReader(file))
    first, second = "gpt-4-1106-preview_response", "mistralai/Mixtral-8x7B-Instruct-v0.1_response"
    traces = [_trace(data / "traces" / f"azure_{name}.csv") for name in ("conv", "code")]
    intents = sorted(clinc)

    def questions(side: int) -> list[str]:
        return [text for text, of in banking if of == side]

    def prior(side: int, chance: random.Random) -> tuple[Draw, Draw]:
        mine = chance.sample(intents, 12)
        texts = {intent: [text for text, of in clinc[intent] if of == side] for intent in mine}

        def draw(weights: Sequence[float]) -> Draw:
            def one(chance: random.Random) -> Call:
                intent = chance.choices(mine, weights)[0]
                return Call(chance.choice(texts[intent]), intent)

            return one

        return draw([1] * 12), draw([3] * 4 + [1] * 8)

    def vocabulary(side: int, chance: random.Random) -> tuple[Draw, Draw]:
        others = [text for intent in intents for text, of in clinc[intent] if of == side]
        return _mixed(questions(side), others, 0.25)

    def length(side: int, chance: random.Random) -> tuple[Draw, Draw]:
        texts = questions(side)

        def after(chance: random.Random) -> Call:
            text = chance.choice(texts)
            return Call(f"{text} {chance.choice(texts)}" if chance.random() < 0.3 else text)

        return (lambda chance: Call(chance.choice(texts))), after

    def language(side: int, chance: random.Random) -> tuple[Draw, Draw]:
        texts = questions(side)
        return _mixed(texts, [" ".join(GERMAN.get(word.lower().strip("?.,!"), word) for word in text.split()) for text in texts], 0.2)

    def tokens(side: int, chance: random.Random) -> tuple[Draw, Draw]:
        conversations, code = (rows[: len(rows) // 2] if side == 0 else rows[len(rows) // 2 :] for rows in traces)

        def draw(share: float) -> Draw:
            return lambda chance: Call("x", "ok", chance.choice(code if chance.random() < share else conversations))

        return draw(0), draw(0.25)

    def model(side: int, chance: random.Random) -> tuple[Draw, Draw]:
        rows = [row for row in maths if half(row["prompt"]) == side]

        def draw(share: float) -> Draw:
            def one(chance: random.Random) -> Call:
                row = chance.choice(rows)
                return Call(row["prompt"], row[second if chance.random() < share else first])

            return one

        return draw(0), draw(0.5)

    return [
        Change("class prior", "CLINC150: 4 of 12 intents, a third of the calls, become three fifths", prior),
        Change("vocabulary", "Banking77: a quarter of the questions come from CLINC150", vocabulary),
        Change("length", "Banking77: three in ten calls ask two questions", length),
        Change("language", "Banking77: a fifth of the questions in German, put word by word", language),
        Change("tokens", "Azure's conversations: a quarter of the calls from its code trace", tokens),
        Change("model swap", "GSM8K: half of GPT-4's replies become Mixtral's", model),
    ]


def _mixed(usual: Sequence[str], others: Sequence[str], share: float) -> tuple[Draw, Draw]:
    return (
        lambda chance: Call(chance.choice(usual)),
        lambda chance: Call(chance.choice(others if chance.random() < share else usual)),
    )


def _trace(path: Path) -> list[tuple[int, int]]:
    with path.open(newline="") as file:
        return [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]


def stream(change: Change, side: int, seed: int, calls: int, at: int | None) -> list[Kept]:
    """A reference and ``calls`` more, which change after ``at`` of them, or never."""
    chance = random.Random(f"{change.name}/{side}/{seed}")
    before, after = change.pools(side, chance)
    made: list[Kept] = []
    for place in range(REFERENCE + calls):
        call = (before if at is None or place < REFERENCE + at else after)(chance)
        made.append(_kept(place, call))
    return made


def _kept(at: int, call: Call) -> Kept:
    more: dict[str, Any] = {"groups": {}, "cost": None, "latency_ms": None, "propensity": 1.0}
    return Kept(
        id=str(at),
        organisation="",
        task="",
        item="",
        candidate="",
        source="live",
        prompt=call.prompt,
        context="",
        answer=call.answer,
        input_tokens=call.tokens[0],
        output_tokens=call.tokens[1],
        at=float(at),
        **more,
    )


__all__ = ["REFERENCE", "Change", "changes", "stream"]
