"""What went into a span and what came out of it, gathered from wherever its attributes and events say it."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast

import msgspec

from penstock.observability.otlp import messages
from penstock.observability.otlp.messages import Message

SIDES = ("input", "output")
_TALKS = frozenset({"call", "agent", "chain", "step", "span"})
"""Kinds whose plain inputs and outputs may be messages; a tool's arguments never are."""


class Contents:
    """Gathers for one span. ``put`` what attributes say, ``number`` for numbered ones, ``say`` for events; then ask ``side``."""

    __slots__ = ("_held", "_lists", "_said", "repaired")

    def __init__(self, repaired: Counter[str]) -> None:
        self._held: dict[str, tuple[int, Any]] = {}
        self._lists: dict[str, tuple[int, str, dict[str | int, Any]]] = {}
        self._said: dict[str, list[Message]] = {}
        self.repaired = repaired

    def __bool__(self) -> bool:
        return bool(self._held or self._lists or self._said)

    @property
    def talks(self) -> bool:
        """Whether there are messages, said as such."""
        return bool(self._said) or any(f"{side}.messages" in held for held in (self._held, self._lists) for side in SIDES)

    def put(self, side: str, rank: int, value: Any) -> None:
        """``value`` for a side; the least ``rank`` stays, the first among equals."""
        held = self._held.get(side)
        if held is None or rank < held[0]:
            self._held[side] = (rank, value)

    def number(self, side: str, rank: int, wrap: str, path: tuple[str | int, ...], value: Any) -> None:
        """One leaf of a numbered list."""
        held = self._lists.get(side)
        if held is None or rank < held[0]:
            held = self._lists[side] = (rank, wrap, {})
        elif rank > held[0]:
            return
        node: dict[str | int, Any] = held[2]
        for step in path[:-1]:
            node = _below(node, step)
        node[path[-1]] = value

    def say(self, side: str, message: Message) -> None:
        """A message that an event told."""
        self._said.setdefault(side, []).append(message)

    def side(self, side: str, kind: str) -> str:
        """What is stored of ``input`` or ``output``; empty for nothing."""
        found = self._messages(side)
        if side == "input":
            system = self._held.get("system")
            if system is not None:
                return _with_system(system[1], found if found is not None else self._plain(side, kind))
        elif found is None and "tools" in self._held:
            found = self._with_tools(kind)
        return found if found is not None else self._plain(side, kind)

    def _messages(self, side: str) -> str | None:
        role = "assistant" if side == "output" else "user"
        numbered = self._lists.get(f"{side}.messages")
        if numbered is not None:
            return _encoded(messages.read(_entries(numbered[2], numbered[1]), role))
        held = self._held.get(f"{side}.messages")
        if held is not None:
            if messages.ready(held[1]):
                return held[1]
            read = messages.read(messages.decoded(held[1]), role)
            if read is None:
                self.repaired["message_unreadable"] += 1
                return messages.text(held[1])
            return _encoded(read)
        if side in self._said:
            return _encoded(self._said[side])
        return None

    def _plain(self, side: str, kind: str) -> str:
        documents = self._lists.get("documents") if side == "output" else self._lists.get("embeddings")
        if documents is not None:
            entries = _entries(documents[2], documents[1])
            if side == "input":
                entries = [entry.get("text") for entry in entries if messages.is_dictionary(entry)]
            return messages.text(entries)
        held = self._held.get("documents") if side == "output" else None
        held = held or self._held.get(side)
        if held is None:
            return ""
        value = held[1]
        if (kind in _TALKS and not isinstance(value, str | int | float)) or (
            isinstance(value, str) and kind in _TALKS and value[:1] in "[{"
        ):
            read = messages.read(messages.decoded(value), "assistant" if side == "output" else "user")
            if read is not None:
                return _encoded(read) or ""
        return messages.text(value)

    def _with_tools(self, kind: str) -> str | None:
        parts: list[Message] = []
        said = self._plain("output", kind)
        if said:
            parts.append({"type": "text", "content": said})
        calls = messages.read({"role": "assistant", "tool_calls": self._held["tools"][1]})
        for message in calls or []:
            parts.extend(message["parts"])
        return _encoded([{"role": "assistant", "parts": parts}])


def _below(node: dict[str | int, Any], step: str | int) -> dict[str | int, Any]:
    held = node.get(step)
    if isinstance(held, dict):
        return cast("dict[str | int, Any]", held)
    made: dict[str | int, Any] = {}
    node[step] = made
    return made


def _encoded(found: list[Message] | None) -> str | None:
    return msgspec.json.encode(found).decode() if found else None


def _with_system(system: Any, rest: str) -> str:
    read = messages.read(messages.decoded(system), "system")
    head = read[0] if read else {"role": "system", "parts": [{"type": "text", "content": messages.text(system)}]}
    head["role"] = "system"
    first = msgspec.json.encode(head).decode()
    if rest.startswith("[{") and '"role":' in rest[:20]:
        return f"[{first},{rest[1:]}"
    following = [{"role": "user", "parts": [{"type": "text", "content": rest}]}] if rest else []
    return f"[{first}{',' if following else ''}{msgspec.json.encode(following).decode()[1:]}"


def _entries(tree: dict[str | int, Any], wrap: str) -> list[Any]:
    made: list[Any] = []
    for number in sorted(key for key in tree if isinstance(key, int)):
        entry = _listed(tree[number])
        made.append(entry[wrap] if wrap and messages.is_dictionary(entry) and wrap in entry else entry)
    return made


def _listed(node: Any) -> Any:
    """Dictionaries whose keys are all numbers become lists."""
    if not messages.is_dictionary(node):
        return node
    if node and all(isinstance(key, int) for key in node):
        return [_listed(node[key]) for key in sorted(node)]
    return {str(key): _listed(value) for key, value in node.items()}
