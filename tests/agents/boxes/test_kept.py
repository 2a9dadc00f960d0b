"""Toolboxes of the settings: what each kind gives, and what is said of one that is wrong."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.agents.toolbox.calling import call, named

from penstock.agents import Agent, tool
from penstock.agents.boxes.kept import Boxes
from penstock.agents.boxes.settings import Box
from penstock.agents.settings import AgentSettings
from penstock.agents.testing import Trial, calls
from penstock.agents.toolbox import toolbox
from penstock.agents.tools import Tool
from penstock.kernel.errors import SettingsError
from penstock.settings import load

SHOP = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "https://shop.example"}],
    "paths": {"/orders": {"get": {"operationId": "list"}, "post": {"operationId": "make"}}},
}
SETTINGS = """
[agents.toolboxes.orders]
kind = "sql"
url = "env:ORDERS_URL"
rows = 2
write = true
effect = "write"
once = "penstock_calls"

[agents.toolboxes.status]
kind = "http"
hosts = ["status.example.org"]
auth = {{ secret = "env:STATUS_TOKEN", kind = "header", name = "x-token" }}
send = true

[agents.toolboxes.shop]
kind = "openapi"
spec = "{folder}/shop.json"
effects = {{ make = "write" }}

[agents.toolboxes.post]
kind = "mail"
server = "smtp.example.org"
sender = "Desk <desk@example.org>"
password = "file:/run/secrets/smtp"
user = "desk"
mailbox = {{ server = "imap.example.org", user = "desk", password = "env:IMAP", sent = "Sent" }}

[agents.toolboxes.reports]
kind = "files"
folder = "{folder}"
write = true

[agents.toolboxes.python]
kind = "sandbox"
seconds = 5
"""


def settings(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Mapping[str, Box]:
    file = folder / "penstock.toml"
    file.write_text(text)
    return load({"agents": AgentSettings}, file=file, environ=environ or {}).of(AgentSettings).toolboxes


@tool
async def orders_query() -> str:
    """The name of a tool of the toolbox."""
    return ""


async def test_each_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.json").write_text(json.dumps(SHOP))
    boxes = Boxes(settings(tmp_path, SETTINGS.format(folder=tmp_path), {"PENSTOCK_AGENTS__TOOLBOXES__ORDERS__ROWS": "1"}))
    boxes.make()
    every = ["orders", "post", "python", "reports", "shop", "status"]
    agent = Agent("desk", model="m", tools=[toolbox(name) for name in every])
    assert agent.tools == {}
    boxes.fill([agent])
    assert {name: one.effect for name, one in agent.tools.items()} == {
        "orders_query": "read",
        "orders_schema": "read",
        "orders_write": "write",
        "post_send": "irreversible",
        "post_search": "read",
        "post_read": "read",
        "python": "read",
        "reports_list": "read",
        "reports_read": "read",
        "reports_search": "read",
        "reports_write": "write",
        "shop_list": "read",
        "shop_make": "write",
        "status_get": "read",
        "status_send": "irreversible",
    }
    assert agent.tools["orders_write"].honours_key
    assert agent.tools["post_send"].check is not None
    # What is behind a reference is read when it is used.
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.executescript("create table orders (number integer); insert into orders values (1), (2), (3)")
    connection.close()
    monkeypatch.setenv("ORDERS_URL", f"sqlite:///{tmp_path}/shop.db")
    found = await call(named(list(agent.tools.values()), "orders_query"), statement="select number from orders")
    assert (found.rows, "more than 1 row" in found.more) == ([[1]], True)

    picky = Agent("picky", model="m", tools=[toolbox("orders", only=["orders_query"])])
    boxes.fill([picky])
    boxes.fill([picky])  # as when a house is opened again
    assert list(picky.tools) == ["orders_query"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[agents.toolboxes.a]\nkind = 'sq'", r"agents\.toolboxes\.a.*'sq'"),
        ("[agents.toolboxes.a]\nurl = 'sqlite://'", r"agents\.toolboxes\.a.*kind"),
        ("[agents.toolboxes.a]\nkind = 'sql'\nurl = 'sqlite://'\nrows = 0", r"agents\.toolboxes\.a\.rows: .*>= 1 \(from .*toml"),
        ("[agents.toolboxes.a]\nkind = 'sql'\nurl = 'sqlite://'\nrow = 1", r"agents\.toolboxes\.a\.row: unknown setting"),
        ("[agents.toolboxes.a]\nkind = 'sql'\nurl = 'postgresql://a:hidden-word@h/d'", r"agents\.toolboxes\.a: a URL with a password"),
        ("[agents.toolboxes.a]\nkind = 'http'\nsend = true", r"agents\.toolboxes\.a: .* needs its hosts"),
        ("[agents.toolboxes.a]\nkind = 'http'\nhosts = ['h']\nauth = { secret = 'hidden-word' }", r"agents\.toolboxes\.a\.auth\.secret"),
        ("[agents.toolboxes.a]\nkind = 'mail'", r"agents\.toolboxes\.a: .* a mailbox or both"),
        ("[agents.toolboxes.a]\nkind = 'openapi'\nspec = 's'\nauth = { key = 'hidden-word' }", r"agents\.toolboxes\.a\.auth"),
    ],
)
def test_wrong_settings(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(SettingsError, match=wanted) as caught:
        settings(tmp_path, text)
    assert "hidden-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[agents.toolboxes.'a b']\nkind = 'sandbox'", r"agents\.toolboxes\.a b: a toolbox's name"),
        ("[agents.toolboxes.a]\nkind = 'files'\nfolder = '/no/such'", r"agents\.toolboxes\.a: there is no folder /no/such"),
        ("[agents.toolboxes.a]\nkind = 'openapi'\nspec = '/no/such'", r"agents\.toolboxes\.a: openapi: /no/such: No such file"),
        ("[agents.toolboxes.a]\nkind = 'sql'\nurl = 'nothing'", r"agents\.toolboxes\.a: "),
        ("[agents.toolboxes.a]\nkind = 'sql'\nurl = 'mysql://h/d'", r"agents\.toolboxes\.a: .*role_reads_only"),
        ("[agents.toolboxes.a]\nkind = 'mail'\nserver = 'h'\nsender = 'nobody'", r"agents\.toolboxes\.a: .*'nobody' is no address"),
    ],
)
def test_what_cannot_be_made(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(SettingsError, match=wanted):
        Boxes(settings(tmp_path, text)).make()


def test_what_there_is_not(tmp_path: Path) -> None:
    boxes = Boxes(settings(tmp_path, "[agents.toolboxes.orders]\nkind = 'sql'\nurl = 'env:ORDERS'"))
    boxes.make()

    def filled(*tools: object) -> None:
        boxes.fill([Agent("desk", model="m", tools=tools)])  # type: ignore[arg-type]

    with pytest.raises(SettingsError, match=r"desk takes the toolbox order, and \[agents\.toolboxes\] has orders"):
        filled(toolbox("order"))
    with pytest.raises(SettingsError, match=r"desk takes query of the toolbox orders, which has orders_query, orders_schema"):
        filled(toolbox("orders", only=["query"]))
    with pytest.raises(SettingsError, match="two tools of the agent desk are named orders_query"):
        filled(toolbox("orders"), orders_query)


async def test_tried_without_a_house() -> None:
    @tool
    async def find(number: int) -> str:
        """Find."""
        return f"order {number}"

    desk = Agent("desk", model="m", tools=[toolbox("orders")])
    with pytest.raises(SettingsError, match="takes the toolbox orders"):
        async with Trial(desk=["x"]):
            await desk("Where is 7?")
    tools: list[Tool[..., Any]] = [find]
    async with Trial(toolboxes={"orders": tools}, desk=[calls(("find", {"number": 7})), "There."]) as trial:
        assert await desk("Where is 7?") == "There."
    assert "order 7" in str(trial.asked[-1].messages[-1]["content"])
