"""An IMAP server on a real socket: folders of mails, searched and read, and what it was asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Imap:
    """``folders`` hold mails by number. It searches as a server does: each word in its place, the rest of the keys by name."""

    def __init__(self) -> None:
        self.folders: dict[str, dict[int, bytes]] = {"INBOX": {}, "Sent": {}}
        self.asked: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK ready\r\n")
        mails: dict[int, bytes] = {}
        try:
            while line := await reader.readline():
                tag, _, rest = line.decode().strip().partition(" ")
                self.asked.append(rest)
                command = rest.upper()
                reply = "OK done"
                if command.startswith("CAPABILITY"):
                    writer.write(b"* CAPABILITY IMAP4rev1\r\n")
                elif command.startswith("LOGIN"):
                    reply = "OK done" if rest.endswith('"hidden-word"') else "NO wrong password"
                elif command.startswith("EXAMINE"):
                    mails = self.folders[rest.split()[1].strip('"')]
                    writer.write(f"* {len(mails)} EXISTS\r\n".encode())
                    reply = "OK [READ-ONLY] done"
                elif command.startswith("UID SEARCH"):
                    found = [number for number, mail in sorted(mails.items()) if self.fits(rest, mail.decode())]
                    writer.write(f"* SEARCH {' '.join(map(str, found))}\r\n".encode())
                elif command.startswith("UID FETCH"):
                    wanted = {int(one) for one in rest.split()[2].split(",")}
                    for number in sorted(wanted & mails.keys()):
                        data = mails[number] if "BODY.PEEK[]" in rest else mails[number].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                        writer.write(f"* {number} FETCH (UID {number} BODY[] {{{len(data)}}}\r\n".encode() + data + b")\r\n")
                elif command.startswith("LOGOUT"):
                    writer.write(b"* BYE\r\n" + f"{tag} OK done\r\n".encode())
                    break
                writer.write(f"{tag} {reply}\r\n".encode())
                await writer.drain()
        finally:
            writer.close()

    @staticmethod
    def fits(asked: str, mail: str) -> bool:
        for name, word in re.findall(r'(FROM|SUBJECT|TEXT|HEADER Message-ID) "((?:[^"\\]|\\.)*)"', asked):
            plain = word.replace('\\"', '"')
            if name == "TEXT":
                place = mail
            else:
                header = name.split()[-1]
                place = next((line for line in mail.splitlines() if line.lower().startswith(header.lower())), "")
            if plain.lower() not in place.lower():
                return False
        return True


@asynccontextmanager
async def imap_server() -> AsyncGenerator[Imap]:
    found = Imap()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found
