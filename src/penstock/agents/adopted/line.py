"""A way for frameworks to ask models: an HTTP client whose requests are questions of the run that it is used in, and go nowhere else.

Frameworks that speak OpenAI's chat completions take such a client, so that their own code for requests and replies stays as it is.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from penstock.agents.adopted.boundary import BOUNDARY, Diverged, NotAnswered
from penstock.agents.flow import LimitReached
from penstock.agents.model import Said

URL = "http://penstock.invalid/v1"
"""What a framework is given as the address; nothing is ever sent there."""


def http_client() -> Any:
    """An asynchronous client for a framework's model, such as ``AsyncOpenAI(http_client=http_client(), base_url=URL, api_key="-",
    max_retries=0)``. It answers chat completions inside the run of an adopted agent, and refuses everything else.

    It is an ``httpx.AsyncClient``, which all of them take; of httpx2 where there is only that. ImportError where there is neither.
    """
    httpx = _httpx()

    class Line(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: Any) -> Any:
            status, headers, data = await _answer(request.url.path, await request.aread())
            return httpx.Response(status, headers=headers, stream=_Whole(data), request=request)

    class _Whole(httpx.AsyncByteStream):
        def __init__(self, data: bytes) -> None:
            self._data = data

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._data

    return httpx.AsyncClient(transport=Line(), base_url=URL)


def _httpx() -> Any:
    try:
        return importlib.import_module("httpx")
    except ImportError:
        return importlib.import_module("httpx2")


async def _answer(path: str, data: bytes) -> tuple[int, dict[str, str], bytes]:
    boundary = BOUNDARY.get()
    if boundary is None:
        return _refused("not_durable_here", "this client asks models inside the run of an adopted agent; there is none here")
    if not path.endswith("/chat/completions"):
        return _refused("unsupported", f"adopted agents ask by chat completions, not by {path}: tell their framework so")
    try:
        body = msgspec.json.decode(data, type=dict[str, Any])
        said = await boundary.ask(body)
    except msgspec.DecodeError as fault:
        return _refused("malformed_request", str(fault))
    except LimitReached as fault:
        return _refused(f"limit_{fault.limit}", str(fault))
    except (NotAnswered, Diverged) as fault:
        return _refused(fault.code, fault.message)  # how the run ends follows from the boundary, whatever the framework does with this
    if body.get("stream"):
        return 200, {"content-type": "text/event-stream"}, _events(said, body)
    return 200, {"content-type": "application/json"}, json.dumps(_completion(said, body)).encode()


def _refused(code: str, message: str) -> tuple[int, dict[str, str], bytes]:
    fault = {"error": {"message": message, "type": "invalid_request_error", "code": code, "param": None}}
    return 400, {"content-type": "application/json", "x-should-retry": "false"}, json.dumps(fault).encode()


def _completion(said: Said, body: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
    if said.calls:
        message["tool_calls"] = said.turn()["tool_calls"]
    return {
        "id": said.call or "chatcmpl",
        "object": "chat.completion",
        "created": int(said.at or time.time()),
        "model": said.answered_by or body.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": said.finish or ("tool_calls" if said.calls else "stop")}],
        # The line counts both together for whoever asks from inside; who wants them apart finds the call on the record.
        "usage": {"prompt_tokens": 0, "completion_tokens": said.tokens, "total_tokens": said.tokens},
    }


def _events(said: Said, body: dict[str, Any]) -> bytes:
    """The same in the form of a stream, in one piece: it is journalled before anybody sees it."""
    whole = _completion(said, body)
    choice = whole["choices"][0]
    delta: dict[str, Any] = {"role": "assistant", "content": said.text or None}
    if said.calls:
        delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(choice["message"]["tool_calls"])]
    base: dict[str, Any] = {name: whole[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    pieces: list[dict[str, Any]] = [
        base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        base | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]},
        base | {"choices": [], "usage": whole["usage"]},
    ]
    return b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces) + b"data: [DONE]\n\n"
