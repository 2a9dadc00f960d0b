"""The post office of the examples, spoken to as mail programs do."""

from __future__ import annotations

import asyncio
import smtplib
import sys
from email.message import EmailMessage
from pathlib import Path

from examples.post_office import Mail, PostOffice

TEXT = "Dear Ada,\n\n.A line that begins with a dot, and an umlaut: ü\n..two\n"


def mail(to: str) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Desk <desk@shop.example>", to, "Grüße"
    made.set_content(TEXT)
    return made


def send(port: int) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as server:
        server.send_message(mail("ada@example.com, noor@example.com"))
        server.send_message(mail("ada@example.com"))


async def test_mails_are_kept_as_they_were_written() -> None:
    told: list[Mail] = []
    async with PostOffice(told.append).open() as office:
        await asyncio.to_thread(send, office.port)
        # Whoever hangs up in the middle of a mail has sent none.
        _, writer = await asyncio.open_connection("127.0.0.1", office.port)
        writer.write(b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: half")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await asyncio.to_thread(send, office.port)
    assert [(one.sender, one.to) for one in office.mails[:2]] == [
        ("desk@shop.example", ("ada@example.com", "noor@example.com")),
        ("desk@shop.example", ("ada@example.com",)),
    ]
    assert (office.mails[0].message["subject"], office.mails[0].text.replace("\r\n", "\n")) == ("Grüße", TEXT)
    assert len(office.mails) == 4
    assert told == office.mails


async def test_as_a_program_it_says_where_it_listens_and_prints_what_comes() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.post_office", "--port", "0"), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        await asyncio.to_thread(send, int(line.rpartition(":")[2]))
        assert (await process.stdout.readline()).decode().startswith("To ada@example.com, noor@example.com: ")
    finally:
        process.kill()
        await process.wait()
