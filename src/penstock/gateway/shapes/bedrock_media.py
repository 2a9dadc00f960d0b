"""Pictures, sound, moving pictures and documents as Converse takes them: a format in one word, and bytes or an object in S3.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import base64
import re
from typing import Any

from penstock.gateway.shapes import media
from penstock.gateway.shapes.expressible import Audit
from penstock.kernel import messages as m

_OFFICE = "application/vnd.openxmlformats-officedocument."
_FORMATS = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
    "video/x-matroska": "mkv",
    "video/quicktime": "mov",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/mp4": "m4a",
    "audio/webm": "webm",
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    f"{_OFFICE}wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9\s\-()\[\]]+")
_SPACES = re.compile(r"\s+")
LONGEST_NAME = 200


def medium(part: m.Image | m.Audio | m.Video, audit: Audit) -> dict[str, Any]:
    """The block for a picture, a sound or a film. Raises `NotExpressible` for what is neither at hand nor in S3."""
    kind = type(part).__name__.lower()
    if isinstance(part.source, m.Stored):
        raise audit.refuse("content", "a file that was uploaded to one provider is not known to another")
    return {kind: {"format": _format(part.source, kind, audit), "source": _source(part.source, audit)}}


def document(part: m.File, number: int, audit: Audit) -> dict[str, Any]:
    """The block for a document, the ``number``-th of the request: each must have a name, of few kinds of characters."""
    source = part.source
    name = _SPACES.sub(" ", _NOT_IN_NAMES.sub("-", part.name or "")).strip()[:LONGEST_NAME]
    out: dict[str, Any] = {"name": name or f"document-{number}"}
    match source:
        case m.Written():
            out |= {"format": "txt", "source": {"bytes": base64.b64encode(source.text.encode()).decode()}}
        case m.Composed():
            if not all(isinstance(inner, m.Text) for inner in source.parts):
                raise audit.refuse("content", "a document that is made of parts holds text only there")
            out["source"] = {"content": [{"text": inner.text} for inner in source.parts if isinstance(inner, m.Text)]}
        case m.Stored():
            raise audit.refuse("content", "a file that was uploaded to one provider is not known to another")
        case m.Inline() | m.Link():
            out |= {"format": _format(source, "document", audit), "source": _source(source, audit)}
    if part.context is not None:
        out["context"] = part.context
    if part.cited:
        out["citations"] = {"enabled": True}
    return {"document": out}


def _format(source: m.Inline | m.Link, kind: str, audit: Audit) -> str:
    media_type = source.media_type if isinstance(source, m.Inline) else media.kind_of(source.url) or ""
    found = _FORMATS.get(media_type.partition(";")[0].strip().lower())
    if found is None:
        raise audit.refuse("content", f"Converse takes no {kind} of type {media_type or 'unknown'}")
    return found


def _source(source: m.Inline | m.Link, audit: Audit) -> dict[str, Any]:
    if isinstance(source, m.Inline):
        return {"bytes": media.standard(source.data)}
    if not source.url.startswith("s3://"):
        raise audit.refuse("content", "Converse fetches nothing but objects in S3; send the content itself")
    return {"s3Location": {"uri": source.url}}
