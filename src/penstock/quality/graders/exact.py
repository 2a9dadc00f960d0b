"""The answer is the target: letter by letter, case and white space aside where the judge says so."""

from __future__ import annotations

import re

from penstock.quality.examples import LETTERS, Item
from penstock.quality.graders.grade import Grade, judged, unjudged
from penstock.quality.graders.matching import Matcher, TooSlow

_LETTER = re.compile(r"(?:answer(?:\s+is)?|choice|option)?\s*[:=]?\s*[*_(\[]*([A-Z])[*_)\].:]*(?=$|\s)", re.IGNORECASE)
_ONLY = re.compile(r"[\s*_(\[]*([A-Za-z])[*_)\].:]*(?:$|\s)")


class Exact:
    """``pattern`` says where in the answer the compared part stands; without one it is the whole answer."""

    name = "exact"
    compares = False

    def __init__(self, matcher: Matcher, *, pattern: str | None, ignore_case: bool) -> None:
        self._matcher = matcher
        self._pattern = pattern
        self._ignore = ignore_case

    async def grade(self, item: Item, answer: str, against: str | None = None) -> Grade:
        """1 for a right answer, 0 for a wrong one; `unjudged` without a target."""
        if not item.targets:
            return unjudged("the item has no target")
        said: str | None = answer
        if self._pattern is not None:
            try:
                said = await self._matcher.last(self._pattern, answer, re.IGNORECASE if self._ignore else 0)
            except TooSlow as fault:
                return unjudged(str(fault))
            if said is None:
                return judged(0.0, "nothing in the answer matches the pattern")
        elif item.choices:
            said = chosen(item, answer)
            if said is None:
                return judged(0.0, "the answer names no choice")
        wanted = {self._plain(target) for target in (letters(item) if item.choices else item.targets)}
        said = self._plain(letter_of(item, said) if item.choices else said)
        return judged(1.0 if said in wanted else 0.0, f"read as {said[:80]!r}" if said != self._plain(answer) else "")

    def _plain(self, text: str) -> str:
        text = " ".join(text.split()).strip().rstrip(".")
        return text.casefold() if self._ignore else text


def letters(item: Item) -> tuple[str, ...]:
    """The letters of the right choices."""
    return tuple(letter_of(item, target) for target in item.targets)


def letter_of(item: Item, said: str) -> str:
    """The letter of a choice that is named by its letter or its text."""
    return LETTERS[item.choices.index(said)] if said in item.choices else said.strip().upper()


def chosen(item: Item, answer: str) -> str | None:
    """The letter of the choice that an answer names: alone, at its beginning, after "Answer:", or by its text; None when it names none."""
    text = answer.strip()
    among = LETTERS[: len(item.choices)]
    if (only := _ONLY.match(text)) is not None and only[1].upper() in among:
        return only[1].upper()
    named = [found[1].upper() for found in re.finditer(r"(?i)answer(?:\s+is)?\s*[:=]?\s*[*_(\[]*([A-Za-z])(?![A-Za-z])", text)]
    if named and named[-1] in among:
        return named[-1]
    last = text.splitlines()[-1] if text else ""
    if (found := _LETTER.fullmatch(last.strip())) is not None and found[1].upper() in among:
        return found[1].upper()
    by_text = [letter for letter, choice in zip(among, item.choices, strict=True) if choice and choice.casefold() in text.casefold()]
    return by_text[0] if len(by_text) == 1 else None


__all__ = ["Exact", "chosen"]
