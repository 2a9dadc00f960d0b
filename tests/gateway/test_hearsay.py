"""What one worker heard of rate limits keeps the others from running into them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest
from tests.crew import WHOLE, Crew
from tests.gateway.upstream import Conversation, serving

from penstock.gateway.health import Health, Standing
from penstock.gateway.hearsay import TOPIC, Hearsay, Word
from penstock.gateway.settings import ResilienceSettings
from penstock.kernel.call import Target
from penstock.kernel.errors import UpstreamRefused


class Room:
    """Everybody in it hears what another one says, at once."""

    def __init__(self) -> None:
        self.ears: list[Callable[[bytes], None]] = []
        self.said: list[bytes] = []

    def enter(self) -> Place:
        return Place(self)


class Place:
    def __init__(self, room: Room) -> None:
        self.room = room
        self.ear: Callable[[bytes], None] | None = None

    def hear(self, topic: str, handler: Callable[[bytes], None]) -> None:
        assert topic == TOPIC
        self.ear = handler
        self.room.ears.append(handler)

    def tell(self, topic: str, body: bytes) -> None:
        self.room.said.append(body)
        for ear in self.room.ears:
            if ear is not self.ear:
                ear(body)


class Head:
    status = 200

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def header(self, name: str) -> str | None:
        return self.headers.get(name)


def pair() -> tuple[Room, list[Standing], list[Hearsay]]:
    room = Room()
    healths = [Health(ResilienceSettings(), {}) for _ in range(2)]
    hearsay = [Hearsay(health, room.enter(), lambda: {"up"}) for health in healths]
    return room, [health.of(Target("up", "m", "m")) for health in healths], hearsay


def hear(standing: Standing, requests: int, tokens: int) -> None:
    head = Head(
        x_ratelimit_remaining_requests=str(requests),
        x_ratelimit_reset_requests="30s",
        x_ratelimit_remaining_tokens=str(tokens),
        x_ratelimit_reset_tokens="20s",
    )
    standing.quota.heard(head)  # type: ignore[arg-type]


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not look():
            await asyncio.sleep(0.005)


async def test_what_is_left_is_told_once_for_many_replies() -> None:
    room, (one, other), hearsay = pair()
    for left in (9, 8, 7):
        hear(one, left, 100 * left)
    assert not other.quota.known
    await until(lambda: other.quota.known)
    assert (other.quota.requests, other.quota.tokens) == (7, 700)
    assert len(room.said) == hearsay[0].told == hearsay[1].heard == 1
    assert other.quota.wait(700) == 0
    assert 19 < other.quota.wait(701) <= 20
    # What was only heard from others is not told again.
    assert not other.quota.fresh
    hear(other, 0, 600)
    await until(lambda: one.quota.requests == 0)
    assert 29 < one.quota.wait(1) <= 30
    assert len(room.said) == 2


async def test_a_pause_is_told_at_once() -> None:
    _, (one, other), _ = pair()
    one.begin(10)
    refused = UpstreamRefused("too many", status=429, upstream_status=429, retry_after=12)
    one.failed(10, refused, time.monotonic(), 30, ())
    assert other.circuit.limited
    assert 11 < other.circuit.wait() <= 13.3
    assert "another worker" in other.circuit.why


@pytest.mark.parametrize(
    "body", [b"", b"\xff", msgspec.msgpack.encode([Word("made up", "m", requests=0.0)]), msgspec.msgpack.encode(["x"])]
)
async def test_what_is_not_understood_or_unknown_changes_nothing(body: bytes) -> None:
    room, standings, _ = pair()
    for ear in room.ears:
        ear(body)
    assert not any(standing.quota.known for standing in standings)


class Limited:
    """A provider that lets ``left`` calls in and says so, or says 429 for half a minute; ``seen`` counts what it was asked."""

    def __init__(self, left: int, *, says: bool) -> None:
        self.left = left
        self.says = says
        self.seen = 0

    async def __call__(self, conversation: Conversation) -> None:
        while True:
            await conversation.request()
            self.seen += 1
            if self.left <= 0:
                await conversation.json(b'{"error":{"message":"slow down"}}', "429 Too Many Requests", b"retry-after: 30\r\n")
                continue
            self.left -= 1
            said = b"x-ratelimit-remaining-requests: %d\r\nx-ratelimit-reset-requests: 30s\r\n" % self.left if self.says else b""
            await conversation.json(WHOLE, "200 OK", said)


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.parametrize("says", [True, False], ids=["headers", "429"])
async def test_two_workers_know_what_either_was_told(tmp_path: Path, *, says: bool) -> None:
    provider = Limited(3, says=says)
    async with serving(provider) as up:
        crew = Crew(tmp_path, up.url)
        await crew.start()
        await crew.all_up()
        await crew.known(crew.admin)
        # One after the other, so that the last word was heard before the next call: whoever gets it.
        for n in range(3 if says else 4):
            assert (await crew.call(crew.admin))[0] == (200 if n < 3 else 429)
            if says or n == 3:
                await _heard(crew, n + 1 if says else 1)
        seen = provider.seen
        answers = await asyncio.gather(*(crew.call(crew.admin) for _ in range(20)))
        assert {status for status, _, _ in answers} == {429}
        assert all(int({k.lower(): v for k, v in headers.items()}["retry-after"]) > 20 for _, _, headers in answers)
        assert provider.seen == seen
        assert await crew.terminate() == 0


async def _heard(crew: Crew, words: int) -> None:
    async with asyncio.timeout(10), aiohttp.ClientSession(headers={"authorization": f"Bearer {crew.admin}"}) as session:
        while True:
            async with session.get(f"{crew.url}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            found = [line for line in lines if line.startswith("penstock_rate_limit_words") and 'way="heard"' in line]
            if sum(float(line.rpartition(" ")[2]) for line in found) >= words:
                return
