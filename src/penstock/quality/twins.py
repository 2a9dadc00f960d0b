"""Twins of items: the same question about somebody of another gender or origin, its right answers and choices changed alike."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Literal, cast

import msgspec

from penstock.quality.bias.pairs import Attribute, Skipped, pair
from penstock.quality.examples import Item

SEED = 0
"""One for all, so that an evaluation that is taken up, and the next one, ask the same twins."""
_BETWEEN = "\0"
"""Between the texts of an item, which are swapped as one: no word spans it, and it is no white space."""

Untwinned = Skipped | Literal["answer_names_others", "tests_name_them"]
"""Why an item has no twin; the last two: its right answer, or its tests, would no longer fit."""


class Twin(msgspec.Struct, frozen=True, kw_only=True):
    """The other side of an item. ``original`` says which side the item itself is (0 or 1) of ``groups``."""

    item: Item
    groups: tuple[str, str]
    original: int


def twin(item: Item, attribute: Attribute, keep: Collection[str] = ()) -> Twin | Untwinned:
    """The item's twin, always the same one; or why it has none."""
    asked = list(_texts(item))
    if any(_BETWEEN in text for text in (*asked, *item.targets)):
        return "nothing_to_swap"
    alone = pair(_BETWEEN.join(asked), attribute, SEED, keep)
    if isinstance(alone, str):
        return alone
    swapped = {old for old, _ in alone.swaps}
    # The answer goes along with the question, so it may name only whom the question names.
    answers = [target for target in item.targets if isinstance(item.target, str | list)]
    both = pair(_BETWEEN.join([*asked, *answers]), attribute, SEED, keep)
    if isinstance(both, str):
        return both
    if any(old.lower() not in {each.lower() for each in swapped} for old, _ in both.swaps):
        return "answer_names_others"
    if item.tests and any(old in item.tests for old in swapped):
        return "tests_name_them"
    changed = iter((both.second if both.original == 0 else both.first).split(_BETWEEN))
    made = _rebuilt(item, changed)
    if isinstance(item.target, list):
        made = msgspec.structs.replace(made, target=[next(changed) for _ in item.target])
    elif isinstance(item.target, str):
        made = msgspec.structs.replace(made, target=next(changed))
    return Twin(item=made, groups=both.groups, original=both.original)


def _texts(item: Item) -> Iterator[str]:
    """Every text that a model reads, in the order in which `_rebuilt` takes them."""
    if isinstance(item.input, str):
        yield item.input
    else:
        for message in item.input:
            yield from _said(message)
    yield from item.choices
    yield item.context


def _said(message: dict[str, Any]) -> Iterator[str]:
    told = message.get("content")
    if isinstance(told, str):
        yield told
    elif isinstance(told, list):
        for part in cast("list[Any]", told):
            if isinstance(part, dict) and isinstance(text := cast("dict[str, Any]", part).get("text"), str):
                yield text


def _rebuilt(item: Item, texts: Iterator[str]) -> Item:
    given = next(texts) if isinstance(item.input, str) else [_resaid(message, texts) for message in item.input]
    choices = [next(texts) for _ in item.choices]
    return msgspec.structs.replace(item, input=given, choices=choices, context=next(texts))


def _resaid(message: dict[str, Any], texts: Iterator[str]) -> dict[str, Any]:
    told = message.get("content")
    if isinstance(told, str):
        return {**message, "content": next(texts)}
    if not isinstance(told, list):
        return message
    parts: list[Any] = []
    for part in cast("list[Any]", told):
        if isinstance(part, dict) and isinstance(cast("dict[str, Any]", part).get("text"), str):
            parts.append({**cast("dict[str, Any]", part), "text": next(texts)})
        else:
            parts.append(part)
    return {**message, "content": parts}


__all__ = ["SEED", "Twin", "Untwinned", "twin"]
