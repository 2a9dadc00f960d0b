"""Reading a JSON object field by field, with errors that name the place, and with what nobody took left over.

Requests are read this way, because a field that nobody understands must neither be lost nor silently ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw

from penstock.gateway.shapes.body import decode
from penstock.kernel.errors import MalformedRequest

T = TypeVar("T")

_TEXT = msgspec.json.Decoder(str | None)
_FLAG = msgspec.json.Decoder(bool | None)
_WHOLE = msgspec.json.Decoder(int | None)
_NUMBER = msgspec.json.Decoder(float | None)
_TEXTS = msgspec.json.Decoder(list[str] | None)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_NULL = b"null"


def is_text(raw: Raw) -> bool:
    """Whether the value is a JSON string."""
    return bytes(memoryview(raw)[:1]) == b'"'


def is_list(raw: Raw) -> bool:
    """Whether the value is a JSON array."""
    return bytes(memoryview(raw)[:1]) == b"["


class Reader:
    """One JSON object; ``path`` is where it stands, such as ``messages[2].content[0]``. Reading a field takes it away.

    A field that is null reads as one that is absent. Wrong types raise `MalformedRequest` with the field's place as ``param``.
    """

    __slots__ = ("_fields", "path")

    def __init__(self, fields: Mapping[str, Raw], path: str = "") -> None:
        self._fields = dict(fields)
        self.path = path

    @classmethod
    def of(cls, raw: Raw, path: str) -> Reader:
        """A reader of ``raw``, which must be an object."""
        return cls(decode(_OBJECT, raw, f"'{path}'", path), path)

    def at(self, name: str) -> str:
        """The place of a field."""
        return f"{self.path}.{name}" if self.path else name

    def raw(self, name: str) -> Raw | None:
        """The field as it is written."""
        value = self._fields.pop(name, None)
        return None if value is None or bytes(memoryview(value)[:5]) == _NULL else value

    def peek(self, name: str) -> Raw | None:
        """The field, without taking it."""
        return self._fields.get(name)

    def put_back(self, name: str, raw: Raw) -> None:
        """Leave a field that was taken to `rest` after all."""
        self._fields[name] = raw

    def _take(self, name: str, decoder: msgspec.json.Decoder[T]) -> T | None:
        value = self._fields.pop(name, None)
        return None if value is None else decode(decoder, value, f"'{self.at(name)}'", self.at(name))

    def text(self, name: str) -> str | None:
        """A string."""
        return self._take(name, _TEXT)

    def need(self, name: str) -> str:
        """A string that must be there."""
        value = self._take(name, _TEXT)
        if value is None:
            raise self.fault(name, "is missing")
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean."""
        return self._take(name, _FLAG)

    def whole(self, name: str) -> int | None:
        """An integer."""
        return self._take(name, _WHOLE)

    def number(self, name: str) -> float | None:
        """A number."""
        return self._take(name, _NUMBER)

    def texts(self, name: str) -> tuple[str, ...]:
        """An array of strings; empty when absent."""
        return tuple(self._take(name, _TEXTS) or ())

    def object(self, name: str) -> Reader | None:
        """An object."""
        raw = self.raw(name)
        return None if raw is None else Reader.of(raw, self.at(name))

    def objects(self, name: str) -> list[Reader]:
        """An array of objects; empty when absent."""
        return [Reader.of(raw, path) for raw, path in self.items(name)]

    def items(self, name: str) -> list[tuple[Raw, str]]:
        """The elements of an array, each with its place; empty when absent."""
        raw = self.raw(name)
        if raw is None:
            return []
        path = self.at(name)
        return [(item, f"{path}[{index}]") for index, item in enumerate(decode(_LIST, raw, f"'{path}'", path))]

    def fault(self, name: str, what: str) -> MalformedRequest:
        """The error that says ``what`` is wrong with a field."""
        place = self.at(name)
        return MalformedRequest(f"'{place}' {what}.", param=place)

    def rest(self) -> dict[str, Raw]:
        """What nobody took, nulls left out."""
        return {name: value for name, value in self._fields.items() if bytes(memoryview(value)[:5]) != _NULL}
