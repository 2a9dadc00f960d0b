"""Each check must be able to fail: the books of a good run are bent in one place at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from penstock.demo import verify
from penstock.demo.asks import EMBEDDINGS, Ask, plan
from penstock.demo.client import Heard
from penstock.demo.money import expected
from penstock.demo.samples import read_all
from penstock.demo.verify import Books, Check


def a_good_run() -> tuple[list[Heard], dict[str, Any]]:
    heard: list[Heard] = []
    turn = {"budget": 0, "rate": 0}
    for ask in plan(read_all(), embeddings=True):
        heard.append(hear(ask, turn))
    calls = {
        h.call: {"outcome": verify._outcome(h), "trace_id": h.ask.trace_id, "provider": "together", "cost_micros": expected(h)}
        for h in heard
    }
    rows = {h.call: [{"amount": expected(h)}] for h in heard if h.complete}
    left = next(h for h in heard if h.ask.cancel)
    rows[left.call] = [{"amount": 77}]
    sandbox = sum(expected(h) for h in heard if h.complete and h.ask.key == "sandbox")
    spent = sum(r[0]["amount"] for r in rows.values())
    one = next(h for h in heard if h.complete and h.ask.sample)
    kept = {one.call: {"request": json.dumps({"messages": [{"content": one.ask.text}]}), "reply": json.dumps([one.text]), "redacted": 0}}
    said = {"calls": calls, "rows": rows, "spent": spent, "sandbox": sandbox, "dropped": 0, "overview": (len(heard), spent), "kept": kept}
    return heard, said


def hear(ask: Ask, turn: dict[str, int]) -> Heard:
    heard = Heard(ask=ask, status=ask.status or 200, call=f"call_{ask.number}")
    if ask.group:
        turn[ask.group] += 1
        if turn[ask.group] > 5:
            heard.status, heard.code = 429, {"budget": "insufficient_quota", "rate": "rate_limit_exceeded"}[ask.group]
    if heard.status != 200:
        heard.code = heard.code or (ask.code if ask.code != "*" else "authentication_error")
    elif ask.shape == EMBEDDINGS:
        heard.vectors, heard.dimensions, heard.complete = 1, 384, True
    elif ask.sample is not None:
        heard.text, heard.complete = (ask.sample.answer[:3], False) if ask.cancel else (ask.sample.answer, True)
        heard.input, heard.output = ask.sample.input, ask.sample.output
    return heard


def judged(heard: list[Heard], said: dict[str, Any]) -> list[Check]:
    return verify.replies(heard) + verify.books(heard, Books(**said))


def wrong(heard: list[Heard], said: dict[str, Any]) -> list[str]:
    return [check.what for check in judged(heard, said) if not check.right]


@pytest.fixture
def good() -> tuple[list[Heard], dict[str, Any]]:
    return a_good_run()


def test_a_good_run_passes(good: tuple[list[Heard], dict[str, Any]]):
    assert wrong(*good) == []
    assert len(judged(*good)) > 15


def first(heard: list[Heard], **values: object) -> Heard:
    return next(h for h in heard if all(getattr(h, n, None) == v or getattr(h.ask, n, None) == v for n, v in values.items()))


def bend(heard: list[Heard], values: dict[str, object], **where: object) -> None:
    one = first(heard, **where)
    heard[one.ask.number] = msgspec.structs.replace(one, **values)


Bend = Callable[[list[Heard], dict[str, Any]], Any]
BENDS: dict[str, Bend] = {
    "whole replies equal": lambda h, s: bend(h, {"text": "other"}, complete=True, stream=False, shape="openai.chat"),
    "streamed replies equal": lambda h, s: bend(h, {"text": "other"}, complete=True, stream=True),
    "tokens as the recording": lambda h, s: bend(h, {"output": 1}, complete=True, shape="anthropic.messages"),
    "status as it must be": lambda h, s: bend(h, {"status": 200}, status=403),
    "refusals with their reason": lambda h, s: bend(h, {"code": "other"}, status=403),
    "rate limit of": lambda h, s: bend(h, {"status": 200, "code": ""}, code="rate_limit_exceeded"),
    "nearly spent budget": lambda h, s: bend(h, {"code": "rate_limit_exceeded"}, code="insufficient_quota"),
    "streams left": lambda h, s: bend(h, {"complete": True}, cancel=True),
    "embeddings of": lambda h, s: bend(h, {"dimensions": 3}, shape=EMBEDDINGS),
    "every call on the record": lambda h, s: s["calls"].pop(h[0].call),
    "outcome as": lambda h, s: s["calls"][h[5].call].update(outcome="lost"),
    "trace continued": lambda h, s: s["calls"][h[5].call].update(trace_id="0" * 32),
    "fallback after": lambda h, s: s["calls"][first(h, model="assistant").call].update(provider="offline"),
    "cost on the record": lambda h, s: s["calls"][first(h, complete=True).call].update(cost_micros=1),
    "overview counts": lambda h, s: s.update(overview=(s["overview"][0] - 1, s["spent"])),
    "prompts and replies kept": lambda h, s: next(iter(s["kept"].values())).update(reply='["something else"]'),
    "records dropped": lambda h, s: s.update(dropped=1),
    "one ledger row": lambda h, s: s["rows"].pop(first(h, complete=True).call),
    "each row's amount": lambda h, s: s["rows"].update({first(h, complete=True).call: [{"amount": 1}]}),
    "refused calls cost": lambda h, s: s["rows"].update({first(h, status=403).call: [{"amount": 1}]}),
    "ledger rows of calls that nobody": lambda h, s: s["rows"].update(call_x=[{"amount": 0}]),
    "spend to the": lambda h, s: s.update(spent=s["spent"] + 1),
    "sandbox's budget": lambda h, s: s.update(sandbox=s["sandbox"] + 1),
}


@pytest.mark.parametrize("what", BENDS)
def test_each_check_can_fail(good: tuple[list[Heard], dict[str, Any]], what: str):
    heard, said = good
    BENDS[what](heard, said)
    assert any(found.startswith(what) for found in wrong(heard, said))


def test_a_doubled_row_is_seen(good: tuple[list[Heard], dict[str, Any]]):
    heard, said = good
    call = first(heard, complete=True).call
    said["rows"][call] = said["rows"][call] * 2
    assert "one ledger row for each complete reply" in wrong(heard, said)


def test_what_is_wrong_is_named(good: tuple[list[Heard], dict[str, Any]]):
    heard, said = good
    call = first(heard, complete=True).call
    said["rows"].pop(call)
    assert any(call in check.found for check in judged(heard, said))


def test_every_check_has_its_bend(good: tuple[list[Heard], dict[str, Any]]):
    for check in judged(*good):
        assert any(check.what.startswith(what) for what in BENDS), check.what


def test_links_of_a_page():
    html = (
        '<a href="/console/calls?x=1">c</a> <a class="n" href="/console/keys">k</a> <a href="/console/sign-out">o</a> <a href="/v1/x">v</a>'
    )
    assert verify.links(html) == ["/console/calls", "/console/keys"]
