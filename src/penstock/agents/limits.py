"""What a run of an agent may use up, and what it has: checked before anything is spent, handed down to the agents it asks."""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct, structs


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that a run may use, with everything that it hands on to other agents; None is no limit.

    ``usd`` and ``tokens`` (in and out) are of model calls, ``seconds`` of time from its start, waiting included. ``turns`` are questions to
    its model, ``calls`` calls of tools, ``depth`` how many agents may stand below one another, itself included. An agent that says nothing
    of these three has `USUAL`.
    """

    usd: float | None = None
    tokens: int | None = None
    seconds: float | None = None
    turns: int | None = None
    calls: int | None = None
    depth: int | None = None

    def within(self, other: Limits) -> Limits:
        """The narrower of both, in everything."""
        return Limits(
            usd=_least(self.usd, other.usd),
            tokens=_least(self.tokens, other.tokens),
            seconds=_least(self.seconds, other.seconds),
            turns=_least(self.turns, other.turns),
            calls=_least(self.calls, other.calls),
            depth=_least(self.depth, other.depth),
        )

    def filled(self) -> Limits:
        """With the usual ones where nothing is said."""
        return structs.replace(self, **{name: value for name, value in USUAL.items() if getattr(self, name) is None})


USUAL = {"turns": 50, "calls": 200, "depth": 4}


class Spent(Struct, frozen=True, kw_only=True):
    """What was used. ``cost`` is micro-dollars; ``began`` and ``at`` are Unix seconds, of the start and of what was journalled last."""

    cost: int = 0
    tokens: int = 0
    turns: int = 0
    calls: int = 0
    began: float = 0.0
    at: float = 0.0

    def plus(self, *, cost: int = 0, tokens: int = 0, turns: int = 0, calls: int = 0, at: float = 0.0) -> Spent:
        """With this added."""
        return structs.replace(
            self,
            cost=self.cost + cost,
            tokens=self.tokens + tokens,
            turns=self.turns + turns,
            calls=self.calls + calls,
            at=max(self.at, at),
        )

    def reached(self, limits: Limits) -> str | None:
        """The name of the limit that leaves nothing more to spend; None while there is something of everything."""
        if limits.usd is not None and self.cost >= round(limits.usd * 1e6):
            return "usd"
        if limits.tokens is not None and self.tokens >= limits.tokens:
            return "tokens"
        if limits.seconds is not None and self.at - self.began >= limits.seconds:
            return "seconds"
        if limits.turns is not None and self.turns >= limits.turns:
            return "turns"
        return "calls" if limits.calls is not None and self.calls >= limits.calls else None

    def left(self, limits: Limits, among: int = 1) -> Limits:
        """What is left of ``limits``, for each of ``among`` who spend it at the same time."""

        def share(limit: int | None, used: int) -> int | None:
            return None if limit is None else max(0, limit - used) // among

        return Limits(
            usd=None if limits.usd is None else max(0.0, limits.usd - self.cost / 1e6) / among,
            tokens=share(limits.tokens, self.tokens),
            seconds=None if limits.seconds is None else max(0.0, limits.seconds - (self.at - self.began)),
            turns=share(limits.turns, self.turns),
            calls=share(limits.calls, self.calls),
            depth=None if limits.depth is None else limits.depth - 1,
        )


N = TypeVar("N", int, float)


def _least(one: N | None, other: N | None) -> N | None:
    return min((value for value in (one, other) if value is not None), default=None)
