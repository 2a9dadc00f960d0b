"""Questions between processes: whoever does not hold the store asks the one that does, over a Unix socket beside it.

A question is one connection: a length, then MessagePack of the question's name and its values; the answer is a length, then the answer or
what was wrong with the question.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from penstock.kernel.errors import PenstockError, RequestError, StorageError, StorageFull
from penstock.storage.telemetry.questions import Facts, Filter, Group, Page, Point, Removed, Retention, Stored, Threads
from penstock.storage.telemetry.span import Payload

_log = logging.getLogger("penstock.telemetry")

LARGEST = 256 << 20
PATH_BYTES = 100
"""Longest path of a socket that every system takes."""

_LENGTH = struct.Struct("=I")

SHAPES: dict[str, tuple[Any, Any]] = {
    "flush": (tuple[()], None),
    "search": (tuple[Filter, int, str], Page),
    "trace": (tuple[str, str | None, int], list[Stored]),
    "payload": (tuple[str, str, str | None], Payload | None),
    "series": (tuple[Filter, int, str, int], list[Point]),
    "groups": (tuple[Filter, list[str], int], list[Group]),
    "threads": (tuple[Filter, int, str], Threads),
    "erase": (tuple[str, str], Removed),
    "retain": (tuple[list[Retention], int], Removed),
    "export": (tuple[Filter, str, bool], int),
    "facts": (tuple[()], Facts),
    "alive": (tuple[()], None),
}
"""The questions, with the types of their values and of their answers."""


class _Wrong(msgspec.Struct):
    kind: str
    message: str
    param: str | None = None
    retry_after: float | None = None


class _Answer(msgspec.Struct):
    given: msgspec.Raw = msgspec.Raw(msgspec.msgpack.encode(None))
    wrong: _Wrong | None = None


_KINDS: dict[str, type[PenstockError]] = {"request": RequestError, "full": StorageFull}


class Unanswered(Exception):
    """Nobody answers there: whoever held the store has gone, or is about to go."""


Answering = Callable[[str, tuple[Any, ...]], Awaitable[Any]]


class Answers:
    """The listening side."""

    def __init__(self, folder: Path, answering: Answering) -> None:
        self._folder = folder
        self._answering = answering
        self._server: asyncio.Server | None = None
        self._own: Path | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.path = ""

    async def start(self) -> None:
        """Listen; ``path`` says where. What a dead process left there is replaced, and so is where we listened ourselves."""
        if self._server is not None:
            self._server.close()
        path = self._folder / "ask.sock"
        if len(str(path).encode()) > PATH_BYTES:
            self._own = Path(tempfile.mkdtemp(prefix="penstock-"))
            path = self._own / "ask.sock"
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._came, path)
        self.path = str(path)

    async def stop(self) -> None:
        """Answer nobody any more: questions that are open break off, and whoever asked asks the next holder."""
        if self._server is not None:
            self._server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
        with contextlib.suppress(OSError):  # a cleaner of temporary files may have been there first
            if self.path:
                Path(self.path).unlink()
        with contextlib.suppress(OSError):
            if self._own is not None:
                self._own.rmdir()

    def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(await _receive(reader))
            _send(writer, msgspec.msgpack.encode(answer))
            await writer.drain()
        except (OSError, EOFError, Unanswered, StorageError) as fault:
            _log.debug("a question of another process broke off", extra={"fault": str(fault)})
        finally:
            writer.close()

    async def _answer(self, body: bytes) -> _Answer:
        try:
            name, raw = msgspec.msgpack.decode(body, type=tuple[str, msgspec.Raw])
            values = msgspec.msgpack.decode(raw, type=SHAPES[name][0])
            given = await self._answering(name, values)
        except RequestError as fault:
            return _Answer(wrong=_Wrong("request", fault.message, fault.param))
        except StorageFull as fault:
            return _Answer(wrong=_Wrong("full", fault.message, retry_after=fault.retry_after))
        except PenstockError as fault:
            return _Answer(wrong=_Wrong("storage", fault.message))
        except (KeyError, msgspec.DecodeError) as fault:
            # A process of another version, during a rolling change.
            return _Answer(wrong=_Wrong("storage", f"the telemetry store's holder does not know this question ({type(fault).__name__})"))
        except Unanswered:
            raise
        except Exception as fault:  # whatever it is, it is said: who hears nothing asks again, and again
            _log.exception("a question to the telemetry store failed")
            return _Answer(wrong=_Wrong("storage", f"the telemetry store failed to answer ({type(fault).__name__}); its log says more"))
        return _Answer(given=msgspec.Raw(msgspec.msgpack.encode(given)))


async def ask(path: str, name: str, values: tuple[Any, ...], patience: float) -> Any:
    """The answer. Raises `Unanswered` when nobody is there, and what the holder raised."""
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                _send(writer, msgspec.msgpack.encode((name, values)))
                answer = msgspec.msgpack.decode(await _receive(reader), type=_Answer)
            finally:
                writer.close()
    except TimeoutError as fault:
        raise StorageError("the telemetry store did not answer in time", retry_after=1) from fault
    except (OSError, EOFError) as fault:
        raise Unanswered from fault
    if (wrong := answer.wrong) is not None:
        if wrong.kind == "request":
            raise RequestError(wrong.message, param=wrong.param)
        raise _KINDS.get(wrong.kind, StorageError)(wrong.message, retry_after=wrong.retry_after)
    return msgspec.msgpack.decode(answer.given, type=SHAPES[name][1])


def _send(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(_LENGTH.pack(len(body)) + body)


async def _receive(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > LARGEST:
        raise StorageError(f"a question to the telemetry store, or its answer, takes more than {LARGEST >> 20} MiB; ask for less")
    return await reader.readexactly(length)
