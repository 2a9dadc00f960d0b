"""The official A2A client, in both bindings, against a house with agents in memory.

It wants an environment of its own (``make test-compatibility``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.interop.conftest import Stand, stand

pytest.importorskip("a2a", reason="make test-compatibility installs it")

import httpx
from a2a.client import A2ACardResolver, Client, ClientConfig, ClientFactory
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import TaskNotCancelableError, TaskNotFoundError

__all__ = ["stand"]
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60), pytest.mark.filterwarnings("ignore")]
BINDINGS = ["JSONRPC", "HTTP+JSON"]


@asynccontextmanager
async def client(stand: Stand, binding: str, *, streaming: bool = True) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {stand.house.admin}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        card = await A2ACardResolver(http, f"{stand.house.url}/a2a/desk").get_agent_card()
        assert card.capabilities.streaming
        config = ClientConfig(httpx_client=http, supported_protocol_bindings=[binding], streaming=streaming, use_client_preference=True)
        yield ClientFactory(config).create(card)


def sent(text: str, task: str = "", **more: bool) -> SendMessageRequest:
    message = Message(message_id=f"m-{text}-{task}-{len(more)}", role=Role.ROLE_USER, parts=[Part(text=text)], task_id=task)
    return SendMessageRequest(message=message, configuration=SendMessageConfiguration(**more))


async def told(events: AsyncIterator[StreamResponse]) -> list[StreamResponse]:
    return [event async for event in events]


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_stream_and_what_is_kept(stand: Stand, binding: str) -> None:
    async with client(stand, binding) as a2a:
        events = await told(a2a.send_message(sent(f"hello {binding}")))
        assert [event.WhichOneof("payload") for event in events] == ["task", "status_update", "artifact_update", "status_update"]
        assert events[2].artifact_update.artifact.parts[0].text == f"You said: hello {binding}"
        assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
        task = await a2a.get_task(GetTaskRequest(id=events[0].task.id))
        assert task.artifacts[0].parts[0].text == f"You said: hello {binding}"
        listed = await a2a.list_tasks(ListTasksRequest(context_id=task.context_id))
        assert [one.id for one in listed.tasks] == [task.id]
        with pytest.raises(TaskNotFoundError):
            await a2a.get_task(GetTaskRequest(id="nothing"))
        with pytest.raises(TaskNotCancelableError):
            await a2a.cancel_task(CancelTaskRequest(id=task.id))


@pytest.mark.parametrize("binding", BINDINGS)
async def test_required_input_is_a_following_message(stand: Stand, binding: str) -> None:
    async with client(stand, binding, streaming=False) as a2a:
        (held,) = await told(a2a.send_message(sent(f"refund {binding}")))
        assert held.task.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
        assert held.task.status.message.parts[0].text == "Refund order 7?"
        (done,) = await told(a2a.send_message(sent("approve", held.task.id)))
        assert done.task.status.state == TaskState.TASK_STATE_COMPLETED
        assert done.task.artifacts[0].parts[0].text == "Finished."


@pytest.mark.parametrize("binding", BINDINGS)
async def test_subscribing_until_it_is_cancelled(stand: Stand, binding: str) -> None:
    async with client(stand, binding) as a2a, client(stand, binding, streaming=False) as other:
        (begun,) = await told(other.send_message(sent(f"wait {binding}", return_immediately=True)))
        assert begun.task.status.state == TaskState.TASK_STATE_WORKING
        watching = asyncio.create_task(told(a2a.subscribe(SubscribeToTaskRequest(id=begun.task.id))))
        while not stand.runs.runs[begun.task.id].watchers:
            await asyncio.sleep(0.01)
        cancelled = await a2a.cancel_task(CancelTaskRequest(id=begun.task.id))
        assert cancelled.status.state == TaskState.TASK_STATE_CANCELED
        events = await watching
        assert events[-1].status_update.status.state == TaskState.TASK_STATE_CANCELED
