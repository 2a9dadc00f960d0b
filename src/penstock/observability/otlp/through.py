"""Calls that came through this house's gateway are counted there, and not again where the program that made them tells of them.

Each of these says so of a span by itself, so that the order in which things arrive does not matter:

1. its program says that its calls do: the resource's, or the span's, attribute ``penstock.gateway`` is true;
2. it asked for a task, which is a word of ours (``task:...``);
3. it, or a request that it made in the same export, was sent to the address to which the export itself was sent;
4. a call of ours has it as its parent, by W3C trace context, in the last minutes and in this process.

Such a span keeps its tokens and its cost as ``sum.*`` among its attributes and becomes a step, as every call does within which another one
was recorded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from penstock.kernel.events import CallEnded
from penstock.observability.otlp.mend import counted_within
from penstock.observability.otlp.sent import Attributes, Sent
from penstock.storage.telemetry.span import Span

SAYS = "penstock.gateway"
GATEWAY = "gateway"
"""What `penstock.counted_within` says where it is not known which call of ours it was."""

PARENTS_MOST = 100_000
"""Parents of calls of ours that are remembered: some 15 MB, a quarter of an hour at a hundred calls a second."""

_CLIENT = 3
_COUNTED = frozenset({"call", "embedding", "rerank"})
_URLS = (
    "url.full",
    "http.url",
    "gen_ai.openai.api_base",
    "llm.openai.api_base",
    "openai.api_base",
    "llm.base_url",
    "gen_ai.request.base_url",
)
_PORTS = {"http": 80, "https": 443}
_UNSAID = frozenset(_PORTS.values())
"""What an authority without a port may mean: before a proxy that ends TLS, nothing here tells whether it was HTTPS."""


class Through:
    """Remembers the parents of our own calls, and finds the spans of which they are a part."""

    def __init__(self) -> None:
        self._parents: OrderedDict[str, str] = OrderedDict()

    def ended(self, event: CallEnded) -> None:
        """A call of ours has ended: whoever called it in a trace of theirs may tell of it too."""
        trace, who = event.call.trace, event.call.principal
        if trace.parent_id is None or event.call.step is not None or who is None:
            return
        # Within one organisation: nobody else's call may take the tokens off its spans.
        self._parents[trace.trace_id + trace.parent_id + who.organisation] = trace.span_id
        if len(self._parents) > PARENTS_MOST:
            self._parents.popitem(last=False)

    def mark(self, sent: Sequence[Sent], spans: Sequence[Span], host: str) -> int:
        """Take tokens and costs off the ``spans`` (of which ``sent`` is what came, one for one) that went through the gateway; how many.

        ``host`` is the authority to which the export was sent, empty where nobody knows.
        """
        known: dict[str, Span] | None = None
        marked = 0
        for one, span in zip(sent, spans, strict=True):
            counts = span.kind in _COUNTED
            if not counts and one.kind != _CLIENT:
                continue
            inner = self._within(one, span, host, counts=counts)
            if not inner:
                continue
            outer: Span | None = span
            if not counts:
                known = known if known is not None else {other.span_id: other for other in spans}
                outer = _counted_above(span, known)
            if outer is not None:
                counted_within(outer, inner)
                marked += 1
        return marked

    def _within(self, sent: Sent, span: Span, host: str, *, counts: bool) -> str:
        """The span of ours that counts this one's tokens, or that one does; empty where none does."""
        if self._parents and (own := self._parents.get(span.trace_id + span.span_id + span.organisation)):
            return own
        if counts and (span.model.startswith("task:") or _true(sent.attributes.get(SAYS, sent.origin.resource.get(SAYS)))):
            return GATEWAY
        return GATEWAY if host and _sent_to(sent.attributes, host) else ""


def _counted_above(span: Span, known: dict[str, Span]) -> Span | None:
    for _ in range(len(known)):
        found = known.get(span.parent_id) if span.parent_id else None
        if found is None or found.trace_id != span.trace_id:
            return None
        if found.kind in _COUNTED:
            return found
        span = found
    return None


def _true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in {"true", "1", "yes"})


def _sent_to(attributes: Attributes, host: str) -> bool:
    """Whether attributes say that the request went to this authority."""
    address = attributes.get("server.address")
    if isinstance(address, str) and address:
        port = attributes.get("server.port")
        if _is(address if "://" in address else f"//{address}", host, port if isinstance(port, int) else None):
            return True
    for name in _URLS:
        url = attributes.get(name)
        if isinstance(url, str) and url:
            return _is(url, host)
    return False


@lru_cache(1024)
def _is(url: str, host: str, port: int | None = None) -> bool:
    """Whether a URL has this authority; False where it is none."""
    try:
        ours, theirs = urlsplit(f"//{host}"), urlsplit(url)
        meant = {port or theirs.port} if port or theirs.port else {_PORTS[theirs.scheme]} if theirs.scheme in _PORTS else _UNSAID
        return ours.hostname == theirs.hostname and not meant.isdisjoint({ours.port} if ours.port else _UNSAID)
    except ValueError:
        return False
