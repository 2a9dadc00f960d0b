"""What is found for a moment is not acted on, what lasts is, once."""

from __future__ import annotations

from tests.routing.simulated import policy

from penstock.routing.patience import FORGET_SECONDS, SETTLE_SECONDS, patient
from penstock.routing.policy import Policy


class Place:
    def __init__(self) -> None:
        self.now = 1000.0
        self.done: list[tuple[str, str]] = []
        self.ask = patient(self.act, lambda: self.now)

    async def act(self, policy: Policy, why: str) -> None:
        self.done.append((policy.id, why))

    async def rounds(self, seconds: float, why: str, *, id: str = "policy_1") -> None:
        end = self.now + seconds
        while self.now < end:
            await self.ask(policy(id=id), why)
            self.now += 10


async def test_what_lasts_is_acted_on_once() -> None:
    place = Place()
    await place.rounds(SETTLE_SECONDS, "it leads elsewhere")
    assert place.done == []
    await place.ask(policy(id="policy_2"), "it leads elsewhere")
    await place.ask(policy(id="policy_1"), "it leads elsewhere")
    assert place.done == [("policy_1", "it leads elsewhere")]


async def test_what_was_over_or_is_another_thing_begins_anew() -> None:
    place = Place()
    await place.rounds(SETTLE_SECONDS, "it leads elsewhere")
    place.now += FORGET_SECONDS
    await place.rounds(SETTLE_SECONDS, "it leads elsewhere")
    await place.rounds(SETTLE_SECONDS, "it leads to a third")
    assert place.done == []
