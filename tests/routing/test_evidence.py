"""What is gathered: labels of the task's candidates, their costs, their prompts' vectors; what is missing is said, no text is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tests.routing.simulated import CHEAP, DEAR, SETTINGS, drawn, outcome, task

from penstock.kernel.call import Target, Usage
from penstock.kernel.candidates import Traits
from penstock.kernel.errors import Conflict, PenstockError, Unavailable, UnknownModel
from penstock.kernel.evidence import Outcome
from penstock.kernel.tasks import Floor
from penstock.routing.binding import moved, of_model
from penstock.routing.evidence import BATCH, Gathering


class Rooms:
    id = "minilm"

    def __init__(self, known: Sequence[Outcome] = ()) -> None:
        self.known = list(known)
        self.embedded: list[int] = []
        self.broken: PenstockError | None = None
        self.prices: dict[str, int] = {}

    async def outcomes(self, organisation: str, task: str, *, since: float = 0.0) -> Sequence[Outcome]:
        return [replace(one, version="version_1") if one.candidate == DEAR and one.answered_by != "old" else one for one in self.known]

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        if self.broken is not None:
            raise self.broken
        self.embedded.append(len(texts))
        return [np.full(4, len(text), dtype=np.float32).tobytes() for text in texts]

    def at_hand(self, text: str) -> bytes | None:
        return None

    def resolve(self, name: str) -> Target:
        if "/" not in name:
            raise UnknownModel("no")
        provider, model = name.split("/")
        return Target(provider, model, name)

    def traits(self, target: Target, organisation: str = "") -> Traits:
        return Traits(place="vendor", version="version_1" if target.provider == "dear" else "")

    def estimate(self, provider: str, model: str, usage: Usage) -> int | None:
        return self.prices.get(f"{provider}/{model}")

    def gathering(self, **without: Any) -> Gathering:
        def of(what: str) -> Any:
            return lambda: without.get(what, self)

        return Gathering(SETTINGS, of("candidates"), of("evidence"), of("embedder"), of("prices"))


async def test_labels_costs_and_vectors_are_of_the_task_s_candidates() -> None:
    rooms = Rooms(drawn({CHEAP: 0.9, DEAR: 0.95, "left/task": 0.1}, 100))
    found = await rooms.gathering().gather(task())
    assert (found.labels.candidates, found.costs, found.reference) == ((DEAR, CHEAP), (1000.0, 10.0), DEAR)
    assert found.vectors is not None
    assert found.vectors.shape == (100, 4)
    assert found.models == {DEAR: (DEAR, "version_1"), CHEAP: (CHEAP, "")}
    assert (found.embedder, found.unembedded, found.left_out) == ("minilm", "", {})
    named = await rooms.gathering().gather(task(), ("left/task", DEAR))
    assert named.labels.candidates == ("left/task", DEAR)  # a stored policy is judged with the candidates that it had


async def test_prompts_are_embedded_once_and_not_kept() -> None:
    rooms = Rooms(drawn(dict.fromkeys((CHEAP, DEAR), 1.0), BATCH + 1))
    gathering = rooms.gathering()
    await gathering.gather(task())
    await gathering.gather(task(), traffic=True)
    assert rooms.embedded == [BATCH, 1]
    assert "prompt" not in repr(gathering._vectors)  # type: ignore[attr-defined]
    rooms.id = "another"
    await gathering.gather(task())
    assert rooms.embedded == [BATCH, 1, BATCH, 1]


async def test_judged_traffic_has_vectors_where_they_are_asked_for() -> None:
    rooms = Rooms([*drawn(dict.fromkeys((CHEAP, DEAR), 1.0), 50), outcome("call_1", DEAR, source="live", prompt="hello")])
    assert (await rooms.gathering().gather(task())).of_prompt == {}
    assert list((await rooms.gathering().gather(task(), traffic=True)).of_prompt) == ["hello"]


async def test_what_is_no_score_is_no_evidence() -> None:
    spoilt = [outcome(f"x{n}", name, score) for n, score in enumerate((float("nan"), -1.0, 50.0)) for name in (CHEAP, DEAR)]
    found = await Rooms([*drawn({CHEAP: 0.9, DEAR: 0.9}, 60), *spoilt]).gathering().gather(task())
    assert len(found.labels) == 60
    assert len(found.outcomes) == 120


async def test_what_is_missing_is_said() -> None:
    rooms = Rooms(drawn({CHEAP: 0.9, DEAR: 0.95}, 60))
    with pytest.raises(Conflict) as fault:
        await rooms.gathering().gather(task(floor=None))
    assert fault.value.code == "no_floor"
    with pytest.raises(Unavailable, match="keeps evidence"):
        await rooms.gathering(evidence=None).gather(task())
    assert "no embedding model" in (await rooms.gathering(embedder=None).gather(task())).unembedded
    rooms.broken = Unavailable("the model is gone")
    found = await rooms.gathering().gather(task())
    assert (found.vectors, found.embedder) == (None, "")
    assert "the model is gone" in found.unembedded


async def test_a_candidate_without_a_price_is_left_out_and_a_reference_without_one_is_refused() -> None:
    rows = [outcome(str(n), name, 1.0, cost=None) for n in range(60) for name in (CHEAP, DEAR)]
    rooms = Rooms(rows)
    with pytest.raises(Conflict) as fault:
        await rooms.gathering().gather(task())
    assert fault.value.code == "model_not_priced"
    rooms.prices[DEAR] = 77
    found = await rooms.gathering().gather(task())
    assert (found.labels.candidates, found.costs, found.left_out) == ((DEAR,), (77.0,), {CHEAP: "no known price"})


async def test_who_misses_the_task_s_latency_is_left_out_but_the_reference() -> None:
    rows = [outcome(str(n), name, 1.0, latency_ms=900.0 if n % 10 == 0 else 100.0) for n in range(60) for name in (CHEAP, DEAR)]
    found = await Rooms(rows).gathering().gather(task(latency_ms=500.0))
    assert found.labels.candidates == (DEAR,)
    assert "slower than the task's 500 ms for 95% of the calls" in found.left_out[CHEAP]
    assert len((await Rooms(rows).gathering().gather(task(latency_ms=500.0, latency_quantile=0.9))).labels.candidates) == 2


async def test_a_relative_floor_s_reference_need_not_be_a_candidate() -> None:
    rows = drawn({CHEAP: 0.9, DEAR: 0.95, "gold/model": 1.0}, 60)
    found = await Rooms(rows).gathering().gather(task(floor=Floor(level=0.9, reference="gold/model")))
    assert found.reference == "gold/model"
    assert "gold/model" in found.labels.candidates


async def test_a_count_of_fresh_prompts_is_not_made_again_before_there_can_be_enough() -> None:
    class Read(Rooms):
        whole = 0

        async def outcomes(self, organisation: str, task: str, *, since: float = 0.0) -> Sequence[Outcome]:
            self.whole += since == 0.0
            return [one for one in await super().outcomes(organisation, task) if one.at >= since]

    rooms = Read(drawn(dict.fromkeys((CHEAP, DEAR), 1.0), 100, at=1.0))
    rooms.known += [  # the same prompts, judged every night
        Outcome(**{**{name: getattr(one, name) for name in Outcome.__struct_fields__}, "item": f"again-{one.item}", "at": 10.0})
        for one in rooms.known
    ]
    gathering = rooms.gathering()
    for _ in range(3):
        assert await gathering.fresh(task(), None, 5.0, 60) == 0
    assert rooms.whole == 1
    rooms.known += drawn(dict.fromkeys((CHEAP, DEAR), 1.0), 25, at=11.0, seed=3)
    assert await gathering.fresh(task(), None, 5.0, 60) <= 50  # at most one for each new judgement
    assert rooms.whole == 1
    rooms.known += drawn(dict.fromkeys((CHEAP, DEAR), 1.0), 40, at=12.0, seed=4)
    assert await gathering.fresh(task(), None, 5.0, 60) == 65
    assert rooms.whole == 2


async def test_answers_of_another_model_or_version_have_no_part() -> None:
    known = drawn({CHEAP: 0.9, DEAR: 0.9}, 120)
    rows = [
        replace(one, answered_by="cheap/other") if one.candidate == CHEAP and number % 4 == 0 else replace(one, answered_by=one.candidate)
        for number, one in enumerate(known)
    ]
    found = await Rooms(rows).gathering().gather(task())
    assert (len(found.labels), dict(found.others)) == (60, {CHEAP: 60})
    unversioned = [replace(one, candidate=DEAR, answered_by=DEAR, version="version_0") for one in known if one.candidate == DEAR]
    assert not of_model(unversioned[0], found.models)
    assert of_model(replace(unversioned[0], version="version_1"), found.models)


async def test_an_alias_takes_only_answers_of_which_is_known_who_gave_them() -> None:
    models = {"quick": ("cheap/small", ""), CHEAP: (CHEAP, "")}
    assert not of_model(outcome("1", "quick"), models)
    assert of_model(outcome("1", "quick", answered_by="cheap/small"), models)
    assert of_model(outcome("1", CHEAP), models)
    assert not of_model(outcome("1", "unheard/of"), models)


async def test_what_came_after_the_moment_has_no_part() -> None:
    rooms = Rooms([*drawn({CHEAP: 0.9, DEAR: 0.9}, 60, at=1.0), *drawn({CHEAP: 0.9, DEAR: 0.9}, 60, seed=1, at=2.0)])
    assert len((await rooms.gathering().gather(task(), until=1.0)).labels) == 60
    assert len((await rooms.gathering().gather(task())).labels) == 120


async def test_a_name_that_leads_nowhere_is_bound_to_what_it_says() -> None:
    rows = drawn({"local": 0.9, DEAR: 0.9}, 60)
    found = await Rooms(rows).gathering().gather(task(candidates=("local", DEAR)))
    assert found.models["local"] == ("local", "")
    assert moved(found.models, {"local": ("cheap/small", "")}) is not None
