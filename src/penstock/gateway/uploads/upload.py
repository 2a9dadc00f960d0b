"""A form that is sent on while it arrives.

Its beginning is held, so that small forms are known whole before anything is decided, and may be sent again. Of a large one no more is
held than it takes to know the model; the rest goes straight through, and then there is no second try.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from msgspec import Raw

from penstock.kernel.errors import BodyTooLarge, MalformedRequest
from penstock.kernel.form import Event, Field, FileBegin, FileEnd, FormReader

HELD_BYTES = 1024 * 1024
"""Forms up to this size are held whole."""
LONGEST_MODEL = 512
FIRST_BYTES = 4096
"""How much of a file's beginning is kept to tell what is in it."""


class File:
    """One file of a form: what is told of it, never its content."""

    __slots__ = ("filename", "first", "media", "name", "sha", "size")

    def __init__(self, begin: FileBegin) -> None:
        self.name = begin.name
        self.filename = begin.filename
        self.media = begin.media
        self.size = 0
        self.first = b""
        self.sha = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """More of its bytes."""
        if len(self.first) < FIRST_BYTES:
            self.first += data[: FIRST_BYTES - len(self.first)]
        self.size += len(data)
        self.sha.update(data)

    def described(self) -> dict[str, Any]:
        """As the record keeps it."""
        return {"filename": self.filename, "content_type": self.media, "bytes": self.size, "sha256": self.sha.hexdigest()}


class Form:
    """One form. `begin` reads until the model is known; `encoded` and `passed` give it anew for a provider, `settle` reads it to its end.

    ``pieces`` are the bytes of the body as they come from the client. ``most`` is the largest size of the whole, ``hold`` the largest part
    of it that may be held when the model comes late. ``on_end`` is called once, when everything has arrived. Whatever is wrong with the
    form raises `MalformedRequest` or `BodyTooLarge`, from whichever method meets it.
    """

    def __init__(self, content_type: str, pieces: AsyncIterator[bytes], *, declared: int | None, most: int, hold: int) -> None:
        self._reader = FormReader(content_type)
        self._source = pieces
        self._most = most
        self._hold = hold
        self._held: list[Event] = []
        self._read = 0
        self._boundary = secrets.token_hex(16).encode()
        self._passing = False
        self.declared = declared
        self.complete = False
        self.values: dict[str, list[str]] = {}
        self.files: list[File] = []
        self.on_end: Callable[[], None] | None = None

    @property
    def media(self) -> str:
        """The content type of what `encoded` and `passed` give."""
        return f"multipart/form-data; boundary={self._boundary.decode()}"

    @property
    def repeatable(self) -> bool:
        """Whether all that was taken so far is still held."""
        return not self._passing

    def value(self, name: str) -> str | None:
        """The one value of a field, None when it is absent. Raises `MalformedRequest` when it is given twice, or is a file."""
        found = self.values.get(name, [])
        if len(found) > 1:
            raise MalformedRequest(f"'{name}' is given more than once.", param=name)
        if not found and any(file.name == name for file in self.files):
            raise MalformedRequest(f"'{name}' must be a value, not a file.", param=name)
        return found[0] if found else None

    def model(self) -> str:
        """The model that was asked for, which every form must name. Raises `MalformedRequest`."""
        model = self.value("model")
        if not model:
            raise MalformedRequest("The field 'model' is missing.", param="model")
        if len(model) > LONGEST_MODEL:
            raise MalformedRequest(f"'model' is longer than {LONGEST_MODEL} characters.", param="model")
        return model

    def flag(self, name: str) -> bool:
        """A field that is true or false, false when absent. Raises `MalformedRequest`."""
        value = self.value(name)
        if value not in (None, "true", "false", "True", "False"):
            raise MalformedRequest(f"'{name}' must be true or false.", param=name)
        return value in ("true", "True")

    async def begin(self) -> None:
        """Read all of a small form, of a large one until its model is known."""
        while not self.complete and (self._read < HELD_BYTES or not self.values.get("model")):
            if self._read > self._hold:
                raise BodyTooLarge(
                    f"more than gateway.max_body_bytes ({self._hold}) came before the field 'model'; put it in front of the file",
                    param="model",
                )
            self._held += await self._next()

    def encoded(self, model: str) -> bytes:
        """The whole form, once it is ``complete`` and as long as it is ``repeatable``, with the model named as the provider knows it."""
        return b"".join([*(self._written(event, model) for event in self._held), b"--%s--\r\n" % self._boundary])

    async def passed(self, model: str) -> AsyncIterator[bytes]:
        """The form as it arrives: what is held, then the rest, which is not held any more."""
        for event in self._held:
            yield self._written(event, model)
        while not self.complete:
            self._passing = True
            for event in await self._next():
                if isinstance(event, Field) and event.name == "model":
                    raise MalformedRequest("'model' is given more than once.", param="model")
                yield self._written(event, model)
        yield b"--%s--\r\n" % self._boundary

    async def settle(self) -> None:
        """Read what has not arrived yet, to know its digest."""
        while not self.complete:
            self._passing = True
            await self._next()

    async def discard(self, most: int) -> None:
        """Read and forget up to ``most`` more bytes: who is refused while they send may never see the refusal."""
        while most > 0 and (piece := await anext(self._source, None)) is not None:
            most -= len(piece)

    def fields(self) -> dict[str, Raw]:
        """The form as a JSON object: values as texts, files by name, type, size and digest as far as they have come."""
        told: dict[str, list[Any]] = {name: list(values) for name, values in self.values.items()}
        for file in self.files:
            told.setdefault(file.name, []).append(file.described())
        return {name: Raw(msgspec.json.encode(all[0] if len(all) == 1 else all)) for name, all in told.items()}

    async def _next(self) -> list[Event]:
        piece = await anext(self._source, None)
        if piece is None:
            self._reader.close()
            self.complete = True
            if self.on_end is not None:
                self.on_end()
            return []
        self._read += len(piece)
        if self._read > self._most:
            raise BodyTooLarge(f"body is longer than gateway.max_upload_bytes ({self._most})")
        events = self._reader.feed(piece)
        for event in events:
            match event:
                case Field():
                    self.values.setdefault(event.name, []).append(event.value)
                case FileBegin():
                    self.files.append(File(event))
                case FileEnd():
                    pass
                case bytes():
                    self.files[-1].add(event)
        return events

    def _written(self, event: Event, model: str) -> bytes:
        match event:
            case Field():
                value = model if event.name == "model" else event.value
                return b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (
                    self._boundary,
                    event.name.encode(),
                    value.encode(),
                )
            case FileBegin():
                return b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: %s\r\n\r\n' % (
                    self._boundary,
                    event.name.encode(),
                    event.filename.encode(),
                    event.media.encode(),
                )
            case FileEnd():
                return b"\r\n"
            case bytes():
                return event
