"""How a run stands, in MCP's words: the result of a call, a task of the extension, and what people are asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from penstock.interop.mcp.tools import Tool
from penstock.kernel.agents import AgentEvent, AgentRequest, AgentStanding
from penstock.kernel.wording import as_text

POLL_MS = 1000
PRIMITIVE = frozenset({"string", "number", "integer", "boolean"})
APPROVAL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "approve": {"type": "boolean", "title": "Approve", "description": "Whether exactly this call may be made."},
        "note": {"type": "string", "title": "Note"},
    },
    "required": ["approve"],
}


def said(text: str, *, wrong: bool = False, run: str = "") -> dict[str, Any]:
    """A result in words."""
    told: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": wrong}
    return told | ({"_meta": {"penstock/run": run}} if run else {})


def ended(event: AgentEvent, run: str, *, wrapped: bool) -> dict[str, Any]:
    """The result of a call whose run has ended; ``wrapped`` as in a `Tool`."""
    if event.state != "done":
        return said(f"{event.code or event.state}: {event.text or 'the run ended without an answer'}", wrong=True, run=run)
    output = event.output
    text = as_text(output)
    return said(text, run=run) | {"structuredContent": {"result": output} if wrapped else output}


def going_on(standing: AgentStanding) -> dict[str, Any]:
    """The result of a call whose run has not ended, for who can do nothing about that but come back."""
    if standing.requests:
        asks = "; ".join(one.text for one in standing.requests)
        words = f"It waits for people: {asks}."
    else:
        words = "It goes on."
    text = f"Run {standing.run} has not ended. {words} Call run_result with this run later, and do not start it again."
    return said(text, wrong=True, run=standing.run)


def asks(standing: AgentStanding) -> dict[str, Any]:
    """What people are asked, as requests to the client; their keys are the ids of the requests."""
    return {
        one.id: {"method": "elicitation/create", "params": {"mode": "form", "message": _message(one), "requestedSchema": _form(one)}}
        for one in standing.requests
    }


def answer(request: AgentRequest, response: Any) -> tuple[bool, Any]:
    """Whether a client's response is an answer to a request, and which. What it leaves open, stays so."""
    given = cast("dict[str, Any]", response) if isinstance(response, dict) else {}
    action, found = given.get("action"), given.get("content")
    content = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if request.kind == "approval":
        if action == "accept":
            return True, {"approve": content.get("approve"), "note": content.get("note") or ""}
        return action == "decline", {"approve": False, "note": "declined"}
    if action != "accept":
        return False, None
    return True, content if _is_form(request.schema) else content.get("answer")


def task(standing: AgentStanding, tool: Tool | None) -> dict[str, Any]:
    """The run as a task of the extension ``io.modelcontextprotocol/tasks``."""
    told: dict[str, Any] = {
        "taskId": standing.run,
        "createdAt": _moment(standing.created_at),
        "lastUpdatedAt": _moment(standing.updated_at),
        "ttlMs": None,
        "pollIntervalMs": POLL_MS,
    }
    over = standing.ended
    if over is None:
        if standing.requests:
            return told | {"status": "input_required", "inputRequests": asks(standing)}
        return told | {"status": "working", "statusMessage": f"the run is {standing.state}"}
    if over.state == "cancelled":
        return told | {"status": "cancelled", "statusMessage": over.text or "the run was cancelled"}
    return told | {"status": "completed", "result": ended(over, standing.run, wrapped=tool is None or tool.wrapped_output)}


def progress(event: AgentEvent) -> str:
    """What one event of a run is, in a few words."""
    match event.kind:
        case "said":
            calls = ", ".join(one.name for one in event.calls)
            return f"calls {calls}" if calls else event.text[:200] or event.code
        case "result":
            return f"{event.name}: {event.state or 'done'}"
        case "asked":
            return f"waits for people: {event.text[:200]}"
        case "handed":
            return f"asks {event.name}"
        case "step":
            return event.name
        case _:
            return event.kind


def _message(request: AgentRequest) -> str:
    if request.kind == "question":
        return request.text
    arguments = msgspec.json.format(msgspec.json.encode(request.arguments), indent=2).decode()
    return f"{request.text}\n\n{request.tool} {arguments}\nSHA-256 {request.digest}"


def _form(request: AgentRequest) -> dict[str, Any]:
    """Forms are flat; what is none is asked for as one field."""
    if request.kind == "approval":
        return APPROVAL
    if _is_form(request.schema):
        return cast("dict[str, Any]", request.schema)
    schema = request.schema if request.schema is not None and request.schema.get("type") in PRIMITIVE else {"type": "string"}
    return {"type": "object", "properties": {"answer": schema}, "required": ["answer"]}


def _is_form(schema: dict[str, Any] | None) -> bool:
    if schema is None or schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        return False
    fields = cast("dict[str, Any]", schema["properties"])
    return all(isinstance(field, dict) and cast("dict[str, Any]", field).get("type") in PRIMITIVE for field in fields.values())


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


__all__ = ["answer", "asks", "ended", "going_on", "progress", "said", "task"]
