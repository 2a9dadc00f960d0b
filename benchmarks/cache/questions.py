"""Questions and what they are compared with: Banking77 as it is, GSM8K with near-duplicates made here, openly.

A near-duplicate of a GSM8K question is made by one rule, picked at random with a fixed seed. Harmless rules (another first name, a politer
or plainer frame, other words for *how many*) leave the answer as it was; the others change one thing on which the answer depends (a number,
a number word, *more* or *less*, *twice*), so the stored answer would be false.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

SEED = 20


class Query(NamedTuple):
    """A question that comes in. ``answers`` says for each stored question (by its number) whether its answer is this one's too."""

    text: str
    right: Callable[[int], bool]
    kind: str


class Task(NamedTuple):
    """What is stored with which answers, and the questions that come: to calibrate on, and for the report, which are looked at once."""

    name: str
    stored: list[str]
    answers: list[str]
    calibrate: list[Query]
    report: list[Query]


def banking(folder: Path) -> Task:
    """Half of the training questions are stored, the other half calibrates, the test questions are the report. Right: the same intent.

    Questions that are stored letter by letter are left out: exact hits answer those.
    """
    train, test = _rows(folder / "banking77_train.csv"), _rows(folder / "banking77_test.csv")
    random.Random(SEED).shuffle(train)
    half = len(train) // 2
    stored, rest = train[:half], train[half:]
    known = {_plain(text) for text, _ in stored}

    def queries(rows: list[tuple[str, str]]) -> list[Query]:
        return [Query(text, _same_intent(stored, intent), "question") for text, intent in rows if _plain(text) not in known]

    return Task("Banking77", [text for text, _ in stored], [intent for _, intent in stored], queries(rest), queries(test))


def gsm8k(file: Path) -> Task:
    """All questions are stored; each comes twice, once harmlessly changed and once with another answer. Two thirds calibrate."""
    with file.open(encoding="utf-8", newline="") as lines:
        stored = list(dict.fromkeys(row["prompt"].strip() for row in csv.DictReader(lines)))
    draw = random.Random(SEED)
    order = list(range(len(stored)))
    draw.shuffle(order)
    cut = len(order) * 2 // 3

    def queries(numbers: list[int]) -> list[Query]:
        made: list[Query] = []
        for number in numbers:
            text = stored[number]
            for rules, right in ((HARMLESS, True), (HARMFUL, False)):
                kind, changed = _changed(text, rules, draw)
                if changed is not None:
                    made.append(Query(changed, _only(number) if right else _never, kind))
        return made

    return Task("GSM8K near-duplicates", stored, [str(number) for number in range(len(stored))], queries(order[:cut]), queries(order[cut:]))


def _same_intent(stored: list[tuple[str, str]], intent: str) -> Callable[[int], bool]:
    return lambda number: stored[number][1] == intent


def _only(number: int) -> Callable[[int], bool]:
    return lambda found: found == number


def _never(_: int) -> bool:
    return False


# ---- rules

Rule = Callable[[str, random.Random], str | None]

_NAMES = ("Ana", "Bilal", "Carla", "Dmitri", "Esra", "Femi", "Greta", "Hiro", "Ines", "Jonas")
_NAMED = re.compile(
    r"\b(?!The |How |What |If |She |He |They |It |In |On |At |A |An |Each |There |This |After |When |For |Every |One )([A-Z][a-z]{2,})\b"
)
_NUMBER = re.compile(r"(?<![\d.,$])\d+(?![\d.,]*\d)")
_WORDS = {
    "two": "three",
    "three": "four",
    "four": "five",
    "five": "six",
    "six": "seven",
    "seven": "eight",
    "eight": "nine",
    "ten": "twelve",
}
_FLIPS = {
    "more": "fewer",
    "less": "more",
    "fewer": "more",
    "twice": "three times",
    "half": "a third",
    "before": "after",
    "double": "triple",
}


def another_name(text: str, draw: random.Random) -> str | None:
    """The first name that is used at least twice becomes another."""
    named = [name for name in _NAMED.findall(text) if len(re.findall(rf"\b{name}\b", text)) > 1]
    other = draw.choice([name for name in _NAMES if name not in text])
    return re.sub(rf"\b{named[0]}\b", other, text) if named else None


def framed(text: str, draw: random.Random) -> str | None:
    """A frame around the question."""
    before, after = draw.choice(
        [
            ("Please solve this for me. ", ""), ("", " Thank you."), ("I have a question. ", ""), ("", " Explain how you found it."),
            ("Could you work this out? ", ""), ("Here is a problem. ", " Give the answer as a number."),
        ]
    )  # fmt: skip
    return f"{before}{text}{after}"


def reworded(text: str, draw: random.Random) -> str | None:
    """Another way to ask for the same quantity."""
    for said, instead in (
        ("How many", "What is the number of"),
        ("how many", "what number of"),
        ("How much", "What amount"),
        ("in total", "all together"),
    ):
        if said in text:
            return text.replace(said, instead, 1)
    return None


def another_number(text: str, draw: random.Random) -> str | None:
    """One of the numbers is off by one to nine."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    one = draw.choice(found)
    return f"{text[: one.start()]}{int(one.group()) + draw.randint(1, 9)}{text[one.end() :]}"


def another_number_word(text: str, draw: random.Random) -> str | None:
    """A number in letters is another one."""
    return _swapped(text, _WORDS)


def another_relation(text: str, draw: random.Random) -> str | None:
    """*More* becomes *fewer*, *twice* three times, *half* a third."""
    return _swapped(text, _FLIPS)


def _swapped(text: str, table: dict[str, str]) -> str | None:
    for word, instead in table.items():
        if re.search(rf"\b{word}\b", text):
            return re.sub(rf"\b{word}\b", instead, text, count=1)
    return None


HARMLESS: dict[str, Rule] = {"another name": another_name, "a frame": framed, "reworded": reworded}
HARMFUL: dict[str, Rule] = {
    "another number": another_number,
    "another number word": another_number_word,
    "another relation": another_relation,
}


def _changed(text: str, rules: dict[str, Rule], draw: random.Random) -> tuple[str, str | None]:
    names = list(rules)
    draw.shuffle(names)
    for name in names:
        changed = rules[name](text, draw)
        if changed is not None and changed != text:
            return name, changed
    return "", None


def _rows(file: Path) -> list[tuple[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return [(row["text"].strip(), row["category"]) for row in csv.DictReader(lines)]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
