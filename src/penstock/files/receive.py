"""Reading an upload: a form whose file goes to disk while it arrives, whatever stands before or behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from penstock.files.service import Draft, FileService
from penstock.files.wire import ANTHROPIC_PURPOSE, OPENAI_PURPOSES
from penstock.kernel.errors import BodyTooLarge, MalformedRequest
from penstock.kernel.form import OCTETS, Field, FileBegin, FileEnd, FormReader, is_form
from penstock.kernel.ports import FileInfo
from penstock.kernel.vendor import Asked

AROUND_BYTES = 4 * 1024 * 1024
"""How much longer than its file a form may be."""
SHORTEST_LIFE = 3600
OPENAI_LONGEST_LIFE = 2_592_000
ANTHROPIC_LONGEST_LIFE = 7_776_000
_KNOWN = ("file", "purpose", "expires_after[anchor]", "expires_after[seconds]", "expires_in_seconds")


async def receive(asked: Asked, service: FileService) -> FileInfo:
    """Store the file that a form holds. Raises what is wrong with the form or its values; then nothing is kept."""
    content_type = asked.header("content-type")
    if not is_form(content_type):
        raise MalformedRequest("A file is uploaded as multipart/form-data with a field 'file'.", param="file")
    declared, most = asked.declared, service.settings.max_file_bytes
    if declared is not None and declared > most + AROUND_BYTES:
        raise BodyTooLarge(f"body of {declared} bytes; files.max_file_bytes is {most}", param="file")
    upload = _Upload(asked, service)
    try:
        await upload.read(FormReader(str(content_type)), asked.pieces())
        return await upload.keep()
    finally:
        await upload.drop()


class _Upload:
    """One form: its values, and its file as far as it has come."""

    def __init__(self, asked: Asked, service: FileService) -> None:
        self._anthropic = asked.anthropic
        self._principal = asked.principal
        self._service = service
        self._values: dict[str, str] = {}
        self._begin: FileBegin | None = None
        self._draft: Draft | None = None

    async def read(self, reader: FormReader, pieces: AsyncIterator[bytes]) -> None:
        """Read the whole form."""
        async for piece in pieces:
            for event in reader.feed(piece):
                match event:
                    case Field():
                        self._value(event)
                    case FileBegin():
                        await self._file(event)
                    case FileEnd():
                        pass
                    case bytes():
                        assert self._draft is not None
                        await self._draft.write(event)
        reader.close()

    async def keep(self) -> FileInfo:
        """Make a file of it."""
        if self._begin is None or self._draft is None:
            raise MalformedRequest("The field 'file' is missing, or is not a file.", param="file")
        return await self._draft.keep(
            name=self._begin.filename,
            purpose=self._purpose(),
            media=_media(self._begin.media),
            created_by=self._principal.key_id,
            lifetime=self._lifetime(),
        )

    async def drop(self) -> None:
        """Forget what arrived, unless it was kept."""
        if self._draft is not None:
            await self._draft.drop()

    def _value(self, field: Field) -> None:
        if field.name not in _KNOWN:
            raise MalformedRequest(f"{field.name!r} is not known here; known: {', '.join(_KNOWN)}.", param=field.name)
        if field.name in self._values:
            raise MalformedRequest(f"{field.name!r} is given more than once.", param=field.name)
        self._values[field.name] = field.value
        if field.name == "purpose":
            self._purpose()  # a wrong one is refused before the file has come

    async def _file(self, begin: FileBegin) -> None:
        if begin.name != "file":
            raise MalformedRequest(f"A file is not expected as {begin.name!r}, only as 'file'.", param=begin.name)
        if self._begin is not None:
            raise MalformedRequest("There are two files; each is uploaded by itself.", param="file")
        self._begin = begin
        self._draft = await self._service.begin(self._principal.organisation)

    def _purpose(self) -> str:
        purpose = self._values.get("purpose")
        if purpose is None:
            if self._anthropic:
                return ANTHROPIC_PURPOSE
            raise MalformedRequest("The field 'purpose' is missing.", param="purpose")
        if purpose not in OPENAI_PURPOSES:
            raise MalformedRequest(f"'purpose' must be one of {', '.join(OPENAI_PURPOSES)}.", param="purpose")
        return purpose

    def _lifetime(self) -> float | None:
        values = self._values
        if "expires_in_seconds" in values:
            return _seconds(values["expires_in_seconds"], "expires_in_seconds", ANTHROPIC_LONGEST_LIFE)
        anchor, seconds = values.get("expires_after[anchor]"), values.get("expires_after[seconds]")
        if anchor is None and seconds is None:
            return None
        if anchor != "created_at":
            raise MalformedRequest("'expires_after[anchor]' must be 'created_at'.", param="expires_after")
        if seconds is None:
            raise MalformedRequest("'expires_after[seconds]' is missing.", param="expires_after")
        return _seconds(seconds, "expires_after[seconds]", OPENAI_LONGEST_LIFE)


def _seconds(text: str, name: str, most: int) -> float:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and SHORTEST_LIFE <= int(text) <= most):
        raise MalformedRequest(f"{name!r} must be a whole number from {SHORTEST_LIFE} to {most}.", param=name)
    return float(text)


def _media(media: str) -> str:
    return media if len(media) <= 200 else OCTETS
