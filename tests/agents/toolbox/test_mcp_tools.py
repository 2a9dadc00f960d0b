"""Tools of MCP servers: pinned, typed, and not called when they are not what was accepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.agents.toolbox.calling import call, named, outcome
from tests.agents.toolbox.tickets import EVIL, bound, served, tickets

from penstock.agents.toolbox import McpServer, mcp
from penstock.agents.toolbox.mcp_tools import Pins, pinned, tools_of, write_pins
from penstock.agents.tools import BadArguments
from penstock.kernel.errors import SettingsError

FIND = {
    "name": "find",
    "description": "Find.",
    "inputSchema": {"type": "object", "properties": {"q": {"type": "string", "pattern": "(a+)+$"}}},
}
LABEL = {
    "name": "label it!",
    "inputSchema": {"properties": {"pattern": {"type": "integer"}}},
    "annotations": {"destructiveHint": False, "idempotentHint": True},
}


def pins(folder: Path, *described: dict[str, Any]) -> Path:
    write_pins(folder / "pins.json", Pins("tickets", [pinned(one) for one in described]))
    return folder / "pins.json"


def test_effects(tmp_path: Path) -> None:
    server = McpServer(name="tickets", command=("tickets",))
    path = pins(tmp_path, FIND | {"annotations": {"readOnlyHint": True}}, LABEL)
    assert {one.name: (one.effect, one.honours_key) for one in mcp(server, path)} == {
        "find": ("irreversible", False),
        "label_it_": ("irreversible", False),
    }
    assert {one.name: (one.effect, one.honours_key) for one in mcp(server, path, trusted=True, prefix="t_")} == {
        "t_find": ("read", False),
        "t_label_it_": ("write", True),
    }
    (picked,) = mcp(server, path, effects={"find": "read"}, only=["find"])
    assert (picked.effect, picked.told_by) == ("read", "the MCP server tickets")
    with pytest.raises(SettingsError, match="holds no tool nothing"):
        mcp(server, path, only=["nothing"])


def test_schemas_of_strangers(tmp_path: Path) -> None:
    """A regular expression of theirs is not run here; a property of that name is one like others."""
    find, label = mcp(McpServer(name="tickets", command=("tickets",)), pins(tmp_path, FIND, LABEL))
    assert find.arguments({"q": "a" * 40 + "!"}) == {"q": "a" * 40 + "!"}
    with pytest.raises(BadArguments):
        label.arguments({"pattern": "x"})
    assert pinned(FIND).digest != pinned(FIND | {"description": EVIL}).digest


def test_no_pins(tmp_path: Path) -> None:
    server = McpServer(name="tickets", command=("tickets",))
    with pytest.raises(SettingsError, match=r"toolbox\.pins"):
        mcp(server, tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SettingsError, match="no file of pins"):
        mcp(server, tmp_path / "broken.json")


@pytest.mark.timeout(120)
async def test_a_server_that_changes_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = tmp_path / "pins.json"
    held = bound()
    port = held.getsockname()[1]
    server = McpServer(name="tickets", url=f"http://127.0.0.1:{port}/mcp", seconds=80.0)
    async with served(tickets().streamable_http_app(), held):
        write_pins(accepted, Pins("tickets", await tools_of(server)))
        # It says that one only reads and another destroys nothing, and is not believed.
        assert {one.effect for one in mcp(server, accepted)} == {"irreversible"}
        assert {one.name: one.effect for one in mcp(server, accepted, trusted=True, only=["find", "label"])} == {
            "find": "read",
            "label": "write",
        }
        tools = mcp(server, accepted, trusted=True, only=["find", "close"])
        find, close = named(tools, "find"), named(tools, "close")
        assert (await call(find, number=3))["number"] == 3
        assert "mcp_failed" in (await outcome(close, number=404)).text

    monkeypatch.setattr("penstock.agents.toolbox.mcp_tools.LOOK_SECONDS", 0.0)
    async with served(tickets(EVIL).streamable_http_app(), bound(port)):  # it comes back with other words
        changed = await outcome(find, number=3)
        assert (changed.state, "mcp_changed" in changed.text) == ("failed", True)
        assert await call(close, number=1) == {"result": "closed"}  # what did not change is still trusted
        write_pins(accepted, Pins("tickets", await tools_of(server)))
        (again,) = mcp(server, accepted, trusted=True, only=["find"])
        assert again.description == EVIL
        assert (await call(again, number=3))["number"] == 3


async def test_server_that_is_not_there(tmp_path: Path) -> None:
    (find,) = mcp(McpServer(name="tickets", url="http://127.0.0.1:1/mcp"), pins(tmp_path, FIND))
    assert (await outcome(find, q="x")).code == "tool_unavailable"
