"""Questions about calls, on both engines: what a reader sees, and that sums agree with the calls themselves."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from tests.observability.calls import NOW, OPERATOR, OTHER, READER, ended

from penstock.kernel.call import Call
from penstock.kernel.errors import LimitExceeded, NotFound, UnknownModel, UpstreamReset
from penstock.observability.payloads import PayloadKeeper
from penstock.observability.recorder import Recorder
from penstock.observability.redaction import Redactor
from penstock.observability.service import CallFilter, Questions
from penstock.observability.settings import ObservabilitySettings
from penstock.observability.sketch import RELATIVE_ERROR, exact
from penstock.storage.records import Records

MINUTE = int(NOW) // 60 * 60


class Desk:
    def __init__(self, records: Records) -> None:
        settings = ObservabilitySettings()
        redactor = Redactor()
        self.recorder = Recorder(records, settings, redactor, PayloadKeeper(settings.payloads, settings.payload_max_bytes, redactor))
        self.questions = Questions(records, self.recorder.flush, lambda: NOW + 60)

    def take(self, *made: Call) -> None:
        for call in made:
            self.recorder.take(call, len(call.body) + sum(map(len, call.reply_text)))


@pytest.fixture
def desk(records: Records) -> Desk:
    return Desk(records)


async def test_an_answer_includes_what_has_just_ended(desk: Desk) -> None:
    call = ended(task="t")
    desk.take(call)
    found = await desk.questions.call(READER, call.id)
    assert (found.id, found.task, found.started_at, found.cost_micros) == (call.id, "t", int(NOW * 1000), 1500)
    assert (found.attempts[0].provider, found.labels, found.notes, found.verdicts) == ("p", {}, [], [])


async def test_a_reader_sees_what_is_of_their_organisation(desk: Desk) -> None:
    mine, theirs, nobodys = ended(), ended(who=OTHER), ended(who=None, error=UnknownModel("no"))
    desk.take(mine, theirs, nobodys)
    for reader, visible in ((READER, {mine.id}), (OTHER, {theirs.id}), (OPERATOR, {mine.id, theirs.id, nobodys.id})):
        page = await desk.questions.calls(reader, CallFilter(), None, 10)
        assert {call.id for call in page.data} == visible
        for call in (mine, theirs, nobodys):
            for ask in (desk.questions.call, desk.questions.payload):
                if call.id in visible:
                    await ask(reader, call.id)
                else:
                    with pytest.raises(NotFound):
                        await ask(reader, call.id)
        assert (await desk.questions.overview(reader, 3600, "model")).calls == len(visible)


FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, "plain slow refused broken later"),
    ({"task": "t"}, "slow"),
    ({"model": "other"}, "later"),
    ({"provider": "p"}, "plain slow later"),
    ({"team": "team_a"}, "plain slow refused broken later"),
    ({"team": "team_b"}, ""),
    ({"project": "project_a", "key": "key_a", "outcome": "ok"}, "plain slow later"),
    ({"outcome": "refused"}, "refused"),
    ({"outcome": "failed"}, "broken"),
    ({"error": "rate_limit_exceeded"}, "refused"),
    ({"slower_ms": 500}, "slow"),
    ({"since": NOW + 30}, "later"),
    ({"until": NOW + 30}, "plain slow refused broken"),
    ({"since": NOW, "until": NOW}, ""),
]


@pytest.mark.parametrize(("wanted", "names"), FILTERS, ids=str)
async def test_filters(desk: Desk, wanted: dict[str, Any], names: str) -> None:
    made = {
        "plain": ended(),
        "slow": ended(task="t", took=900),
        "refused": ended(error=LimitExceeded("slow down")),
        "broken": ended(error=UpstreamReset("gone")),
        "later": ended(at=NOW + 60, model="other"),
    }
    desk.take(*made.values())
    page = await desk.questions.calls(READER, msgspec.convert(wanted, CallFilter), None, 10)
    assert {call.id for call in page.data} == {made[name].id for name in names.split()}


async def test_a_trace_is_found(desk: Desk) -> None:
    one, other = ended(), ended()
    one.trace.parent_id = "b7ad6b7169203331"
    desk.take(one, other)
    page = await desk.questions.calls(READER, CallFilter(trace=one.trace.trace_id), None, 10)
    assert [(call.id, call.parent_id) for call in page.data] == [(one.id, "b7ad6b7169203331")]


async def test_pages_follow_each_other(desk: Desk) -> None:
    made = [ended(at=NOW - n) for n in range(23)]
    desk.take(*made)
    seen: list[str] = []
    cursor = None
    sizes: list[int] = []
    while True:
        page = await desk.questions.calls(READER, CallFilter(), cursor, 10)
        seen += [call.id for call in page.data]
        sizes.append(len(page.data))
        cursor = page.next_cursor
        if cursor is None:
            break
        desk.take(ended(at=NOW + 5))  # what comes meanwhile does not shift what follows
    assert sizes == [10, 10, 3]
    assert seen == [call.id for call in made]


async def test_prompt_and_reply_are_read_as_turns(desk: Desk) -> None:
    call = ended(ask="Where?", told="Delft.")
    bare = ended()
    desk.take(call, bare)
    found = await desk.questions.payload(READER, call.id)
    assert found.request_turns is not None
    assert found.reply_turns is not None
    assert (found.request_turns.turns[0].role, found.request_turns.turns[0].parts[0].text) == ("user", "Where?")
    assert (found.reply_turns.turns[0].parts[0].text, found.reply_turns.finish) == ("Delft.", "stop")
    assert (found.request_cut, found.reply_cut, found.redacted) == (False, False, 0)
    assert (await desk.questions.payload(READER, bare.id)).request is None


async def test_the_overview_agrees_with_the_calls(desk: Desk) -> None:
    chance = random.Random(7)
    made: list[Call] = []
    for number in range(300):
        at = NOW + 59 - chance.random() * 3500
        error = chance.choice([None, None, None, None, LimitExceeded("slow down"), UpstreamReset("gone")])
        made.append(ended(at=at, task=f"t{number % 3}", took=chance.lognormvariate(4, 1), error=error, first_token_ms=5.0))
    desk.take(*made)
    found = await desk.questions.overview(READER, 3600, "task")
    good = [call for call in made if call.error is None]
    assert (found.calls, found.errors, found.refused) == (
        300,
        sum(call.outcome == "failed" for call in made),
        sum(call.outcome == "refused" for call in made),
    )
    assert found.cost_micros == 1500 * len(good)
    assert (found.input_tokens, found.output_tokens) == (100 * len(good), 20 * len(good))
    for mine, true in zip((found.p50, found.p95, found.p99), exact([c.total_ms for c in good], (0.5, 0.95, 0.99)), strict=True):
        assert mine == pytest.approx(true, rel=RELATIVE_ERROR + 1e-9)
    assert found.first_p50 == pytest.approx(5, rel=RELATIVE_ERROR)
    assert (found.since, found.until, found.step, len(found.buckets)) == (MINUTE + 120 - 3600, MINUTE + 120, 60, 60)
    assert sum(bucket.calls for bucket in found.buckets) == 300
    for bucket in found.buckets:
        here = [call for call in made if bucket.at <= int(call.started_at) // 60 * 60 < bucket.at + 60]
        assert (bucket.calls, bucket.errors) == (len(here), sum(call.outcome == "failed" for call in here))
        assert (bucket.p50 is None) == (not any(call.error is None for call in here))
    assert {share.group for share in found.groups} == {"t0", "t1", "t2"}
    assert sum(share.calls for share in found.groups) == 300
    assert [share.calls for share in found.groups] == sorted((share.calls for share in found.groups), reverse=True)


GROUPS = [("model", "m"), ("team", "team_a"), ("provider", "p"), ("key", "key_a"), ("project", "project_a"), ("task", "")]


@pytest.mark.parametrize(("group", "name"), GROUPS)
async def test_groups(desk: Desk, group: Any, name: str) -> None:
    desk.take(ended(), ended())
    assert [(s.group, s.calls) for s in (await desk.questions.overview(READER, 3600, group)).groups] == [(name, 2)]


@pytest.mark.parametrize("seconds", [60, 3600, 86_400, 2_592_000, 400 * 86_400])
async def test_a_period_of_any_length_has_at_most_about_sixty_steps(desk: Desk, seconds: int) -> None:
    desk.take(ended())
    found = await desk.questions.overview(READER, seconds, "model")
    assert 1 <= len(found.buckets) <= 61
    assert found.until - found.since == found.step * len(found.buckets)
    assert abs(found.until - found.since - seconds) <= found.step + 60
    assert found.until > NOW
    assert found.calls == (1 if found.since <= MINUTE else 0)


async def test_an_empty_house_has_an_empty_overview(desk: Desk) -> None:
    found = await desk.questions.overview(READER, 3600, "model")
    assert (found.calls, found.p50, found.groups) == (0, None, [])
    assert (await desk.questions.calls(READER, CallFilter(), None, 5)).data == []
