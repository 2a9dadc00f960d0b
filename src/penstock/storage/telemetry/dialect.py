"""Where the SQL of the engines differs; the questions are written once, in `penstock.storage.telemetry.sql`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Values(Protocol):
    """The values of one statement: `bind` gives the text that stands for a value in it."""

    def bind(self, value: str | int | float) -> str: ...


class Dialect(Protocol):
    """Expressions that each engine has its own words for."""

    def values(self) -> Any:
        """Begin the values of a statement: a `Values`, in the form in which the engine takes them."""
        ...

    def trace(self, bound: str) -> str:
        """A trace id of 32 hex digits, as it is stored."""
        ...

    def span(self, bound: str) -> str:
        """A span id of 16 hex digits, as it is stored."""
        ...

    def shown(self, column: str) -> str:
        """A stored column as the text or number of a `Span`."""
        ...

    def whole(self, number: str, by: int) -> str:
        """Integer division."""
        ...

    def attribute(self, column: str, path: str) -> str:
        """What a JSON object has at a key (bound), as text; empty where there is nothing."""
        ...

    def gathered(self, number: str) -> str:
        """A list of all values of a whole number (an aggregate)."""
        ...

    def one_of(self, column: str, numbers: Sequence[int]) -> str:
        """Whether a column of whole numbers has one of these, which may be thousands, or none."""
        ...

    def first(self, columns: str, condition: str, order: str, limit: int) -> str:
        """The statement that reads some columns of the spans that are first in an order."""
        ...

    def digest(self, text: str) -> str:
        """The MD5 of a text, as 32 lower-case hex digits."""
        ...
