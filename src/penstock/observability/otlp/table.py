"""All conventions as one table by attribute, with what each of them means."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

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


class Table:
    """Rules by attribute. Numbered ones are learned when they are first seen."""

    def __init__(self, conventions: tuple[Convention, ...] = CONVENTIONS) -> None:
        self.rules: dict[str, Rule] = {}
        self.event_roles: dict[str, str] = {}
        self.event_contents: set[str] = set()
        self._families: list[tuple[re.Pattern[str], Rule]] = []
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
