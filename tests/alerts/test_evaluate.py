from __future__ import annotations

from typing import Any

import pytest
from tests.alerts.series import ERRORS, GROUNDED, LATENCY, NOW, SPEND, Listed, steps

from penstock.alerts.evaluate import MOST_STEPS, Evaluation, amount
from penstock.alerts.model import Detector, Objective, Rule, Terms, Threshold
from penstock.kernel.errors import NotFound, StorageError
from penstock.kernel.measures import Example, MeasureSources


def rule(**terms: Any) -> Rule:
    values: dict[str, Any] = {"measure": "toy_latency_ms", **terms}
    return Rule(id="r", organisation="org_1", name="r", terms=Terms(**values))


def evaluation(source: Listed) -> Evaluation:
    return Evaluation(lambda: MeasureSources([source]), 7)


async def test_each_group_has_a_verdict_that_says_it() -> None:
    source = Listed(LATENCY)
    source.put("toy_latency_ms", [*steps([2500] * 5, group="a"), *steps([100] * 5, group="b")])
    _, found = await evaluation(source).look(rule(threshold=Threshold(above=2000), by="task"), NOW)
    assert {group: one.state for group, one in found.items()} == {"a": "bad", "b": "good"}
    assert found["a"].told == "Latency: 2.5 s, above 2 s for 5 minutes"
    asked = source.asked[0]
    assert (asked.organisation, asked.by, asked.groups, asked.step) == ("org_1", "task", 7, 60)


async def test_without_groups_silence_is_a_verdict_too() -> None:
    _, found = await evaluation(Listed(LATENCY)).look(rule(threshold=Threshold(above=2000)), NOW)
    assert {group: one.state for group, one in found.items()} == {"": "unclear"}


async def test_long_questions_are_asked_in_pieces() -> None:
    source = Listed(LATENCY)
    source.put("toy_latency_ms", steps([100.0] * 8064, step=300))
    found = await evaluation(source).readings(rule(detector=Detector(history_days=28)), NOW - 28 * 86_400, NOW, 300)
    assert len(found[""]) == 8064
    assert max((one.until - one.since) / one.step for one in source.asked) == MOST_STEPS


async def test_a_budget_is_told_with_an_objective_that_burns() -> None:
    source = Listed(ERRORS)
    source.put("toy_error_rate", steps([0.1] * 864, step=300, count=50))
    watched = rule(measure="toy_error_rate", objective=Objective(target=0.99))
    _, found = await evaluation(source).look(watched, NOW)
    assert found[""].state == "bad"
    assert found[""].budget_left == pytest.approx(-9)
    assert await evaluation(source).budget(rule(threshold=Threshold(above=1)), NOW) == {}


async def test_a_measure_that_nobody_knows() -> None:
    with pytest.raises(NotFound, match="toy_latency_ms"):
        await evaluation(Listed(GROUNDED)).look(rule(threshold=Threshold(above=1)), NOW)


async def test_an_alert_does_not_wait_for_its_examples() -> None:
    source = Listed(LATENCY)
    source.shown = [Example(id=f"call_{n}", href="/x", at=NOW) for n in range(9)]
    one, watched = evaluation(source), rule(threshold=Threshold(above=2000), by="task")
    _, found = await one.look(watched, NOW)
    source.put("toy_latency_ms", steps([2500] * 5, group="a"))
    _, found = await one.look(watched, NOW)
    assert len(await one.examples(watched, "a", found["a"], NOW)) == 5

    async def fails(*_: object) -> list[Example]:
        raise StorageError("gone")

    source.examples = fails  # type: ignore[method-assign]
    assert await one.examples(watched, "a", found["a"], NOW) == ()


def test_values_are_written_as_people_read_them() -> None:
    assert [amount(v, u) for v, u in ((120, "ms"), (2500, "ms"), (0.215, "share"), (12.5, "usd"), (12345, "tokens"), (None, "ms"))] == [
        "120 ms", "2.5 s", "21.5 %", "12.50 USD", "12,345", "–",
    ]  # fmt: skip


async def test_a_group_without_readings_has_spent_nothing_unless_it_is_among_the_rest() -> None:
    source, watched = Listed(SPEND), rule(measure="toy_spend_usd", by="task", threshold=Threshold(above=50))
    _, found = await evaluation(source).look(watched, NOW, ["faq"])
    assert found["faq"].state == "good"
    source.put("toy_spend_usd", steps([60.0] * 5, group="…"))
    _, found = await evaluation(source).look(watched, NOW, ["faq"])
    assert {group: one.state for group, one in found.items()} == {"…": "bad"}
