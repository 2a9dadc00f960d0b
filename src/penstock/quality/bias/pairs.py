"""Counterfactual pairs: a prompt, and the same prompt about somebody of another gender or origin. Nothing else differs.

A pair has a direction, so that differences over many prompts add up instead of cancelling: first the female version, then the male; first
the reference origin, then the other. One of the two is the prompt as it was. A prompt in which nothing can be swapped, or that speaks of
both sides (a man and a woman), gives no pair but the reason, so that what was skipped can be counted.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection
from functools import cache
from typing import Literal

import msgspec

from penstock.quality.bias.words import COUNTRIES, GENDERED, NAMES, REFERENCE

Attribute = Literal["gender", "origin"]
Skipped = Literal["nothing_to_swap", "both_sides"]


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """``first`` and ``second`` are the prompt about the one and the other of ``groups``; ``original`` says which one it was (0 or 1).

    ``swaps``: the words that were replaced, in the order of the text.
    """

    attribute: Attribute
    first: str
    second: str
    groups: tuple[str, str]
    original: int
    swaps: tuple[tuple[str, str], ...]


def pair(prompt: str, attribute: Attribute, seed: int, keep: Collection[str] = ()) -> Pair | Skipped:
    """The pair of a prompt, the same one for the same seed. ``keep`` are words that stay, such as the name of a person of whom a fact
    is asked: a counterfactual Marie Curie has no Nobel prize."""
    kept = {word.lower() for word in keep}
    # The seed decides together with the prompt, or all prompts would get the same names.
    rng = random.Random(f"{seed}/{attribute}/{prompt}")
    return _gender(prompt, kept, rng) if attribute == "gender" else _origin(prompt, kept, rng)


# ---- gender

_TOKEN = re.compile(r"[^\W\d_]+(?:[-’'][^\W\d_]+)*")
_POSSESSED = re.compile(r"\s+([^\W\d_]+)")
_NO_NOUN = frozenset(
    (
        *(
            "a",
            "an",
            "the",
            "and",
            "or",
            "but",
            "to",
            "for",
            "in",
            "on",
            "at",
            "with",
            "from",
            "of",
            "by",
            "as",
            "that",
            "when",
            "if",
            "is",
        ),
        *("was", "about", "into", "because", "while", "again", "then", "so", "not", "how", "what", "why", "who", "before", "after", "up"),
        *("out", "will", "would", "could", "should", "can", "yesterday", "today", "tomorrow", "this", "these", "those", "it", "i", "you"),
    )
)
"""Words after which "her" was no possessive: "told her that", but "her car"."""


def _gender(prompt: str, keep: Collection[str], rng: random.Random) -> Pair | Skipped:
    sides = {side for token in _TOKEN.finditer(prompt) if (side := _side(token[0])) and token[0].lower() not in keep}
    if len(sides) != 1:
        return "both_sides" if sides else "nothing_to_swap"
    (side,) = sides
    other = "male" if side == "female" else "female"
    chosen = _Chosen(rng, prompt)

    def replaced(token: re.Match[str]) -> str | None:
        word = token[0]
        bare, tail = _without_possessive(word)
        if (place := _given().get(bare)) is not None:
            return chosen.name(bare, NAMES[place[0]][other]) + tail
        lower = bare.lower()
        if lower in ("her", "his", "him", "hers"):
            return _pronoun(lower, prompt, token.end())
        found = _worded().get(lower)
        return None if found is None else found[1] + tail

    changed, swaps = _replace(prompt, replaced, keep)
    first, second = (prompt, changed) if side == "female" else (changed, prompt)
    return Pair(
        attribute="gender", first=first, second=second, groups=("female", "male"), original=int(side == "male"), swaps=swaps
    )  # fmt: skip


def _side(word: str) -> str | None:
    bare, _ = _without_possessive(word)
    if (place := _given().get(bare)) is not None:
        return place[1]
    lower = bare.lower()
    if lower in ("her", "hers"):
        return "female"
    if lower in ("his", "him"):
        return "male"
    found = _worded().get(lower)
    return None if found is None else found[0]


def _pronoun(word: str, text: str, end: int) -> str:
    following = _POSSESSED.match(text, end)
    noun = following is not None and following[1].lower() not in _NO_NOUN
    match word:
        case "her":
            return "his" if noun else "him"
        case "his":
            return "her" if noun else "hers"
        case "him":
            return "her"
        case _:
            return "his"


@cache
def _worded() -> dict[str, tuple[str, str]]:
    """Each gendered word: its side, and what it becomes."""
    found: dict[str, tuple[str, str]] = {}
    for female, male in GENDERED:
        found.setdefault(female, ("female", male))
        found.setdefault(male, ("male", female))
    return found


# ---- origin


def _origin(prompt: str, keep: Collection[str], rng: random.Random) -> Pair | Skipped:
    sides = {side for token in _TOKEN.finditer(prompt) if (side := _from(token[0])) and token[0].lower() not in keep}
    if len(sides) != 1:
        return "both_sides" if sides else "nothing_to_swap"
    (side,) = sides
    other = rng.choice(sorted(NAMES.keys() - {REFERENCE})) if side == REFERENCE else REFERENCE
    chosen = _Chosen(rng, prompt)

    def replaced(token: re.Match[str]) -> str | None:
        bare, tail = _without_possessive(token[0])
        if (place := _given().get(bare)) is not None:
            return chosen.name(bare, NAMES[other][place[1]]) + tail
        if bare in _families():
            return chosen.name(bare, NAMES[other]["family"]) + tail
        if (land := _lands().get(bare)) is not None:
            return chosen.land(land[1], other)[land[2]] + tail
        return None

    changed, swaps = _replace(prompt, replaced, keep)
    first, second = (prompt, changed) if side == REFERENCE else (changed, prompt)
    groups = (REFERENCE, other if side == REFERENCE else side)
    return Pair(attribute="origin", first=first, second=second, groups=groups, original=int(side != REFERENCE), swaps=swaps)


def _from(word: str) -> str | None:
    bare, _ = _without_possessive(word)
    if (place := _given().get(bare)) is not None:
        return place[0]
    if (group := _families().get(bare)) is not None:
        return group
    land = _lands().get(bare)
    return None if land is None else land[0]


# ---- both


class _Chosen:
    """What was chosen for each name and country of a prompt: the same one each time, another one for another, none that stands there."""

    def __init__(self, rng: random.Random, prompt: str) -> None:
        self._rng = rng
        self._names: dict[str, str] = {}
        self._lands: dict[str, tuple[str, str]] = {}
        self._taken = {token[0] for token in _TOKEN.finditer(prompt)}

    def name(self, old: str, pool: str) -> str:
        if old not in self._names:
            names = pool.split()
            free = [name for name in names if name not in self._taken]
            self._names[old] = self._rng.choice(free or names)
            self._taken.add(self._names[old])
        return self._names[old]

    def land(self, old: str, group: str) -> tuple[str, str]:
        if old not in self._lands:
            free = [land for land in COUNTRIES[group] if land not in self._lands.values()]
            self._lands[old] = self._rng.choice(free or COUNTRIES[group])
        return self._lands[old]


def _replace(
    prompt: str, replaced: Callable[[re.Match[str]], str | None], keep: Collection[str]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    pieces: list[str] = []
    swaps: list[tuple[str, str]] = []
    done = 0
    for token in _TOKEN.finditer(prompt):
        new = None if token[0].lower() in keep else replaced(token)
        if new is None:
            continue
        new = _cased(token[0], new)
        pieces += [_article(prompt[done : token.start()], token[0], new), new]
        swaps.append((token[0], new))
        done = token.end()
    return "".join([*pieces, prompt[done:]]), tuple(swaps)


_ARTICLE = re.compile(r"\b(an?|An?|AN?)(\s+)$")


def _article(before: str, old: str, new: str) -> str:
    """ "a German" becomes "an Indian": changed only where the two words begin differently, so that "a US" stays what it was."""
    if (old[0].lower() in "aeiou") == (new[0].lower() in "aeiou"):
        return before
    return _ARTICLE.sub(lambda found: found[1][0] + ("n" if new[0].lower() in "aeiou" else "") + found[2], before)


def _cased(old: str, new: str) -> str:
    """The new word as the old one is written: lower, Capital or ALL CAPITALS."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _without_possessive(word: str) -> tuple[str, str]:
    return (word[:-2], word[-2:]) if word.endswith(("'s", "’s")) else (word, "")


@cache
def _given() -> dict[str, tuple[str, str]]:
    """Group and side of each given name."""
    return {name: (group, side) for group, kinds in NAMES.items() for side in ("female", "male") for name in kinds[side].split()}


@cache
def _families() -> dict[str, str]:
    return {name: group for group, kinds in NAMES.items() for name in kinds["family"].split()}


@cache
def _lands() -> dict[str, tuple[str, str, int]]:
    """Group, country, and whether it is the country (0) or its adjective (1)."""
    return {word: (group, land[0], index) for group, lands in COUNTRIES.items() for land in lands for index, word in enumerate(land)}
