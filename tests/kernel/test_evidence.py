from __future__ import annotations

import msgspec

from penstock.kernel.events import Events
from penstock.kernel.evidence import Judged, Outcome


def outcome(**given: object) -> Outcome:
    facts = {
        "item": "i1",
        "candidate": "up/small",
        "score": 0.5,
        "judge": "exact",
        "source": "live",
        "prompt": "2+2?",
        "reply": "4",
        "at": 7.0,
    }
    return msgspec.convert({**facts, **given}, Outcome)


def test_an_outcome_is_stored_without_what_nobody_said_and_read_back_whole() -> None:
    bare = outcome()
    assert set(msgspec.json.decode(msgspec.json.encode(bare))) == {"item", "candidate", "score", "judge", "source", "prompt", "reply", "at"}
    full = outcome(propensity=0.25, cost=12, latency_ms=3.5, groups={"language": "de"})
    assert msgspec.json.decode(msgspec.json.encode(full), type=Outcome) == full


def test_a_judgement_is_heard_by_who_lives_on_it() -> None:
    events, heard = Events(), list[Judged]()
    events.subscribe(Judged, heard.append)
    events.publish(Judged("org", "support.intent", outcome()))
    assert [one.outcome.item for one in heard] == ["i1"]
