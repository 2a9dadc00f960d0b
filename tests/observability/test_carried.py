"""A call that was carried to another process is written down there as it would be here."""

from __future__ import annotations

import msgspec
from tests.observability.calls import NOW, OTHER, ended

from penstock.kernel.call import Attempt, Call, Cost, Installment, Recall, Target, Usage, Verdict
from penstock.kernel.choice import Choice, Considered
from penstock.kernel.errors import UpstreamRefused
from penstock.observability.carried import NAMED, Carried, Unpacker, carried
from penstock.observability.own.calls import CallSpans
from penstock.observability.payloads import Entry, PayloadKeeper
from penstock.observability.redaction import Redactor
from penstock.observability.rows import Row, row_of
from penstock.storage.telemetry.span import Span

SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz012345"


def everything() -> list[Call]:
    plain = ended(ask="hello", told=f"the key is {SECRET}", task="support")
    failed = ended(error=UpstreamRefused(f"no {SECRET}", status=502, upstream_status=502), who=OTHER, ask="why")
    failed.attempts = [
        Attempt(provider="p", model="a", started_ms=0.5, ended_ms=3.0, error="upstream_refused", message="busy", status=503),
        Attempt(provider="q", model="b", started_ms=3.0, skipped="circuit"),
    ]
    nobody = ended(who=None, error=UpstreamRefused("none", status=404, upstream_status=404))
    target = Target("p", "p-m", "m")
    rich = ended(
        stream=True, labels={"session": "s1", "agent": "planner", "service": "shop"}, verdicts=[Verdict(guard="pii", verdict="block")],
        reached=[("record", 1.0), ("send", 1.002)], notes=["turned"], queued_ms=3.5, first_token_ms=7.25, step=("run_1", 4),
        recalled=Recall(kind="exact", call="call_0", provider="p", model="m", age=3, usage=Usage(input=3)), prompt="greeting@3",
        choice=Choice(task="t", mode="cascade", chosen="a", why="small", candidates=(Considered(candidate="a"),)), inside="judge",
        usage=Usage(input=30, output=9, cached=4, images=2, estimated=True), cost=Cost(amount=5, priced=False, full=9),
        installments=(Installment(target=target, usage=Usage(input=1), cost=Cost(amount=1), attempts=1),),
        fields={"user": msgspec.Raw(b'"ann"'), "metadata": msgspec.Raw(b'{"session_id": "x"}'), "model": msgspec.Raw(b'"m"')},
    )  # fmt: skip
    rich.started = 1.0
    digest = ended(ask="sound", keepsake=lambda: b'{"sound": "digest"}')
    embedded = ended(operation="embeddings", shape="openai.embeddings", ask="x", told="numbers")
    return [plain, failed, nobody, rich, digest, embedded]


def sent(calls: list[Call]) -> list[Call]:
    raw = msgspec.msgpack.encode([carried(call) for call in calls])
    return list(Unpacker().calls(msgspec.msgpack.decode(raw, type=list[Carried])))


def told(call: Call, spans: CallSpans, redactor: Redactor) -> tuple[Row, Entry | None, list[Span]]:
    kept = PayloadKeeper("redacted", 100_000, redactor).kept(call)
    return row_of(call, 7, redactor), kept.entry if kept is not None else None, spans.of(call, kept)


def test_rows_payloads_and_spans_are_the_same() -> None:
    made = everything()
    redactor = Redactor()
    here, there = CallSpans(redactor), CallSpans(redactor)
    for one, other in zip(made, sent(made), strict=True):
        assert told(other, there, redactor) == told(one, here, redactor)
        assert other.credential is None


def test_secrets_of_a_request_that_nobody_looks_at_stay_here() -> None:
    call = ended(at=NOW, fields={"api_key": msgspec.Raw(f'"{SECRET}"'.encode()), "user": msgspec.Raw(b'"ann"')})
    assert SECRET.encode() not in msgspec.msgpack.encode(carried(call))
    assert set(sent([call])[0].fields) == {"user"} < set(NAMED)


def test_keys_and_targets_that_are_equal_are_one() -> None:
    one, two, three = sent([ended(), ended(), ended(who=OTHER)])
    assert one.principal is two.principal is not three.principal
    assert one.target is two.target
