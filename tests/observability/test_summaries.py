from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from tests.observability.calls import NOW, OTHER, READER, ended

from penstock.kernel.call import Call, Cost
from penstock.kernel.errors import LimitExceeded, UnknownModel, UpstreamReset
from penstock.observability import summaries as module
from penstock.observability.summaries import KEEP_MINUTES, Summaries
from penstock.observability.summaries import OTHER as REST
from penstock.observability.tables import call_summaries

NAMES = [column.name for column in call_summaries.columns]


def rows(of: Summaries) -> list[dict[str, object]]:
    return [dict(zip(NAMES, row, strict=True)) for row in of.changed()]


def test_a_row_has_the_columns_of_the_table() -> None:
    kept = Summaries()
    for _ in range(3):
        kept.add(ended(task="t", first_token_ms=3.0))
    kept.add(ended(task="t", cost=Cost(amount=0, priced=False)))
    (row,) = rows(kept)
    minute = int(NOW) // 60 * 60
    assert (row["period"], row["seconds"], row["organisation"], row["team"], row["key_id"]) == (minute, 60, "org_a", "team_a", "key_a")
    assert (row["task"], row["model"], row["provider"], row["operation"], row["outcome"]) == ("t", "m", "p", "chat", "ok")
    assert (row["calls"], row["input_tokens"], row["output_tokens"], row["cost_micros"], row["unpriced"]) == (4, 400, 80, 4500, 1)
    assert row["total_ms"]
    assert row["first_token_ms"]


CALLS = st.builds(
    lambda seconds, who, model, error: ended(at=NOW + seconds, who=who, model=model, error=error),
    st.integers(0, 600),
    st.sampled_from([READER, OTHER, None]),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([None, LimitExceeded("slow down"), UpstreamReset("gone")]),
)


@given(st.lists(CALLS, max_size=60), st.integers(1, 5))
def test_every_call_is_counted_once_however_often_rows_are_written(made: list[Call], every: int) -> None:
    kept = Summaries()
    stored: dict[object, dict[str, object]] = {}
    for number, call in enumerate(made):
        kept.add(call)
        if number % every == 0:
            stored.update({row["id"]: row for row in rows(kept)})
            kept.written(NOW + 600)
    stored.update({row["id"]: row for row in rows(kept)})
    by_minute: Counter[tuple[object, object]] = Counter()
    for row in stored.values():
        by_minute[row["period"], row["outcome"]] += row["calls"]  # type: ignore[assignment]
    assert by_minute == Counter((int(call.started_at) // 60 * 60, call.outcome) for call in made)


def test_names_that_nobody_checked_do_not_make_rows() -> None:
    kept = Summaries()
    for number in range(50):
        kept.add(ended(who=None, model=f"made up {number}", error=UnknownModel("no")))
        kept.add(ended(model=f"made up {number}", task=f"t{number}", error=UnknownModel("no")))
    found = sorted((row["organisation"], row["model"], row["task"], row["calls"]) for row in rows(kept))
    assert found == [("", "", "", 50), ("org_a", "", "", 50)]


def test_combinations_beyond_the_most_count_together() -> None:
    kept = Summaries()
    most = module.ROWS_PER_MINUTE
    for number in range(most + 50):
        kept.add(ended(task=f"task {number}"))
    found = rows(kept)
    rest = [row for row in found if row["task"] == REST]
    assert (len(found), [row["calls"] for row in rest]) == (most + 1, [50])
    assert sum(row["calls"] for row in found) == most + 50  # type: ignore[misc]


def test_rows_of_minutes_long_past_are_let_go_and_a_late_call_opens_another() -> None:
    kept = Summaries()
    kept.add(ended())
    (first,) = rows(kept)
    kept.written(NOW)
    kept.add(ended())
    assert [row["id"] for row in rows(kept)] == [first["id"]]
    kept.written(NOW + (KEEP_MINUTES + 2) * 60)
    kept.add(ended())
    (late,) = rows(kept)
    assert (late["id"] != first["id"], late["calls"], late["period"]) == (True, 1, first["period"])


def test_nothing_changed_is_nothing_to_write() -> None:
    kept = Summaries()
    assert rows(kept) == []
    kept.add(ended())
    assert len(rows(kept)) == 1
    kept.written(NOW)
    assert rows(kept) == []
