"""An agent as a model: its run told as the items of a response, and what people answer it handed on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, cast

import msgspec
from msgspec import Raw, Struct

from penstock.kernel.agents import AgentEvent, AgentRequest, AgentRuns, CalledTool
from penstock.kernel.errors import NotExpressible, NotFound, RequestError, Unavailable
from penstock.kernel.ports import Holders
from penstock.kernel.principal import Principal
from penstock.kernel.wording import as_text
from penstock.responses.asking import Fault, failure
from penstock.responses.job import Job, Status
from penstock.responses.replay import item_events
from penstock.responses.telling import Telling

QUESTION = "ask_human"
"""Name of the function call as which a question to people is told; its output is the answer."""
_DECIDED = (
    *("instructions", "tools", "prompt", "max_output_tokens", "max_tool_calls", "reasoning", "temperature", "text", "top_p", "tool_choice"),
)


class Answered(Struct, frozen=True):
    """An answer to what an agent's run asks: ``value`` is what `AgentRuns.answer` takes, or text that the question's schema is to read."""

    request: str
    value: Any
    text: bool = False


class Agents:
    """Agents for the responses. The ports are asked for when they are needed, since another room provides them."""

    def __init__(self, runs: Callable[[], AgentRuns | None], holders: Callable[[], Holders]) -> None:
        self._runs = runs
        self._holders = holders

    @property
    def runs(self) -> AgentRuns:
        """The agents of this house. Raises `Unavailable` where there are none."""
        found = self._runs()
        if found is None:
            raise Unavailable("this house has no agents")
        return found

    def input(self, principal: Principal, name: str, fields: dict[str, Raw], items: list[dict[str, Any]]) -> Any:
        """What the agent is given. Raises `NotFound` for an agent that the key may not start, `NotExpressible`, `RequestError`."""
        card = next((one for one in self.runs.cards(principal) if one.name == name), None)
        if card is None:
            raise NotFound(f"there is no agent {name[:100]!r}, or not for this key; GET /v1/agents lists them", param="model")
        for field in _DECIDED:
            if field in fields and bytes(fields[field]) not in (b"null", b"[]", b"{}", b'"auto"'):
                raise NotExpressible(f"{field!r} is not for the caller of an agent to say: the agent has its own", param=field)
        text = "\n\n".join(_text(item) for item in items)
        if card.input.get("type") == "string":
            if not text:
                raise RequestError("'input' is empty: an agent needs to be told what is wanted", param="input")
            return text
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as fault:
            raise RequestError(
                f"'input': the agent {name} takes JSON of its own schema, and this is none: {fault}", param="input"
            ) from None

    async def answer(self, principal: Principal, job: Job, answers: list[Answered]) -> None:
        """Hand on what people say. Raises `Conflict` for what is answered, expired or void, `Forbidden` for who may not."""
        assert job.agent_run is not None
        schemas = {one.id: one.schema or {} for one in (await self.runs.look(principal, job.agent_run)).requests}
        for one in answers:
            value = _value(one.value, schemas.get(one.request, {})) if one.text else one.value
            await self.runs.answer(principal, job.agent_run, one.request, value)

    async def begin(self, job: Job) -> str:
        """Start the run of a job, once; its id."""
        assert job.agent is not None
        principal = self._holders().holder_of(job.key_id)
        kinds = {one.name: one.kind for one in self.runs.cards(principal)}
        thread = job.thread or job.id if kinds.get(job.agent) == "agent" else ""
        return await self.runs.begin(principal, job.agent, job.what().input, key=job.id, thread=thread)

    async def follow(self, job: Job, telling: Telling) -> tuple[Status, dict[str, Any], int]:
        """Tell what the run does until it has ended, or asks people; how the response ends, and how many events are told by then."""
        assert job.agent is not None
        assert job.agent_run is not None
        principal = self._holders().holder_of(job.key_id)
        told = _Told(job, telling)
        seen = 0
        async for event in self.runs.watch(principal, job.agent_run):
            seen += 1
            told.heed(event, new=seen > job.seen)
            if seen <= job.seen:
                continue
            if event.kind == "ended":
                return *told.ended(event), seen
            if event.kind == "asked" and event.request is not None:
                standing = await self.runs.look(principal, job.agent_run)
                if any(one.id == event.request.id for one in standing.requests):
                    return "completed", told.response("completed"), seen
        fault = Fault("run_paused", f"run {job.agent_run} was paused; once it goes on, follow this response with an empty 'input'")
        return "failed", failure(job, fault), seen

    async def cancel(self, principal: Principal, job: Job) -> None:
        """End the run of a job, if it has begun and not ended."""
        if job.agent_run is not None:
            await self.runs.cancel(principal, job.agent_run)


class _Told:
    """The items of one response, put together from the events of a run."""

    def __init__(self, job: Job, telling: Telling) -> None:
        self._job = job
        self._telling = telling
        self._items: list[dict[str, Any]] = []
        self._calls: dict[str, CalledTool] = {}
        self._handed: dict[str, str] = {}
        self._approved: dict[str, str] = {}
        self._said = ""

    def heed(self, event: AgentEvent, *, new: bool) -> None:
        """Take the next event; what it says becomes an item where it is ``new``, and was not told by an earlier response."""
        if event.kind == "said" and not event.code:
            self._said = event.text
        for call in event.calls:
            self._calls[call.id] = call
        if event.kind == "handed":
            self._handed[event.child] = event.name
        if event.kind == "asked" and event.request is not None and event.request.kind == "approval":
            self._approved[event.request.tool] = event.request.id
        item = self._item(event)
        if item is None or not new:
            return
        index = len(self._items)
        self._items.append(item)
        for kind, fields in item_events(index, item):
            self._telling.say(kind, fields)

    def _item(self, event: AgentEvent) -> dict[str, Any] | None:
        match event.kind:
            case "said" if event.text and not event.code:
                return self._message(event)
            case "result":
                return self._call(event, event.name)
            case "returned":
                return self._call(event, f"ask_{self._handed.get(event.child, 'agent')}")
            case "asked" if event.request is not None:
                return self._request(event.request)
            case "ended" if event.state == "done" and not self._said and event.output is not None:
                return self._message(event)
            case _:
                return None

    def _message(self, event: AgentEvent) -> dict[str, Any]:
        output = event.output
        text = event.text or as_text(output)
        part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        id = f"msg_{self._job.id[5:]}_{event.number}"
        return {"id": id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}

    def _call(self, event: AgentEvent, name: str) -> dict[str, Any]:
        asked = self._calls.get(event.call)
        good = event.state == "done"
        text = event.text if event.output is None else msgspec.json.encode(event.output).decode()
        return {
            "id": f"mcp_{self._job.id[5:]}_{event.number}",
            "type": "mcp_call",
            "server_label": self._job.agent,
            "name": name,
            "arguments": asked.arguments if asked is not None else "{}",
            "output": text if good else None,
            "error": None if good else f"{event.code or event.state}: {text}",
            "status": "completed" if good else "failed",
            "approval_request_id": self._approved.pop(name, None),
        }

    def _request(self, request: AgentRequest) -> dict[str, Any]:
        if request.kind == "approval":
            arguments = msgspec.json.encode(request.arguments or {}).decode()
            told = {"id": request.id, "type": "mcp_approval_request", "server_label": self._job.agent, "name": request.tool}
            return {**told, "arguments": arguments}
        arguments = msgspec.json.encode({"question": request.text, "schema": request.schema}).decode()
        told = {"id": f"fc_{request.id}", "type": "function_call", "call_id": request.id, "name": QUESTION}
        return {**told, "arguments": arguments, "status": "completed"}

    def response(self, status: Status, **more: Any) -> dict[str, Any]:
        """The response with all that was told."""
        return self._job.shell(status, output=self._items, agent_run=self._job.agent_run, completed_at=int(time.time()), **more)

    def ended(self, event: AgentEvent) -> tuple[Status, dict[str, Any]]:
        """How the response ends with the run."""
        match event.state:
            case "done":
                return "completed", self.response("completed")
            case "limit":
                return "incomplete", self.response("incomplete", incomplete_details={"reason": event.code})
            case "cancelled":
                return "cancelled", self.response("cancelled")
            case _:
                return "failed", self.response("failed", error={"code": event.code or "run_failed", "message": event.text})


def answers(items: list[dict[str, Any]]) -> tuple[list[Answered], list[dict[str, Any]]]:
    """What an input answers, and what else it says. Raises `RequestError` for an answer that cannot be read."""
    found: list[Answered] = []
    rest: list[dict[str, Any]] = []
    for item in items:
        kind = item.get("type")
        if kind == "mcp_approval_response":
            request, approve = item.get("approval_request_id"), item.get("approve")
            if not isinstance(request, str) or not isinstance(approve, bool):
                raise RequestError("an mcp_approval_response needs 'approval_request_id' and a true or false 'approve'", param="input")
            found.append(Answered(request, {"approve": approve, "note": str(item.get("reason") or "")}))
        elif kind == "function_call_output":
            request, output = item.get("call_id"), item.get("output")
            if not isinstance(request, str) or not isinstance(output, str):
                raise RequestError("a function_call_output needs 'call_id' and an 'output' of text", param="input")
            found.append(Answered(request, output, text=True))
        else:
            rest.append(item)
    return found, rest


def _value(output: str, schema: dict[str, Any]) -> Any:
    """An answer as the JSON that it is, or as a text where that is wanted, or where it is no JSON."""
    if schema.get("type") == "string":
        return output
    try:
        return msgspec.json.decode(output)
    except msgspec.DecodeError:
        return output


def _text(item: dict[str, Any]) -> str:
    if item.get("type", "message") != "message" or item.get("role") != "user":
        what = f"{item.get('type', 'message')} of {item.get('role', 'nobody')}"
        raise NotExpressible(f"an agent is given what users say, not a {what[:80]}; it keeps its own conversation", param="input")
    content = item.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list | None):
        raise RequestError("the 'content' of a message is text or a list of parts", param="input")
    parts: list[str] = []
    for given in cast("list[Any]", content or []):
        part = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
        if part.get("type") != "input_text" or not isinstance(part.get("text"), str):
            raise NotExpressible(f"an agent is given text, not {str(part.get('type'))[:80]!r}", param="input")
        parts.append(part["text"])
    return "\n".join(parts)
