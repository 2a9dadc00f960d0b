"""What every engine of the telemetry store must do."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from penstock.kernel.errors import RequestError
from penstock.storage.telemetry.questions import Filter, Retention
from penstock.storage.telemetry.span import Span
from penstock.storage.telemetry.store import TelemetryStore

from .conftest import DAY, HOUR, NOW, a_span, said


async def kept(store: TelemetryStore, *spans: Span, batch: str = "") -> None:
    await store.append(spans, batch or f"b-{spans[0].span_id}")
    await store.flush()


async def names(store: TelemetryStore, which: Filter) -> set[str]:
    return {span.name for span in (await store.search(which, 100)).spans}


async def test_a_span_comes_back_with_everything_that_it_said(store: TelemetryStore) -> None:
    whole = a_span(
        parent_id="00000000000000ff", status="failed", team="t", project="p", key="k", service="s", release="1.0", environment="production",
        session="th", run="r", agent="a", tool="w", operation="chat", provider="openai", answered="gpt-2", prompt="x@2", cached_tokens=0,
        reasoning_tokens=3,
        first_token_ns=2 * 10**8, error_code="timeout", message="it's \"late\" \\ ünïcode 🙂",
        verdict="flag", flagged=True,
        source="lib@1", attributes='{"a.b":1}', resource='{"host":"h"}', events='[{"name":"e"}]', links="[]", payload=said("q", "r"),
    )  # fmt: skip
    bare = Span(trace_id=whole.trace_id, span_id="f" * 16, start_ns=NOW, end_ns=NOW, organisation="org_a")
    await kept(store, whole, bare)

    first, second = await store.trace(whole.trace_id, "org_a")

    assert first.payload
    assert not second.payload
    whole.payload = None
    assert first.span == whole
    assert second.span == bare
    assert await store.payload(whole.trace_id, whole.span_id, "org_a") == said("q", "r")
    assert await store.payload(bare.trace_id, bare.span_id, "org_a") is None
    listed = (await store.search(Filter(equal={"trace_id": (whole.trace_id,)}))).spans
    assert [(one.span_id, one.attributes) for one in listed] == [(bare.span_id, ""), (whole.span_id, "")]


async def test_nobody_sees_what_is_anothers(store: TelemetryStore) -> None:
    theirs = a_span(organisation="org_b", session="s", payload=said("a secret plan"))
    await kept(store, theirs)

    assert await store.trace(theirs.trace_id, "org_a") == []
    assert await store.payload(theirs.trace_id, theirs.span_id, "org_a") is None
    for which in (Filter(organisation="org_a"), Filter(organisation="org_a", text="secret")):
        assert (await store.search(which)).spans == []
        assert await store.groups(which, ["organisation"]) == []
        assert (await store.threads(which)).threads == []
    assert len((await store.search(Filter(organisation="org_b", text="secret"))).spans) == 1
    assert len((await store.search(Filter(text="secret"))).spans) == 1


async def test_a_batch_that_comes_again_is_stored_once(store: TelemetryStore) -> None:
    one, two = a_span(), a_span()
    await kept(store, one, two, batch="same")
    await store.append([one, two], "same")
    await store.append([one, two], "same")
    await store.flush()
    assert (await store.facts()).spans == 2

    await kept(store, two, a_span(name="new"), batch="other")
    facts = await store.facts()
    assert (facts.spans, facts.waiting) == (3, 0)
    assert facts.repeated >= 1

    await kept(store, one, one, a_span(), batch="third")
    assert (await store.facts()).spans == 4


async def test_filters_mean_what_they_say(store: TelemetryStore) -> None:
    await kept(
        store,
        a_span(name="old", start_ns=NOW - 3 * DAY),
        a_span(name="slow", end_ns=NOW - HOUR + 9 * 10**9, attributes='{"user.plan":"pro","n":8,"deep":{"x":true}}'),
        a_span(name="dear", cost_micros=5000, model="claude"),
        a_span(name="child", parent_id="00000000000000aa", status="failed", flagged=True),
        a_span(name="o'hara", model="x'; DROP TABLE spans; --"),
    )
    everything = {"old", "slow", "dear", "child", "o'hara"}
    assert await names(store, Filter()) == everything
    assert await names(store, Filter(since_ns=NOW - DAY)) == everything - {"old"}
    assert await names(store, Filter(until_ns=NOW - DAY)) == {"old"}
    assert await names(store, Filter(min_ms=5000)) == {"slow"}
    assert await names(store, Filter(max_ms=5000)) == everything - {"slow"}
    assert await names(store, Filter(min_cost_micros=100)) == {"dear"}
    assert await names(store, Filter(equal={"model": ("claude", "x'; DROP TABLE spans; --")})) == {"dear", "o'hara"}
    assert await names(store, Filter(unequal={"model": ("gpt",)})) == {"dear", "o'hara"}
    assert await names(store, Filter(equal={"parent_id": ("00000000000000aa",)})) == {"child"}
    assert await names(store, Filter(equal={"parent_id": ("",)})) == everything - {"child"} == await names(store, Filter(roots=True))
    assert await names(store, Filter(flagged=True)) == {"child"}
    assert await names(store, Filter(attributes={"user.plan": "pro"})) == {"slow"}
    assert await names(store, Filter(attributes={"n": "8"})) == {"slow"}
    assert await names(store, Filter(attributes={'it\'s "odd"': "8"})) == set()
    assert await names(store, Filter(equal={"name": ("o'hara",)}, attributes={})) == {"o'hara"}


async def test_pages_follow_each_other_without_gaps(store: TelemetryStore) -> None:
    await kept(store, *(a_span(start_ns=NOW - HOUR + number // 3, name=str(number)) for number in range(25)))
    seen: list[str] = []
    cursor = ""
    while True:
        page = await store.search(Filter(organisation="org_a"), 4, cursor)
        seen.extend(span.span_id for span in page.spans)
        cursor = page.cursor
        if not cursor:
            break
    assert len(seen) == len(set(seen)) == 25
    with pytest.raises(RequestError, match="cursor"):
        await store.search(Filter(), 4, "nonsense")
    with pytest.raises(RequestError, match="limit"):
        await store.search(Filter(), 0)


async def test_words_are_found_in_prompts_and_replies(store: TelemetryStore) -> None:
    await kept(
        store,
        a_span(name="one", payload=said('[{"role":"user","content":"Where is my Parcel?"}]', "it is in Zürich")),
        a_span(name="two", payload=said("parcel of land", "sold")),
        a_span(name="three", payload=said("nothing of the kind")),
        a_span(name="silent"),
    )
    assert await names(store, Filter(text="parcel")) == {"one", "two"}
    assert await names(store, Filter(text="parcel zürich")) == {"one"}
    assert await names(store, Filter(text='"parcel of land"')) == {"two"}
    assert await names(store, Filter(text='"land of parcel"')) == set()
    assert await names(store, Filter(text="parc*", equal={"name": ("two",)})) == {"two"}
    assert await names(store, Filter(text='") OR text:nothing --')) == set()
    assert (await store.groups(Filter(text="parcel"), []))[0].measures.spans == 2
    with pytest.raises(RequestError, match="word"):
        await store.search(Filter(text=" ?! "))


async def test_measures_are_what_the_spans_add_up_to(store: TelemetryStore) -> None:
    rng = random.Random(5)
    spans = [
        a_span(
            start_ns=NOW - DAY + number * 60 * 10**9, end_ns=NOW - DAY + number * 60 * 10**9 + int(rng.lognormvariate(0, 1) * 10**9),
            model=rng.choice(["a", "a", "b", "c"]), status=rng.choice(["ok", "ok", "failed", "refused"]),
            first_token_ns=number * 10**6 + 10**6,
            input_tokens=number, cached_tokens=None if number % 2 else 1,
        )
        for number in range(600)
    ]  # fmt: skip
    await kept(store, *spans)
    which = Filter(organisation="org_a", since_ns=NOW - DAY, until_ns=NOW)

    (whole,) = await store.groups(which, [])

    measures = whole.measures
    assert whole.values == ()
    assert (measures.spans, measures.input_tokens, measures.cached_tokens, measures.cost_micros) == (600, sum(range(600)), 300, 4200)
    assert measures.failed == sum(span.status == "failed" for span in spans)
    assert measures.refused == sum(span.status == "refused" for span in spans)
    took = sorted((span.end_ns - span.start_ns) / 1e6 for span in spans)
    assert measures.p50_ms == pytest.approx(took[299], rel=0.011)
    assert measures.p95_ms == pytest.approx(took[569], rel=0.011)
    assert measures.p99_ms == pytest.approx(took[593], rel=0.011)
    assert measures.first_token_p50_ms == pytest.approx(300, rel=0.011)

    groups = await store.groups(which, ["model", "status"])
    assert sum(group.measures.spans for group in groups) == 600
    assert [group.measures.spans for group in groups] == sorted((group.measures.spans for group in groups), reverse=True)
    assert groups[0].values == ("a", "ok")

    points = await store.series(which, HOUR)
    assert [point.at_ns for point in points] == [NOW - DAY + number * HOUR for number in range(10)]
    assert {point.measures.spans for point in points} == {60}

    by_model = await store.series(which, HOUR, "model", 1)
    assert {point.group for point in by_model} == {"a", "…"}
    assert sum(point.measures.spans for point in by_model) == 600
    some = [span for span in spans[:60] if span.model == "a"]
    first = next(point for point in by_model if point.group == "a")
    assert (first.measures.spans, first.measures.input_tokens) == (len(some), sum(span.input_tokens or 0 for span in some))
    assert first.measures.first_token_p95_ms is not None


async def test_questions_that_make_no_sense_are_refused(store: TelemetryStore) -> None:
    with pytest.raises(RequestError, match="two ends"):
        await store.series(Filter(), HOUR)
    with pytest.raises(RequestError, match="steps"):
        await store.series(Filter(since_ns=NOW - DAY, until_ns=NOW), 1)
    with pytest.raises(RequestError, match="grouped"):
        await store.groups(Filter(), ["trace_id"])
    with pytest.raises(RequestError, match="three"):
        await store.groups(Filter(), ["model", "task", "team", "kind"])
    with pytest.raises(RequestError, match="hexadecimal"):
        await store.trace("x'); DROP TABLE spans; --", None)
    assert await store.groups(Filter(), []) == []


async def test_conversations_are_listed_latest_first(store: TelemetryStore) -> None:
    for number in range(5):
        trace = f"{number + 1:031x}f"
        await store.append(
            [
                a_span(trace_id=trace, session=f"s{number}", start_ns=NOW - DAY + number * HOUR, agent="helper"),
                a_span(trace_id=trace, session=f"s{number}", start_ns=NOW - DAY + number * HOUR + 10, status="failed", person=""),
            ],
            f"t{number}",
        )
    await store.flush()
    page = await store.threads(Filter(organisation="org_a"), 2)
    assert [thread.session for thread in page.threads] == ["s4", "s3"]
    thread = page.threads[0]
    assert (thread.traces, thread.spans, thread.failed, thread.input_tokens, thread.person, thread.agent) == (1, 2, 1, 20, "ann", "helper")
    rest = await store.threads(Filter(organisation="org_a"), 3, page.cursor)
    assert ([thread.session for thread in rest.threads], rest.cursor) == (["s2", "s1", "s0"], "")


async def test_a_person_is_erased_and_nobody_else(store: TelemetryStore, tmp_path: Path) -> None:
    theirs = a_span(person="ann", payload=said("xylophone quartet in february"), message="xylophonist")
    others = a_span(person="bob", payload=said("xylophone lessons"))
    elsewhere = a_span(organisation="org_b", person="ann", payload=said("xylophone shop"))
    await store.append([theirs, others, elsewhere], "before")

    removed = await store.erase("org_a", "ann")

    assert (removed.spans, removed.payloads) == (1, 1)
    assert await store.trace(theirs.trace_id, None) == []
    assert {span.person for span in (await store.search(Filter(organisation="org_a"))).spans} == {"bob"}
    assert len((await store.search(Filter(text="xylophone"))).spans) == 2
    assert (await store.search(Filter(text="february"))).spans == []
    assert await store.payload(others.trace_id, others.span_id, "org_a") == others.payload
    # The same batch again, as a sender that got no answer would: it does not bring the person back.
    await kept(store, theirs, others, elsewhere, batch="before")
    assert (await store.facts()).spans == 2
    await kept(store, a_span(name="later", payload=said("after the xylophone")))
    assert len((await store.search(Filter(text="xylophone"))).spans) == 3


async def test_retention_is_each_tenants_own_and_keeps_what_matters(store: TelemetryStore) -> None:
    old = NOW - 40 * DAY
    trace = "ab" * 16
    await kept(
        store,
        a_span(name="plain", start_ns=old, payload=said("plain words")),
        a_span(name="failed", start_ns=old, status="failed", trace_id=trace, payload=said("failed words")),
        a_span(name="beside", start_ns=old, trace_id=trace),
        a_span(name="slow", start_ns=old, end_ns=old + 60 * 10**9),
        a_span(name="dear", start_ns=old, cost_micros=10**6),
        a_span(name="flagged", start_ns=old, flagged=True),
        a_span(name="ancient", start_ns=NOW - 200 * DAY, status="failed"),
        a_span(name="theirs", start_ns=old, organisation="org_b"),
        a_span(name="nobodys", start_ns=old, organisation="org_c"),
        a_span(name="fresh", payload=said("fresh words")),
    )
    rules = [
        Retention(organisation="org_a", slow_ms=30_000, costly_micros=10**6),
        Retention(organisation=None, span_days=10, keep_days=20),
        Retention(organisation="org_b", span_days=100, keep_days=100),
    ]
    removed = await store.retain(rules, NOW)

    assert await names(store, Filter()) == {"failed", "beside", "slow", "dear", "flagged", "theirs", "fresh"}
    assert (removed.spans, removed.payloads) == (3, 2)
    assert await names(store, Filter(text="words")) == {"fresh"}
    (failed, *_) = [one for one in await store.trace(trace, "org_a") if one.span.name == "failed"]
    assert not failed.payload
    assert (await store.retain(rules, NOW)).spans == 0


async def test_a_sample_keeps_whole_traces_and_all_that_matters(store: TelemetryStore) -> None:
    rng = random.Random(3)
    spans: list[Span] = []
    for number in range(400):
        trace = f"{rng.getrandbits(128):032x}"
        status = "failed" if number % 20 == 0 else "ok"
        spans += [
            a_span(trace_id=trace, start_ns=NOW - 2 * DAY),
            a_span(trace_id=trace, start_ns=NOW - 2 * DAY, status=status, name=status),
        ]
    await kept(store, *spans)

    await store.retain([Retention(sample=0.25)], NOW)

    found = (await store.search(Filter(), 1000)).spans
    assert len(found) == 2 * len({span.trace_id for span in found})
    assert sum(span.status == "failed" for span in found) == 20
    assert 20 + 60 < len(found) / 2 < 20 + 135
    assert (await store.retain([Retention(sample=0.25)], NOW)).spans == 0


async def test_what_no_database_holds_is_mended_or_left_out_and_counted(store: TelemetryStore) -> None:
    await store.append([a_span(name="nul\0byte", payload=said("a\0b")), a_span(name="fine")], "nul")
    await store.append([a_span(name="huge", input_tokens=2**70), a_span(name="bad", trace_id="zz" * 16)], "huge")
    await store.append([a_span(name="also fine")], "fine")
    await store.flush()

    assert {name.replace("\0", "") for name in await names(store, Filter())} == {"nulbyte", "fine", "huge", "also fine"}
    assert (await store.facts()).unreadable == 1
    assert (await store.facts()).waiting == 0


async def test_an_export_is_a_parquet_file_with_every_field(store: TelemetryStore, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    span = a_span(payload=said("q", "it's said"), session="s")
    await kept(store, span, a_span(organisation="org_b"))
    path = tmp_path / "it's out.parquet"

    assert await store.export(Filter(organisation="org_a"), path, True) == 1

    with duckdb.connect() as con:
        row = con.execute("SELECT trace_id, span_id, session, input, output FROM read_parquet(?)", [str(path)]).fetchall()
        compression = con.execute("SELECT DISTINCT compression FROM parquet_metadata(?)", [str(path)]).fetchall()
    assert row == [(span.trace_id, span.span_id, "s", "q", "it's said")]
    assert compression == [("ZSTD",)]
    assert await store.export(Filter(organisation="org_a", text="said"), tmp_path / "few.parquet") == 1
