"""Every task with samples is watched, what changed is written down once, and an accepted change is the new way to be."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.quality.drift.house import SETTINGS, START, Hashing, put, stored, traffic

from penstock.kernel.errors import Conflict, NotFound, PenstockError, StorageFull
from penstock.kernel.principal import Principal, Scope
from penstock.kernel.recall import Embedder
from penstock.quality.drift.keeper import Keeper
from penstock.quality.drift.projection import MOST
from penstock.quality.drift.routes import both_windows, mapped, told
from penstock.storage.records import Records

WHO = Principal(key_id="k", name="ada", organisation="org")
OPERATOR = Principal(key_id="r", name="root", organisation="org", scopes=frozenset({Scope.ADMIN}), home=True)


class Missing(Hashing):
    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        raise PenstockError("the weights are not here")


@pytest.fixture
def store(tmp_path: Path) -> Generator[Records]:
    with stored(tmp_path) as records:
        yield records


def keeper(store: Records, embedder: Embedder | None = None) -> Keeper:
    return Keeper(store, SETTINGS, lambda: embedder)


async def test_a_change_that_nobody_accepts_is_observed_for_so_long_and_then_rests(store: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.quality.drift.keeper.MOST_DRIFTING", 900)
    put(store, traffic(1600, changes=400))
    watch = keeper(store)
    await watch.look()
    (one,) = watch.of(None)
    assert (told(one).state, told(one).rests, len(one.seen)) == ("drifting", True, 1000)
    await watch.look()
    assert len(watch.of(None)[0].seen) == 1000
    await watch.accept(WHO, "faq")
    await watch.look()
    (one,) = watch.of(None)
    assert (told(one).state, told(one).rests) == ("steady", False)
    assert one.seen[-1].at == START + 1599 * 60


async def test_a_change_is_written_down_once_and_accepted(store: Records) -> None:
    calls = traffic(700, changes=400)
    put(store, calls[:500])
    first = keeper(store)
    await first.look()
    put(store, calls[500:])
    put(store, traffic(50, task="young", organisation="other"))
    await first.look()
    assert [(one.task, told(one).state) for one in first.of(None)] == [("faq", "drifting"), ("young", "learning")]
    assert [one.task for one in first.of("other")] == ["young"]
    (changed,) = await first.changes("org")
    assert changed.feature == "vocabulary"
    assert changed.evidence >= changed.level
    assert msgspec.json.decode(changed.detail)["parts"]
    assert await first.changes("other") == []

    # After a restart the same is found again, and written down no second time.
    second = keeper(store)
    await second.look()
    assert len(await second.changes(None)) == 1
    assert len(second.find("org", "faq").seen) == 700

    with pytest.raises(NotFound):
        await second.accept(WHO, "young")
    begun = await second.accept(WHO, "faq")
    assert begun.since == changed.changed_at
    await second.look()
    assert told(second.find("org", "faq")).state == "steady"
    with pytest.raises(Conflict):
        await second.accept(WHO, "faq")
    await first.look()
    assert first.find("org", "faq").baseline == begun.id, "another process follows"


async def test_who_sees_all_organisations_changes_their_own_unless_another_is_named(store: Records) -> None:
    put(store, traffic(700, changes=400, organisation="a-tenant"))
    put(store, [replace(one, id=f"own-{one.id}", organisation="org") for one in traffic(700, changes=400)])
    watching = keeper(store)
    await watching.look()
    begun = await watching.accept(OPERATOR, "faq")
    assert begun.organisation == "org"
    assert watching.find(None, "faq", "a-tenant").changes
    assert (await watching.accept(OPERATOR, "faq", "a-tenant")).organisation == "a-tenant"
    with pytest.raises(NotFound):
        await watching.accept(WHO, "faq", "a-tenant")


async def test_a_change_that_could_not_be_written_is_written_later_and_keeps_no_other_task(store: Records) -> None:
    put(store, traffic(700, changes=400))
    put(store, traffic(50, task="young", organisation="other"))
    watching = keeper(store)
    full = Full(store)
    watching.__dict__["_records"] = full
    with pytest.raises(StorageFull):
        await watching.look()
    assert [one.task for one in watching.of("other")] == ["young"]
    assert len(watching.find("other", "young").seen) == 50
    full.room = True
    await watching.look()
    assert [one.feature for one in await watching.changes("org")] == ["vocabulary"]


class Full:
    """Records that take nothing until there is ``room``."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.room = False

    async def read(self, work: Any) -> Any:
        return await self._records.read(work)

    async def write(self, work: Any) -> Any:
        if not self.room:
            raise StorageFull("no room")
        return await self._records.write(work)


async def test_topics_are_watched_where_there_are_embeddings(store: Records) -> None:
    put(store, traffic(700, changes=400))
    embedder = Hashing()
    watching = keeper(store, embedder)
    await watching.look()
    await watching.look()  # so many prompts are embedded in one look, the rest in the next
    watched = watching.find(None, "faq")
    assert len(watched.seen) == 700
    assert {"topics", "vocabulary"} <= {change.feature for change in watched.changes}
    assert embedder.asked == 700
    again = keeper(store, embedder)
    await again.look()
    assert embedder.asked == 700, "embeddings are kept"

    shown = await mapped(store, watched)
    assert len(shown.points) == min(MOST, 200 + 250)
    assert {point.now for point in shown.points} == {True, False}
    assert all(0 <= point.x <= 1 and 0 <= point.y <= 1 for point in shown.points)
    assert shown.points[0].text.startswith("How is my")
    assert both_windows(watched).windows[0].parts


async def test_without_the_model_the_rest_is_watched(store: Records) -> None:
    put(store, traffic(300))
    watching = keeper(store, Missing())
    await watching.look()
    watched = watching.find(None, "faq")
    assert "topics" not in watched.features
    assert watching.unembedded == "the weights are not here"
    assert "local embedding model" in (await mapped(store, watched)).why


async def test_a_model_that_is_back_is_asked_again(store: Records) -> None:
    put(store, traffic(60))
    now, embedders = [1e9], [Missing(), Hashing()]
    watching = Keeper(store, SETTINGS, lambda: embedders[0], lambda: now[0])
    await watching.look()
    assert watching.unembedded
    del embedders[0]
    put(store, traffic(250)[60:])
    now[0] += 599
    await watching.look()
    assert (watching.unembedded, embedders[0].asked) == ("the weights are not here", 0)
    put(store, traffic(500)[250:])
    now[0] += 1
    await watching.look()
    assert watching.unembedded == ""
    assert embedders[0].asked > 0
