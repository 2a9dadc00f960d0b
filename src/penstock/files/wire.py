"""Files as OpenAI's and Anthropic's APIs show them.

https://platform.openai.com/docs/api-reference/files and https://platform.claude.com/docs/en/build-with-claude/files.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from penstock.kernel.ports import FileInfo

OPENAI_PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
"""What an upload may be for. Files that Penstock makes itself have others (``batch_output``)."""
PURPOSES = (*OPENAI_PURPOSES, "assistants_output", "batch_output", "fine-tune-results")
"""What a list may be asked for."""
ANTHROPIC_PURPOSE = "user_data"
"""What the files of Anthropic's clients are for, whose API has no such word."""
OPENAI_PAGE, OPENAI_MOST = 10_000, 10_000
ANTHROPIC_PAGE, ANTHROPIC_MOST = 20, 1000
"""Files on a page of a list: when nobody says, and at most."""
MOST_IDS = 100


def openai_file(file: FileInfo) -> dict[str, Any]:
    """OpenAI's file object."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size,
        "created_at": int(file.created_at),
        "expires_at": int(file.expires_at) if file.expires_at is not None else None,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def openai_list(files: Sequence[FileInfo], more: bool) -> dict[str, Any]:
    """A page of them."""
    first, last = (files[0].id, files[-1].id) if files else (None, None)
    return {"object": "list", "data": [openai_file(file) for file in files], "first_id": first, "last_id": last, "has_more": more}


def openai_deleted(id: str) -> dict[str, Any]:
    """What a deletion answers."""
    return {"id": id, "object": "file", "deleted": True}


def anthropic_file(file: FileInfo) -> dict[str, Any]:
    """Anthropic's file metadata. Unlike there, an uploaded file can be downloaded again."""
    return {
        "type": "file",
        "id": file.id,
        "filename": file.name,
        "mime_type": file.media,
        "size_bytes": file.size,
        "created_at": _moment(file.created_at),
        "expires_at": _moment(file.expires_at) if file.expires_at is not None else None,
        "downloadable": True,
    }


def anthropic_list(files: Sequence[FileInfo], more: bool, backwards: bool = False) -> dict[str, Any]:
    """A page of them, with the cursors of both generations of the API: ``next_page``, and the first and last id.

    ``backwards``: the page was asked for by what comes after it, so that ``more`` says whether there are newer ones.
    """
    first, last = (files[0].id, files[-1].id) if files else (None, None)
    following = f"page_{last}" if more and not backwards and last is not None else None
    return {"data": [anthropic_file(file) for file in files], "has_more": more, "first_id": first, "last_id": last, "next_page": following}


def anthropic_deleted(id: str) -> dict[str, Any]:
    """What a deletion answers."""
    return {"id": id, "type": "file_deleted"}


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
