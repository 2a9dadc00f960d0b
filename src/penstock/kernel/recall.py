"""Answering from what was answered before: the ports through which the cache reaches other rooms. What a call carries of it: `Recall`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from penstock.kernel.call import Recall, Usage


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a reply says: its ``text``, and whether it asks for tools."""

    text: str = ""
    tools: bool = False


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation taken apart: ``text`` is what the user says last, ``rest`` is everything else that the reply depends on, as bytes."""

    text: str
    rest: bytes


class Replies(Protocol):
    """What is known about replies and requests on the wire; the gateway's. A shape is named as `Call.shape` names it."""

    def see(self, shape: str, reply: bytes, *, stream: bool) -> Seen | None:
        """What a reply that ended says; None for one that is not worth giving to others: refused, filtered, paused, or not understood."""
        ...

    def render(self, shape: str, reply: bytes, *, stream: bool, to_stream: bool, usage: Usage, show: bool) -> bytes | None:
        """The reply, a stream or whole as ``stream`` says, as a stream or whole (``to_stream``).

        ``usage`` is what it had used; it is in a whole reply, and in a stream where clients are told it unasked or ``show`` is true. None
        when it cannot be said the other way.
        """
        ...

    def question(self, shape: str, fields: Mapping[str, msgspec.Raw]) -> Question | None:
        """The request taken apart; None when it is no conversation, or does not end with text of the user."""
        ...

    def said(self, shape: str, fields: Mapping[str, msgspec.Raw]) -> str | None:
        """What the user says last in a request; None when it is no conversation, or does not end with text of the user."""
        ...

    def leads_to(self, name: str, provider: str, model: str, organisation: str) -> bool:
        """Whether a caller of the organisation who asks for ``name`` could still be answered by that provider's model."""
        ...


class Embedder(Protocol):
    """Texts to unit vectors. ``id`` names model and version: vectors of two ids cannot be compared."""

    @property
    def id(self) -> str: ...

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """A vector for each text, float32 in the machine's order, of length 1. Raises `PenstockError` where it cannot."""
        ...

    def at_hand(self, text: str) -> bytes | None:
        """The vector of a text of which the last callers asked; None where it has to be worked out."""
        ...


class Prices(Protocol):
    """What models cost; from memory."""

    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        """What ``usage`` costs today in micro-units; None when no price is known."""
        ...


__all__ = ["Embedder", "Prices", "Question", "Recall", "Replies", "Seen"]
