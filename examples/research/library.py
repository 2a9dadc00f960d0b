"""A small library on the web, which can be searched and read, and a notice board that takes reports: what the example works with.

python -m examples.research.library --port 8097 --board board.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import Any

from aiohttp import web

PAGES = {
    "heat-pumps": "A heat pump moves three to four units of heat for one unit of electricity, less in hard frost.",
    "gas-boilers": "A gas boiler turns 92 to 98 percent of the gas into heat. Its price follows that of gas.",
    "insulation": "Insulating the top ceiling is the cheapest measure: it saves 7 to 10 percent of the heat of an old house.",
    "district-heating": "District heating needs no boiler in the house; its price is set by one supplier.",
}


def app(board: Path) -> web.Application:
    """The library, and the board, which keeps one report for each key."""

    async def search(request: web.Request) -> web.Response:
        words = request.query.get("q", "").lower().replace("-", " ").split()
        found = [name for name, text in PAGES.items() if any(word in name.replace("-", " ") or word in text.lower() for word in words)]
        return web.json_response({"pages": found})

    async def page(request: web.Request) -> web.Response:
        text = PAGES.get(request.match_info["name"])
        if text is None:
            return web.json_response({"message": "there is no such page"}, status=404)
        return web.json_response({"name": request.match_info["name"], "text": text})

    async def publish(request: web.Request) -> web.Response:
        key = request.headers.get("idempotency-key", "")
        if not key:
            return web.json_response({"message": "send an Idempotency-Key"}, status=400)
        kept = published(board)
        if key not in kept:
            kept[key] = {"id": len(kept) + 1, **(await request.json())}
            fresh = board.with_suffix(".new")
            fresh.write_text(json.dumps(kept), "utf-8")
            fresh.replace(board)
        return web.json_response({"id": kept[key]["id"]}, status=201)

    made = web.Application()
    made.router.add_get("/search", search)
    made.router.add_get("/pages/{name}", page)
    made.router.add_post("/reports", publish)
    return made


def published(board: Path) -> dict[str, Any]:
    """The reports on the board, by the key of the call that brought them."""
    return json.loads(board.read_text("utf-8")) if board.exists() else {}


def main() -> None:
    """Serve it until somebody stops it."""
    parser = argparse.ArgumentParser(description="A small library with a notice board.")
    parser.add_argument("--port", type=int, default=8097)
    parser.add_argument("--board", type=Path, default=Path("board.json"))
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        web.run_app(app(given.board), host="127.0.0.1", port=given.port, print=None)


if __name__ == "__main__":
    main()
