"""Quality over time: corrected by labels where there are any, and plainly the judge's word where there are none."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from tests.house import founded

from penstock.app import capabilities, migration_packages
from penstock.kernel.errors import RequestError
from penstock.kernel.measures import Asked
from penstock.quality import samples
from penstock.quality.measured import CARRIED, HUMAN, JUDGED, UNCHECKED, UNGROUNDED, Measured
from penstock.quality.samples import Kept
from penstock.storage.records import Records, open_records

HOUR, DAY = 3600.0, 86_400.0
START = 20_000 * DAY


def kept(id: str, at: float, score: float | None, **more: object) -> Kept:
    made: dict[str, object] = {
        "id": id,
        "organisation": "org",
        "task": "faq",
        "item": id,
        "candidate": "up/m",
        "source": "live",
        "propensity": 1.0,
        "prompt": "?",
        "context": "c",
        "answer": "a",
        "groups": {},
        "cost": 1,
        "latency_ms": 5.0,
        "input_tokens": 1,
        "output_tokens": 1,
        "at": at,
        "state": "judged" if score is not None else "waiting",
        "score": score,
        "judge": "groundedness",
        "model_score": score,
        "model_judge": "groundedness" if score is not None else "",
        "reason": "nothing says so",
    }
    return Kept(**(made | more))  # type: ignore[arg-type]


def replies(prefix: str, n: int, start: float, *, labelled: int = 0, seed: int = 0, **more: object) -> list[Kept]:
    """Of the truth 40 % are ungrounded; the judge calls 90 % of those so, and 20 % of the others. The first ``labelled`` people know."""
    chance = random.Random(seed)
    found: list[Kept] = []
    for at in range(n):
        bad = chance.random() < 0.4
        said = 1.0 - float(chance.random() < (0.9 if bad else 0.2))
        one = kept(f"{prefix}{at:05}", start + at * HOUR / n, said, **more)
        if at < labelled:
            one = kept(one.id, one.at, 1.0 - float(bad), judge="human", model_score=said, model_judge="groundedness", **more)
        found.append(one)
    return found


@pytest.fixture
def store(tmp_path: Path) -> Generator[Records]:
    founded(tmp_path, migration_packages(capabilities()))
    records = open_records("", tmp_path)
    yield records
    records.close()


def put(store: Records, rows: Sequence[Kept]) -> Measured:
    with store.begin() as connection:
        for at in range(0, len(rows), 200):
            samples.put(connection, rows[at : at + 200])
    return Measured(store)


def asked(**more: object) -> Asked:
    return Asked(**({"organisation": "org", "since": START, "until": START + DAY, "step": HOUR} | more))  # type: ignore[arg-type]


async def test_labels_correct_the_judge(store: Records) -> None:
    source = put(store, [*replies("a", 600, START, labelled=120), *replies("b", 300, START + HOUR, seed=1)])
    found = await source.readings([UNGROUNDED, HUMAN], asked())
    first, second = found[UNGROUNDED]
    assert (first.at, first.note, first.count) == (START, "", 600)
    for one in (first, second):
        assert one.value is not None
        assert one.low is not None
        assert one.high is not None
        assert one.low <= 0.4 <= one.high, "the judge alone says 0.48"
    assert second.note == CARRIED
    assert second.count == 300
    (people,) = found[HUMAN]
    assert people.count == 120
    assert people.value == pytest.approx(0.6, abs=0.12)


async def test_without_labels_it_is_the_judges_word(store: Records) -> None:
    source = put(store, [*replies("a", 400, START), kept("w", START, None), kept("s", START, 0.0, source="shadow")])
    (one,) = (await source.readings([UNGROUNDED], asked()))[UNGROUNDED]
    assert (one.note, one.count) == (UNCHECKED, 400)
    assert one.value == pytest.approx(0.48, abs=0.08)
    assert (await source.readings([HUMAN], asked()))[HUMAN] == []


async def test_seldom_drawn_replies_weigh_more(store: Records) -> None:
    rows = [kept(f"a{n}", START + n, 1.0) for n in range(50)] + [kept(f"b{n}", START + n, 0.0, propensity=0.1) for n in range(50)]
    (one,) = (await put(store, rows).readings([UNGROUNDED], asked()))[UNGROUNDED]
    assert one.value == pytest.approx(500 / 550)


async def test_other_judges_count_for_scores_alone(store: Records) -> None:
    rows = [kept(f"a{n}", START + n, 0.5, judge="rubric:j", model_judge="rubric:j") for n in range(20)]
    rows += [kept(f"h{n}", START + n, 1.0, judge="human", model_score=None, model_judge="", task="hand") for n in range(3)]
    found = await put(store, rows).readings([UNGROUNDED, JUDGED], asked(by="task"))
    assert found[UNGROUNDED] == []
    assert {one.group: (one.value, one.note) for one in found[JUDGED]} == {"faq": (0.5, UNCHECKED), "hand": (1.0, "")}


async def test_groups_and_filters(store: Records) -> None:
    rows = [*replies("a", 60, START), *replies("b", 30, START, candidate="up/s"), *replies("c", 10, START, candidate="up/t")]
    source = put(store, [*rows, *replies("d", 5, START, organisation="other")])
    grouped = (await source.readings([UNGROUNDED], asked(by="model", groups=2)))[UNGROUNDED]
    assert {one.group: one.count for one in grouped} == {"up/m": 60, "up/s": 30, "…": 10}
    (one,) = (await source.readings([UNGROUNDED], asked(equal={"model": ("up/s",), "task": ("faq", "x")})))[UNGROUNDED]
    assert one.count == 30
    assert (await source.readings([UNGROUNDED], asked(organisation=None, step=DAY)))[UNGROUNDED][0].count == 105
    for wrong in (asked(by="team"), asked(equal={"team": ("t",)}), asked(step=1.0), asked(step=0)):
        with pytest.raises(RequestError):
            await source.readings([UNGROUNDED], wrong)


async def test_examples_are_the_worst(store: Records) -> None:
    rows = [kept("good", START, 1.0), kept("bad", START + 1, 0.0), kept("worse", START + 2, 0.0)]
    source = put(store, rows)
    found = await source.examples(UNGROUNDED, asked())
    assert [(one.id, one.value) for one in found] == [("worse", 1.0), ("bad", 1.0)]
    assert found[0].why == "judged by groundedness", "the reason may quote the reply, and not everyone may see that"
    assert found[0].href.endswith("/worse")
    assert [one.id for one in await source.examples(JUDGED, asked(), 1)] == ["worse"]
