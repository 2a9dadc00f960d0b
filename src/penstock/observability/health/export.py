"""Spans as a file: what a page shows, for a notebook or a spreadsheet. Prompts and replies are not in it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Annotated, Any

from msgspec import Meta

from penstock.kernel.errors import MalformedRequest, StorageError
from penstock.kernel.ports import Ports
from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.observability.health.asking import Name, PeriodQuery, period
from penstock.observability.health.files import MEDIA, MOST_SPANS, Format, spans_file
from penstock.storage.telemetry.questions import Filter
from penstock.storage.telemetry.store import TelemetryStore

PIECE = 256 * 1024
AT_ONCE = 2
"""Files that one process makes at the same time; others wait."""

OLD_SECONDS = 86_400.0
"""Nobody waits that long for a file."""


class ExportQuery(PeriodQuery, frozen=True, kw_only=True):
    """Which spans are meant, as pages of traces say it, and the file's form. Several values of a dimension have commas between them.

    ``text`` is looked for in prompts and replies, ``attribute`` is ``key=value`` of what the sender said.
    """

    status: Name = ""
    session: Name = ""
    person: Name = ""
    run: Name = ""
    error_code: Name = ""
    verdict: Name = ""
    text: Name = ""
    attribute: Annotated[str, Meta(max_length=2000)] = ""
    min_ms: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    max_ms: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    min_cost_micros: Annotated[int, Meta(ge=0, le=10**15)] | None = None
    flagged: bool | None = None
    roots: bool = False
    format: Format = "parquet"


MORE = ("status", "session", "person", "run", "error_code", "verdict")


def meant(query: ExportQuery, organisation: str | None, now: float) -> Filter:
    """The store's filter, confined to an organisation. Raises `MalformedRequest`."""
    since, until = period(query, now)
    equal = query.equal()
    for name in MORE:
        if values := tuple(v.strip() for v in str(getattr(query, name)).split(",") if v.strip()):
            equal[name] = values
    key, sign, value = query.attribute.partition("=")
    if query.attribute and (not sign or not key.strip()):
        raise MalformedRequest("attribute is key=value, such as http.route=/chat", param="attribute")
    return Filter(
        organisation=organisation,
        since_ns=int(since * 1e6) * 1000,
        until_ns=int(until * 1e6) * 1000,
        equal=equal,
        attributes={key.strip(): value.strip()} if query.attribute else {},
        text=query.text,
        min_ms=query.min_ms,
        max_ms=query.max_ms,
        min_cost_micros=query.min_cost_micros,
        flagged=query.flagged,
        roots=query.roots,
    )


def export_routes(ports: Ports, folder: Path) -> Sequence[Route]:
    """The route. Files are made below ``folder`` and gone once they are sent."""
    making = asyncio.Semaphore(AT_ONCE)

    async def export(ask: Ask) -> Any:
        # Starlette takes a tenth of a second to import; a command that only lists routes does not need it.
        from starlette.responses import StreamingResponse

        query = ask.query(ExportQuery)
        store = ports.find(TelemetryStore)
        if store is None:
            raise StorageError("spans are not stored here: storage.telemetry is off")
        which = meant(query, ask.principal.reach, time.time())
        place = await asyncio.to_thread(_place, folder)
        try:
            async with making:
                path, count = await spans_file(store, which, place, query.format)
        except BaseException:
            # Whatever ended it, a cancellation too: half a file is of use to nobody.
            rmtree(place, ignore_errors=True)
            raise
        headers = {
            "content-disposition": f'attachment; filename="penstock-spans.{query.format}"',
            "content-length": str(path.stat().st_size),
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-penstock-spans": str(count),
        }
        return StreamingResponse(_sent(path), headers=headers, media_type=MEDIA[query.format])

    return (
        Route(
            method="GET",
            path="/v1/traces/export",
            handler=export,
            summary=f"Spans as Parquet or CSV, {MOST_SPANS:,} at most, without prompts and replies.",
            scope=Scope.READ,
            query=ExportQuery,
            returns=str,
            media=MEDIA["parquet"],
            failures={"503": "Spans are not kept here, or the store cannot answer."},
        ),
    )


def _place(folder: Path) -> Path:
    """A folder for one file; what a process left there that died is taken away."""
    for old in folder.glob("export-*"):
        if old.stat().st_mtime < time.time() - OLD_SECONDS:
            rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix="export-", dir=folder))


async def _sent(path: Path) -> AsyncIterator[bytes]:
    try:
        with await asyncio.to_thread(path.open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece
    finally:
        rmtree(path.parent, ignore_errors=True)
