"""JSON as Google's APIs take it: proto3's mapping, in which a field goes by two names and a list of one may stand bare.

``system_instruction`` and ``systemInstruction`` are the same field (https://protobuf.dev/programming-guides/json/), and Google's servers
take one object where a list belongs; their own examples are written both ways. What is the user's own JSON (arguments, results, JSON
Schemas) is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from penstock.gateway.shapes.body import decode
from penstock.gateway.shapes.reader import Reader, is_list, is_text

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_SNAKE = re.compile(r"_+([a-z0-9])")


def camel(name: str) -> str:
    """A field's name as Google's documentation writes it."""
    return _SNAKE.sub(lambda found: found[1].upper(), name) if "_" in name else name


def reader(fields: Mapping[str, Raw], path: str = "") -> Reader:
    """A reader of one message, by the names of the documentation."""
    return Reader({camel(name): raw for name, raw in fields.items()}, path)


def message(r: Reader, name: str) -> Reader | None:
    """A field that is a message; None when absent."""
    raw = r.raw(name)
    return None if raw is None else _message(raw, r.at(name))


def messages(r: Reader, name: str) -> list[Reader]:
    """A field that is a list of messages, or a single one; empty when absent."""
    raw = r.raw(name)
    if raw is None:
        return []
    if not is_list(raw):
        return [_message(raw, r.at(name))]
    r.put_back(name, raw)
    return [_message(item, path) for item, path in r.items(name)]


def texts(r: Reader, name: str) -> tuple[str, ...]:
    """A field that is a list of strings, or a single one; empty when absent."""
    raw = r.peek(name)
    if raw is not None and is_text(raw):
        return (r.need(name),)
    return r.texts(name)


def _message(raw: Raw, path: str) -> Reader:
    return reader(decode(_OBJECT, raw, f"'{path}'", path), path)
