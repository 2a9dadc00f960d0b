"""A stored file that a call names is put into the request: no provider knows our ids.

What is replaced, wherever it stands in the conversation: OpenAI's ``input_file`` and ``input_image`` with a ``file_id`` (responses),
``file`` with ``file.file_id`` (chat completions), and Anthropic's ``document`` and ``image`` whose source is a ``file``. Ids that are
not of our making go through untouched: they may mean something to the provider.
"""

from __future__ import annotations

import base64
import re
from typing import Any, cast

import msgspec
from msgspec import Raw

from penstock.files.service import ID, FileService
from penstock.kernel.call import Call, Reply
from penstock.kernel.errors import BodyTooLarge, MalformedRequest
from penstock.kernel.ports import FileInfo
from penstock.kernel.stage import Proceed, Slot

_CONVERSATIONS = ("input", "messages")
_CONTINUED = "openai.responses"
_MAYBE = b'"file_'
_NAMED = re.compile(rb'"file_[0-9a-f]{32}"')
_DEEPEST = 12
TOKENS_OF_A_FILE = 1000
"""What the gateway's own estimate counts for content that is no text."""


class InlineFiles:
    """Replaces the ids of stored files by their content; a file of another organisation is not found."""

    name = "files"
    slot = Slot.INSPECT

    def __init__(self, service: FileService, most: int) -> None:
        self._service = service
        self._most = most

    def concerns(self, call: Call) -> bool:
        """Whether the call may name a file; what a response continues is not in the body that came."""
        return _MAYBE in call.body or call.shape == _CONTINUED

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        for name in _CONVERSATIONS:
            raw = call.fields.get(name)
            if raw is not None and call.principal is not None and _MAYBE in bytes(raw) and _NAMED.search(raw) is not None:
                await self._resolve(call, name, raw)
        return await proceed(call)

    async def _resolve(self, call: Call, name: str, raw: Raw) -> None:
        conversation = msgspec.json.decode(raw)
        found: list[dict[str, Any]] = []
        _find(conversation, found, 0)
        if not found:
            return
        assert call.principal is not None
        reach, room, texts = call.principal.reach, self._most, 0
        for part in found:
            file = await self._service.get(reach, _id(part) or "")
            room -= file.size
            if room < 0:
                raise BodyTooLarge(
                    f"the stored files that the call names are longer than files.max_inline_bytes ({self._most}) together", param=name
                )
            data = b"".join([piece async for piece in self._service.read(reach, file.id)])
            texts += _put(part, file, data)
        call.fields[name] = Raw(msgspec.json.encode(conversation))
        call.input_estimate += TOKENS_OF_A_FILE * len(found) + texts // 4
        if call.expected is not None:
            call.expected.input = max(call.expected.input, call.input_estimate)


def _find(value: Any, found: list[dict[str, Any]], depth: int) -> None:
    """Collect the parts that name a file of ours. Only content is looked into, never arguments or texts."""
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for one in cast("list[Any]", value):
            _find(one, found, depth + 1)
    elif isinstance(value, dict):
        part = cast("dict[str, Any]", value)
        if _id(part) is not None:
            found.append(part)
            return
        for name in ("content", "output"):
            if isinstance(part.get(name), list):
                _find(part[name], found, depth + 1)


def _id(part: dict[str, Any]) -> str | None:
    """The id of ours that a part names where it may; None when there is none."""
    kind = part.get("type")
    if kind in ("input_file", "input_image"):
        holder: Any = part
    elif kind == "file":
        holder = part.get("file")
    elif kind in ("document", "image"):
        holder = part.get("source")
        if isinstance(holder, dict) and cast("dict[str, Any]", holder).get("type") != "file":
            return None
    else:
        return None
    if not isinstance(holder, dict):
        return None
    id = cast("dict[str, Any]", holder).get("file_id")
    return id if isinstance(id, str) and ID.fullmatch(id) is not None else None


def _put(part: dict[str, Any], file: FileInfo, data: bytes) -> int:
    """Put the content where the id stood; the bytes of text that this adds."""
    kind = part["type"]
    if kind == "input_file":
        del part["file_id"]
        part["filename"] = part.get("filename") or file.name
        part["file_data"] = _url(file, data)
    elif kind == "input_image":
        del part["file_id"]
        part["image_url"] = _url(file, data)
    elif kind == "file":
        part["file"] = {"filename": file.name, "file_data": _url(file, data)}
    elif kind == "document" and file.media.partition(";")[0] == "text/plain":
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise MalformedRequest(f"the stored file {file.id} is text/plain by its name, but not UTF-8", param="file_id") from None
        part["source"] = {"type": "text", "media_type": "text/plain", "data": text}
        part.setdefault("title", file.name)
        return len(data)
    else:
        media = file.media.partition(";")[0]
        part["source"] = {"type": "base64", "media_type": media, "data": base64.b64encode(data).decode()}
        if kind == "document":
            part.setdefault("title", file.name)
    return 0


def _url(file: FileInfo, data: bytes) -> str:
    return f"data:{file.media};base64,{base64.b64encode(data).decode()}"
