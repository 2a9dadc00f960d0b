"""All conventions as one table by attribute, with what each of them means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from penstock.observability.otlp.contents import Contents
from penstock.observability.otlp.conventions.convention import Convention
from penstock.observability.otlp.conventions.genai import GENAI
from penstock.observability.otlp.conventions.genai_old import GENAI_OLD
from penstock.observability.otlp.conventions.langfuse import LANGFUSE
from penstock.observability.otlp.conventions.langsmith import LANGSMITH
from penstock.observability.otlp.conventions.logfire import LOGFIRE
from penstock.observability.otlp.conventions.openinference import OPENINFERENCE
from penstock.observability.otlp.conventions.openllmetry import OPENLLMETRY
from penstock.observability.otlp.conventions.ours import OURS
from penstock.observability.otlp.conventions.vercel import VERCEL
from penstock.observability.otlp.sent import Attributes

CONVENTIONS: tuple[Convention, ...] = (OURS, LANGFUSE, LANGSMITH, OPENINFERENCE, VERCEL, GENAI, OPENLLMETRY, LOGFIRE, GENAI_OLD)
"""Where two say the same thing differently, the first decides: what names itself comes before what is said in passing."""

PROVIDERS: dict[str, str] = {
    "aws.bedrock": "aws",
    "amazon-bedrock": "aws",
    "bedrock": "aws",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure-openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "vertex_ai": "google",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "x_ai": "x-ai",
    "xai": "x-ai",
}
"""Senders' names of providers, in lower case, where ours is another."""

TEXT, COUNT, KIND, COST, SECONDS, MOMENT, CONTENT, NUMBERED, DETAILS, NOISE, PLAIN = range(11)
"""What a rule does with an attribute."""


class Rule(msgspec.Struct, frozen=True):
    """What one attribute means. ``target`` is a field of the span, or a side of the contents; the least ``rank`` decides."""

    does: int
    target: str = ""
    rank: int = 0
    values: dict[str, str] = {}
    scale: float = 1.0
    wrap: str = ""
    path: tuple[str | int, ...] = ()
    kinds: dict[str, str] = {}
    """For a text that also says the kind: by value in lower case, the empty text for any."""
    kind_rank: int = 0


PLAIN_RULE = Rule(PLAIN)
_LEARNED_MOST = 16_384

LONGEST = 256
"""Characters of a field."""
MOST_COUNT = 1 << 40

_SIMPLE = frozenset({TEXT, COUNT, CONTENT, NOISE, PLAIN})
_LAYOUTS_MOST = 1024
_NAMES_MOST = 64
_NAMED_MOST = 4096


class Layout:
    """What attributes mean of which no two say the same thing, and none says it in a way that has to be looked into."""

    __slots__ = ("_contents", "_counts", "_kind", "_left", "_texts")

    def __init__(self, rules: list[tuple[str, Rule]]) -> None:
        self._texts = [(name, rule.target) for name, rule in rules if rule.does == TEXT]
        self._counts = [(name, rule.target) for name, rule in rules if rule.does == COUNT]
        self._contents = [(name, rule.target, rule.rank) for name, rule in rules if rule.does == CONTENT]
        self._left = [name for name, rule in rules if rule.does == PLAIN]
        self._kind = next(((name, rule.kinds) for name, rule in rules if rule.kinds), None)

    def read(self, attributes: Attributes, found: dict[str, Any], left: Attributes, contents: Contents) -> bool:
        """Put into ``found``, ``left`` and ``contents`` what they say; False where a value is not as it should be. Then they have to be
        looked at one by one, which finds again what was found so far."""
        for name, target in self._texts:
            value = attributes[name]
            if not isinstance(value, str) or not 0 < len(value) < LONGEST:
                return False
            found[target] = value
        for name, target in self._counts:
            value = attributes[name]
            if type(value) is not int or not 0 <= value < MOST_COUNT:
                return False
            found[target] = value
        if self._kind is not None:
            name, kinds = self._kind
            kind = kinds.get(attributes[name].lower()) or kinds.get("")
            if kind is not None:
                found["kind"] = kind
        for name in self._left:
            left[name] = attributes[name]
        for name, side, rank in self._contents:
            contents.put(side, rank, attributes[name])
        return True


_UNSEEN = Layout([])


class Table:
    """Rules by attribute. Numbered ones are learned when they are first seen."""

    def __init__(self, conventions: tuple[Convention, ...] = CONVENTIONS) -> None:
        self.rules: dict[str, Rule] = {}
        self.event_roles: dict[str, str] = {}
        self.event_contents: set[str] = set()
        self._families: list[tuple[re.Pattern[str], Rule]] = []
        self._layouts: dict[tuple[str, ...], Layout | None] = {}
        for rank, convention in enumerate(conventions):
            self.event_roles |= convention.event_roles
            self.event_contents |= set(convention.event_contents)
            for name, rule in _rules(convention, rank * 10):
                self._add(name, rule)
            for one in convention.numbered:
                rule = Rule(NUMBERED, one.side, rank * 10, wrap=one.wrap)
                self._families.append((re.compile(re.escape(one.prefix) + r"(\d{1,4})\.(.{1,200})", re.DOTALL), rule))

    def find(self, name: str) -> Rule:
        """The rule of an attribute; `PLAIN_RULE` for one that no convention knows."""
        rule = PLAIN_RULE
        for pattern, family in self._families:
            match = pattern.fullmatch(name)
            if match is not None:
                parts = (int(part) if part.isdecimal() and len(part) < 5 else part for part in match[2].split("."))
                path: tuple[str | int, ...] = (int(match[1]), *parts)
                rule = msgspec.structs.replace(family, path=path)
                break
        if len(self.rules) < _LEARNED_MOST and len(name) < 256:
            self.rules[name] = rule
        return rule

    def layout(self, attributes: Attributes) -> Layout | None:
        """What attributes of these names mean, found out once, since a program's spans have few sets of them in an order that stays; None
        where each has to be looked at."""
        names = tuple(attributes)
        held = self._layouts.get(names, _UNSEEN)
        if held is not _UNSEEN:
            return held
        if len(names) > _NAMES_MOST or sum(map(len, names)) > _NAMED_MOST:
            return None
        if len(self._layouts) >= _LAYOUTS_MOST:
            self._layouts.clear()
        rules = [(name, self.rules.get(name) or self.find(name)) for name in names]
        targets = [rule.target for _, rule in rules if rule.does in {TEXT, COUNT}] + ["kind" for _, rule in rules if rule.kinds]
        plain = all(rule.does in _SIMPLE for _, rule in rules) and len(targets) == len(set(targets))
        found = self._layouts[names] = Layout(rules) if plain else None
        return found

    def _add(self, name: str, rule: Rule) -> None:
        held = self.rules.get(name)
        if held is None:
            self.rules[name] = rule
        elif rule.does == KIND and held.does == TEXT:
            self.rules[name] = msgspec.structs.replace(held, kinds={**rule.values, **held.kinds}, kind_rank=rule.rank)


def _rules(one: Convention, rank: int) -> Iterator[tuple[str, Rule]]:
    for step, (name, target) in enumerate(one.texts.items()):
        yield name, Rule(TEXT, target, rank + min(step, 9))
    for name, target in one.counts.items():
        yield name, Rule(COUNT, target, rank)
    for name, values in one.kinds.items():
        yield name, Rule(KIND, "kind", rank, values=dict(values))
    for name, kind in one.kinds_by_presence.items():
        # Weaker than what is said outright by any.
        yield name, Rule(KIND, "kind", rank + 1000, values={"": kind})
    for name in one.costs:
        yield name, Rule(COST, "cost_micros", rank)
    for name, scale in one.first_token.items():
        yield name, Rule(SECONDS, "first_token_ns", rank, scale=scale)
    for name in one.first_token_at:
        yield name, Rule(MOMENT, "first_token_ns", rank)
    for name, side in one.contents.items():
        yield name, Rule(CONTENT, side, rank)
    for name, values in one.details.items():
        yield name, Rule(DETAILS, "", rank, values=dict(values))
    for name in one.noise:
        yield name, Rule(NOISE)
