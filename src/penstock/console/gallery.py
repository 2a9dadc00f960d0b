"""Sample data for the gallery, the page that shows every component. Nothing here is measured."""

from __future__ import annotations

import math
from typing import TypedDict

from penstock.console.icons import ICONS
from penstock.console.navigation import Viewer
from penstock.kernel.web import NavItem

NOW = 1_795_168_867.0
"""2026-11-20 21:21:07 UTC: a fixed moment, so that two pictures of the gallery differ only where the design does."""

NAVIGATION = (
    NavItem("Overview", "/console/", "overview", "Observe", 0, "o"),
    NavItem("Calls", "/console/calls", "calls", "Observe", 10, "c"),
    NavItem("Spend", "/console/spend", "budgets", "Observe", 20, "s"),
    NavItem("Playground", "/console/playground", "playground", "Build", 0, "p"),
    NavItem("Models", "/console/models", "models", "Build", 10, "m"),
    NavItem("Keys", "/console/keys", "keys", "Govern", 0, "k"),
    NavItem("Limits", "/console/limits", "limits", "Govern", 10, "l"),
    NavItem("Gallery", "/console/gallery", "spark", "Operate", 90, "g"),
)
VIEWER = Viewer(name="Ada Lovelace", role="admin", organisation="Analytical Engines")


class Series(TypedDict):
    """One line or one colour of bars of a chart."""

    label: str
    values: list[float | None]


def _wave(points: int, base: float, swing: float, beat: float) -> list[float | None]:
    """A day that rises and falls, with a quicker unrest on top that looks like traffic."""
    return [
        round(
            base
            + swing * math.sin(i / points * math.tau - 1.4)
            + swing * 0.28 * math.sin(i * beat)
            + swing * 0.17 * math.sin(i * beat * 2.7 + 1),
            4,
        )
        for i in range(points)
    ]


def _with_gap(values: list[float | None], start: int, end: int) -> list[float | None]:
    return [None if start <= i < end else value for i, value in enumerate(values)]


def sample() -> dict[str, object]:
    """Return what `console/gallery.html` wants as `sample`."""
    x = [NOW - 86_400 + i * 900 for i in range(97)]
    hours = [NOW // 3600 * 3600 - 3600 * (23 - i) for i in range(24)]
    models = (("gpt-4-1106", 2.1e6), ("mixtral-8x7b", 6.4e5), ("claude-sonnet", 1.3e6), ("local", 1.2e5))
    latency: list[Series] = [
        {"label": "p50", "values": _with_gap(_wave(97, 340, 80, 0.9), 40, 44)},
        {"label": "p95", "values": _with_gap(_wave(97, 980, 260, 1.3), 40, 44)},
        {"label": "p99", "values": _with_gap(_wave(97, 1900, 520, 1.7), 40, 44)},
    ]
    return {
        "now": NOW,
        "x": x,
        "hours": hours,
        "calls": _wave(40, 40, 20, 0.7),
        "p95": _wave(40, 900, 200, 0.5),
        "errors": _wave(40, 4, 3, 1.1),
        "spend": _wave(40, 9, 5, 0.4),
        "latency": latency,
        "by_model": [{"label": name, "values": _wave(24, base, base * 0.45, 1.9)} for name, base in models],
        "token_series": [
            {"label": "Input", "values": _wave(97, 64_000, 26_000, 0.8)},
            {"label": "Output", "values": _wave(97, 21_000, 9_000, 1.2)},
            {"label": "Cached", "values": _wave(97, 12_000, 5_000, 0.6)},
        ],
        "error_rate": [{"label": "Errors", "tone": "bad", "values": _wave(97, 0.004, 0.003, 1.5)}],
        "tasks": [
            {"label": "contracts.summary", "value": 38.2, "text": "$38.20", "href": "#"},
            {"label": "support.intent", "value": 21.9, "text": "$21.90", "href": "#", "sub": "14k calls"},
            {"label": "research.answers", "value": 14.4, "text": "$14.40", "href": "#"},
            {"label": "unnamed (ci-runner)", "value": 3.1, "text": "$3.10", "href": "#"},
        ],
        "rows": [
            _row(0, ("support.intent", "mixtral-8x7b", "ok"), (412, 3), (184, 231), 121),
            _row(2, ("contracts.summary", "gpt-4-1106", "ok"), (18_204, 612), (1_204, 14_310), 200_410),
            _row(3, ("support.intent", "mixtral-8x7b", "fallback"), (398, 4), (2_204, 2_260), 1_310),
            _row(5, ("research.answers", "claude-sonnet", "streaming"), (2_210, 140), (640, None), None),
            _row(9, ("unnamed", "gpt-4-1106", "refused"), (90, 0), (None, 0.31), 0),
            _row(14, ("contracts.summary", "gpt-4-1106", "error"), (9_120, 0), (None, 30_000), 91_200),
        ],
        "waterfall": _waterfall(),
        "prompt": "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
        "How many clips did Natalia sell altogether in April and May?",
        "reply": "In May she sold 48 / 2 = 24 clips.\n\nAltogether she sold 48 + 24 = 72 clips.\n\n#### 72",
        "raw": '{\n  "model": "mixtral-8x7b",\n  "usage": {\n    "prompt_tokens": 412,\n    "completion_tokens": 31\n  }\n}',
        "icons": list(ICONS),
    }


def _row(
    minutes: int,
    named: tuple[str, str, str],
    tokens: tuple[int, int],
    timing: tuple[float | None, float | None],
    cost: int | None,
) -> dict[str, object]:
    task, model, status = named
    return {
        "href": f"/console/calls/{minutes}",
        "started": NOW - minutes * 61,
        "task": task,
        "model": model,
        "status": status,
        "input": tokens[0],
        "output": tokens[1],
        "first": timing[0],
        "total": timing[1],
        "cost": cost,
    }


def _waterfall() -> list[dict[str, object]]:
    return [
        {"label": "authenticate", "start": 0, "duration": 0.02},
        {"label": "admit", "start": 0.02, "duration": 96, "kind": "queue", "note": "queued behind 4"},
        {"label": "inspect", "start": 96, "duration": 61, "kind": "guard", "note": "allow"},
        {"label": "send", "start": 157, "duration": 3_040, "note": "2 attempts"},
        {
            "label": "gpt-4-1106",
            "start": 157,
            "duration": 812,
            "kind": "failed",
            "depth": 1,
            "note": "503",
            "detail": "upstream_unavailable: the provider answered 503 with Retry-After: 1. The call went to the next model of its chain.",
        },
        {
            "label": "mixtral-8x7b",
            "start": 970,
            "duration": 2_227,
            "depth": 1,
            "note": "200",
            "segments": [
                {"kind": "wait", "start": 970, "duration": 640, "label": "Waiting for the first token"},
                {"kind": "stream", "start": 1_610, "duration": 1_587, "label": "Streaming"},
            ],
            "detail": "212 tokens in, 380 out, 239 tokens a second.",
        },
        {"label": "charge, record", "start": 3_197, "duration": 0.06},
    ]
