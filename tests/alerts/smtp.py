"""An SMTP server on a real socket: what it was sent, and refusals as asked."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Smtp:
    """``mails`` are sender, recipients and text; ``refuse`` maps the beginning of a command to the reply that it gets."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], str]] = []
        self.refuse: dict[str, str] = {}
        self.login = ""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")

        say("220 test ESMTP")
        sender, to = "", list[str]()
        try:
            while line := await reader.readline():
                command = line.decode().strip()
                refusal = next((reply for begin, reply in self.refuse.items() if command.upper().startswith(begin)), None)
                if refusal is not None:
                    say(refusal)
                elif command.upper().startswith("EHLO"):
                    say("250-test\r\n250 AUTH PLAIN")
                elif command.upper().startswith("AUTH PLAIN"):
                    self.login = base64.b64decode(command.split()[2]).decode()
                    say("235 welcome")
                elif command.upper().startswith("MAIL"):
                    sender, to = command[10:].split()[0].strip("<>"), []
                    say("250 ok")
                elif command.upper().startswith("RCPT"):
                    to.append(command[8:].strip("<>"))
                    say("250 ok")
                elif command.upper() == "DATA":
                    say("354 go on")
                    text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                    self.mails.append((sender, to, text))
                    say("250 kept")
                elif command.upper() == "QUIT":
                    say("221 bye")
                    break
                else:
                    say("250 ok")
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def smtp_server() -> AsyncGenerator[Smtp]:
    found = Smtp()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found
