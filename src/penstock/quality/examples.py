"""Examples: the items of a dataset, and how one becomes a question."""

from __future__ import annotations

from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct

Key = Annotated[str, Meta(min_length=1, max_length=200)]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One example.

    ``input`` is a text, or messages as OpenAI's chat completions take them. ``target`` is the right answer, or several that are right;
    with ``choices`` a letter (A is the first) or the text of a choice. ``groups`` name the slices that it belongs to
    (``{"language": "de", "team": "claims"}``). ``tests`` is Python that raises when the answer's code is wrong. ``context`` is what an
    answer must be grounded in. ``metadata`` is the owner's own and not looked at.
    """

    id: Key
    input: str | list[dict[str, Any]]
    target: str | int | float | list[str] | None = None
    choices: Annotated[list[str], Meta(max_length=26)] = []
    groups: dict[Key, Key] = {}
    tests: str = ""
    context: str = ""
    metadata: dict[str, Any] = {}

    @property
    def targets(self) -> tuple[str, ...]:
        """Every answer that is right; empty where none is known."""
        if self.target is None:
            return ()
        if isinstance(self.target, list):
            return tuple(self.target)
        return (plain(self.target),)

    @property
    def text(self) -> str:
        """What is asked, as text: the last thing that the user says, with the choices behind it."""
        if isinstance(self.input, str):
            return self.input + self._listed
        said = next((m for m in reversed(self.input) if m.get("role") == "user"), None)
        return (content(said) if said is not None else "") + self._listed

    @property
    def _listed(self) -> str:
        if not self.choices:
            return ""
        rows = "\n".join(f"{letter}) {choice}" for letter, choice in zip(LETTERS, self.choices, strict=False))
        return f"\n\n{rows}\n\nAnswer with the letter of the right choice."

    def messages(self, system: str = "") -> list[dict[str, Any]]:
        """The conversation that a candidate is asked to go on with."""
        head = [{"role": "system", "content": system}] if system else []
        if isinstance(self.input, str):
            return [*head, {"role": "user", "content": self.text}]
        said = [*self.input]
        if self.choices and said and said[-1].get("role") == "user" and isinstance(said[-1].get("content"), str):
            said[-1] = {**said[-1], "content": said[-1]["content"] + self._listed}
        return [*head, *said]


def plain(value: str | int | float) -> str:
    """A number as people write it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def content(message: dict[str, Any]) -> str:
    """The text of a message, whose content is a text or parts."""
    found = message.get("content")
    if isinstance(found, str):
        return found
    if isinstance(found, list):
        parts = [cast("dict[str, Any]", part) for part in cast("list[Any]", found) if isinstance(part, dict)]
        return "\n".join(str(part["text"]) for part in parts if "text" in part)
    return ""


def fault_of(item: Item) -> str | None:
    """What is wrong with an item whose types are right, if anything."""
    if isinstance(item.input, str):
        if not item.input.strip():
            return "`input` is empty"
    elif not item.input:
        return "`input` has no messages"
    else:
        for number, message in enumerate(item.input):
            if message.get("role") not in ROLES:
                return f"`input[{number}].role` must be one of {', '.join(sorted(ROLES))}"
            if not isinstance(message.get("content"), str | list) and "tool_calls" not in message:
                return f"`input[{number}].content` must be a text or parts"
    if item.choices:
        letters = LETTERS[: len(item.choices)]
        wrong = [t for t in item.targets if t.strip().upper() not in letters and t not in item.choices]
        if wrong:
            return f"`target` {wrong[0][:40]!r} is neither a letter from A to {letters[-1]} nor one of the choices"
    return None


item_decoder = msgspec.json.Decoder(Item)

__all__ = ["LETTERS", "Item", "content", "fault_of", "item_decoder", "plain"]
