"""A vendor with a batch API on a loopback port, in the wire format of its reference.

OpenAI: https://platform.openai.com/docs/api-reference/batch, https://platform.openai.com/docs/guides/batch (its samples);
Anthropic: https://docs.anthropic.com/en/api/creating-message-batches, https://docs.anthropic.com/en/api/retrieving-message-batch-results.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.batches.house import reply
from tests.gateway.upstream import Conversation


class Vendor:
    """Both APIs. A batch ends once ``held`` is set; ``spoil`` may change the lines of its results, ``fail`` answers a request itself."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.held = asyncio.Event()
        self.held.set()
        self.spoil: Callable[[list[bytes]], list[bytes]] = lambda lines: lines
        self.fail: Callable[[str, str], int | None] = lambda method, path: None
        self.invalid = ""
        self.realtime = 0
        self.requests: list[str] = []
        self.after_accept: Callable[[Conversation], None] | None = None

    async def __call__(self, peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            method, path = head.split(b" ", 2)[:2]
            status, answer = self.answer(method.decode(), path.decode().removeprefix("/v1"), body)
            if self.after_accept is not None and method == b"POST" and path.endswith(b"/batches"):
                self.after_accept(peer)
                return
            await peer.json(answer, f"{status} X")

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        self.requests.append(f"{method} {path.split('?', maxsplit=1)[0]}")
        if (status := self.fail(method, path)) is not None:
            return status, b'{"error": {"message": "as the test wants it"}}'
        path, _, _ = path.partition("?")
        parts = path.strip("/").split("/")
        if parts == ["chat", "completions"]:
            self.realtime += 1
            return 200, reply(json.loads(body)["messages"][-1]["content"])
        if parts == ["messages"]:
            return 400, b'{"type": "error", "error": {"type": "invalid_request_error", "message": "not today"}}'
        if parts == ["files"]:
            edge, _, _ = body.partition(b"\r\n")
            content = body.split(edge)[2].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
            self.files[id := f"file-{len(self.files) + 1}"] = content
            return 200, json.dumps({"id": id, "object": "file", "purpose": "batch", "bytes": len(content)}).encode()
        if parts[0] == "files":
            found = self.files.get(parts[1])
            return (200, found) if found is not None else (404, b'{"error": {"message": "No such File object"}}')
        theirs = parts[0] == "messages"
        rest = parts[2:] if theirs else parts[1:]
        if not rest and method == "POST":
            return 200, self.shown(self.anthropic(body) if theirs else self.openai(body))
        if not rest:
            return 200, json.dumps({"data": [json.loads(self.shown(b)) for b in self.batches.values()][::-1], "has_more": False}).encode()
        batch = self.batches[rest[0]]
        if rest[1:] == ["results"]:
            return 200, b"\n".join(self.spoil(self.results(batch)))
        if rest[1:] == ["cancel"]:
            batch["cancelled"] = True
        return 200, self.shown(batch)

    def openai(self, body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        assert len({line["body"]["model"] for line in lines}) == 1
        assert all("stream" not in line["body"] for line in lines)
        return self.made({"metadata": asked["metadata"], "lines": lines, "openai": True})

    def anthropic(self, body: bytes) -> dict[str, Any]:
        return self.made({"lines": json.loads(body)["requests"], "openai": False})

    def made(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch |= {"id": f"batch_{len(self.batches) + 1}", "at": time.time(), "cancelled": False}
        self.batches[batch["id"]] = batch
        return batch

    def shown(self, batch: dict[str, Any]) -> bytes:
        over = batch["cancelled"] or self.held.is_set()
        if not batch["openai"]:
            counts = {"processing": 0 if over else len(batch["lines"]), "succeeded": len(batch["lines"]) if over else 0}
            at = datetime.fromtimestamp(batch["at"], UTC).isoformat()
            told = {"type": "message_batch", "processing_status": "ended" if over else "in_progress", "request_counts": counts}
            return json.dumps({"id": batch["id"], "created_at": at, **told}).encode()
        told: dict[str, Any] = {"id": batch["id"], "object": "batch", "metadata": batch["metadata"], "created_at": int(batch["at"])}
        if self.invalid:
            told |= {"status": "failed", "errors": {"object": "list", "data": [{"code": "x", "message": self.invalid, "line": 1}]}}
        elif over:
            file = f"file-out-{batch['id']}"
            if file not in batch:
                batch[file] = True
                self.files[file] = b"\n".join(self.spoil(self.results(batch)))
            told |= {"status": "cancelled" if batch["cancelled"] else "completed", "output_file_id": file}
        else:
            told["status"] = "in_progress"
        return json.dumps(told).encode()

    def results(self, batch: dict[str, Any]) -> list[bytes]:
        made: list[dict[str, Any]] = []
        for line in batch["lines"]:
            if batch["openai"]:
                body = json.loads(reply(line["body"]["messages"][-1]["content"]))
                response = {"status_code": 200, "request_id": "req_1", "body": body}
                made.append({"id": "batch_req_1", "custom_id": line["custom_id"], "response": response, "error": None})
            else:
                text = line["params"]["messages"][-1]["content"]
                message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn"}
                message |= {"content": [{"type": "text", "text": text}], "usage": {"input_tokens": 700, "output_tokens": 300}}
                made.append({"custom_id": line["custom_id"], "result": {"type": "succeeded", "message": message}})
        return [json.dumps(each).encode() for each in reversed(made)]
