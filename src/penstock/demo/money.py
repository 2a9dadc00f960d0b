"""What the calls must have cost, computed here from the tokens that the replies reported: a second opinion on the ledger."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from penstock.demo.asks import ANSWERED_BY
from penstock.demo.client import Heard
from penstock.demo.configure import PRICES


def expected(heard: Heard) -> int:
    """Micro-dollars of one complete reply, rounded half up; 0 for embeddings, which run here."""
    price = PRICES.get(ANSWERED_BY.get(heard.ask.model, heard.ask.model))
    if price is None:
        return 0
    exact = (Decimal(heard.input or 0) * price.input + Decimal(heard.output or 0) * price.output) / 1_000_000
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))
