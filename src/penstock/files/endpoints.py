"""``/v1/files`` in OpenAI's shape, and in Anthropic's for clients that send its headers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from penstock.files.receive import receive
from penstock.files.service import ID, FileService
from penstock.files.wire import (
    ANTHROPIC_MOST,
    ANTHROPIC_PAGE,
    MOST_IDS,
    OPENAI_MOST,
    OPENAI_PAGE,
    PURPOSES,
    anthropic_deleted,
    anthropic_file,
    anthropic_list,
    openai_deleted,
    openai_file,
    openai_list,
)
from penstock.kernel.errors import MalformedRequest, NotFound
from penstock.kernel.ports import FileInfo
from penstock.kernel.vendor import Asked, VendorDoor
from penstock.kernel.web import Description, Endpoint

PATH = "/v1/files"
ONE = f"{PATH}/{{file_id}}"
CONTENT = f"{ONE}/content"
_PLACE = 2
"""Where the id stands in the path."""
_SAFE_NAME = re.compile(r"[^A-Za-z0-9 ._()-]")


def endpoints(door: VendorDoor, service: FileService) -> Sequence[Endpoint]:
    """Upload, list, show, download, delete."""

    async def upload(asked: Asked) -> dict[str, Any]:
        return _shown(asked, await receive(asked, service))

    async def listing(asked: Asked) -> dict[str, Any]:
        return await (_anthropic_page if asked.anthropic else _openai_page)(asked, service)

    async def show(asked: Asked) -> dict[str, Any]:
        return _shown(asked, await service.get(asked.principal.reach, asked.segment(_PLACE)))

    async def delete(asked: Asked) -> dict[str, Any]:
        id = asked.segment(_PLACE)
        await service.delete(asked.principal.reach, id)
        return anthropic_deleted(id) if asked.anthropic else openai_deleted(id)

    async def content(asked: Asked) -> None:
        await answer_content(asked, service, await service.get(asked.principal.reach, asked.segment(_PLACE)))

    # The content first: a name in a path stands for anything, slashes included.
    return (
        door.endpoint("POST", PATH, upload, "Upload a file.", partial(_describe, "upload")),
        door.endpoint("GET", PATH, listing, "List files.", partial(_describe, "list")),
        door.endpoint("GET", CONTENT, content, "Download a file.", partial(_describe, "content")),
        door.endpoint("GET", ONE, show, "Show what is known of a file.", partial(_describe, "one")),
        door.endpoint("DELETE", ONE, delete, "Delete a file.", partial(_describe, "deleted")),
    )


async def answer_content(asked: Asked, service: FileService, file: FileInfo) -> None:
    """Answer with the file's bytes, which no browser takes for a page of ours."""
    headers = [
        ("content-type", file.media),
        ("content-disposition", disposition(file.name)),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "private, no-store"),
        ("x-content-sha256", file.digest),
    ]
    path = service.local(file)
    if path is not None:
        asked.answer_file(path, [*headers, ("content-length", str(file.size))])
        return
    source = service.read(asked.principal.reach, file.id)
    first = await anext(source, b"")  # whatever is wrong shows before the answer begins
    stream = asked.answer_stream(headers)
    try:
        await stream.send_bytes(first)
        async for piece in source:
            await stream.send_bytes(piece)
    except RuntimeError:  # RSGI's word for a client that left
        return


def disposition(name: str) -> str:
    """The header that names a download (RFC 6266)."""
    return f"attachment; filename=\"{_SAFE_NAME.sub('_', name)}\"; filename*=UTF-8''{quote(name, safe='')}"


async def _openai_page(asked: Asked, service: FileService) -> dict[str, Any]:
    limit = asked.number("limit", OPENAI_PAGE, OPENAI_MOST)
    order = asked.choice("order", "desc", ("asc", "desc"))
    purpose, after = asked.one("purpose"), asked.one("after")
    if purpose is not None and purpose not in PURPOSES:
        raise MalformedRequest(f"'purpose' must be one of {', '.join(PURPOSES)}.", param="purpose")
    found = await service.list(
        asked.principal.reach,
        purpose=purpose,
        after=_cursor(after, "after"),
        newest_first=order == "desc",
        limit=limit + 1,
    )
    return openai_list(found[:limit], len(found) > limit)


async def _anthropic_page(asked: Asked, service: FileService) -> dict[str, Any]:
    reach, ids = asked.principal.reach, asked.all("ids")
    if ids:
        if len(set(ids)) > MOST_IDS:
            raise MalformedRequest(f"'ids' holds more than {MOST_IDS} ids.", param="ids")
        mine = sorted({id for id in ids if ID.fullmatch(id) is not None})
        return anthropic_list(await service.list(reach, ids=mine, limit=MOST_IDS), False)
    limit = asked.number("limit", ANTHROPIC_PAGE, ANTHROPIC_MOST)
    after, before, page = asked.one("after_id"), asked.one("before_id"), asked.one("page")
    if page is not None:
        if not page.startswith("page_"):
            raise MalformedRequest("'page' is no cursor of this list.", param="page")
        after = page.removeprefix("page_")
    if before is not None:
        if after is not None:
            raise MalformedRequest("'before_id' and 'after_id' exclude each other.", param="before_id")
        found = await service.list(reach, after=_cursor(before, "before_id"), newest_first=False, limit=limit + 1)
        return anthropic_list(found[:limit][::-1], len(found) > limit, backwards=True)
    found = await service.list(reach, after=_cursor(after, "after_id"), limit=limit + 1)
    return anthropic_list(found[:limit], len(found) > limit)


def _cursor(id: str | None, name: str) -> str | None:
    if id is not None and ID.fullmatch(id) is None:
        raise NotFound(f"{name!r} names no file: {id[:80]!r}", param=name)
    return id


def _shown(asked: Asked, file: FileInfo) -> dict[str, Any]:
    return anthropic_file(file) if asked.anthropic else openai_file(file)


def _describe(what: str) -> Description:
    # Kilobytes of schemas, which only whoever asks for the document needs.
    from penstock.files.description import describe

    return describe(what)
