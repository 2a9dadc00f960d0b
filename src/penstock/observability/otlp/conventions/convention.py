"""The form of a convention: names of attributes, and what of a `penstock.storage.telemetry.span.Span` they say."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Numbered(msgspec.Struct, frozen=True):
    """Attributes that are numbered, such as ``gen_ai.prompt.0.role``: all that begin with ``prefix`` and a number are one list.

    ``side`` is where it goes (`Convention.contents`); of each entry only what stands under ``wrap`` counts (``message`` for
    ``llm.input_messages.0.message.role``), empty for all of it.
    """

    prefix: str
    side: str
    wrap: str = ""


class Convention(msgspec.Struct, frozen=True, kw_only=True):
    """One convention. What two say differently, the one that comes first in `penstock.observability.otlp.table.CONVENTIONS` decides.

    ``texts`` names fields of text by attribute, ``counts`` fields that count tokens. ``kinds`` gives kinds by attribute and by its value
    in lower case (``call?`` is a call where it has messages or tokens, else a step), ``kinds_by_presence`` those that an attribute means
    by being there. ``costs`` are attributes in dollars. ``first_token`` are attributes with the time to the first token, and nanoseconds
    of their unit; ``first_token_at`` have the moment itself in ISO 8601.

    ``contents`` says where an attribute's text goes: ``input`` and ``output`` are what went in and came out, ``input.messages``
    and ``output.messages`` the same as messages, ``system`` instructions before the messages, ``tools`` calls of tools in the reply,
    ``documents`` what was retrieved; ``events`` old events of messages in a list. ``event_roles`` names span events that are
    messages, with their role (``assistant`` as output when it is a choice: ``choice``), ``event_contents`` span events whose attributes
    are read as if the span had them. ``details`` are attributes that hold a dictionary of usage or cost as JSON, with what its
    entries mean. ``noise`` is left out: what only the sender's own display needs.
    """

    name: str
    source: str
    texts: Mapping[str, str] = {}
    counts: Mapping[str, str] = {}
    kinds: Mapping[str, Mapping[str, str]] = {}
    kinds_by_presence: Mapping[str, str] = {}
    costs: tuple[str, ...] = ()
    first_token: Mapping[str, float] = {}
    first_token_at: tuple[str, ...] = ()
    contents: Mapping[str, str] = {}
    numbered: tuple[Numbered, ...] = ()
    event_roles: Mapping[str, str] = {}
    event_contents: tuple[str, ...] = ()
    details: Mapping[str, Mapping[str, str]] = {}
    noise: tuple[str, ...] = ()
