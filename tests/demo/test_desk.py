from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from penstock.demo import desk
from penstock.demo.desk import CUSTOMER, REFUND, Closed, Waiting

URL = "http://127.0.0.1:8080"
WAITING = Waiting(
    run="run_1",
    request={"id": "request_1", "votes": [{"approve": True}]},
    killed=True,
    before=[{"number": 1, "name": "begin"}],
    steps=[{"number": 1, "name": "begin"}, {"number": 2, "name": "model"}],
    rows_before=frozenset({"call_1"}),
    rows=frozenset({"call_1", "call_2"}),
    back_seconds=2.5,
    refunds=0,
    mails=0,
)
CLOSED = Closed(own=403, ended={"state": "done", "output": "All is well."}, refunds=[REFUND], mails=[(CUSTOMER, "Your order", "Dear Ada")])


async def wrong(monkeypatch: pytest.MonkeyPatch, waiting: Waiting, closed: Closed, status: int = 200) -> list[str]:
    async def page(url: str, key: str, path: str) -> int:
        assert (url, path) == (URL, "/console/inbox/request_1")
        return status

    monkeypatch.setattr(desk, "page", page)
    return [check.what for check in await desk.checks(URL, "psk_", waiting, closed) if not check.right]


async def test_what_went_well_passes_and_each_thing_that_did_not_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    change = msgspec.structs.replace
    assert await wrong(monkeypatch, WAITING, CLOSED) == []
    assert await wrong(monkeypatch, WAITING, CLOSED, 404) == ["the request stands in the inbox"]
    for waiting, what in (
        (change(WAITING, killed=False), "an agent goes on after kill -9 where it was"),
        (change(WAITING, steps=[{"number": 1, "name": "else"}]), "an agent goes on after kill -9 where it was"),
        (change(WAITING, before=[]), "an agent goes on after kill -9 where it was"),
        (change(WAITING, rows=frozenset({"call_2"})), "ledger rows lost by kill -9"),
        (change(WAITING, refunds=1), "its refund waits for a person"),
        (change(WAITING, request={"id": "request_1", "votes": [{"approve": False}]}), "its refund waits for a person"),
    ):
        assert await wrong(monkeypatch, waiting, CLOSED) == [what]
    for closed, what in (
        (change(CLOSED, own=200), "who began it may not approve it"),
        (change(CLOSED, ended={"state": "limit", "message": "the limit on usd was reached"}), "approved, it ends"),
        (change(CLOSED, refunds=[REFUND, REFUND]), "exactly one refund"),
        (change(CLOSED, mails=[]), "exactly one mail"),
    ):
        assert await wrong(monkeypatch, WAITING, closed) == [what]


def test_it_says_what_waits_where_and_what_came_of_it(tmp_path: Path) -> None:
    told = "\n".join(desk.told(URL, WAITING, tmp_path))
    for word in (f"{URL}/console/inbox/request_1", f"{URL}/console/runs/run_1", str(tmp_path / "agents.py"), "kill -9", "2.5 s"):
        assert word in told
    assert desk.ended(CLOSED) == [
        "The agent's run is over (done): All is well.",
        "  refunded once, in the shop's database: 49.00 EUR for order 2026-117",
        "  mail to ada@example.com: Your order",
    ]
