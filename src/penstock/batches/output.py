"""The output files of a batch whose work has ended: made from the log of results, a block at a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

from penstock.batches import working
from penstock.batches.asking import without_answer
from penstock.batches.lines import Lines
from penstock.batches.model import Batch
from penstock.batches.results import ResultLog, blocks

T = TypeVar("T")

OUTPUT_FILE = "output.jsonl"
CODES = {working.CANCELLED: "batch_cancelled", working.EXPIRED: "batch_expired", working.KEY: "revoked_api_key"}
"""The code of lines that were not done, by why work ended."""
BLOCK_LINES = 256


def good(folder: Path, total: int) -> Iterator[bytes]:
    """The lines of the output file."""
    return blocks(folder, total, good=True)


def bad(batch: Batch, folder: Path, total: int, why: str) -> Iterator[bytes]:
    """The lines of the error file: what failed, then what was not done."""
    yield from blocks(folder, total, good=False)
    yield from not_done(batch, folder, total, why)


def everything(batch: Batch, folder: Path, total: int, why: str) -> Iterator[bytes]:
    """One line for each line of the batch."""
    yield from blocks(folder, total, good=None)
    yield from not_done(batch, folder, total, why)


def not_done(batch: Batch, folder: Path, total: int, why: str) -> Iterator[bytes]:
    """A line for each that has no result."""
    code = CODES.get(why)
    if code is None or not total:
        return
    log = ResultLog(folder, total)
    log.close()
    with Lines(folder) as lines:
        at = 0
        while at < total:
            block, at = lines.block(at, lambda n: not log.done[n], BLOCK_LINES, 1 << 20)
            if block:
                yield b"".join(without_answer(batch, line, code) + b"\n" for _, line in block)


def write(pieces: Iterator[bytes], folder: Path) -> None:
    """Write ``pieces`` into `OUTPUT_FILE`, which is there when it is whole; blocks."""
    draft = folder / (OUTPUT_FILE + ".new")
    with draft.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / OUTPUT_FILE)


_END: object = object()


async def on_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What an iterator that blocks gives, asked on threads."""
    while True:
        piece = await asyncio.to_thread(next, pieces, _END)
        if not isinstance(piece, bytes):
            return
        yield piece
