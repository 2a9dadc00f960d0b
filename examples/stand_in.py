"""A model that follows a script, behind the API that every model is asked through: so the examples run where no model is configured.

    python -m examples.stand_in examples.support_desk.script --port 8099

The script is a module with ``SCRIPTS``: by the name of a model, a function from the conversation so far to what the model says next. It
answers chat completions, whole and streamed, and counts words as tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Call:
    """A tool that the model wants called."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


Said = str | Call | Sequence[Call]


@dataclass(frozen=True)
class Conversation:
    """What was said so far."""

    messages: Sequence[Mapping[str, Any]]

    @property
    def told(self) -> str:
        """What stands at the top."""
        return next((str(one["content"]) for one in self.messages if one["role"] == "system"), "")

    @property
    def asked(self) -> str:
        """What the conversation began with."""
        return next((_text(one["content"]) for one in self.messages if one["role"] == "user"), "")

    @property
    def turns(self) -> int:
        """How often the model has spoken."""
        return sum(one["role"] == "assistant" for one in self.messages)

    def results(self, tool: str) -> list[Any]:
        """What calls of a tool gave, as JSON where it is."""
        names = {call["id"]: call["function"]["name"] for one in self.messages for call in one.get("tool_calls") or ()}
        return [_json(_text(one["content"])) for one in self.messages if one["role"] == "tool" and names.get(one["tool_call_id"]) == tool]


Script = Callable[[Conversation], Said]


def app(scripts: Mapping[str, Script], *, seconds: float = 0.0) -> web.Application:
    """The API; each answer takes ``seconds``."""

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in scripts]})

    async def chat(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        script = scripts.get(asked["model"])
        if script is None:
            return web.json_response({"error": {"message": f"there is no model {asked['model']}", "code": "model_not_found"}}, status=404)
        await asyncio.sleep(seconds)
        conversation = Conversation(asked["messages"])
        said = script(conversation)
        message = _message(said, conversation.turns)
        words = sum(len(_text(one.get("content")).split()) for one in conversation.messages)
        usage = {"prompt_tokens": words, "completion_tokens": len(json.dumps(message).split()), "total_tokens": 0}
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
        head = {"id": "chatcmpl-scripted", "created": 1, "model": asked["model"]}
        finish = "tool_calls" if "tool_calls" in message else "stop"
        if not asked.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish}
            return web.json_response({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        return await _stream(request, head, message, finish, usage)

    made = web.Application()
    made.router.add_get("/v1/models", models)
    made.router.add_post("/v1/chat/completions", chat)
    return made


async def _stream(
    request: web.Request, head: Mapping[str, Any], message: Mapping[str, Any], finish: str, usage: Mapping[str, int]
) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await answer.prepare(request)
    calls = [{"index": n, **call} for n, call in enumerate(message.get("tool_calls", ()))]
    pieces = [{"tool_calls": calls}] if calls else [{"content": f"{word} "} for word in str(message["content"]).split()]
    for delta in ({"role": "assistant"}, *pieces, {}):
        choice = {"index": 0, "delta": delta, "finish_reason": None if delta else finish}
        event: dict[str, Any] = {**head, "object": "chat.completion.chunk", "choices": [choice]}
        if not delta:
            event["usage"] = usage
        await answer.write(b"data: " + json.dumps(event).encode() + b"\n\n")
    await answer.write(b"data: [DONE]\n\n")
    return answer


def _message(said: Said, turn: int) -> dict[str, Any]:
    if isinstance(said, str):
        return {"role": "assistant", "content": said}
    calls = [said] if isinstance(said, Call) else said
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"call_{turn}_{n}", "type": "function", "function": {"name": one.tool, "arguments": json.dumps(one.arguments)}}
            for n, one in enumerate(calls)
        ],
    }


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def main() -> None:
    """Serve a script until somebody stops it."""
    parser = argparse.ArgumentParser(description="A model that follows a script.")
    parser.add_argument("script", help="module with SCRIPTS")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each answer takes")
    given = parser.parse_args()
    scripts = importlib.import_module(given.script).SCRIPTS
    with contextlib.suppress(KeyboardInterrupt):
        web.run_app(app(scripts, seconds=given.seconds), host="127.0.0.1", port=given.port, print=None)


if __name__ == "__main__":
    # By its name: scripts import that, and a module that is run is another one.
    importlib.import_module("examples.stand_in").main()
