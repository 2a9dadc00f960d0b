"""WCAG AA for every pair of colours that the style sheets put together, in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TOKENS = Path(__file__).parents[2] / "src/penstock/console/static/tokens.css"
_DECLARATION = re.compile(r"--([\w-]+): (?:light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)|(#[0-9a-f]{6}));")

TEXT = 4.5
"""WCAG 2.2, 1.4.3: text below 24 px, or 18.66 px in bold."""
SHAPE = 3.0
"""WCAG 2.2, 1.4.11: edges of controls, focus rings, and the marks of a chart."""

GROUNDS = ("bg", "surface", "raised", "sunken", "hover")
TONES = ("accent", "ok", "warn", "bad", "info")
PAIRS = [
    *((text, ground, TEXT) for text in ("text", "muted", "faint") for ground in GROUNDS),
    *((tone, ground, TEXT) for tone in TONES for ground in ("bg", "surface", "raised", f"{tone}-soft")),
    *(("text", f"{tone}-soft", TEXT) for tone in TONES),
    ("muted", "accent-soft", TEXT),
    ("accent-strong", "accent-soft", TEXT),
    ("accent-strong", "surface", TEXT),
    ("accent-strong", "bg", TEXT),
    ("on-accent", "accent", TEXT),
    ("on-accent", "accent-strong", TEXT),
    ("on-bad", "bad", TEXT),
    ("on-bad", "bad-strong", TEXT),
    *(("line-strong", ground, SHAPE) for ground in ("bg", "surface", "raised")),
    *(("focus", ground, SHAPE) for ground in (*GROUNDS, "accent-soft")),
    *((f"series-{number}", ground, SHAPE) for number in range(1, 9) for ground in ("surface", "bg")),
]


def tokens() -> dict[str, tuple[str, str]]:
    """Name of a colour to its light and its dark value."""
    return {name: (light or both, dark or both) for name, light, dark, both in _DECLARATION.findall(TOKENS.read_text())}


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour (WCAG 2.2, definition)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2, definition)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_itself() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_pair_is_readable(theme: str) -> None:
    colours = {name: pair[theme == "dark"] for name, pair in tokens().items()}
    poor = {
        f"{front} on {ground}": round(ratio, 2)
        for front, ground, least in PAIRS
        if (ratio := contrast(colours[front], colours[ground])) < least
    }
    assert poor == {}


def test_every_colour_is_in_some_pair() -> None:
    paired = {name for front, ground, _ in PAIRS for name in (front, ground)}
    # A hairline between cells carries no meaning, and the mark is not text.
    assert set(tokens()) - paired == {"line", "logo-ground", "logo-water", "logo-pipe", "logo-gate"}
