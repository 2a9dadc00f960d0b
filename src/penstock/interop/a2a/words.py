"""A2A's messages, tasks and errors, in JSON as both of its bindings say it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from penstock.interop.a2a.store import Kept
from penstock.kernel.agents import AgentCard, AgentEvent, AgentRequest, AgentStanding
from penstock.kernel.errors import NotFound, PenstockError

VERSION = "1.0"
MEDIA = "application/a2a+json"
SUBMITTED, WORKING, COMPLETED = "TASK_STATE_SUBMITTED", "TASK_STATE_WORKING", "TASK_STATE_COMPLETED"
FAILED, CANCELED, INPUT = "TASK_STATE_FAILED", "TASK_STATE_CANCELED", "TASK_STATE_INPUT_REQUIRED"
OTHER = ("TASK_STATE_REJECTED", "TASK_STATE_AUTH_REQUIRED")
"""States that no task here is ever in."""
STATES = (SUBMITTED, WORKING, COMPLETED, FAILED, CANCELED, INPUT, *OTHER)
OVER = frozenset({COMPLETED, FAILED, CANCELED})
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Kind(NamedTuple):
    """An error of A2A: its code in JSON-RPC, its status over HTTP, and the status of gRPC that both name."""

    code: int
    status: int
    grpc: str


KINDS = {
    "TASK_NOT_FOUND": Kind(-32001, 404, "NOT_FOUND"),
    "TASK_NOT_CANCELABLE": Kind(-32002, 400, "FAILED_PRECONDITION"),
    "PUSH_NOTIFICATION_NOT_SUPPORTED": Kind(-32003, 400, "FAILED_PRECONDITION"),
    "UNSUPPORTED_OPERATION": Kind(-32004, 400, "FAILED_PRECONDITION"),
    "CONTENT_TYPE_NOT_SUPPORTED": Kind(-32005, 400, "INVALID_ARGUMENT"),
    "VERSION_NOT_SUPPORTED": Kind(-32009, 400, "FAILED_PRECONDITION"),
    "INVALID_PARAMS": Kind(-32602, 400, "INVALID_ARGUMENT"),
    "INVALID_REQUEST": Kind(-32600, 400, "INVALID_ARGUMENT"),
    "METHOD_NOT_FOUND": Kind(-32601, 404, "NOT_FOUND"),
    "JSON_PARSE_ERROR": Kind(-32700, 400, "INVALID_ARGUMENT"),
    "INTERNAL_ERROR": Kind(-32603, 500, "INTERNAL"),
}
GRPC = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED"}


class A2aFault(Exception):
    """An error in A2A's words; ``reason`` is one of `KINDS`."""

    def __init__(self, reason: str, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata


class Part(Struct, frozen=True, rename="camel"):
    """A part of a message: one of text, data, bytes and a URL."""

    text: str | None = None
    data: Any | UnsetType = UNSET
    raw: str | None = None
    url: str | None = None


class Message(Struct, frozen=True, rename="camel"):
    """What a client says; with ``task_id`` to a task that asked for it."""

    message_id: Name
    role: str
    parts: Annotated[list[Part], Meta(min_length=1, max_length=100)]
    context_id: Annotated[str, Meta(max_length=200)] = ""
    task_id: Annotated[str, Meta(max_length=200)] = ""


class PushConfig(Struct, frozen=True, rename="camel"):
    """Where a client wants to hear of a task."""

    url: Annotated[str, Meta(max_length=2000)] = ""
    id: Annotated[str, Meta(max_length=200)] = ""
    task_id: Annotated[str, Meta(max_length=200)] = ""
    token: Annotated[str, Meta(max_length=2000)] = ""
    authentication: dict[str, Any] | None = None


class Configuration(Struct, frozen=True, rename="camel"):
    """How a client wants to be answered."""

    history_length: Annotated[int, Meta(ge=0)] | None = None
    return_immediately: bool = False
    task_push_notification_config: PushConfig | None = None


class Send(Struct, frozen=True, rename="camel"):
    """``SendMessage`` and ``SendStreamingMessage``."""

    message: Message
    configuration: Configuration = Configuration()


class Named(Struct, frozen=True, rename="camel"):
    """``GetTask``, ``CancelTask`` and ``SubscribeToTask``."""

    id: Name
    history_length: Annotated[int, Meta(ge=0)] | None = None


class Listing(Struct, frozen=True, rename="camel"):
    """``ListTasks``."""

    context_id: str = ""
    status: str = ""
    page_size: Annotated[int, Meta(ge=1, le=100)] = 50
    page_token: str = ""
    history_length: Annotated[int, Meta(ge=0)] | None = None
    status_timestamp_after: str = ""
    include_artifacts: bool = False


class OfTask(Struct, frozen=True, rename="camel"):
    """The methods for where a client wants to hear of a task."""

    task_id: Name
    id: Annotated[str, Meta(max_length=200)] = ""


def state_of(standing: AgentStanding) -> str:
    """The state of a run in A2A's words."""
    if standing.ended is not None:
        return {"done": COMPLETED, "cancelled": CANCELED}.get(standing.ended.state, FAILED)
    return INPUT if standing.state == "waiting" else SUBMITTED if standing.state == "queued" else WORKING


def task(kept: Kept, standing: AgentStanding, *, history: int | None = None, artifacts: bool = True) -> dict[str, Any]:
    """A run as a task, with the latest ``history`` of its client's messages."""
    told: dict[str, Any] = {"id": kept.run, "contextId": kept.context, "status": status(standing)}
    over = standing.ended
    if artifacts and over is not None and over.state == "done":
        told["artifacts"] = [artifact(over)]
    messages = kept.messages if history is None else kept.messages[-history:] if history else []
    if messages:
        told["history"] = messages
    return told


def status(standing: AgentStanding) -> dict[str, Any]:
    """How a run stands."""
    told: dict[str, Any] = {"state": state_of(standing), "timestamp": moment(standing.updated_at)}
    if standing.ended is not None and told["state"] != COMPLETED:
        said = standing.ended
        told["message"] = _said(standing.run, said.number, [{"text": f"{said.code or said.state}: {said.text}".rstrip(": ")}])
    elif told["state"] == INPUT:
        told["message"] = _said(standing.run, 0, _asks(standing.requests))
    return told


def updates(event: AgentEvent, kept: Kept) -> list[dict[str, Any]]:
    """What one event of a run is in a stream; nothing for those that change nothing for a client."""
    if event.kind in ("began", "asked"):
        return []
    if event.kind == "ended":
        standing = AgentStanding(
            run=kept.run, agent=kept.agent, state=event.state, created_at=kept.created_at, updated_at=event.at, ended=event
        )
        last = {"statusUpdate": _named(kept) | {"status": status(standing)}}
        if event.state != "done":
            return [last]
        return [{"artifactUpdate": _named(kept) | {"artifact": artifact(event), "lastChunk": True}}, last]
    now: dict[str, Any] = {"state": WORKING, "timestamp": moment(event.at)}
    if event.kind == "said" and event.text and not event.code:
        now["message"] = _said(kept.run, event.number, [{"text": event.text}])
    what = {"kind": event.kind, "name": event.name or ", ".join(one.name for one in event.calls), "state": event.state or event.code}
    return [{"statusUpdate": _named(kept) | {"status": now, "metadata": {"penstock": {key: text for key, text in what.items() if text}}}}]


def asked(standing: AgentStanding, kept: Kept) -> dict[str, Any]:
    """That a run waits for people, as an event."""
    return {"statusUpdate": _named(kept) | {"status": status(standing)}}


def artifact(event: AgentEvent) -> dict[str, Any]:
    """What a run gave."""
    part = {"text": event.output} if isinstance(event.output, str) else {"data": event.output, "mediaType": "application/json"}
    return {"artifactId": "result", "name": "result", "parts": [part]}


def question(message: Message, card: AgentCard) -> Any:
    """What an agent is asked with a message. Raises `A2aFault`."""
    data = [part.data for part in message.parts if part.data is not UNSET]
    if any(part.raw is not None or part.url is not None for part in message.parts):
        raise A2aFault("CONTENT_TYPE_NOT_SUPPORTED", f"agent {card.name} takes text and data, and no files")
    text = "\n\n".join(part.text for part in message.parts if part.text is not None)
    if card.input.get("type") == "string":
        if data:
            raise A2aFault("CONTENT_TYPE_NOT_SUPPORTED", f"agent {card.name} takes text alone")
        return text
    if len(data) == 1 and not text:
        return data[0]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise A2aFault("INVALID_PARAMS", f"agent {card.name} takes one part with data, of the schema that its card names") from None


def answer(message: Message, request: AgentRequest) -> Any:
    """What a message answers to a request. Raises `A2aFault` where it does not say."""
    data = next((part.data for part in message.parts if part.data is not UNSET), UNSET)
    text = "\n\n".join(part.text for part in message.parts if part.text is not None).strip()
    if request.kind == "question":
        if data is not UNSET:
            return data
        if (request.schema or {}).get("type", "string") == "string":
            return text
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise A2aFault("INVALID_PARAMS", "the answer is not JSON; send it as a part with data") from None
    if isinstance(data, dict) and isinstance(data.get("approve"), bool):  # type: ignore[reportUnknownMemberType]
        return {"approve": data["approve"], "note": str(data.get("note") or text)}  # type: ignore[reportUnknownMemberType,reportUnknownArgumentType]
    word = text.lower().rstrip(".!")
    if word in ("approve", "approved", "yes", "reject", "rejected", "no"):
        return {"approve": word in ("approve", "approved", "yes"), "note": ""}
    raise A2aFault("INVALID_PARAMS", "an approval is answered with the data {'approve': true or false}, or the text 'approve' or 'reject'")


def error(fault: A2aFault) -> dict[str, Any]:
    """The detail that both bindings carry."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": fault.reason, "domain": "a2a-protocol.org"}
    return info | {"metadata": fault.metadata}


def over_http(fault: A2aFault | PenstockError) -> tuple[int, dict[str, Any]]:
    """Status and body of an error over HTTP+JSON."""
    if isinstance(fault, A2aFault):
        kind, detail = KINDS[fault.reason], error(fault)
        status, grpc = kind.status, kind.grpc
    else:
        status, grpc = fault.status, GRPC.get(fault.status, "INVALID_ARGUMENT" if fault.status < 500 else "UNAVAILABLE")
        detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": fault.code.upper(), "domain": "penstock"}
    return status, {"error": {"code": status, "status": grpc, "message": fault.message, "details": [detail]}}


def of_house(fault: PenstockError) -> A2aFault:
    """What the house refuses, once who asks is known."""
    metadata = {"code": fault.code} | ({"param": fault.param} if fault.param else {})
    if isinstance(fault, NotFound) and fault.param == "id":
        return A2aFault("TASK_NOT_FOUND", fault.message, **metadata)
    if fault.status < 500:
        return A2aFault("UNSUPPORTED_OPERATION" if fault.status in (403, 409) else "INVALID_PARAMS", fault.message, **metadata)
    return A2aFault("INTERNAL_ERROR", fault.message, **metadata)


def moment(at: float) -> str:
    """A time as A2A tells it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _named(kept: Kept) -> dict[str, Any]:
    return {"taskId": kept.run, "contextId": kept.context}


def _said(run: str, number: int, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"messageId": f"{run}-{number}", "role": "ROLE_AGENT", "taskId": run, "parts": parts}


def _asks(requests: Sequence[AgentRequest]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for one in requests:
        parts += [{"text": one.text}, {"data": msgspec.to_builtins(one), "mediaType": "application/json"}]
    return parts


__all__ = [
    "INPUT",
    "KINDS",
    "MEDIA",
    "OVER",
    "STATES",
    "VERSION",
    "A2aFault",
    "Listing",
    "Named",
    "OfTask",
    "PushConfig",
    "Send",
    "answer",
    "asked",
    "error",
    "moment",
    "of_house",
    "over_http",
    "question",
    "state_of",
    "task",
    "updates",
]
