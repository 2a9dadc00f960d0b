"""A small CRM with an API of its own and an OpenAPI document that says what it is: what the example's agent works with.

python -m examples.crm.server --port 8098 --database crm.db
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from aiohttp import web

TABLES = """
CREATE TABLE contacts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE, phone TEXT NOT NULL DEFAULT '',
    stage TEXT NOT NULL DEFAULT 'lead');
CREATE TABLE notes (id INTEGER PRIMARY KEY, contact INTEGER NOT NULL REFERENCES contacts, text TEXT NOT NULL, key TEXT NOT NULL UNIQUE);
"""
SAMPLES = """
INSERT INTO contacts (name, email) VALUES ('Ines Okafor', 'ines@example.com'), ('Bela Kiss', 'bela@example.com');
"""
STAGES = ("lead", "talking", "won", "lost")


def document() -> dict[str, Any]:
    """What the API is, for whoever calls it."""
    text = {"type": "string"}
    one = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
    key = {"name": "Idempotency-Key", "in": "header", "required": False, "schema": text}
    change = {"type": "object", "properties": {"phone": text, "stage": {**text, "enum": list(STAGES)}}, "additionalProperties": False}
    note = {"type": "object", "properties": {"text": text}, "required": ["text"], "additionalProperties": False}
    answers = {"200": {"description": "Done."}}

    def body(schema: dict[str, Any]) -> dict[str, Any]:
        return {"required": True, "content": {"application/json": {"schema": schema}}}

    return {
        "openapi": "3.1.0",
        "info": {"title": "CRM", "version": "1"},
        "paths": {
            "/contacts": {
                "get": {
                    "operationId": "find_contacts",
                    "summary": "Find contacts by a part of their name or e-mail address.",
                    "parameters": [{"name": "q", "in": "query", "required": True, "schema": text}],
                    "responses": answers,
                }
            },
            "/contacts/{id}": {
                "patch": {
                    "operationId": "change_contact",
                    "summary": "Change the phone number or the stage of a contact.",
                    "parameters": [one, key],
                    "requestBody": body(change),
                    "responses": answers,
                }
            },
            "/contacts/{id}/notes": {
                "post": {
                    "operationId": "add_note",
                    "summary": "Add a note to a contact.",
                    "parameters": [one, key],
                    "requestBody": body(note),
                    "responses": answers,
                }
            },
        },
    }


def make(file: Path) -> None:
    """A database with two contacts, unless there is one."""
    if not file.exists():
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.executescript(TABLES + SAMPLES)


def app(file: Path) -> web.Application:
    """The API over a database."""
    make(file)

    def asked(statement: str, *values: Any) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(file, timeout=10)) as connection, connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(statement, values)]

    def contact(request: web.Request) -> dict[str, Any]:
        found = asked("SELECT * FROM contacts WHERE id = ?", request.match_info["id"])
        if not found:
            raise web.HTTPNotFound(text=json.dumps({"message": "there is no such contact"}), content_type="application/json")
        return found[0]

    async def described(_: web.Request) -> web.Response:
        return web.json_response(document())

    async def find(request: web.Request) -> web.Response:
        q = f"%{request.query.get('q', '')}%"
        return web.json_response(asked("SELECT * FROM contacts WHERE name LIKE ? OR email LIKE ? ORDER BY id LIMIT 20", q, q))

    async def change(request: web.Request) -> web.Response:
        one, given = contact(request), await request.json()
        if given.get("stage", "lead") not in STAGES:
            return web.json_response({"message": f"stage is one of {', '.join(STAGES)}"}, status=422)
        asked(
            "UPDATE contacts SET phone = ?, stage = ? WHERE id = ?",
            given.get("phone", one["phone"]),
            given.get("stage", one["stage"]),
            one["id"],
        )
        return web.json_response(contact(request))

    async def note(request: web.Request) -> web.Response:
        one, given = contact(request), await request.json()
        key = request.headers.get("idempotency-key")
        if not key:
            return web.json_response({"message": "send an Idempotency-Key"}, status=400)
        asked("INSERT INTO notes (contact, text, key) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING", one["id"], given["text"], key)
        return web.json_response(asked("SELECT id, contact, text FROM notes WHERE key = ?", key)[0])

    made = web.Application()
    made.router.add_get("/openapi.json", described)
    made.router.add_get("/contacts", find)
    made.router.add_patch("/contacts/{id}", change)
    made.router.add_post("/contacts/{id}/notes", note)
    return made


def main() -> None:
    """Serve it until somebody stops it."""
    parser = argparse.ArgumentParser(description="A small CRM.")
    parser.add_argument("--port", type=int, default=8098)
    parser.add_argument("--database", type=Path, default=Path("crm.db"))
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        web.run_app(app(given.database), host="127.0.0.1", port=given.port, print=None)


if __name__ == "__main__":
    main()
