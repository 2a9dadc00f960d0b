"""A run's events in AG-UI's words. What is told follows from the events alone, so a reader who was cut off is told the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from penstock.kernel.agents import AgentCard, AgentEvent, AgentRequest
from penstock.kernel.errors import MalformedRequest

VERSION = "1.0"
APPROVAL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["approve"],
    "properties": {"approve": {"type": "boolean"}, "note": {"type": "string"}},
}
Told = dict[str, Any]


class Telling:
    """Tells one run to one AG-UI run: ``thread`` and ``name`` are the client's, ``state`` is what it sent of its own."""

    def __init__(
        self, run: str, card: AgentCard, *, thread: str, name: str, parent: str | None, state: Any, ignored: Sequence[str]
    ) -> None:
        self._run = run
        self._card = card
        self._thread = thread
        self._name = name
        self._parent = parent
        self._state = state
        self._ignored = list(ignored)
        self._cost = 0
        self._tokens = 0
        self._calls: dict[str, str] = {}
        self._children: dict[str, str] = {}

    def begin(self) -> Iterator[Told]:
        """What opens a stream."""
        started: Told = {"type": "RUN_STARTED", "threadId": self._thread, "runId": self._name, "protocolVersion": VERSION}
        if self._parent:
            started["parentRunId"] = self._parent
        yield started
        own: Told = dict(self._state) if isinstance(self._state, dict) else {}  # type: ignore[reportUnknownArgumentType]
        own["penstock"] = {"run": self._run, "agent": self._card.name, "cost": 0, "tokens": 0}
        yield {"type": "STATE_SNAPSHOT", "snapshot": own}
        if self._ignored:
            yield {"type": "CUSTOM", "name": "penstock.ignored", "value": {"fields": self._ignored}}

    def tell(self, event: AgentEvent) -> list[Told]:
        """What tells one event of the run."""
        at = {"timestamp": int(event.at * 1000)}
        return [one | at for one in self._words(event)]

    def interrupted(self, requests: Sequence[AgentRequest], number: int) -> Told:
        """The end of the AG-UI run, while ours waits for people."""
        asks = [self._interrupt(one, number) for one in requests]
        return self._finished({"type": "interrupt", "interrupts": asks})

    def _words(self, event: AgentEvent) -> Iterator[Told]:
        message = f"{self._run}-{event.number}"
        if event.kind == "ended":  # the sum of the run with all that it handed on
            self._cost, self._tokens = event.cost or self._cost, event.tokens or self._tokens
        else:
            self._cost += event.cost
            self._tokens += event.tokens
        match event.kind:
            case "said":
                yield from self._said(event, message)
            case "result":
                yield from self._result(event, message)
            case "handed":
                self._children[event.child] = event.name
                started = {"type": "SUBAGENT_STARTED", "subagentRunId": event.child, "name": event.name}
                yield started | ({"parentToolCallId": event.call} if event.call else {})
            case "returned":
                if event.state in ("", "done"):
                    yield {"type": "SUBAGENT_FINISHED", "subagentRunId": event.child, "outcome": {"type": "success"}, "result": event.text}
                else:
                    yield {"type": "SUBAGENT_ERROR", "subagentRunId": event.child, "message": event.text or event.state, "code": event.code}
                if event.call:
                    yield from self._result(event, message)
            case "asked":
                if event.request is not None:
                    yield {"type": "CUSTOM", "name": "penstock.asked", "value": msgspec.to_builtins(event.request)}
            case "answered":
                named = event.request.id if event.request is not None else ""
                told = {"request": named, "by": event.name, "answer": event.output, "state": event.state}
                yield {"type": "CUSTOM", "name": "penstock.answered", "value": told}
            case "step":
                yield {"type": "STEP_STARTED", "stepName": event.name}
                yield {"type": "STEP_FINISHED", "stepName": event.name}
            case "ended":
                yield self._ended(event)
            case "began":
                pass

    def _said(self, event: AgentEvent, message: str) -> Iterator[Told]:
        if event.code:
            yield {"type": "CUSTOM", "name": "penstock.model_failed", "value": {"code": event.code, "message": event.text}}
        elif event.text:
            yield {"type": "TEXT_MESSAGE_START", "messageId": message, "role": "assistant"}
            yield {"type": "TEXT_MESSAGE_CONTENT", "messageId": message, "delta": event.text}
            yield {"type": "TEXT_MESSAGE_END", "messageId": message}
        for call in event.calls:
            self._calls[call.id] = call.name
            yield {"type": "TOOL_CALL_START", "toolCallId": call.id, "toolCallName": call.name, "parentMessageId": message}
            yield {"type": "TOOL_CALL_ARGS", "toolCallId": call.id, "delta": call.arguments}
            yield {"type": "TOOL_CALL_END", "toolCallId": call.id}
        if event.cost or event.tokens:
            yield {
                "type": "STATE_DELTA",
                "delta": [
                    {"op": "replace", "path": "/penstock/cost", "value": self._cost},
                    {"op": "replace", "path": "/penstock/tokens", "value": self._tokens},
                ],
            }

    def _result(self, event: AgentEvent, message: str) -> Iterator[Told]:
        call = event.call or message
        if call not in self._calls:  # a workflow calls its tools itself, and no model's words came before
            self._calls[call] = event.name
            yield {"type": "TOOL_CALL_START", "toolCallId": call, "toolCallName": event.name or "tool"}
            yield {"type": "TOOL_CALL_END", "toolCallId": call}
        result: Told = {"type": "TOOL_CALL_RESULT", "messageId": message, "toolCallId": call, "content": event.text, "role": "tool"}
        if event.state not in ("", "done"):
            result["metadata"] = {"penstock": {"state": event.state, "code": event.code}}
        yield result

    def _ended(self, event: AgentEvent) -> Told:
        if event.state == "done":
            return self._finished({"type": "success"}, result=event.output)
        if event.state == "cancelled":
            return self._finished({"type": "cancelled"})
        told: Told = {"type": "RUN_ERROR", "message": event.text or f"the run ended as {event.state}", "code": event.code or event.state}
        return told | self._usage()

    def _finished(self, outcome: Told, result: Any = None) -> Told:
        told: Told = {"type": "RUN_FINISHED", "threadId": self._thread, "runId": self._name, "outcome": outcome}
        if result is not None:
            told["result"] = result
        return told | self._usage()

    def _usage(self) -> Told:
        return {"usage": [{"totalTokens": self._tokens}]} if self._tokens else {}

    def _interrupt(self, request: AgentRequest, number: int) -> Told:
        told: Told = {
            "id": interrupt_id(request, number),
            "reason": "tool_call" if request.kind == "approval" else "input_required",
            "message": request.text,
            "responseSchema": APPROVAL_SCHEMA if request.kind == "approval" else request.schema or {"type": "string"},
            "metadata": {"penstock": msgspec.to_builtins(request)},
        }
        if request.expires_at is not None:
            told["expiresAt"] = datetime.fromtimestamp(request.expires_at, UTC).isoformat()
        return told


def interrupt_id(request: AgentRequest, number: int) -> str:
    """Names a request, its run, and how much of the run was told when it was made."""
    return f"{request.run}|{number}|{request.id}"


def interrupt(id: str) -> tuple[str, int, str]:
    """Run, number and request of an interrupt. Raises `MalformedRequest` for an id that is none of ours."""
    run, _, rest = id.partition("|")
    number, _, request = rest.partition("|")
    if not (run and request and number.isascii() and number.isdecimal() and len(number) < 10):
        raise MalformedRequest("resume names an interrupt that never was; send the id as it came", param="resume")
    return run, int(number), request


__all__ = ["APPROVAL_SCHEMA", "VERSION", "Telling", "interrupt", "interrupt_id"]
