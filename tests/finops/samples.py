"""Ledger rows that the tests of finops are about, and journals of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from penstock.finops.money import UnitPrices, amount
from penstock.finops.rows import LedgerRow, encode
from penstock.kernel.call import Usage
from penstock.storage.spool import Spool

PRICES = UnitPrices(input=1_000_000, output=2_000_000, cached=1_000_000, cache_written=1_000_000)
AT = 1_800_000_000_000
"""2027-01-15 08:00 UTC in milliseconds."""

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
"""Any text that databases take."""


def ledger_row(id: str, **terms: Any) -> LedgerRow:
    """A row whose amount follows from its usage and prices unless said otherwise: 10 in, 5 out, 20 micro-dollars."""
    usage = terms.pop("usage", Usage(input=10, output=5))
    prices = terms.pop("prices", PRICES)
    values: dict[str, Any] = {
        "at": AT,
        "organisation": "org_a",
        "team": None,
        "project": None,
        "person": None,
        "key_id": "key_a",
        "task": None,
        "model": "m",
        "provider": "p",
        "provider_model": "m",
        "operation": "chat",
        "amount": amount(prices, usage) if prices is not None else 0,
        "currency": "USD",
        "status": "ok",
        "trace_id": "0" * 32,
        "labels": {},
    }
    return LedgerRow(id=id, usage=usage, prices=prices, **{**values, **terms})


def journal(root: Path, *rows: LedgerRow, segment_bytes: int = 1 << 20) -> Spool:
    """A spool that is in use, with these rows."""
    spool = Spool(root, segment_bytes=segment_bytes)
    for row in rows:
        spool.hold()
        spool.append(encode(row))
    return spool


def abandon(spool: Spool) -> Path:
    """Leave a spool as the death of its process does: files and all, and nobody holds it."""
    for segment in spool.segments:
        segment.close()
    spool.segments.clear()
    os.close(spool._lock)
    return spool.path
