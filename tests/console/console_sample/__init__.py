"""A small site that draws every page of the console's own: what the browser tests and the people who change the design look at.

    cd tests/console && granian --interface asgi --port 8099 console_sample:app

Its answers to `/v1/...` have the gateway's shapes, since the console must be seen to work without a capability above it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from penstock.console import Console, gallery

console = Console(version="0.0.0")
console.add_navigation(*gallery.NAVIGATION)


async def show_gallery(request: Request) -> Response:
    return console.page(request, "console/gallery.html", title="Gallery", viewer=gallery.VIEWER, sample=gallery.sample())


async def show_sign_in(request: Request) -> Response:
    return console.page(request, "console/sign_in.html", title="Sign in", error=request.query_params.get("error"))


async def show_error(request: Request) -> Response:
    return console.error(
        request,
        404,
        "No such call",
        "Calls are kept for 30 days; this one is older, or never was.",
        code="not_found",
        trace_id="4bf92f3577b34da6",
    )


async def show_playground(request: Request) -> Response:
    return console.page(request, "console/playground.html", title="Playground", viewer=gallery.VIEWER)


async def models(request: Request) -> Response:
    return JSONResponse(
        {
            "object": "list",
            "data": [{"id": name, "object": "model"} for name in ("task:support.intent", "gpt-4-1106", "mixtral-8x7b", "broken")],
        }
    )


async def chat(request: Request) -> Response:
    """Stream what a client of the chat completions API gets: words, then the usage chunk, then the end."""
    body = await request.json()
    if body["model"] == "broken":
        return JSONResponse({"error": {"message": "Model 'broken' has no provider that answers.", "code": "no_provider"}}, 503)
    words = f"{body['model']} heard {len(body['messages'])} messages. In May she sold 48 / 2 = 24 clips, so 72 altogether.".split(" ")
    slow = "slowly" in body["messages"][-1]["content"]

    async def chunks() -> AsyncIterator[str]:
        for word in words:
            yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': word + ' '}}]})}\n\n"
            await asyncio.sleep(0.25 if slow else 0.01)
        usage = {"prompt_tokens": 41, "completion_tokens": len(words), "total_tokens": 41 + len(words)}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"
        yield ": x-penstock-cost-micros=123\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


async def live(request: Request) -> Response:
    async def events() -> AsyncIterator[str]:
        for number in range(10_000):
            yield f"event: count\ndata: <strong>{number} calls</strong>\n\n"
            data = {"id": "latency", "x": [1, 2, 3], "series": [{"label": "p50", "values": [number, 2, 3]}]}
            yield f"event: chart\ndata: {json.dumps(data)}\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(events(), media_type="text/event-stream")


async def show_live(request: Request) -> Response:
    return console.page(request, "console_sample/live.html", title="Live", viewer=gallery.VIEWER)


async def show_call(request: Request) -> Response:
    crumbs = [("Calls", "/console/calls")]
    return console.page(
        request, "console_sample/call.html", title="Call", viewer=gallery.VIEWER, crumbs=crumbs, rows=gallery.sample()["waterfall"]
    )


def _routes() -> list[Route]:
    console.add("console_sample", package="console_sample")
    return [
        *console.routes(),
        Route("/console/gallery", show_gallery),
        Route("/console/sign-in", show_sign_in),
        Route("/console/error", show_error),
        Route("/console/playground", show_playground),
        Route("/console/calls/{id}", show_call),
        Route("/console/live", show_live),
        Route("/console/live/events", live),
        Route("/v1/models", models),
        Route("/v1/chat/completions", chat, methods=["POST"]),
    ]


app = Starlette(routes=_routes())
