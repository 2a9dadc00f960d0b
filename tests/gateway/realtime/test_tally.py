from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.gateway.realtime.provider import SOUND, created, done, session

from penstock.gateway.realtime import events
from penstock.gateway.realtime.tally import LEAST_CONTEXT, Tally
from penstock.kernel.call import Usage


def event(told: dict[str, Any]) -> events.Event:
    return events.read(json.dumps(told))


def test_sound_is_counted_and_told_by_its_digest() -> None:
    tally = Tally(100, 10_000)
    for _ in range(3):
        tally.client(event({"type": "input_audio_buffer.append", "audio": SOUND}))
    tally.client(event({"type": "input_audio_buffer.commit"}))
    tally.server(event({"type": "input_audio_buffer.committed", "item_id": "i"}))
    assert int(tally.heard.ms) == 600
    kept = json.loads(tally.kept())
    digest = hashlib.sha256(SOUND.encode() * 3).hexdigest()
    told = {"from": "client", "event": {"type": "input_audio_buffer.commit"}, "audio": {"bytes": 28_800, "sha256_of_base64": digest}}
    assert kept["events"] == [told]
    assert kept["session"]["turns"] == 1


def test_telephone_sound_is_smaller() -> None:
    tally = Tally(100, 0)
    tally.server(event(session(audio={"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcma"}}})))
    tally.client(event({"type": "input_audio_buffer.append", "audio": "A" * 10_668}))
    assert int(tally.heard.ms) == 1000
    assert tally.transcriber == ""


def test_what_the_next_response_may_cost_follows_the_conversation() -> None:
    tally = Tally(100, 0)
    assert tally.expected() == Usage(input=LEAST_CONTEXT, output=100, audio_output=100)
    tally.server(event(session(max_output_tokens=50)))
    tally.begun("r")
    tally.done("r", Usage(input=3000, output=200))
    assert tally.expected() == Usage(input=3200, output=50, audio_output=50)
    assert tally.expected(7).output == 7


def test_a_response_that_will_not_end_is_estimated() -> None:
    tally = Tally(100, 0)
    assert tally.unfinished() is None
    tally.server(event(created()))
    tally.begun("resp_1")
    for _ in range(10):
        tally.server(event({"type": "response.output_audio.delta", "delta": SOUND}))
    found = tally.unfinished()
    assert found is not None
    assert found.estimated
    assert (found.input, found.audio_output) == (LEAST_CONTEXT, 40)
    tally.done("resp_1", None)
    assert tally.unfinished() is None


def test_the_record_has_an_end() -> None:
    tally = Tally(100, 2000)
    for number in range(50):
        tally.server(event(done(f"resp_{number}")))
    kept = json.loads(tally.kept())
    assert 0 < len(kept["events"]) < 10
    assert kept["session"]["events_left_out"] == 50 - len(kept["events"])
    assert len(tally.kept()) < 3000
