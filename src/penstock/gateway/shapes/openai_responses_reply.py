"""OpenAI responses for clients, whole and streamed, from the normal form."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from penstock.gateway.shapes import openai_usage
from penstock.gateway.shapes.sse import event
from penstock.kernel import messages as m
from penstock.kernel.call import Usage

_INCOMPLETE = {"length": "max_output_tokens", "context": "max_output_tokens", "filter": "content_filter"}


def encode_reply(completion: m.Completion, model: str) -> bytes:
    """The response for a client, naming ``model``; of several replies the first."""
    choice = completion.choices[0]
    body = _response(_id(completion.id), model, completion.created, choice.finish or "stop")
    body["output"] = _items(choice.parts, body["id"])
    if completion.usage is not None:
        body["usage"] = openai_usage.responses_object(completion.usage)
    return msgspec.json.encode(body)


def _id(id: str) -> str:
    return id if id.startswith("resp_") else f"resp_{id}"


def _response(id: str, model: str, created: int | None, finish: str | None) -> dict[str, Any]:
    reason = _INCOMPLETE.get(finish or "")
    return {
        "id": id,
        "object": "response",
        "created_at": created if created is not None else int(time.time()),
        "status": "in_progress" if finish is None else ("incomplete" if reason else "completed"),
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
        "store": False,
    }


def _items(parts: tuple[m.Part, ...], id: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    content: list[dict[str, Any]] = []
    for part in parts:
        match part:
            case m.Text():
                content.append(_text(part.text))
            case m.Refusal():
                content.append({"type": "refusal", "refusal": part.text})
            case m.ToolCall():
                items.append(_call(part.id, part.name, part.arguments, "completed"))
            case m.Reasoning():
                items.append(_thought(f"rs_{id}", part.text, part.summary, part.encrypted))
            case _:
                pass  # parts that a reply in this shape has no place for, such as audio
    if content:
        spoken = {"id": f"msg_{id}", "type": "message", "role": "assistant", "status": "completed", "content": content}
        # Calls follow what was said.
        at = next((i for i, item in enumerate(items) if item["type"] == "function_call"), len(items))
        items.insert(at, spoken)
    return items


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _call(id: str, name: str, arguments: str, status: str) -> dict[str, Any]:
    return {"id": f"fc_{id}", "type": "function_call", "call_id": id, "name": name, "arguments": arguments, "status": status}


def _thought(id: str, text: str, summary: tuple[str, ...], encrypted: str | None) -> dict[str, Any]:
    item: dict[str, Any] = {"id": id, "type": "reasoning", "summary": [{"type": "summary_text", "text": s} for s in summary]}
    if text:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    if encrypted is not None:
        item["encrypted_content"] = encrypted
    return item


class ResponsesEncoder:
    """A `StreamEncoder` that writes the events of a response in the order that the SDKs expect. Of several replies only the first."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._sequence = 0
        self._id = "resp_"
        self._created = int(time.time())
        self._done: list[dict[str, Any]] = []
        self._item: dict[str, Any] | None = None
        self._kind = ""
        self._text: list[str] = []
        self._usage: Usage | None = None
        self._finish = "stop"

    def encode(self, delta: m.Delta) -> bytes:
        """See `StreamEncoder.encode`."""
        if not isinstance(delta, m.Begin | m.UsageDelta) and delta.choice != 0:
            return b""
        match delta:
            case m.Begin():
                self._id = _id(delta.id)
                self._created = delta.created if delta.created is not None else self._created
                response = _response(self._id, self._model, self._created, None)
                return self._event("response.created", response=response) + self._event("response.in_progress", response=response)
            case m.TextDelta():
                return self._speak("text", delta.text)
            case m.RefusalDelta():
                return self._speak("refusal", delta.text)
            case m.ReasoningDelta():
                return self._think(delta.text)
            case m.ToolBegin():
                out = self._close()
                self._kind = "call"
                self._item = _call(delta.id, delta.name, "", "in_progress")
                return out + self._added()
            case m.ArgumentsDelta():
                self._text.append(delta.text)
                return self._event("response.function_call_arguments.delta", **self._place(), delta=delta.text)
            case m.PartEnd():
                return self._close()
            case m.Finish():
                self._finish = delta.reason
                return self._close()
            case m.UsageDelta():
                self._usage = delta.usage
                return b""
            case m.SealDelta() | m.CitationDelta():
                return b""

    def finish(self) -> bytes:
        """See `StreamEncoder.finish`."""
        out = self._close()
        response = _response(self._id, self._model, self._created, self._finish)
        response["output"] = self._done
        if self._usage is not None:
            response["usage"] = openai_usage.responses_object(self._usage)
        return out + self._event(f"response.{response['status']}", response=response)

    def _speak(self, kind: str, text: str) -> bytes:
        out = b""
        if self._kind != kind:
            out = self._close()
            self._kind = kind
            number = len(self._done)
            self._item = {"id": f"msg_{self._id}_{number}", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
            part = _text("") if kind == "text" else {"type": "refusal", "refusal": ""}
            out += self._added() + self._event("response.content_part.added", **self._place(), content_index=0, part=part)
        self._text.append(text)
        if kind == "text":
            return out + self._event("response.output_text.delta", **self._place(), content_index=0, delta=text, logprobs=[])
        return out + self._event("response.refusal.delta", **self._place(), content_index=0, delta=text)

    def _think(self, text: str) -> bytes:
        out = b""
        if self._kind != "thought":
            out = self._close()
            self._kind = "thought"
            self._item = _thought(f"rs_{self._id}_{len(self._done)}", "", (), None)
            out += self._added()
        self._text.append(text)
        return out + self._event("response.reasoning_text.delta", **self._place(), content_index=0, delta=text)

    def _added(self) -> bytes:
        return self._event("response.output_item.added", output_index=len(self._done), item=self._item)

    def _close(self) -> bytes:
        item = self._item
        if item is None:
            return b""
        text = "".join(self._text)
        place = self._place()
        out = b""
        if self._kind == "text":
            part = _text(text)
            out = self._event("response.output_text.done", **place, content_index=0, text=text, logprobs=[])
            out += self._event("response.content_part.done", **place, content_index=0, part=part)
            item = {**item, "status": "completed", "content": [part]}
        elif self._kind == "refusal":
            part = {"type": "refusal", "refusal": text}
            out = self._event("response.refusal.done", **place, content_index=0, refusal=text)
            out += self._event("response.content_part.done", **place, content_index=0, part=part)
            item = {**item, "status": "completed", "content": [part]}
        elif self._kind == "call":
            out = self._event("response.function_call_arguments.done", **place, name=item["name"], arguments=text)
            item = {**item, "status": "completed", "arguments": text}
        else:
            out = self._event("response.reasoning_text.done", **place, content_index=0, text=text)
            item = _thought(item["id"], text, (), None)
        out += self._event("response.output_item.done", output_index=len(self._done), item=item)
        self._done.append(item)
        self._item, self._kind = None, ""
        self._text.clear()
        return out

    def _place(self) -> dict[str, Any]:
        assert self._item is not None
        return {"item_id": self._item["id"], "output_index": len(self._done)}

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return event(msgspec.json.encode(body), kind.encode())
