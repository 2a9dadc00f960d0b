"""The station that answers from what was answered before."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

from penstock.cache.index import Entry
from penstock.cache.request import digest_of
from penstock.cache.rules import Rules
from penstock.cache.semantic import Asked, Semantic
from penstock.cache.settings import CacheRule, CacheSettings
from penstock.cache.shelf import Shelf
from penstock.cache.tally import Tally
from penstock.kernel.approvals import Approvals
from penstock.kernel.call import Call, Headers, Reply, Target, Usage
from penstock.kernel.copied import copy_of
from penstock.kernel.errors import DeadlineExceeded, Unavailable
from penstock.kernel.principal import Principal
from penstock.kernel.recall import Prices, Recall, Replies
from penstock.kernel.stage import Proceed, Slot

_log = logging.getLogger("penstock.cache")

HEADER = "x-penstock-cache"
PROVIDER = "cache"
"""Who served a call that no provider saw, on its record."""
PIECE = 16 * 1024
"""Bytes of a replayed stream that are handed on at once."""
_STREAM: Headers = [("content-type", "text/event-stream"), ("cache-control", "no-cache"), ("x-accel-buffering", "no")]


class RecallStage:
    """Answers from memory what was answered before, where a rule or the caller says so; keeps what a provider answers.

    Only what is in memory is looked up. A reply is looked at and kept once its call is over, and written to the database later. ``apart``
    says who shares replies.
    """

    name = "recall"
    slot = Slot.RECALL

    def __init__(self, rules: Rules, shelf: Shelf, tally: Tally, settings: CacheSettings, clock: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._shelf = shelf
        self._index = shelf.index
        self._tally = tally
        self._apart = {"organisation": _of_organisation, "project": _of_project, "key": _of_key}[settings.apart]
        self._ttl = settings.ttl_seconds
        self._largest = settings.max_entry_bytes
        self._clock = clock
        self._flights: dict[bytes, asyncio.Event] = {}
        self._replies: Replies | None = None
        self._prices: Prices | None = None
        self._semantic: Semantic | None = None
        self._approvals: Approvals | None = None
        self.unkept = 0

    def open(self, replies: Replies, prices: Prices | None, semantic: Semantic | None, approvals: Approvals | None = None) -> None:
        """Join the stage to the other rooms; before the first call."""
        self._approvals = approvals
        self._replies = replies
        self._prices = prices
        self._semantic = semantic

    def concerns(self, call: Call) -> bool:
        """Whether there are rules, or the caller asks for the cache."""
        return not self._rules.idle or call.cache_wish != ""

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        wish = call.cache_wish
        rule = self._rules.of(call)
        if rule is None:
            return _told(await proceed(call), "off") if wish else await proceed(call)
        assert call.principal is not None
        apart = self._apart(call.principal)
        key = digest_of(call, apart) if _may(call, call.principal) else None
        if key is None:
            return _told(await proceed(call), "off")
        semantic = self._semantic if rule.semantic else None
        asked = semantic.ask(call, apart) if semantic is not None else None
        if wish != "refresh":
            reply = self._exact(call, key)
            if reply is None and rule.single_flight:
                reply = await self._in_flight(call, key)
            if reply is not None:
                return reply
            if semantic is not None and asked is not None and (near := await semantic.find(asked, rule)) is not None:
                reply = self._answer(call, near[0], near[1])
                if reply is not None:
                    return reply
        reply = await proceed(call)
        self._tally.missed(call)
        self._watch(call, reply, key, rule, asked)
        return _told(reply, "miss")

    def _exact(self, call: Call, key: bytes) -> Reply | None:
        entry = self._index.get(key, self._clock())
        return self._answer(call, entry, None) if entry is not None else None

    def _answer(self, call: Call, entry: Entry, similarity: float | None) -> Reply | None:
        """The entry as the reply to this call; None where it may not, or cannot, be said in the way that the client asks for."""
        replies = self._replies
        if replies is None:
            raise Unavailable("the cache is not open yet", retry_after=1)
        organisation = call.principal.organisation if call.principal is not None else ""
        if not replies.leads_to(call.model, entry.provider, entry.provider_model, organisation):
            return None
        asked, provider, model = self._approvals, entry.provider, entry.provider_model
        if asked is not None and asked.refusal(provider, model, organisation=organisation, task=call.task) is not None:
            return None
        if call.stream == entry.stream and (not call.stream or call.want_usage == entry.shown_usage):
            body = entry.reply
        else:
            made = replies.render(
                entry.shape, entry.reply, stream=entry.stream, to_stream=call.stream, usage=entry.usage, show=call.want_usage
            )
            if made is None:
                return None
            body = made
        age = max(0, int(self._clock() - entry.created))
        saved = self._prices.estimate(entry.provider, entry.provider_model, entry.usage) if self._prices is not None else None
        call.recalled = Recall(
            kind="exact" if similarity is None else "semantic",
            call=entry.call,
            provider=entry.provider,
            model=entry.provider_model,
            age=age,
            similarity=similarity,
            usage=entry.usage,
            saved=saved,
        )
        call.target = Target(PROVIDER, entry.provider_model, call.model)
        call.usage = Usage()
        if call.stream:
            reply = Reply(headers=list(_STREAM), chunks=_replayed(body))
            reply.finished = True
        else:
            media = entry.media if not entry.stream else "application/json"
            reply = Reply(headers=[("content-type", media)], body=body)
        reply.headers += (("x-penstock-cache-age", str(age)), ("x-penstock-cache-call", entry.call))
        if similarity is not None:
            reply.headers.append(("x-penstock-cache-similarity", f"{similarity:.4f}"))
        return _told(reply, "hit" if similarity is None else "semantic")

    async def _in_flight(self, call: Call, key: bytes) -> Reply | None:
        """What an equal request that is in flight comes to; None when there is none, or it came to nothing: then this one is in flight."""
        while (flight := self._flights.get(key)) is not None:
            try:
                async with asyncio.timeout(max(0.0, call.remaining())):
                    await flight.wait()
            except TimeoutError:
                raise DeadlineExceeded("an equal request, whose answer was waited for, did not end before the deadline") from None
            reply = self._exact(call, key)
            if reply is not None:
                return reply
        landed = self._flights[key] = asyncio.Event()

        def land(_: Call) -> None:
            del self._flights[key]
            landed.set()

        call.at_end(land)
        return None

    def _watch(self, call: Call, reply: Reply, key: bytes, rule: CacheRule, asked: Asked | None) -> None:
        if reply.status != 200:
            return
        streamed, copy = reply.chunks is not None, copy_of(reply, self._largest)
        call.at_end(partial(self._ended, reply=reply, streamed=streamed, copy=copy, key=key, rule=rule, asked=asked))

    def _ended(
        self,
        call: Call,
        *,
        reply: Reply,
        streamed: bool,
        copy: Callable[[], bytes | None],
        key: bytes,
        rule: CacheRule,
        asked: Asked | None,
    ) -> None:
        target, usage, who, replies = call.target, call.usage, call.principal, self._replies
        if call.outcome != "ok" or not reply.finished or target is None or usage is None or who is None or replies is None:
            return
        body = copy()
        if not body:
            self.unkept += 1
            return
        try:
            seen = replies.see(call.shape, body, stream=streamed)
        except Exception:  # the call is over and answered: whatever is wrong with a provider's reply must not end in its place
            _log.exception("a reply cannot be looked at", extra={"call": call.id})
            seen = None
        if seen is None:
            self.unkept += 1
            return
        now = self._clock()
        media = next((value for name, value in reply.headers if name == "content-type"), "application/json")
        entry = Entry(
            key=key,
            organisation=who.organisation,
            task=call.task or "",
            model=call.model,
            provider=target.provider,
            provider_model=target.model,
            shape=call.shape,
            stream=streamed,
            shown_usage=call.want_usage,
            media=media,
            call=call.id,
            created=now,
            expires=now + (rule.ttl_seconds or self._ttl),
            usage=usage,
            reply=body,
        )
        self._shelf.put(entry)
        if asked is not None and self._semantic is not None:
            self._semantic.learn(asked, rule, entry, seen)


async def _replayed(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def _told(reply: Reply, what: str) -> Reply:
    reply.headers.append((HEADER, what))
    return reply


def _may(call: Call, who: Principal) -> bool:
    """Whether the key may use what it asks for; where it may not, the chooser refuses with the reason."""
    return who.may_use_model(call.model) and (call.task is None or who.may_use_task(call.task))


def _of_organisation(who: Principal) -> str:
    return who.organisation


def _of_project(who: Principal) -> str:
    return f"{who.organisation}/project/{who.project}"


def _of_key(who: Principal) -> str:
    return f"{who.organisation}/key/{who.key_id}"
