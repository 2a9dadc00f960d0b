"""What goes wrong when: the drill's script, in parts of its whole length, the same for every contestant.

At every moment at least one of the four providers is well. Beside them stand two that never work: one whose name
cannot be resolved and one that fails TLS.
"""

from __future__ import annotations

from dataclasses import dataclass

PROVIDERS = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Trouble:
    """``kind`` holds at ``provider`` from ``begins`` to ``ends`` (parts of the drill). ``share`` of its requests are hit."""

    begins: float
    ends: float
    provider: str
    kind: str
    share: float = 1.0


SCRIPT = (
    Trouble(0.05, 0.15, "a", "brown-out", 0.3),
    Trouble(0.15, 0.25, "b", "429", 0.7),
    Trouble(0.25, 0.35, "c", "latency"),
    Trouble(0.30, 0.40, "d", "partial"),
    Trouble(0.42, 0.52, "a", "reset"),
    Trouble(0.45, 0.55, "b", "brown-out", 0.6),
    Trouble(0.57, 0.67, "a", "latency"),
    Trouble(0.57, 0.67, "c", "429", 1.0),
    Trouble(0.70, 0.80, "a", "brown-out", 0.9),
    Trouble(0.70, 0.80, "b", "429", 1.0),
    Trouble(0.72, 0.80, "c", "partial"),
    Trouble(0.84, 0.90, "d", "partial"),
    Trouble(0.84, 0.92, "b", "latency"),
)


def trouble(provider: str, part: float) -> Trouble | None:
    """What is wrong with ``provider`` at ``part`` of the drill."""
    return next((t for t in SCRIPT if t.provider == provider and t.begins <= part < t.ends), None)


def well(part: float) -> int:
    """How many providers are well at ``part`` of the drill."""
    return sum(trouble(p, part) is None for p in PROVIDERS)
