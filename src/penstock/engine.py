"""``python -m penstock.engine``: the process that holds the embedded store of spans; `penstock.storage.telemetry.apart` starts it.

It ends when nobody needed it for a while, when it is told to, and when the process that started it is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from penstock.logs import configure
from penstock.settings import LogSettings
from penstock.storage.telemetry.holder import Holder, Terms
from penstock.storage.telemetry.inbox import Inbox

NICE = 5
"""Where the machine is busy, calls go first: beside one process that wants a whole core, this one gets a quarter of it. What it does not
store meanwhile waits on the disk; with less, whoever asks would wait for it to start."""

TAKING_SECONDS = 2.0
"""For which it waits for the one before it to let go of the store."""

LOOK_SECONDS = 1.0


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What its command line holds, as JSON."""

    folder: str
    terms: Terms
    logs: LogSettings


def command(logs: LogSettings, folder: Path, terms: Terms) -> Sequence[str]:
    """The command line that starts it."""
    return (
        sys.executable,
        "-m",
        "penstock.engine",
        msgspec.json.encode(Start(folder=str(folder.absolute()), terms=terms, logs=logs)).decode(),
    )


async def serve(start: Start) -> None:
    """Hold the store, until it is enough."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    starter = asyncio.StreamReader()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(starter), sys.stdin)
    gone = asyncio.create_task(starter.read())
    gone.add_done_callback(lambda _: over.set())
    folder = Path(start.folder)
    inbox = Inbox(folder / "inbox", most_bytes=start.terms.most_waiting_bytes, durable=start.terms.durable)
    holder = Holder(folder, inbox, start.terms)
    try:
        await holder.start()
        until = time.monotonic() + TAKING_SECONDS
        while not holder.holds and time.monotonic() < until:
            await asyncio.sleep(0.02)
            await holder.take()
        while holder.holds and not over.is_set() and (holder.awake or not holder.unused or not inbox.is_empty()):
            try:
                async with asyncio.timeout(min(LOOK_SECONDS, start.terms.idle_seconds)):
                    await over.wait()
            except TimeoutError:
                continue
    finally:
        await holder.close()
        gone.cancel()
        pipe.close()


def main() -> None:
    """Read the command line and hold the store."""
    start = msgspec.json.decode(sys.argv[1], type=Start)
    configure(start.logs)
    os.nice(NICE)
    asyncio.run(serve(start))


if __name__ == "__main__":
    main()
