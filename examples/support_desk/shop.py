"""The shop that the desk works for: its database, and the one way in which money leaves it."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from msgspec import Struct

TABLES = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL);
CREATE TABLE orders (number TEXT PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers, item TEXT NOT NULL, cents INTEGER NOT NULL,
    delivered TEXT);
CREATE TABLE tickets (number TEXT PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers, text TEXT NOT NULL);
CREATE TABLE refunds (key TEXT PRIMARY KEY, order_number TEXT NOT NULL REFERENCES orders, cents INTEGER NOT NULL, reason TEXT NOT NULL);
"""
"""``key`` names the call that made a refund. It is what makes a second attempt of the same call do nothing."""

SAMPLES = """
INSERT INTO customers VALUES (1, 'Ada Brandt', 'ada@example.com'), (2, 'Noor Haddad', 'noor@example.com');
INSERT INTO orders VALUES ('2026-117', 1, 'Kettle', 4900, '2026-11-03'), ('2026-118', 2, 'Lamp', 12900, NULL);
INSERT INTO tickets VALUES
    ('T-1001', 1, 'My kettle (order 2026-117) arrived broken. I would like my money back.'),
    ('T-1002', 2, 'Where is my lamp, order 2026-118?');
"""


class Refused(Exception):
    """The shop does not do this."""


class Refund(Struct, frozen=True):
    """Money that went back."""

    order: str
    cents: int


def database() -> Path:
    """Where the shop's database is."""
    return Path(os.environ.get("SHOP_DATABASE", "shop.db")).absolute()


def make(file: Path) -> None:
    """A database with two customers, unless there is one."""
    if file.exists():
        return
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(TABLES + SAMPLES)


def give_back(file: Path, key: str, order: str, cents: int, reason: str) -> Refund:
    """Give money back, once for a key, and never more than was paid. One transaction: it happens whole or not at all."""
    with closing(sqlite3.connect(file, timeout=10, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            done = connection.execute("SELECT order_number, cents FROM refunds WHERE key = ?", (key,)).fetchone()
            if done is not None:
                return Refund(*done)
            paid = connection.execute("SELECT cents FROM orders WHERE number = ?", (order,)).fetchone()
            if paid is None:
                raise Refused(f"there is no order {order}")
            (before,) = connection.execute("SELECT coalesce(sum(cents), 0) FROM refunds WHERE order_number = ?", (order,)).fetchone()
            if cents <= 0 or before + cents > paid[0]:
                raise Refused(f"of order {order} at most {(paid[0] - before) / 100:.2f} EUR can be given back, not {cents / 100:.2f}")
            connection.execute("INSERT INTO refunds VALUES (?, ?, ?, ?)", (key, order, cents, reason))
            return Refund(order, cents)
        finally:
            connection.execute("COMMIT")


def refunds(file: Path) -> list[Refund]:
    """What was given back so far."""
    with closing(sqlite3.connect(file)) as connection:
        return [Refund(*row) for row in connection.execute("SELECT order_number, cents FROM refunds ORDER BY rowid")]


if __name__ == "__main__":
    make(database())
    sys.stdout.write(f"{database()}\n")
