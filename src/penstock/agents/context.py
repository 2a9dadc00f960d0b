"""What of a conversation is sent to its model: all of it while it fits, and then a summary of its older part in that part's place.

A conversation only grows at its end between two summaries, so that a provider's cache of its beginning holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from penstock.kernel.wording import as_text

Message = dict[str, Any]

SHARE_KEPT = 4
"""Of the window a fourth is kept of the newest turns, as they are, when the older ones are summarised."""
LEAST = 200
"""Characters that are kept at least of a text that is cut."""


class Context(Struct, frozen=True, kw_only=True):
    """``window``: the tokens that a question and its answer may have together; what is published of the model if it is None, and no limit
    where nothing is. ``answer``: those that are left for the answer. ``model``: who summarises, the agent's own if it is empty.
    """

    window: int | None = None
    answer: int = 8192
    model: str = ""


def tokens_of(value: Any) -> int:
    """Tokens that JSON has at most, nearly always: one is seldom less than three bytes."""
    return len(msgspec.json.encode(value)) // 3 + 1


class Conversation:
    """The messages so far. ``size`` is what they have in tokens: what the last answer said was used, and an estimate of what came after."""

    def __init__(
        self,
        system: Sequence[Message],
        question: Message,
        tools: Sequence[Mapping[str, Any]],
        window: int | None,
        answer: int,
        *,
        before: Sequence[Message] = (),
    ) -> None:
        """``before`` was said earlier in the thread that it goes on with: the first that a summary may stand for."""
        self.messages: list[Message] = [*system, *before, question]
        self.window = window
        self._question = question
        self._head = len(system) + (0 if before else 1)
        self._answer = min(answer, window // 4) if window is not None else answer
        self._tools = tokens_of(tools) if tools else 0
        self.size = self._tools + tokens_of(self.messages)

    def add(self, message: Message) -> None:
        """Something new."""
        self.messages.append(message)
        self.size += tokens_of(message)

    def answered(self, message: Message, tokens: int) -> None:
        """The model's turn, and what the whole had with it, where that is known."""
        self.add(message)
        if tokens:
            self.size = tokens

    @property
    def full(self) -> bool:
        """Whether the next question leaves too little for its answer."""
        return self.window is not None and self.size + self._answer > self.window

    def older(self) -> list[Message]:
        """The turns that a summary may stand for: all but the beginning and the newest. Empty where that is none, or an earlier summary."""
        found = self._before(self._cut())
        return found if len(found) > 1 else []

    def _before(self, cut: int) -> list[Message]:
        """All but the beginning and the question itself, which stays as it is."""
        return [one for one in self.messages[self._head : cut] if one is not self._question]

    def prompt(self, older: Sequence[Message]) -> str:
        """The older turns as text for who summarises them, cut where even that would not fit."""
        assert self.window is not None
        whole = (self.window - self._answer) * 2
        each = max(LEAST, whole // max(1, len(older)) - 80)
        return _shortened("\n\n".join(f"{one['role']}: {_shortened(_text(one), each)}" for one in older), whole)

    def summarise(self, summary: str) -> None:
        """Put a summary in the place of the older turns, and say so; without one, say what was left out. What is still too long is cut."""
        cut = self._cut()
        older = self._before(cut)
        pinned = [self._question] if any(one is self._question for one in self.messages[self._head : cut]) else []
        tokens = sum(tokens_of(one) for one in older)
        note = f"[{len(older)} earlier messages, about {tokens} tokens, were left out here to make room."
        note += f" What they said, in short:]\n{summary}" if summary else f" They called: {_called(older)}.]"
        newest = self.messages[cut:]
        self.messages[self._head :] = [*([{"role": "user", "content": note}] if older else []), *pinned, *newest]
        self._measure()
        if self.full:
            self._shorten()

    def _cut(self) -> int:
        """Where the newest turns begin: at a turn of the model, so that no result stands without its call."""
        assert self.window is not None
        room, size = self.window // SHARE_KEPT, 0
        begins = len(self.messages)
        for place in range(len(self.messages) - 1, self._head - 1, -1):
            size += tokens_of(self.messages[place])
            if size > room and begins < len(self.messages):
                break
            if self.messages[place]["role"] == "assistant":
                begins = place
        return begins if begins > self._head else self._head

    def _measure(self) -> None:
        self.size = self._tools + tokens_of(self.messages)

    def _shorten(self) -> None:
        """Cut results of tools that no summary can stand for, the longest first, until there is room."""
        assert self.window is not None
        for place in sorted(range(self._head, len(self.messages)), key=lambda at: -len(_text(self.messages[at]))):
            if not self.full:
                return
            message = self.messages[place]
            if message is self._question:
                continue
            over = (self.size + self._answer - self.window) * 3
            text = _text(message)
            # A new message: the old one may have been handed out.
            self.messages[place] = {**message, "content": _shortened(text, max(LEAST, len(text) - over - 64))}
            self._measure()


def _text(message: Message) -> str:
    content = message.get("content") or ""
    text = as_text(content)
    calls = message.get("tool_calls")
    return f"{text}\n{msgspec.json.encode(calls).decode()}" if calls and not text else text


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]}\n[{len(text) - room} more characters were left out to make room]"


def _called(messages: Sequence[Message]) -> str:
    names: dict[str, int] = {}
    for one in messages:
        for call in one.get("tool_calls") or ():
            name = call["function"]["name"]
            names[name] = names.get(name, 0) + 1
    return ", ".join(f"{name} {times}x" for name, times in names.items()) or "no tools"
