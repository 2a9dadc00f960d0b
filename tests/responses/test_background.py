"""Background responses as OpenAI's own SDK asks for them: polled, streamed, cut and resumed, cancelled, deleted, and failed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from tests.responses.provider import Rig, rigged

from penstock.app import App
from penstock.kernel.journal import Journal, RunFilter, RunState
from penstock.responses import job_store
from penstock.storage.records import Records

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rigged(tmp_path_factory.mktemp("house"), "[responses]\nevent_hours = 0.5\n") as made:
        yield made


async def test_it_is_polled_and_followed(rig: Rig) -> None:
    rig.provider.hold()
    made = await rig.client.responses.create(model="r", input="one", background=True, metadata={"a": "b"}, instructions="be brief")
    assert (made.status, made.background, made.output, made.metadata) == ("queued", True, [], {"a": "b"})
    await rig.provider.begun.wait()
    looked = await rig.client.responses.retrieve(made.id)
    assert (looked.status, looked.id, looked.instructions) == ("in_progress", made.id, "be brief")
    with pytest.raises(openai.BadRequestError, match="no answer yet"):
        await rig.client.responses.create(model="r", input="two", previous_response_id=made.id)
    rig.provider.free.set()
    ended = await rig.ended(made.id)
    assert (ended.status, ended.background, ended.id, ended.created_at) == ("completed", True, made.id, made.created_at)
    asked = rig.provider.bodies[-1]
    assert (asked["store"], asked["instructions"], "background" in asked) == (False, "be brief", False)
    assert ended.output_text.startswith("answer")
    followed = await rig.client.responses.create(model="r", input="two", previous_response_id=ended.id, background=True)
    assert (await rig.ended(followed.id)).previous_response_id == ended.id
    assert [item["role"] for item in rig.provider.bodies[-1]["input"]] == ["user", "assistant", "user"]
    again = [one async for one in await rig.client.responses.retrieve(ended.id, stream=True)]
    assert (again[0].type, again[-1].type) == ("response.created", "response.completed")
    assert (await rig.client.responses.cancel(ended.id)).status == "completed"  # as at OpenAI: what has ended stays as it is
    items = [one async for one in rig.client.responses.input_items.list(followed.id, order="asc")]
    assert len(items) == 4


async def test_a_stream_that_is_cut_goes_on(rig: Rig) -> None:
    rig.provider.hold()
    stream = await rig.client.responses.create(model="r", input="one", background=True, stream=True)
    seen: list[Any] = []
    async for one in stream:
        seen.append(one)
        if one.type == "response.output_text.delta":
            break
    await stream.close()
    assert [one.type for one in seen][:3] == ["response.created", "response.queued", "response.in_progress"]
    id, last = seen[0].response.id, seen[-1].sequence_number
    rig.provider.free.set()
    rest = [one async for one in await rig.client.responses.retrieve(id, stream=True, starting_after=last)]
    whole = [*seen, *rest]
    assert [one.sequence_number for one in whole] == list(range(len(whole)))
    text = "".join(one.delta for one in whole if one.type == "response.output_text.delta")
    assert text == whole[-1].response.output_text
    assert whole[-1].response.id == id
    sent = len(rig.provider.bodies)
    async with rig.client.responses.stream(response_id=id) as again:
        assert (await again.get_final_response()).output_text == text
    assert len(rig.provider.bodies) == sent
    records = rig.house.app.ports.get(Records)
    await records.write(lambda c: job_store.remove_expired(c, 0.0, 1e12))
    told = [one async for one in await rig.client.responses.retrieve(id, stream=True)]
    assert told[-1].type == "response.completed"
    gone = await rig.house.ask("GET", f"/v1/responses/{id}?stream=true&starting_after={last}")
    assert (gone.status, gone.json["error"]["code"]) == (400, "events_expired")


async def test_it_is_cancelled_where_it_stands(rig: Rig) -> None:
    rig.provider.hold()
    stream = await rig.client.responses.create(model="r", input="one", background=True, stream=True)
    first = await anext(aiter(stream))
    await rig.provider.begun.wait()
    id = first.response.id  # type: ignore[union-attr]
    ended = await rig.client.responses.cancel(id)
    assert (ended.status, ended.id, ended.output) == ("cancelled", id, [])
    assert [one.type async for one in stream][-1] != "response.completed"
    assert (await rig.client.responses.cancel(id)).status == "cancelled"
    journal = rig.house.app.ports.get(Journal)
    (run,) = [one for one in await journal.list(None, RunFilter(name="response")) if one.labels["response"] == id]
    assert run.state is RunState.CANCELLED
    with pytest.raises(openai.BadRequestError, match="no answer yet"):
        await rig.client.responses.create(model="r", input="two", previous_response_id=id)
    rig.provider.free.set()
    await rig.client.responses.delete(id)
    with pytest.raises(openai.NotFoundError):
        await rig.client.responses.retrieve(id)


async def test_what_is_deleted_while_it_is_worked_on_is_gone(rig: Rig) -> None:
    rig.provider.hold()
    made = await rig.client.responses.create(model="r", input="one", background=True)
    await rig.provider.begun.wait()
    await rig.client.responses.delete(made.id)
    rig.provider.free.set()
    for ask in (rig.client.responses.retrieve, rig.client.responses.cancel, rig.client.responses.delete):
        with pytest.raises(openai.NotFoundError):
            await ask(made.id)


async def test_a_fault_is_waited_out_or_told(rig: Rig) -> None:
    rig.provider.faults = [503, 503, 503]
    made = await rig.client.responses.create(model="r", input="one", background=True)
    assert (await rig.ended(made.id)).status == "completed"
    rig.provider.faults = [400] * 9
    stream = await rig.client.responses.create(model="r", input="one", background=True, stream=True)
    last = [one async for one in stream][-1]
    rig.provider.faults = []
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert "not now" in last.response.error.message
    assert (await rig.client.responses.retrieve(last.response.id)).status == "failed"


async def test_another_organisation_sees_nothing(rig: Rig) -> None:
    made = await rig.client.responses.create(model="r", input="hushed", background=True)
    theirs, _ = await rig.house.outsider()
    async with rig.of(theirs) as client:
        for ask in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
            with pytest.raises(openai.NotFoundError):
                await ask(made.id)


async def test_a_run_that_somebody_ended_is_told_as_failed(rig: Rig) -> None:
    rig.provider.hold()
    made = await rig.client.responses.create(model="r", input="one", background=True)
    await rig.provider.begun.wait()
    app: App = rig.house.app
    journal, records = app.ports.get(Journal), app.ports.get(Records)
    (run,) = [one for one in await journal.list(None, RunFilter(name="response")) if one.labels["response"] == made.id]
    await journal.cancel(None, run.id)
    rig.provider.free.set()
    assert await records.write(lambda c: job_store.change(c, made.id, {"updated_at": 1.0}))
    (life,) = tuple(app.offers["responses"].services)
    await life.settle()  # type: ignore[attr-defined]
    ended = await rig.client.responses.retrieve(made.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "run_ended")


async def test_a_key_with_one_call_at_a_time_hears_its_stream(rig: Rig) -> None:
    secret, _ = await rig.house.key(scopes=["call"], limits={"concurrency": 1})
    async with rig.of(secret) as client:
        events = [one async for one in await client.responses.create(model="r", input="one", background=True, stream=True)]
    assert events[-1].type == "response.completed"
