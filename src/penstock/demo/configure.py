"""The settings file that the demo's Penstock runs with: recordings as providers, tasks as names, prices as published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from penstock.demo.asks import ANSWER, CHECK, RESILIENT, TUTOR, UNHURRIED
from penstock.demo.samples import CHATGPT, GPT4, MIXTRAL


class Price(msgspec.Struct, frozen=True):
    """Micro-dollars for a million tokens of input and of output."""

    input: int
    output: int


PRICES: Mapping[str, Price] = {
    # The vendors' list prices when the replies were recorded: OpenAI's and Together's price pages as of January 2024.
    GPT4: Price(10_000_000, 30_000_000),
    CHATGPT: Price(1_000_000, 2_000_000),
    MIXTRAL: Price(600_000, 600_000),
}
PROVIDER_OF: Mapping[str, str] = {GPT4: "openai", CHATGPT: "openai", MIXTRAL: "together"}
LIVE = "openai-live"


def settings(*, recordings: Mapping[str, Path], data: Path, port: int, speed: float) -> str:
    """The text of ``penstock.toml``. ``speed`` is the replay's; cancelled streams always come at a reader's pace."""
    lines = [
        "# Written by `penstock demo`.",
        "[server]",
        f"port = {port}",
        f"data_dir = {_text(str(data))}",
        "drain_seconds = 2",
        "",
        "[log]",
        'format = "json"',
        "",
        "[gateway]",
        "discover = false",
        "retries = 1",
        "",
    ]
    for name, file in recordings.items():
        lines += [f"[gateway.providers.{name}]", 'profile = "replay"', f"file = {_text(str(file))}", f"speed = {speed}", ""]
    lines += [f"[gateway.providers.{LIVE}]", 'profile = "replay"', f"file = {_text(str(recordings['openai']))}", "speed = 2.0", ""]
    lines += ["# Nothing listens there: calls for it go on to the next target.", "[gateway.providers.offline]"]
    lines += ['profile = "openai-compatible"', 'base_url = "http://127.0.0.1:9/v1"', 'models = ["llama-in-the-basement"]', ""]
    for name, targets in {
        TUTOR: [f"openai/{GPT4}"],
        ANSWER: [f"openai/{CHATGPT}"],
        CHECK: [f"together/{MIXTRAL}"],
        RESILIENT: ["offline/llama-in-the-basement", f"together/{MIXTRAL}"],
        UNHURRIED: [f"{LIVE}/{GPT4}"],
    }.items():
        lines += [f"[gateway.models.{_text(name)}]", f"targets = {json.dumps(targets)}", ""]
    for model, price in PRICES.items():
        for provider in (PROVIDER_OF[model], *((LIVE,) if PROVIDER_OF[model] == "openai" else ())):
            lines += [
                f"[finops.prices.{_text(f'{provider}/{model}')}]",
                f"input = {price.input / 1e6}",
                f"output = {price.output / 1e6}",
                "",
            ]
    return "\n".join(lines)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string
