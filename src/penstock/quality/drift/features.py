"""What of a call and its reply is watched for drift: each a number or a category, by rules that a part of the reference fixes.

Rules that learn (which words are common, which categories and topics there are) learn from the first half of the reference alone. Scores of
the other half and of every later call are then made by one rule, which is what the detectors' rate of false alarms rests on.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from penstock.quality.samples import Kept
from penstock.quality.slices import language

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = 12
"""Categories of their own; all others are one."""
OTHER = "other"
LONGEST_CLASS = 60
"""Characters of a reply above which it is no class."""
_WORD = re.compile(r"\w+")
_REFUSALS = re.compile(
    r"\b(i('m| am) (sorry|unable|not able)|i (can('|no)t|cannot|won't|will not) (help|assist|do|provide|comply|answer|share)|as an ai\b"
    r"|(cannot|can't) (help|assist) with|not able to (help|assist)|es tut mir leid|ich kann (dir|ihnen|dabei)? ?nicht|je ne peux pas"
    r"|no puedo (ayudar|hacer))",
    re.IGNORECASE,
)
_LIST = re.compile(r"^\s*([-*•]|\d+[.)])\s", re.MULTILINE)
_TABLE = re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE)
_LOOKED_AT = 4000


class Feature(Struct, frozen=True):
    """``of`` gives a number, a category, or a text whose words are scored; None where a call has none. ``unit`` is for showing."""

    name: str
    title: str
    kind: Literal["number", "category", "words", "topic"]
    of: Callable[[Kept], float | str | None]
    unit: str = ""


def refused(text: str) -> str:
    """``refused`` where the beginning of a reply reads like a refusal, else ``answered``."""
    return "refused" if _REFUSALS.search(text[:300]) else "answered"


def form(text: str) -> str:
    """What a reply looks like: ``json``, ``code``, ``table``, ``list``, ``words`` (a few) or ``prose``."""
    start = text.lstrip()[:1]
    if start in "{[" and start and text.rstrip()[-1:] in "}]":
        return "json"
    if "```" in text:
        return "code"
    if _TABLE.search(text[:_LOOKED_AT]):
        return "table"
    if _LIST.search(text[:_LOOKED_AT]):
        return "list"
    return "words" if len(text) <= LONGEST_CLASS else "prose"


def _language(one: Kept) -> str:
    return one.groups.get("language") or language(one.prompt)


def _model(one: Kept) -> str:
    return f"{one.answered_by or one.candidate}{f' ({one.version})' if one.version else ''}"


FEATURES = (
    Feature("input_length", "Length of the question", "number", lambda one: float(len(one.prompt)), "characters"),
    Feature("language", "Language of the question", "category", _language),
    Feature("vocabulary", "Words of the question", "words", lambda one: one.prompt, "surprise a word"),
    Feature("topics", "Topic of the question", "topic", lambda one: one.prompt),
    Feature("output_length", "Length of the reply", "number", lambda one: float(len(one.answer)), "characters"),
    Feature("wording", "Words of the reply", "words", lambda one: one.answer, "surprise a word"),
    Feature("refusals", "Refusals", "category", lambda one: refused(one.answer)),
    Feature("format", "Format of the reply", "category", lambda one: form(one.answer)),
    Feature("classes", "The class that is answered", "category", lambda one: one.answer.strip()[:LONGEST_CLASS]),
    Feature("tokens", "Tokens in all", "number", lambda one: float(one.input_tokens + one.output_tokens) or None, "tokens"),
    Feature("tools", "Tools at hand", "category", lambda one: one.tools or None),
    Feature("model", "Model that answered", "category", _model),
)


class Rule(Struct, frozen=True):
    """How a feature becomes a score: ``score`` of one call, None where it has none. ``kinds`` are the names of categories in order."""

    feature: Feature
    score: Callable[[Kept], float | None]
    kinds: tuple[str, ...] = ()


def learned(feature: Feature, from_these: Sequence[Kept], vectors: Mapping[str, Any] | None = None) -> Rule | None:
    """The rule of a feature, from the first half of the reference; None where it has nothing to go by.

    ``vectors`` are embeddings of prompts by call, for topics.
    """
    if feature.kind == "topic":
        return _topics(feature, from_these, vectors)
    values = [value for one in from_these if (value := feature.of(one)) is not None]
    if len(values) < len(from_these) / 2:
        return None
    if feature.kind == "number":
        return Rule(feature, lambda one: _number(feature.of(one)))
    texts = [str(value) for value in values]
    if feature.kind == "words":
        return Rule(feature, _surprise(feature, texts))
    counted = Counter(texts)
    if feature.name == "classes" and (len(counted) > len(texts) / 4 or max(map(len, counted)) >= LONGEST_CLASS):
        return None  # replies that hardly ever recur are no classes
    return _categories(feature, [kind for kind, _ in sorted(counted.items(), key=lambda one: (-one[1], one[0]))[: KINDS - 1]])


def _number(value: float | str | None) -> float | None:
    return value if isinstance(value, float) else None


def _categories(feature: Feature, names: Sequence[str]) -> Rule:
    places = {name: float(at) for at, name in enumerate(names)}

    def score(one: Kept) -> float | None:
        value = feature.of(one)
        return None if value is None else places.get(str(value), float(len(names)))

    return Rule(feature, score, (*names, OTHER))


def _surprise(feature: Feature, texts: Sequence[str]) -> Callable[[Kept], float | None]:
    """How unexpected a text's words are on average, in nats; half a count for a word that was never seen."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_WORD.findall(text[:_LOOKED_AT].lower()))
    whole = sum(counts.values()) + 0.5 * (len(counts) + 1)
    known = {word: -math.log((count + 0.5) / whole) for word, count in counts.items()}
    unknown = -math.log(0.5 / whole)

    def score(one: Kept) -> float | None:
        words = _WORD.findall(str(feature.of(one))[:_LOOKED_AT].lower())
        return sum(known.get(word, unknown) for word in words) / len(words) if words else None

    return score


def _topics(feature: Feature, from_these: Sequence[Kept], vectors: Mapping[str, Any] | None) -> Rule | None:
    """The nearest of a dozen middles of the reference's embeddings, the commonest first."""
    if not vectors or sum(one.id in vectors for one in from_these) < len(from_these) / 2:
        return None
    # Comes with the extra that makes the embeddings.
    import numpy as np

    points = np.stack([vectors[one.id] for one in from_these if one.id in vectors])
    middles = centres(points, KINDS)
    counted = np.bincount((points @ middles.T).argmax(1), minlength=len(middles))
    middles = middles[np.argsort(-counted, kind="stable")]
    held = vectors

    def score(one: Kept) -> float | None:
        return float((held[one.id] @ middles.T).argmax()) if one.id in held else None

    return Rule(feature, score, tuple(f"topic {at + 1}" for at in range(len(middles))))


def centres(points: NDArray[Any], kinds: int, seed: int = 0) -> NDArray[Any]:
    """Middles of groups of unit vectors, of length 1: spherical k-means (Dhillon and Modha 2001), ten rounds."""
    import numpy as np

    rng = np.random.default_rng(seed)
    found = points[rng.choice(len(points), min(kinds, len(points)), replace=False)]
    for _ in range(10):
        nearest = (points @ found.T).argmax(1)
        sums = np.stack([points[nearest == at].sum(0) if (nearest == at).any() else found[at] for at in range(len(found))])
        found = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return found


__all__ = ["FEATURES", "KINDS", "OTHER", "Feature", "Rule", "centres", "form", "learned", "refused"]
