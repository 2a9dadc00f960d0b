"""Content that is not text: data URLs, base64 and MIME types."""

from __future__ import annotations

import base64
import binascii
import urllib.parse

from penstock.kernel.errors import MalformedRequest
from penstock.kernel.messages import Inline, Link

_BY_SUFFIX = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
    "html": "text/html",
    "xml": "text/xml",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

_MEDIA = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mpeg": "video/mpeg",
}


def kind_of(url: str) -> str | None:
    """The MIME type that the end of a URL's path tells; None when it tells none."""
    suffix = url.partition("?")[0].rpartition(".")[2].lower()
    return _MEDIA.get(suffix) or _BY_SUFFIX.get(suffix)


def from_url(url: str, place: str) -> Inline | Link:
    """What a URL stands for: a ``data:`` URL holds the content itself (RFC 2397), any other leads to it."""
    if url[:5].lower() != "data:":
        return Link(url)
    head, comma, data = url[5:].partition(",")
    if not comma:
        raise MalformedRequest(f"'{place}' is a data URL without a comma.", param=place)
    media_type, *parameters = head.split(";")
    if "base64" in parameters:
        return Inline(media_type or "text/plain", data)
    return Inline(media_type or "text/plain", base64.b64encode(urllib.parse.unquote_to_bytes(data)).decode())


def to_url(source: Inline | Link) -> str:
    """The URL for a source, a ``data:`` URL when the content is at hand."""
    return source.url if isinstance(source, Link) else f"data:{source.media_type};base64,{source.data}"


def from_file_data(data: str, name: str | None, place: str) -> Inline | Link:
    """The content of a file given as a data URL, or as bare base64 whose type the file's name tells (default: PDF)."""
    if data[:5].lower() == "data:":
        return from_url(data, place)
    suffix = (name or "").rpartition(".")[2].lower()
    return Inline(_BY_SUFFIX.get(suffix, "application/pdf"), data)


def standard(data: str) -> str:
    """Base64 in the common alphabet, padded: Google takes the URL-safe one too, and its SDK sends it; others refuse it."""
    plain = data.replace("-", "+").replace("_", "/")
    return plain + "=" * (-len(plain) % 4)


def text_of(source: Inline) -> str | None:
    """The text inside base64, None when it is not UTF-8 text."""
    try:
        return base64.b64decode(source.data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
