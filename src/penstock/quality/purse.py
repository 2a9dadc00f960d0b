"""The cap of an evaluation: money is set aside before a question is asked, so that what is in flight cannot go past it together."""

from __future__ import annotations

import asyncio

from penstock.kernel.call import Usage
from penstock.kernel.recall import Prices

SLACK = 1.5
"""How much more than the dearest answer so far is set aside where no price is known."""


class CapReached(Exception):
    """The next question might go past the cap."""


class Closed(CapReached):
    """The work has ended: nothing new is asked."""


class Purse:
    """What one evaluation may spend; ``cap`` None is no limit. ``spent`` is what it has paid, before this process too."""

    def __init__(self, cap: int | None, spent: int, prices: Prices | None, answer_tokens: int) -> None:
        self._cap = cap
        self._prices = prices
        self._tokens = answer_tokens
        self._held = 0
        self._dearest: dict[str, int] = {}
        self._changed = asyncio.Condition()
        self._closed = False
        self.spent = spent

    def close(self) -> None:
        """Let nobody ask any more; what is in flight may come back."""
        self._closed = True

    def check(self) -> None:
        """Raise `Closed` once it is."""
        if self._closed:
            raise Closed("the evaluation has ended")

    async def hold(self, model: str, body: bytes, max_tokens: int | None) -> int:
        """Set money aside for a question and say how much; where there is not enough, wait for what is in flight.

        Raises `CapReached` when there is nothing to wait for. Give it back with `settle`.
        """
        self.check()
        if self._cap is None:
            return 0
        async with self._changed:
            while True:
                self.check()
                # Asked again each time: what came back meanwhile may have told what such a question costs.
                amount = self._expected(model, body, max_tokens)
                left = self._cap - self.spent - self._held
                if amount is not None and amount <= left:
                    self._held += amount
                    return amount
                if amount is None and not self._held and left > 0:
                    # Nobody knows what it costs: the first is asked alone, and all that is left is set aside for it.
                    self._held += left
                    return left
                if not self._held:
                    raise CapReached(f"the next question to {model} might go past the cap of {self._cap / 1e6:.4f} dollars")
                await self._changed.wait()

    async def settle(self, model: str, held: int, paid: int) -> None:
        """The question was answered, or not: give back what was set aside and count what was paid."""
        self.spent += paid
        if paid > self._dearest.get(model, 0):
            self._dearest[model] = paid
        if self._cap is None:
            return
        async with self._changed:
            self._held -= held
            self._changed.notify_all()

    def _expected(self, model: str, body: bytes, max_tokens: int | None) -> int | None:
        provider, _, name = model.partition("/")
        dearest = self._dearest.get(model)
        known: int | None = None
        if self._prices is not None and name:
            # A token is seldom less than three bytes of JSON.
            known = self._prices.estimate(provider, name, Usage(input=len(body) // 3 + 1, output=max_tokens or self._tokens))
        if known is None:
            return None if dearest is None else int(dearest * SLACK) + 1
        return known if max_tokens is not None else max(known, dearest or 0)


__all__ = ["CapReached", "Closed", "Purse"]
