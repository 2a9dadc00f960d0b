"""Spans as a file: what a page shows, for a notebook or a spreadsheet. Prompts and replies are not in it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any

from penstock.kernel.principal import Scope
from penstock.kernel.web import Ask, Route
from penstock.observability.health.files import MEDIA, MOST_SPANS, Format, spans_file
from penstock.observability.traces.query import SpanQuery
from penstock.observability.traces.service import Traces

PIECE = 256 * 1024
AT_ONCE = 2
"""Files that one process makes at the same time; others wait."""

OLD_SECONDS = 86_400.0
"""Nobody waits that long for a file."""


class ExportQuery(SpanQuery, frozen=True, kw_only=True):
    """Which spans are meant, and the file's form."""

    format: Format = "parquet"


def export_routes(traces: Traces, folder: Path) -> Sequence[Route]:
    """The route. Files are made below ``folder`` and gone once they are sent."""
    making = asyncio.Semaphore(AT_ONCE)

    async def export(ask: Ask) -> Any:
        # Starlette takes a tenth of a second to import; a command that only lists routes does not need it.
        from starlette.responses import StreamingResponse

        query = ask.query(ExportQuery)
        store = traces.store
        which = await traces.filter(ask.principal, query)
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
            files=(MEDIA["csv"],),
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
