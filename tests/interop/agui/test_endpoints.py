"""AG-UI over a real socket, every event decoded with the official SDK's types."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from ag_ui.core import Event, RunAgentInput, RunErrorEvent, RunFinishedEvent, RunStartedEvent, UserMessage
from ag_ui.core import EventType as E
from pydantic import TypeAdapter
from tests.interop.conftest import Stand
from tests.interop.scripted import CARDS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
EVENTS: TypeAdapter[Any] = TypeAdapter(Event)
URL = "/v1/agents/desk/agui"


class Stream:
    """What came: the decoded events, and their ids."""

    def __init__(self, text: str) -> None:
        self.events: list[Any] = []
        self.ids: list[str] = []
        for block in text.split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            if "data" in lines:
                self.events.append(EVENTS.validate_json(lines["data"]))
                self.ids.append(lines.get("id", ""))

    @property
    def kinds(self) -> list[E]:
        return [event.type for event in self.events]

    def one(self, kind: E) -> Any:
        (found,) = [event for event in self.events if event.type is kind]
        return found


def asked(text: str, run: str, **more: Any) -> dict[str, Any]:
    """A request, made by the SDK."""
    given = RunAgentInput(thread_id="t", run_id=run, messages=[UserMessage(id="m1", role="user", content=text)], **more)
    return given.model_dump(mode="json", by_alias=True)


async def told(stand: Stand, body: Any, url: str = URL, **headers: str) -> Stream:
    answer = await stand.house.ask("POST", url, body, **headers)
    assert answer.status == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream"
    return Stream(answer.text)


async def test_a_run_is_told_in_the_sdks_words(stand: Stand) -> None:
    stream = await told(stand, asked("hello there", "r-hello", state={"theme": "dark"}))
    assert stream.kinds == [
        E.RUN_STARTED,
        E.STATE_SNAPSHOT,
        E.TEXT_MESSAGE_START,
        E.TEXT_MESSAGE_CONTENT,
        E.TEXT_MESSAGE_END,
        E.STATE_DELTA,
        E.RUN_FINISHED,
    ]
    started, finished = stream.events[0], stream.events[-1]
    assert isinstance(started, RunStartedEvent)
    assert (started.thread_id, started.run_id, started.protocol_version) == ("t", "r-hello", "1.0")
    assert isinstance(finished, RunFinishedEvent)
    assert finished.outcome is not None
    assert finished.outcome.type == "success"
    assert finished.result == "You said: hello there"
    assert finished.usage is not None
    assert finished.usage[0].total_tokens == 7
    assert stream.one(E.STATE_SNAPSHOT).snapshot["theme"] == "dark"
    assert stream.one(E.TEXT_MESSAGE_CONTENT).delta == "You said: hello there"


async def test_the_same_run_again_is_the_same_run_and_a_cut_is_mended(stand: Stand) -> None:
    body = asked("again please", "r-again")
    whole = await told(stand, body)
    before = len(stand.runs.runs)
    assert (await told(stand, body)).events == whole.events
    for place, id in enumerate(whole.ids[:-1]):
        rest = await told(stand, body, Last_Event_ID=id)
        assert rest.ids == whole.ids[place + 1 :], id
        assert rest.events == whole.events[place + 1 :]
    assert len(stand.runs.runs) == before


async def test_names_that_another_client_chose_too_are_another_run(stand: Stand) -> None:
    body = asked("mine alone", "r-mine")
    mine = await stand.house.ask("POST", URL, body)
    other, _ = await stand.house.key(name="other", scopes=["call"])
    theirs = await stand.house.ask("POST", URL, body, key=other)
    assert (mine.status, theirs.status) == (200, 200)
    assert mine.headers["penstock-run"] != theirs.headers["penstock-run"]
    again = await stand.house.ask("POST", URL, body)
    assert again.headers["penstock-run"] == mine.headers["penstock-run"]


async def test_an_approval_interrupts_and_is_answered_by_the_next_run(stand: Stand) -> None:
    first = await told(stand, asked("refund order 7", "r-refund"))
    assert first.kinds[-1] is E.RUN_FINISHED
    assert [k for k in first.kinds if k.name.startswith("TOOL")] == [E.TOOL_CALL_START, E.TOOL_CALL_ARGS, E.TOOL_CALL_END]
    outcome = first.events[-1].outcome
    assert outcome.type == "interrupt"
    (interrupt,) = outcome.interrupts
    assert interrupt.reason == "tool_call"
    assert interrupt.response_schema["required"] == ["approve"]
    # Cut off just before the end: the end comes again.
    cut = await told(stand, asked("refund order 7", "r-refund"), Last_Event_ID=first.ids[-2])
    assert cut.events == first.events[-1:]

    body = asked("refund order 7", "r-refund-2", resume=[{"interruptId": interrupt.id, "status": "resolved", "payload": {"approve": True}}])
    second = await told(stand, body)
    assert second.kinds[0] is E.RUN_STARTED
    assert second.one(E.TOOL_CALL_RESULT).tool_call_id == "c1"
    assert second.events[-1].result == "Finished."
    assert second.one(E.TEXT_MESSAGE_CONTENT).delta == "Finished."
    again = await stand.house.ask("POST", URL, body)
    assert (again.status, again.json["error"]["param"]) == (409, "resume")
    rest = await told(stand, body, Last_Event_ID=second.ids[2])
    assert rest.events == second.events[3:]


async def test_a_run_is_resumed_at_the_address_of_its_own_agent(stand: Stand) -> None:
    first = await told(stand, asked("refund order 9", "r-other"))
    (interrupt,) = first.events[-1].outcome.interrupts
    answer = [{"interruptId": interrupt.id, "status": "resolved", "payload": {"approve": True}}]
    other = next(card.name for card in CARDS if card.name != "desk")
    refused = await stand.house.ask("POST", URL.replace("desk", other), asked("refund order 9", "r-other-2", resume=answer))
    assert (refused.status, refused.json["error"]["param"]) == (409, "resume")
    second = await told(stand, asked("refund order 9", "r-other-3", resume=answer))
    assert second.events[-1].result == "Finished."


@pytest.mark.parametrize("prompt", ["refund order 8", "question me"])
async def test_a_dismissed_interrupt(stand: Stand, prompt: str) -> None:
    first = await told(stand, asked(prompt, f"r-{prompt}"))
    (interrupt,) = first.events[-1].outcome.interrupts
    second = await told(stand, asked(prompt, f"r2-{prompt}", resume=[{"interruptId": interrupt.id, "status": "cancelled"}]))
    if prompt.startswith("refund"):
        assert second.one(E.TOOL_CALL_RESULT).content == "refused"
    else:
        assert second.events[-1].outcome.type == "cancelled"


async def test_another_agent_is_a_subagent(stand: Stand) -> None:
    stream = await told(stand, asked("ask the clerk", "r-ask"))
    assert stream.one(E.SUBAGENT_STARTED).parent_tool_call_id == "c2"
    assert stream.one(E.SUBAGENT_FINISHED).outcome.type == "success"


async def test_a_failed_run_is_an_error(stand: Stand) -> None:
    stream = await told(stand, asked("fail now", "r-fail"))
    assert isinstance(stream.events[-1], RunErrorEvent)
    assert stream.events[-1].code == "insufficient_quota"


async def test_json_for_an_agent_that_wants_it_and_tools_that_are_ignored(stand: Stand) -> None:
    tools = [{"name": "confirm", "description": "asks", "parameters": {}}]
    stream = await told(stand, asked('{"year": 2026}', "r-report", tools=tools), "/v1/agents/report/agui")
    assert E.STEP_STARTED in stream.kinds
    assert stream.events[-1].result == {"pages": 26}
    assert stream.one(E.CUSTOM).value == {"fields": ["tools"]}


async def test_a_client_that_leaves_is_no_longer_told(stand: Stand) -> None:
    headers = {"authorization": f"Bearer {stand.house.admin}"}
    body = msgspec.json.encode(asked("wait here", "r-wait"))
    async with stand.house.session.post(stand.house.url + URL, data=body, headers=headers) as reply:
        await reply.content.readline()
        run = stand.runs.runs[reply.headers["penstock-run"]]
        while not run.watchers:
            await asyncio.sleep(0)
    while run.watchers:
        await asyncio.sleep(0.01)
    run.answered.set()
    assert (await told(stand, asked("wait here", "r-wait"))).kinds[-1] is E.RUN_FINISHED


BAD = [
    (b"{", 400, "malformed_request", None),
    ({"threadId": "t", "runId": "r"}, 400, "malformed_request", None),
    ({"threadId": "t", "runId": "r", "messages": []}, 400, "malformed_request", "messages"),
    (asked("x", "r", resume=[{"interruptId": "no such", "status": "resolved"}]), 400, "malformed_request", "resume"),
    (asked("x", "r", resume=[{"interruptId": "run99|3|q", "status": "resolved"}]), 404, "not_found", "id"),
    (
        {"threadId": "t", "runId": "r", "messages": [{"id": "1", "role": "user", "content": [{"type": "image", "source": {}}]}]},
        400,
        "not_expressible",
        "messages[0].content[0]",
    ),
]


@pytest.mark.parametrize(("body", "status", "code", "param"), BAD)
async def test_bad_input(stand: Stand, body: Any, status: int, code: str, param: str | None) -> None:
    answer = await stand.house.ask("POST", URL, body)
    assert (answer.status, answer.json["error"]["code"]) == (status, code), answer.text
    if param:
        assert answer.json["error"]["param"] == param


async def test_who_may_not(stand: Stand) -> None:
    body = asked("x", "r-nobody")
    assert (await stand.house.ask("POST", URL, body, key="")).json["error"]["code"] == "missing_api_key"
    reader, _ = await stand.house.key(scopes=["read"])
    assert (await stand.house.ask("POST", URL, body, key=reader)).status == 403
    stranger, _ = await stand.house.outsider()
    assert (await stand.house.ask("POST", URL, body, key=stranger)).status == 404
    assert (await stand.house.ask("POST", "/v1/agents/nobody/agui", body)).status == 404
    wrong = await stand.house.ask("POST", URL, body, Last_Event_ID="x.y")
    assert (wrong.status, wrong.json["error"]["param"]) == (400, "Last-Event-ID")
