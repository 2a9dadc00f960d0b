"""Groups of answers, so that an average cannot hide a broken one: by class, language, length, team, or a label."""

from __future__ import annotations

import re
from collections import Counter

from penstock.quality.examples import Item

KINDS = ("class", "language", "length", "team")
LABEL = "label:"
MOST_CLASSES = 50
"""Targets that differ more often than this are no classes."""
SHORT, LONG = 300, 3000
"""Characters of a question below which it is short, and from which it is long."""

_SCRIPTS = (
    ("ja", re.compile(r"[぀-ヿ]")),
    ("ko", re.compile(r"[가-힯]")),
    ("zh", re.compile(r"[一-鿿]")),
    ("ru", re.compile(r"[Ѐ-ӿ]")),
    ("ar", re.compile(r"[؀-ۿ]")),
    ("he", re.compile(r"[֐-׿]")),
    ("el", re.compile(r"[Ͱ-Ͽ]")),
    ("hi", re.compile(r"[ऀ-ॿ]")),
    ("th", re.compile(r"[฀-๿]")),
)
# The commonest words of each that the others do not have, or seldom.
_WORDS = {
    "en": "the and of to is in that it for was with are this what how you be have from which not can does my your please where when an",
    "de": "der die das und ist nicht ein eine ich sie mit auf für den zu wie was von wir bitte im dem des kann",
    "fr": "le la les des et est une un que pour dans pas qui sur vous avec je nous ce au du quelle comment",
    "es": "el los las de que y en un una por con para es del como se qué cuál está más pero mi",
    "it": "il di che è e la un una per con non sono della gli del come si questo quale nel alla",
    "pt": "o os as de que e do da em um uma para com não por é mais como no na qual você",
    "nl": "de het een en van is dat niet ik op te met voor zijn wat hoe je die aan er maar",
    "pl": "i w na z się nie to jest że do jak co czy po ale za od przez",
    "sv": "och att det är som en på för med inte av jag den till har ett vad hur",
}
_OF_WORD: dict[str, list[str]] = {}
for _language, _listed in _WORDS.items():
    for _word in _listed.split():
        _OF_WORD.setdefault(_word, []).append(_language)
_TOKEN = re.compile(r"[^\W\d_]+")
LOOKED_AT = 2000


def language(text: str) -> str:
    """The language of a text by its script and commonest words; ``other`` where those do not say. A guess for slicing, not more."""
    text = text[:LOOKED_AT]
    for name, script in _SCRIPTS:
        if len(script.findall(text)) * 5 > len(text) - text.count(" "):
            return name
    counted: Counter[str] = Counter()
    for word in _TOKEN.findall(text.lower()):
        among = _OF_WORD.get(word, ())
        for name in among:
            counted[name] += 6 // len(among)
    best = counted.most_common(2)
    if not best or (len(best) == 2 and best[0][1] == best[1][1]):
        return "other"
    return best[0][0]


def length(text: str) -> str:
    """``short``, ``medium`` or ``long``."""
    return "short" if len(text) < SHORT else "long" if len(text) >= LONG else "medium"


def known(kind: str) -> bool:
    """Whether this is a kind of slice."""
    return kind in KINDS or (kind.startswith(LABEL) and len(kind) > len(LABEL))


def group_of(kind: str, item: Item) -> str | None:
    """The group that an item belongs to, None where it has none of this kind. What the item says itself goes before what is guessed."""
    if kind.startswith(LABEL):
        return item.groups.get(kind[len(LABEL) :])
    if kind in item.groups:
        return item.groups[kind]
    match kind:
        case "class":
            return item.targets[0][:200] if len(item.targets) == 1 else None
        case "language":
            return language(item.text)
        case "length":
            return length(item.text)
        case _:
            return None


def groups(kind: str, items: dict[str, Item]) -> dict[str, str]:
    """The group of each item that has one, by the item's id; nothing where the kind's groups are too many to be any."""
    found = {id: group for id, item in items.items() if (group := group_of(kind, item)) is not None}
    return found if len(set(found.values())) <= MOST_CLASSES else {}


__all__ = ["KINDS", "LABEL", "group_of", "groups", "known", "language", "length"]
