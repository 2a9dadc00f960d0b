from __future__ import annotations

import io

from rich.console import Console

from penstock.demo.asks import Ask
from penstock.demo.client import Heard
from penstock.demo.terminal import Show, verdict, welcome
from penstock.demo.verify import Check

ASK = Ask(number=0, key="k", shape="openai.chat", model="gpt-4-1106-preview", text="t")


def shown() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=100), out


def test_counts_what_is_heard():
    console, _ = shown()
    with Show(console, 3) as show:
        show.heard(Heard(ask=ASK, status=200, complete=True, input=1000, output=1000))
        show.heard(Heard(ask=ASK, status=429))
        show.heard(Heard(ask=ASK, status=200))
    assert show.summary() == "1 answered, 1 refused, 1 left, $0.04"


def test_says_where_to_go_and_how_to_get_in():
    console, out = shown()
    welcome(console, "http://127.0.0.1:8080", "psk_" + "x" * 49, "Pia's")
    text = out.getvalue()
    assert "http://127.0.0.1:8080/console/" in text
    assert "psk_" + "x" * 49 + "   (Pia's)" in text


def test_the_verdict_names_each_check():
    console, out = shown()
    verdict(console, [Check("sums agree", "3 of 3", True), Check("nothing lost", "2 of 3; wrong: [call_1]", False)])
    text = out.getvalue()
    assert "sums agree" in text
    assert "WRONG" in text
    assert "call_1" in text
