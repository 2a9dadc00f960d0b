from __future__ import annotations

import itertools

import pytest

from penstock.kernel.call import Call, Reply, Trace
from penstock.kernel.errors import RequestError
from penstock.kernel.stage import Line, Proceed, Slot


class Mark:
    """Leaves a mark on the way in and on the way back."""

    def __init__(self, name: str, slot: Slot, marks: list[str]) -> None:
        self.name = name
        self.slot = slot
        self._marks = marks

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        self._marks.append(f"> {self.name}")
        try:
            return await proceed(call)
        finally:
            self._marks.append(f"< {self.name}")


class Answer(Mark):
    """Answers."""

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        return Reply(body=b"done")


class Fail(Mark):
    """Fails."""

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        raise RequestError("no")


class Choosy(Mark):
    """Stops what has a task."""

    def concerns(self, call: Call) -> bool:
        return call.task is not None


def a_call() -> Call:
    return Call(operation="chat", shape="openai.chat", credential=None, deadline=0.0, trace=Trace.begin())


async def test_stages_stand_in_the_order_of_their_slots_and_keep_their_own_within_one() -> None:
    marks: list[str] = []
    stages = [
        ("c", Answer("send", Slot.SEND, marks)),
        ("a", Mark("admit", Slot.ADMIT, marks)),
        ("b", Mark("admit too", Slot.ADMIT, marks)),
        ("a", Mark("record", Slot.RECORD, marks)),
    ]
    reply = await Line(stages).walk(a_call())
    assert reply.body == b"done"
    assert marks == ["> record", "> admit", "> admit too", "< admit too", "< admit", "< record"]


async def test_a_failure_travels_back_through_the_same_stages() -> None:
    marks: list[str] = []
    line = Line([("a", Mark("record", Slot.RECORD, marks)), ("a", Fail("send", Slot.SEND, marks))])
    with pytest.raises(RequestError):
        await line.walk(a_call())
    assert marks == ["> record", "< record"]


@pytest.mark.parametrize(("task", "stops"), [(None, []), ("t", ["choosy"])])
async def test_a_call_goes_past_a_stage_that_it_does_not_concern(task: str | None, stops: list[str]) -> None:
    marks: list[str] = []
    stages = [
        ("a", Mark("record", Slot.RECORD, marks)),
        ("a", Choosy("choosy", Slot.RECALL, marks)),
        ("a", Answer("send", Slot.SEND, marks)),
    ]
    call = a_call()
    call.task = task
    await Line(stages).walk(call)
    assert marks == ["> record", *(f"> {name}" for name in stops), *(f"< {name}" for name in stops), "< record"]
    assert [name for name, _ in call.reached] == ["record", *stops, "send"]


async def test_a_line_that_nobody_answers_says_so() -> None:
    with pytest.raises(RuntimeError, match="SEND"):
        await Line([]).walk(a_call())


def test_places_tell_where_the_code_is() -> None:
    (place,) = Line([("a", Answer("send", Slot.SEND, []))]).places()
    assert (place.slot, place.stage, place.capability, place.summary) == ("send", "send", "a", "Answers.")
    assert place.file == __file__
    assert place.line > 1


async def test_a_call_knows_when_it_reached_each_station_and_how_long_until_the_next() -> None:
    stages = [("a", Mark("record", Slot.RECORD, [])), ("a", Mark("admit", Slot.ADMIT, [])), ("a", Fail("send", Slot.SEND, []))]
    call = a_call()
    with pytest.raises(RequestError):
        await Line(stages).walk(call)
    call.total_ms = call.elapsed_ms()
    times = call.stage_times()
    assert [time.name for time in times] == ["record", "admit", "send"]
    for before, after in itertools.pairwise(times):
        assert before.started_ms + before.took_ms == pytest.approx(after.started_ms, abs=0.002)
    assert times[-1].started_ms + times[-1].took_ms == pytest.approx(call.total_ms, abs=0.002)
    assert times[0].started_ms >= 0


def test_a_call_that_never_set_out_has_no_times() -> None:
    assert a_call().stage_times() == []
