"""Events of the house, as other programs are told of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.alerts.rig import Alarmed, Receiver, alarmed, receiving
from tests.alerts.series import NOW

from penstock.alerts.announce import KINDS, fact_of
from penstock.kernel.events import BudgetSpent, Event, HouseStarted, KeyRevoked, RunEnded, VersionMoved
from penstock.kernel.evidence import CertificationEnded, ClaimSuspended


def failed() -> RunEnded:
    return RunEnded("run_1", "nightly", 1, "org_1", "failed", {}, NOW - 60, NOW, error_kind="ValueError")


pytestmark = [pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def heard(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Alarmed, Receiver]]:
    async with receiving() as receiver:
        settings = f'[alerts.webhooks.audit]\nurl = "{receiver.url}"\nevents = ["penstock.*"]\n'
        async with alarmed(tmp_path_factory.mktemp("announce"), settings) as one:
            yield one, receiver


async def delivered(one: Alarmed, receiver: Receiver, count: int) -> None:
    while len(receiver.got) < count:
        await one.life.watching.lead()
        await one.life.watching.deliver()
        await asyncio.sleep(0.01)


async def test_what_rooms_publish_arrives_once(heard: tuple[Alarmed, Receiver]) -> None:
    one, receiver = heard
    receiver.got.clear()
    events = one.house.app.events
    spent = BudgetSpent("budget_1", "month", 100, 100, 100, "org_1")
    events.publish(spent)
    events.publish(spent)  # another process notices it too
    await delivered(one, receiver, 1)
    events.publish(ClaimSuspended(organisation="org_1", task="faq", policy="policy_1", why="it slipped"))
    await delivered(one, receiver, 2)
    told = {body["type"]: body for _, body in receiver.got}
    assert set(told) == {"penstock.budget.exhausted", "penstock.certificate.suspended"}
    assert told["penstock.budget.exhausted"]["data"]["organisation"] == "org_1"
    assert told["penstock.certificate.suspended"]["data"]["why"] == "it slipped"


async def test_rooms_may_publish_from_threads(heard: tuple[Alarmed, Receiver]) -> None:
    one, receiver = heard
    receiver.got.clear()
    event = failed()
    thread = threading.Thread(target=one.house.app.events.publish, args=(event,))
    thread.start()
    await asyncio.to_thread(thread.join)
    await delivered(one, receiver, 1)
    assert receiver.types() == ["penstock.run.failed"]


async def test_a_revoked_key_is_told_to_its_organisation_alone(heard: tuple[Alarmed, Receiver]) -> None:
    one, receiver = heard
    receiver.got.clear()
    theirs, _ = await one.house.outsider()
    async with receiving() as other:
        # Registered by who runs the house, so it may stand at a private address; it hears of their own organisation only.
        made = await one.house.made("/v1/webhooks", {"url": other.url, "events": ["penstock.key.revoked"]})
        reader, _ = await one.house.key(scopes=["read"])
        hook = f"/v1/webhooks/{made['webhook']['id']}"
        assert (await one.house.ask("GET", hook)).json["url"] == other.url
        assert (await one.house.ask("GET", hook, key=reader)).json["url"] == other.url.removesuffix("hook") + "…"
        assert other.url not in (await one.house.ask("GET", "/v1/webhooks", key=reader)).text
        _, id = await one.house.key(by=theirs)
        assert (await one.house.ask("POST", f"/v1/keys/{id}/revoke", key=theirs)).status == 200
        await delivered(one, receiver, 1)
        assert (receiver.types(), other.got) == (["penstock.key.revoked"], [])


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (BudgetSpent("b", "month", 100, 80, 80), "penstock.budget.reached"),
        (BudgetSpent("b", "month", 100, 120, 100), "penstock.budget.exhausted"),
        (KeyRevoked("key_1", "org"), "penstock.key.revoked"),
        (VersionMoved("org", "model_1", "version_1", "approved", "key_1", "good"), "penstock.version.approved"),
        (VersionMoved("org", "model_1", "version_1", "revoked", "key_1", "bad"), "penstock.version.revoked"),
        (ClaimSuspended("org", "faq", "p", "why"), "penstock.certificate.suspended"),
        (CertificationEnded("org", "faq", "p", "active", True, ""), "penstock.certificate.issued"),
        (CertificationEnded("org", "faq", "p", "refused", True, ""), "penstock.certificate.refused"),
        (CertificationEnded("org", "faq", "p", "failed", True, ""), None),
        (failed(), "penstock.run.failed"),
        (RunEnded("run_1", "work", 1, "org", "done", {}, 1.0, 2.0), "penstock.run.done"),
        (RunEnded("run_1", "work", 1, "org", "cancelled", {}, 1.0, 2.0), "penstock.run.cancelled"),
        (RunEnded("run_2", "work", 1, "org", "done", {}, 1.0, 2.0, 1, "run_1"), None),
        (HouseStarted(), None),
    ],
)
async def test_each_event_has_its_type(event: Event, kind: str | None) -> None:
    fact = fact_of(event, NOW)
    assert (fact.kind if fact is not None else None) == kind
    assert kind is None or kind in KINDS
