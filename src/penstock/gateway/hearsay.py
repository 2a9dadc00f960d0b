"""What one worker hears of a provider's rate limits, told to the others before they run into them.

A reply's head says what is left (`penstock.gateway.quota`), a 429 says for how long to stay away. Each worker tells the others: what is
left at most every `TICK` seconds for each target, a pause at once. It costs a call one comparison, and only where a provider says
anything. Between two words a worker does not know what the others send, so together they may go beyond a limit by what they send within
`TICK` and the time that a word takes.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterable

import msgspec
from msgspec import Struct

from penstock.gateway.health import Health, Standing
from penstock.kernel.call import Target
from penstock.kernel.ports import Broadcast, Metric

_log = logging.getLogger("penstock.gateway")

TOPIC = "rate-limits"
TICK = 0.1


class Word(Struct, array_like=True):
    """What is known of one target: what is left (None: it does not say) and in how many seconds that begins anew; or a pause."""

    provider: str
    model: str
    requests: float | None = None
    requests_reset: float = 0.0
    tokens: float | None = None
    tokens_reset: float = 0.0
    pause: float = 0.0


_words = msgspec.msgpack.Decoder(list[Word])


class Hearsay:
    """Tells and hears for one worker. ``known`` says which providers there are; of others nothing is taken over."""

    def __init__(self, health: Health, broadcast: Broadcast, known: Callable[[], Collection[str]]) -> None:
        self._health = health
        self._broadcast = broadcast
        self._known = known
        self._fresh: list[Standing] = []
        self.told = 0
        self.heard = 0
        broadcast.hear(TOPIC, self._heard)
        health.hearsay = self

    def metrics(self) -> Iterable[Metric]:
        """Words told and heard."""
        samples = (({"way": "told"}, float(self.told)), ({"way": "heard"}, float(self.heard)))
        yield Metric(name="penstock_rate_limit_words", help="What workers tell each other of rate limits.", kind="counter", samples=samples)

    def left(self, standing: Standing) -> None:
        """A target's quota has changed; said once until it has been told."""
        if not self._fresh:
            asyncio.get_running_loop().call_later(TICK, self._tell)
        self._fresh.append(standing)

    def paused(self, standing: Standing, seconds: float) -> None:
        """A target wants to be left alone."""
        self._send([Word(standing.provider.name, standing.model, pause=seconds)])

    def _tell(self) -> None:
        fresh, self._fresh = self._fresh, []
        self._send([_word(standing) for standing in fresh])

    def _send(self, words: list[Word]) -> None:
        self.told += len(words)
        self._broadcast.tell(TOPIC, msgspec.msgpack.encode(words))

    def _heard(self, body: bytes) -> None:
        try:
            words = _words.decode(body)
        except msgspec.DecodeError:
            _log.warning("another worker says something of rate limits that is not understood: it is of another version")
            return
        for word in words:
            if word.provider not in self._known():
                continue
            self.heard += 1
            standing = self._health.of(Target(word.provider, word.model, word.model))
            if word.pause > 0:
                standing.circuit.pause(word.pause, "rate limited (429), as another worker was told")
            else:
                left = (math.inf if word.requests is None else word.requests, math.inf if word.tokens is None else word.tokens)
                standing.quota.told(*left, word.requests_reset, word.tokens_reset)


def _word(standing: Standing) -> Word:
    quota = standing.quota
    quota.fresh = False
    requests, tokens, requests_reset, tokens_reset = quota.state()
    return Word(
        standing.provider.name,
        standing.model,
        requests if math.isfinite(requests) else None,
        requests_reset,
        tokens if math.isfinite(tokens) else None,
        tokens_reset,
    )
