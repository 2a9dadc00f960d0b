from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.observability.calls import NOW, READER, ended

from penstock.kernel.call import Attempt, Call, Cost, Target, Usage, Verdict
from penstock.kernel.errors import UpstreamRefused
from penstock.observability.redaction import Redactor
from penstock.observability.rows import (
    ABSENT,
    COLUMNS,
    JSON_LIMIT,
    MESSAGE_LIMIT,
    NAME_LIMIT,
    NULLABLE,
    clean,
    row_of,
    served_by,
    stage_times,
)

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"


def row(call: Call, payload: int | None = None) -> dict[str, Any]:
    values = row_of(call, payload, Redactor())
    assert len(values) == len(COLUMNS)
    return dict(zip(COLUMNS, values, strict=True))


def test_everything_that_is_known_has_its_column() -> None:
    call = ended(
        task="support.answer",
        stream=True,
        queued_ms=1.5,
        first_token_ms=4.0,
        labels={"ticket": "17"},
        verdicts=[Verdict(guard="pii", verdict="flag", reason="a name")],
        notes=["seed was left out"],
        usage=Usage(
            input=9,
            output=8,
            cached=7,
            cache_written=6,
            reasoning=5,
            audio_input=3,
            audio_output=1,
            images=2,
            audio_ms=1500,
            estimated=True,
        ),
        cost=Cost(amount=42, priced=False),
    )
    call.prompt = "support.reply@3"
    call.reached = [("record", call.started), ("send", call.started + 0.002)]
    found = row(call, 77)
    assert found | {"id": "", "attempts": "", "stages": "", "verdicts": ""} == {
        "id": "", "started_at": int(NOW * 1000), "organisation": "org_a", "team": "team_a", "project": "project_a", "person": ABSENT,
        "key_id": "key_a", "task": "support.answer", "model": "m", "provider": "p", "provider_model": "p-m", "operation": "chat",
        "shape": "openai.chat", "stream": True, "status": 200, "outcome": "ok", "error_code": ABSENT, "error_message": ABSENT,
        "queued_ms": 1.5, "first_token_ms": 4.0, "total_ms": 12.5, "input_tokens": 9, "output_tokens": 8, "cached_tokens": 7,
        "cache_written_tokens": 6, "reasoning_tokens": 5, "audio_tokens": 4, "usage_estimated": True, "cost_micros": 42,
        "currency": "USD", "priced": False, "trace_id": call.trace.trace_id, "span_id": call.trace.span_id, "parent_id": ABSENT,
        "labels": '{"ticket":"17"}', "attempts": "", "stages": "", "verdicts": "", "notes": '["seed was left out"]', "payload": 77,
        "recalled": ABSENT,
        "measures": '{"images":2,"audio_ms":1500}',
        "prompt": "support.reply@3", "choice": ABSENT,
    }  # fmt: skip
    assert json.loads(found["attempts"])[0]["provider"] == "p"
    assert json.loads(found["stages"]) == [["record", 0], ["send", 2000]]
    assert json.loads(found["verdicts"]) == [{"guard": "pii", "verdict": "flag", "reason": "a name"}]


def test_what_is_not_known_is_absent_only_where_the_table_allows_it() -> None:
    found = row(ended(who=None, error=UpstreamRefused("no", status=502, upstream_status=500)))
    assert {name for name, value in found.items() if value == ABSENT} <= NULLABLE
    assert all(found[name] == ABSENT for name in ("organisation", "key_id", "input_tokens", "cost_micros", "labels", "payload", "provider"))


def test_nothing_of_a_call_holds_a_secret() -> None:
    said = f"the provider said: key {SECRET} is wrong"
    call = ended(
        error=UpstreamRefused(said, status=502, upstream_status=400),
        labels={"note": SECRET},
        notes=[said],
        verdicts=[Verdict(guard="secrets", verdict="flag", reason=said)],
        attempts=[Attempt(provider="p", model="m", started_ms=0, error="upstream_refused", message=said)],
    )
    text = repr(row(call))
    assert "sk-proj" not in text
    assert text.count("[redacted: api-key]") == 5
    assert "psk_never_kept" not in text


def test_a_failed_attempt_before_a_good_one_is_redacted_too() -> None:
    call = ended()
    call.attempts.insert(0, Attempt(provider="p", model="m", started_ms=0, error="upstream_refused", message=SECRET))
    assert "sk-proj" not in row(call)["attempts"]


def test_long_names_are_cut_and_long_lists_left_out() -> None:
    found = row(ended(model="m" * 1000, task="t" * 1000, notes=["n" * JSON_LIMIT], labels={f"name{n}": "v" for n in range(16)}))
    assert (len(found["model"]), len(found["task"]), found["notes"]) == (NAME_LIMIT, NAME_LIMIT, ABSENT)
    assert len(json.loads(found["labels"])) == 16
    failed = row(ended(error=UpstreamRefused("x" * 9000, status=502, upstream_status=500)))
    assert len(failed["error_message"]) == MESSAGE_LIMIT


@given(st.text(max_size=50), st.integers(1, 30))
def test_any_text_becomes_one_that_every_database_takes(text: str, limit: int) -> None:
    made = clean(text, limit)
    assert len(made) <= limit
    assert "\0" not in made
    made.encode()


@given(st.text(st.characters(), max_size=20), st.text(st.characters(), max_size=20))
def test_labels_of_any_characters_are_kept_or_left_out_whole(name: str, value: str) -> None:
    kept = row(ended(labels={name: value}))["labels"]
    assert kept == ABSENT or (len(json.loads(kept)) == 1 and "\\u0000" not in kept)


@pytest.mark.parametrize(
    ("target", "attempts", "served"),
    [
        (Target("a", "am", "x"), ["b"], ("a", "am")),
        (None, ["b", "c"], ("c", "m")),
        (None, [], (None, None)),
    ],
)
def test_a_call_was_served_where_it_was_answered_else_where_it_was_tried_last(
    target: Target | None, attempts: list[str], served: tuple[str | None, str | None]
) -> None:
    call = ended(who=READER, target=target, attempts=[Attempt(provider=p, model="m", started_ms=0) for p in attempts])
    assert served_by(call) == served


@given(st.lists(st.floats(0, 0.5), max_size=8))
def test_station_times_come_back_as_they_were(steps: list[float]) -> None:
    call = ended(took=5000.0)
    at = call.started
    for number, step in enumerate(steps):
        at += step
        call.reached.append((f"s{number}", at))
    stored = row(call)["stages"]
    found = stage_times(stored, call.total_ms)
    assert [s.name for s in found] == [s.name for s in call.stage_times()]
    for mine, theirs in zip(found, call.stage_times(), strict=True):
        assert mine.started_ms == pytest.approx(theirs.started_ms, abs=0.01)
        assert mine.took_ms == pytest.approx(theirs.took_ms, abs=0.01)
