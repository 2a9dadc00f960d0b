"""Writing calls down in a process beside this one, while there are many of them.

What it takes to write a call down is about a sixth of what it takes to serve it, on the same core where one process does both. So the
recorder sends batches over a socket to one of its own, which stores rows and spans and says so. It is started when many calls come and
ends when few do. Whenever it does not answer, the recorder writes the batch itself: nothing of it is lost, and rows and spans that were
stored already are known by their ids.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from penstock.kernel.beside import Beside
from penstock.kernel.call import Call
from penstock.kernel.errors import PenstockError, StorageError, StorageFull
from penstock.observability.carried import Carried, Unpacker, carried
from penstock.observability.own.calls import CallSpans
from penstock.observability.own.outbox import named_batches
from penstock.observability.payloads import Kept, PayloadKeeper
from penstock.observability.redaction import Redactor
from penstock.observability.scribe import Scribe
from penstock.observability.settings import ObservabilitySettings
from penstock.storage.records import Records
from penstock.storage.telemetry.inbox import Inbox
from penstock.storage.telemetry.span import Span

_log = logging.getLogger("penstock.observability")

BUSY = 100
"""Calls in one batch from which it is worth a process: some 400 a second."""

QUIET_SECONDS = 60.0
"""After the last such batch, until it is ended."""

START_SECONDS = 30.0
WRITE_SECONDS = 15.0
"""For which it may work on a batch; then it is taken for dead."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0

_LENGTH = struct.Struct("=I")
_READY = b"ready"


class Task(msgspec.Struct, array_like=True):
    """A batch: calls, summaries to store with them, and for each call whether spans are made of it. ``stored`` says that they go into the
    store here, ``wanted`` that the other side wants to see them."""

    calls: list[Carried]
    summaries: list[tuple[Any, ...]]
    spans: list[bool]
    stored: bool
    wanted: bool


class Done(msgspec.Struct, array_like=True):
    """What became of it: the numbers of calls that cannot be written down, how many spans cannot be made, how many were stored, of which
    organisations, those that were asked for or could not be stored, and what the database said (kind, message, seconds to wait)."""

    unwritable: list[int]
    unmade: int
    stored: int
    owners: list[str]
    spans: list[Span]
    fault: tuple[str, str, float | None] | None = None


class Gone(Exception):
    """It did not answer: whether the batch was stored, nobody knows."""


class Assistant:
    """This side of it. `write` is for one thread at a time; it starts on a thread of its own."""

    def __init__(self, beside: Beside, settings: ObservabilitySettings) -> None:
        self._beside = beside
        self._greeting = msgspec.msgpack.encode((beside.house, settings))
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Done).decode
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting: threading.Thread | None = None
        self._busy_at = 0.0
        self._not_before = 0.0
        self._pause = 0.0
        self._closed = False
        self.ready = False

    @property
    def pid(self) -> int | None:
        """Its process, where it runs."""
        return self._process.pid if self._process is not None else None

    def see(self, calls: int) -> None:
        """A batch of so many calls is about to be written: start or end it, as it is worth it."""
        now = time.monotonic()
        if calls >= BUSY:
            self._busy_at = now
            if not self.ready and self._starting is None and not self._closed and now >= self._not_before:
                self._starting = threading.Thread(target=self._start, name="recorder beside", daemon=True)
                self._starting.start()
        elif self.ready and now - self._busy_at > QUIET_SECONDS:
            self._end()
        elif self.ready and self._process is not None and (code := self._process.poll()) is not None:
            self._died(ChildProcessError(f"it ended with {code}"))

    def write(
        self, calls: Sequence[Call], summaries: Sequence[tuple[Any, ...]], spans: Sequence[bool], *, stored: bool, wanted: bool
    ) -> Done:
        """Have the batch written. Raises `Gone` when that is not known to be done."""
        link = self._socket
        if link is None or not self.ready:
            raise Gone
        try:
            batch = self._encode(([carried(call) for call in calls], summaries, spans, stored, wanted))
        except Exception as fault:  # a call that cannot be carried: it is told where the batch is written here
            raise Gone from fault
        try:
            _send(link, batch)
            done = self._decode(_receive(link))
        except Exception as fault:  # whatever it is, the batch is written here
            self._died(fault)
            raise Gone from fault
        self._pause = 0.0
        return done

    def close(self) -> None:
        """Have it end."""
        self._closed = True
        if (starting := self._starting) is not None:  # it says itself when it is done
            starting.join()
        self._end()

    def _start(self) -> None:
        try:
            ours, theirs = socket.socketpair()
            ours.settimeout(START_SECONDS)
            try:
                # A group of its own: Ctrl-C on a terminal is for this process, which tells it by closing the socket.
                self._process = subprocess.Popen(  # noqa: S603 - our own command line
                    self._beside.command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, process_group=0
                )
            except OSError:
                ours.close()
                raise
            finally:
                theirs.close()
            self._socket = ours
            _send(ours, self._greeting)
            if _receive(ours) != _READY:
                raise OSError("it did not say that it is ready")
            ours.settimeout(WRITE_SECONDS)
            self.ready = True
        except (OSError, EOFError) as fault:
            self._died(fault)
        finally:
            self._starting = None

    def _died(self, fault: BaseException) -> None:
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, 2 * self._pause))
        self._not_before = time.monotonic() + self._pause
        said = f"{type(fault).__name__}: {fault}"[:200]
        _log.warning("the process that writes calls down is gone; they are written here", extra={"fault": said, "seconds": self._pause})
        if self._process is not None:
            self._process.kill()
        self._end()

    def _end(self) -> None:
        self.ready = False
        link, self._socket = self._socket, None
        if link is not None:
            link.close()
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(WRITE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Desk:
    """The other side: writes what comes over the socket until it is closed."""

    def __init__(self, records: Records, settings: ObservabilitySettings, redactor: Redactor, inbox: Inbox | None) -> None:
        keeper = PayloadKeeper(settings.payloads, settings.payload_max_bytes, redactor)
        self._scribe = Scribe(records, redactor, keeper)
        self._spans = CallSpans(redactor)
        self._unpacker = Unpacker()
        self._inbox = inbox
        self._lines = msgspec.json.Encoder().encode_lines

    def serve(self, link: socket.socket) -> None:
        """Write batch after batch; returns when the other side is gone."""
        encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Task).decode
        _send(link, _READY)
        with contextlib.suppress(EOFError, OSError):
            while True:
                _send(link, encode(self.do(decode(_receive(link)))))

    def do(self, task: Task) -> Done:
        """Write one batch."""
        calls = self._unpacker.calls(task.calls)
        numbers = {call.id: number for number, call in enumerate(calls)}
        spans: list[Span] = []
        done = Done([], 0, 0, [], [])

        def made(call: Call, kept: Kept | None) -> None:
            if task.spans[numbers[call.id]]:
                try:
                    spans.extend(self._spans.of(call, kept))
                except Exception:  # a mistake of ours in a span must not touch the record of the call
                    done.unmade += 1
                    _log.exception("no span can be made of a call", extra={"call": call.id})

        written = self._scribe.write(calls, made)
        done.unwritable = [numbers[call.id] for call in written.unwritable]
        try:
            self._scribe.store(written, task.summaries)
        except PenstockError as fault:
            kind = "full" if isinstance(fault, StorageFull) else "storage"
            done.fault = kind, fault.message, fault.retry_after
        if spans and task.stored and self._inbox is not None:
            try:
                for name, some in named_batches(spans):
                    self._inbox.put(name, self._lines(some))
                done.stored, done.owners = len(spans), sorted({span.organisation for span in spans})
            except Exception as fault:  # whoever asked has a queue for them, and says what is wrong with the store
                _log.debug("spans go back to who sent their calls", extra={"fault": str(fault)})
        if task.wanted or not done.stored:
            done.spans = spans
        return done


def raised(fault: tuple[str, str, float | None]) -> PenstockError:
    """What a database said on the other side, as it would be said here."""
    kind, message, seconds = fault
    return (StorageFull if kind == "full" else StorageError)(message, retry_after=seconds)


def greeted(link: socket.socket) -> tuple[bytes, ObservabilitySettings]:
    """What the one who started it says first."""
    return msgspec.msgpack.decode(_receive(link), type=tuple[bytes, ObservabilitySettings])


def _send(link: socket.socket, body: bytes) -> None:
    link.sendall(_LENGTH.pack(len(body)))
    link.sendall(body)


def _receive(link: socket.socket) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(link, _LENGTH.size))
    return _exactly(link, length)


def _exactly(link: socket.socket, length: int) -> bytes:
    body = bytearray(length)
    view = memoryview(body)
    while view:
        got = link.recv_into(view)
        if not got:
            raise EOFError("the other side is gone")
        view = view[got:]
    return bytes(body)
