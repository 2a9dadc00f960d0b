"""Looking at the tools of a server, and accepting them."""

from __future__ import annotations

import asyncio
import sys
from io import StringIO
from pathlib import Path

import pytest
from tests.agents.toolbox.tickets import EVIL, bound, served, tickets

from penstock.agents.toolbox import pins
from penstock.agents.toolbox.mcp_tools import read_pins

DECLARED = """
from penstock.agents.toolbox import McpServer
TICKETS = McpServer(name="tickets", url="http://127.0.0.1:{port}/mcp", seconds=80.0)
"""


def run(*words: str) -> tuple[int, str]:
    out = StringIO()
    return pins.main(words, out), out.getvalue()


@pytest.mark.timeout(120)
async def test_look_accept_and_look_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    held = bound()
    port = held.getsockname()[1]
    (tmp_path / "tickets_declared.py").write_text(DECLARED.format(port=port))
    path = str(tmp_path / "tickets.json")
    try:
        async with served(tickets().streamable_http_app(), held):
            status, out = await asyncio.to_thread(run, "tickets_declared:TICKETS", path, "--accept")
            assert (status, out.count("new ")) == (0, 5)
            assert len(read_pins(path).tools) == 5
        async with served(tickets(EVIL).streamable_http_app(), bound(port)):
            status, out = await asyncio.to_thread(run, "tickets_declared:TICKETS", path)
            assert (status, out.count("changed "), EVIL in out) == (1, 1, True)
    finally:
        sys.modules.pop("tickets_declared", None)


@pytest.mark.parametrize("words", [(), ("nowhere:X", "x.json"), ("sys:path", "x.json"), ("sys:nothing", "x.json")])
def test_what_cannot_be_looked_at(words: tuple[str, ...]) -> None:
    status, out = run(*words)
    assert status == 2
    assert out
