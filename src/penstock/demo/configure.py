"""The settings file that the demo's Penstock runs with: recordings as providers, tasks as names, prices as published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from penstock.demo.asks import ANSWER, CHECK, RESILIENT, TUTOR, UNHURRIED
from penstock.demo.samples import CHATGPT, GPT4, MIXTRAL
from penstock.kernel.tasks import TASK_PREFIX


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


class TaskPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A task of the organisation. The first candidate is the default; ``judge`` and ``floor`` are TOML."""

    name: str
    owner: str
    description: str
    kpi: str
    candidates: tuple[str, ...]
    judge: str
    floor: str
    data_class: str
    dollars: float
    places: tuple[str, ...] = ()
    mode: str = "route"

    def lines(self) -> list[str]:
        """Its section of the settings."""
        return [
            f"[tasks.{_text(self.name)}]",
            f"owner = {_text(self.owner)}",
            f"description = {_text(self.description)}",
            f"kpi = {_text(self.kpi)}",
            f"candidates = {json.dumps(self.candidates)}",
            f"mode = {_text(self.mode)}",
            f"judge = {self.judge}",
            f"floor = {self.floor}",
            f"data_class = {_text(self.data_class)}",
            *([f"places = {json.dumps(self.places)}"] if self.places else []),
            f'budget = {{ amount = {self.dollars}, period = "month" }}',
            "latency_ms = 4000",
            "",
        ]


TASKS = (
    TaskPlan(
        name=TUTOR.removeprefix(TASK_PREFIX),
        owner="Research",
        description="Work a sum of primary school out, step by step.",
        kpi="lessons finished without a teacher",
        candidates=(f"openai/{GPT4}", f"together/{MIXTRAL}"),
        judge='{ kind = "numeric" }',
        floor=f'{{ level = 0.85, reference = "openai/{GPT4}" }}',
        data_class="public",
        dollars=60.0,
        mode="cascade",
    ),
    TaskPlan(
        name=ANSWER.removeprefix(TASK_PREFIX),
        owner="Support",
        description="Answer what somebody asks the help desk.",
        kpi="questions solved at the first contact",
        candidates=(f"openai/{CHATGPT}",),
        judge=f'{{ kind = "rubric", model = "openai/{GPT4}", rubric = "Is the answer right, complete and polite?" }}',
        floor="{ level = 0.8 }",
        data_class="internal",
        dollars=40.0,
    ),
    TaskPlan(
        name=CHECK.removeprefix(TASK_PREFIX),
        owner="Finance",
        description="Check the arithmetic of an invoice.",
        kpi="invoices paid right",
        candidates=(f"together/{MIXTRAL}",),
        judge='{ kind = "numeric", pattern = "#### (-?[0-9.,]+)" }',
        floor="{ level = 0.9, confidence = 0.99 }",
        data_class="confidential",
        dollars=20.0,
        places=("vendor",),
    ),
)


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
        lines += [f"[gateway.providers.{name}]", 'profile = "replay"', f"file = {_text(str(file))}", f"speed = {speed}"]
        lines += ["# A recording stands on this machine; this one plays a vendor.", 'place = "vendor"', ""]
    lines += [f"[gateway.providers.{LIVE}]", 'profile = "replay"', f"file = {_text(str(recordings['openai']))}", "speed = 2.0", ""]
    lines += ["# Nothing listens there: calls for it go on to the next target.", "[gateway.providers.offline]"]
    lines += ['profile = "openai-compatible"', 'base_url = "http://127.0.0.1:9/v1"', 'models = ["llama-in-the-basement"]', ""]
    for name, targets in {
        RESILIENT: ["offline/llama-in-the-basement", f"together/{MIXTRAL}"],
        UNHURRIED: [f"{LIVE}/{GPT4}"],
    }.items():
        lines += [f"[gateway.models.{_text(name)}]", f"targets = {json.dumps(targets)}", ""]
    for task in TASKS:
        lines += task.lines()
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
