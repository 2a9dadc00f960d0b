"""An SMTP server that delivers nothing: it keeps what it is sent and prints it. So the examples write mails that nobody gets.

python -m examples.post_office --port 1025
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage

LONGEST = 1 << 20
"""Bytes of one line or mail; whoever sends more is hung up on."""


@dataclass(frozen=True)
class Mail:
    """One mail as it was handed over: who it is from and for by the envelope, and what it says."""

    sender: str
    to: tuple[str, ...]
    message: EmailMessage

    @property
    def text(self) -> str:
        """Its plain text."""
        body = self.message.get_body(("plain",))
        return "" if body is None else str(body.get_content())


class PostOffice:
    """``mails`` are those that came in, the first first; ``told`` is given each as it comes."""

    def __init__(self, told: Callable[[Mail], None] | None = None) -> None:
        self.mails: list[Mail] = []
        self.port = 0
        self._told = told

    @contextlib.asynccontextmanager
    async def open(self, port: int = 0) -> AsyncGenerator[PostOffice]:
        """Take mails on a port of loopback, a free one if none is named."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=LONGEST)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # Whoever hangs up in the middle, or sends a line without an end, has sent nothing.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                await self._talk(reader, writer)
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender, to = "", list[str]()
        writer.write(b"220 post office\r\n")
        while line := (await reader.readline()).decode("utf-8", "replace").strip():
            word = line.partition(" ")[0].upper()
            reply = "250 ok"
            if word == "MAIL":
                sender, to = _address(line), []
            elif word == "RCPT":
                to.append(_address(line))
            elif word == "DATA":
                writer.write(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                # A line that begins with a dot was given another one on its way (RFC 5321, 4.5.2).
                data = b"\r\n".join(one.removeprefix(b".") for one in data[:-3].split(b"\r\n"))
                mail = Mail(sender, tuple(to), message_from_bytes(data, policy=policy.default))
                self.mails.append(mail)
                if self._told is not None:
                    self._told(mail)
            elif word == "QUIT":
                reply = "221 bye"
            writer.write(f"{reply}\r\n".encode())
            await writer.drain()
            if word == "QUIT":
                return


def _address(line: str) -> str:
    """What stands between the brackets of `MAIL FROM:<...>` and `RCPT TO:<...>`."""
    return line.partition("<")[2].partition(">")[0]


def _print(mail: Mail) -> None:
    sys.stdout.write(f"To {', '.join(mail.to)}: {mail.message['subject']}\n\n{mail.text}\n")
    sys.stdout.flush()


async def _run(port: int) -> None:
    async with PostOffice(_print).open(port) as office:
        sys.stdout.write(f"Mail is taken at 127.0.0.1:{office.port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Take mails until somebody stops it."""
    parser = argparse.ArgumentParser(description="An SMTP server that keeps and prints what it is sent.")
    parser.add_argument("--port", type=int, default=1025, help="0 takes a free one")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args().port))


if __name__ == "__main__":
    # By its name, like the stand-in: whoever imports that module has the same classes.
    importlib.import_module("examples.post_office").main()
