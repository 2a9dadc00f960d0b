"""Drift over time, by task; and where on the axis of time a change stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.quality.drift.house import SETTINGS, START, put, stored, traffic

from penstock.kernel.errors import RequestError
from penstock.kernel.measures import Asked
from penstock.quality.drift.keeper import Keeper
from penstock.quality.drift.measured import ANY, DriftMeasured


async def test_measures_and_marks(tmp_path: Path) -> None:
    with stored(tmp_path) as store:
        put(store, traffic(600, changes=400))
        put(store, traffic(300, task="calm", seed=1))
        watching = Keeper(store, SETTINGS, lambda: None)
        await watching.look()
        (mark,) = await watching.marks("org", START, START + 86_400)
    source = DriftMeasured(watching)
    asked = Asked(organisation="org", since=START, until=START + 86_400, step=3600, by="task")
    found = await source.readings([ANY, "drift_vocabulary", "drift_model"], asked)
    most = {one.group: max(each.value or 0 for each in found[ANY] if each.group == one.group) for one in found[ANY]}
    assert most["faq"] == 1
    assert most["calm"] < 0.8
    assert max(one.value or 0 for one in found["drift_model"]) < 0.8
    assert sum(one.count for one in found[ANY]) == 400 + 100
    examples = await source.examples("drift_vocabulary", asked)
    assert len(examples) == 5
    assert examples[0].at >= START + 380 * 60
    assert await source.examples("drift_model", asked) == []
    with pytest.raises(RequestError):
        await source.readings([ANY], Asked(organisation=None, since=0, until=60, step=60, by="model"))
    assert (mark.task, mark.href) == ("faq", "/console/drift/faq?organisation=org")
    assert "Words of the question" in mark.title
