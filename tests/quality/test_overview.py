"""How good live replies are: by task, and of one task by slices."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from tests.quality.drift.house import put, stored
from tests.quality.replies import as_samples

from penstock.kernel.errors import NotFound
from penstock.quality.measured import UNCHECKED
from penstock.quality.overview import by_task, of_task


async def test_tasks_and_slices(tmp_path: Path) -> None:
    until = time.time()
    with stored(tmp_path) as store:
        put(store, [*as_samples("org", labelled=12, times=3), *as_samples("org", task="young"), *as_samples("other", task="theirs")])
        waiting = as_samples("org", task="hand")[0]
        put(store, [msgspec.structs.replace(waiting, state="waiting", score=None, judge="", model_score=None, model_judge="")])
        found = {one.task: one for one in await store.read(lambda c: by_task(c, "org", until - 86_400, until))}
        assert set(found) == {"answer", "young", "hand"}
        answer, young, hand = found["answer"], found["young"], found["hand"]
        assert answer.ungrounded is not None
        assert (answer.samples, answer.ungrounded.judged, answer.ungrounded.labelled) == (60, 24, 36)
        assert answer.ungrounded.method == "prediction-powered"
        assert answer.ungrounded.low <= 0.6 <= answer.ungrounded.high, "people call 12 of 20 ungrounded"
        assert answer.human is not None
        assert answer.human.low <= 0.4 <= answer.human.high
        assert young.ungrounded is not None
        assert (young.ungrounded.note, young.human) == (UNCHECKED, None)
        assert (hand.samples, hand.waiting, hand.score) == (1, 1, None)

        one = await of_task(store, "org", "answer", until - 86_400, until)
        kinds = {each.kind for each in one.slices}
        assert {"language", "team", "model"} <= kinds
        teams = {each.group: each.score for each in one.slices if each.kind == "team"}
        assert set(teams) == {"sales", "support"}
        assert all(each.low <= each.value <= each.high for each in teams.values())
        with pytest.raises(NotFound):
            await of_task(store, "org", "theirs", until - 86_400, until)
