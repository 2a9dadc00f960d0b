"""Every provider's published wire format, through the real line: what we send, and what clients and the record are told.

Each file of ``samples/PROFILE/`` is one exchange in the vendor's words, written by hand from the page that ``source`` names: what the
vendor ``answer``s (``json``, ``lines`` of an event stream, ``events`` of Amazon's binary one), the ``target`` and what else it must be
sent, and what is to come of it: the text, thoughts and tool calls that a client is ``told``, the ``usage`` on the record, the rate
``limits`` heard. A conversation is asked for by a client of OpenAI's and by one of Anthropic's.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from tests.gateway.providers.aws import event
from tests.gateway.providers.test_google_tokens import account
from tests.gateway.upstream import Conversation, serving
from tests.house import Answer, House, open_house

from penstock.gateway.providers.abilities import abilities
from penstock.gateway.providers.profiles import PROFILES
from penstock.kernel.call import Call, Usage
from penstock.kernel.events import CallEnded

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]
SAMPLES = Path(__file__).parent / "samples"
WEATHER = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
REASONS = {
    400: "Bad Request",
    402: "Payment Required",
    404: "Not Found",
    422: "Unprocessable",
    429: "Too Many Requests",
    503: "Unavailable",
}
NOT_DISTINCT = {"modal", "replicate", "baseten", "lmstudio", "openai-compatible", "minilm", "replay", "recording"}
"""Profiles without a wire format of their own: OpenAI's as it is, or none."""


@cache
def sample(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))


def cases() -> list[tuple[str, str]]:
    """Each sample with each client that asks for it."""
    names = sorted(str(file.relative_to(SAMPLES).with_suffix("")) for file in SAMPLES.glob("*/*.json"))
    return [(name, client) for name in names for client in (("other",) if "path" in sample(name)["asked"] else ("chat", "messages"))]


def provider_of(name: str, client: str) -> str:
    return f"{name.replace('/', '-')}-{client}"


class Rig:
    """A house with a provider for every case, all at one server that answers with their samples."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.sent: dict[str, tuple[bytes, bytes]] = {}
        self._ended: dict[str, Call] = {}
        self._news = asyncio.Event()
        house.app.events.subscribe(CallEnded, self._hear)

    def _hear(self, ended: CallEnded) -> None:
        self._ended[ended.call.id] = ended.call
        self._news.set()

    async def ended(self, answer: Answer) -> Call:
        """The call behind an answer, once it is over."""
        while answer.headers["x-request-id"] not in self._ended:
            self._news.clear()
            await self._news.wait()
        return self._ended[answer.headers["x-request-id"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("conformance")
    made: list[Rig] = []

    async def vendor(peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            owner = head.split(b" ")[1].decode().split("/")[1].partition("?")[0]
            if owner == "token":  # Google's
                await peer.json(b'{"access_token":"ya29.sample","expires_in":3600}')
            elif owner == "identity":  # Azure's
                token = {"access_token": "eyJ.entra", "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer"}
                await peer.json(json.dumps(token).encode())
            else:
                made[0].sent[owner] = (head, body)
                await peer.send(reply_of(sample(names[owner])["answer"]))

    names = {provider_of(name, client): name for name, client in cases()}
    with pytest.MonkeyPatch.context() as patch:
        async with serving(vendor) as server:
            for variable in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
                patch.delenv(variable, raising=False)
            patch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
            patch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.port}/identity")
            patch.setenv("IDENTITY_HEADER", "x")
            google = account(folder, f"http://127.0.0.1:{server.port}/token")
            settings = "[gateway]\ndiscover = false\nlocal_embeddings = false\nretries = 0\n"
            for owner, name in names.items():
                settings += section(owner, name, server.port, google)
            async with open_house(folder, settings) as house:
                made.append(Rig(house))
                yield made[0]


def section(owner: str, name: str, port: int, google: str) -> str:
    """The settings of one provider."""
    found, profile = sample(name), PROFILES[name.split("/", maxsplit=1)[0]]
    terms = {"profile": profile.name, "base_url": f"http://127.0.0.1:{port}/{owner}{found.get('base', '')}", **found.get("settings", {})}
    if "google" in profile.ways_in:
        terms["credentials"] = google
    elif terms.get("auth") != "entra":
        terms["api_key"] = "sk-test"
    if profile.region_env:
        terms["region"] = "global"
    return f'[gateway.providers."{owner}"]\n' + "".join(f"{key} = {json.dumps(value)}\n" for key, value in terms.items())


def reply_of(answer: dict[str, Any]) -> bytes:
    """The bytes that a vendor answers with."""
    kind, body = "application/json", b""
    if "json" in answer:
        body = json.dumps(answer["json"], ensure_ascii=False).encode()
    elif "lines" in answer:
        kind, body = "text/event-stream", "\n".join([*answer["lines"], ""]).encode()
    else:
        kind = "application/vnd.amazon.eventstream"
        body = b"".join(event(what, payload, exception=what.endswith("Exception")) for what, payload in answer["events"])
    status = answer["status"]
    headers = {"content-type": kind, "content-length": str(len(body)), **answer.get("headers", {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {REASONS.get(status, 'OK')}\r\n{lines}\r\n".encode() + body


async def ask(rig: Rig, name: str, client: str) -> Answer:
    asked, owner = sample(name)["asked"], provider_of(name, client)
    if client == "other":
        return await rig.house.ask("POST", asked["path"], {**asked["body"], "model": f"{owner}/{asked['body']['model']}"})
    body: dict[str, Any] = {"model": f"{owner}/{asked['model']}", "messages": [{"role": "user", "content": "hi"}]}
    if asked.get("stream"):
        body["stream"] = True
    if client == "messages":
        tools = [{"name": "get_weather", "input_schema": WEATHER}]
        return await rig.house.ask("POST", "/v1/messages", {**body, "max_tokens": 900, **({"tools": tools} if asked.get("tools") else {})})
    if asked.get("tools"):
        body["tools"] = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
    if asked.get("stream"):
        body["stream_options"] = {"include_usage": True}
    return await rig.house.ask("POST", "/v1/chat/completions", body)


def events_of(answer: Answer) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def told_by_chat(answer: Answer, stream: bool) -> dict[str, Any]:
    """What a client of OpenAI's understands."""
    if not stream:
        message = answer.json["choices"][0]["message"]
        calls = [[c["function"]["name"], json.loads(c["function"]["arguments"])] for c in message.get("tool_calls") or ()]
        return {"text": message["content"], "reasoning": message.get("reasoning_content") or message.get("reasoning"), "calls": calls}
    text = thoughts = ""
    calls: dict[int, list[str]] = {}
    for chunk in events_of(answer):
        for choice in chunk["choices"]:
            delta = choice["delta"]
            text += delta.get("content") or ""
            thoughts += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for call in delta.get("tool_calls") or ():
                known = calls.setdefault(call["index"], ["", ""])
                known[0] += call["function"].get("name") or ""
                known[1] += call["function"].get("arguments") or ""
    return {"text": text, "reasoning": thoughts, "calls": [[n, json.loads(a)] for n, a in calls.values()]}


def told_by_messages(answer: Answer, stream: bool) -> dict[str, Any]:
    """What a client of Anthropic's understands."""
    blocks: list[dict[str, Any]] = [] if stream else answer.json["content"]
    for one in events_of(answer) if stream else ():
        if one["type"] == "content_block_start":
            blocks.append({**one["content_block"], "json": ""})
        elif one["type"] == "content_block_delta":
            delta, block = one["delta"], blocks[one["index"]]
            for field, part in (("text", "text"), ("thinking", "thinking"), ("json", "partial_json")):
                if part in delta:
                    block[field] = block.get(field, "") + delta[part]
    return {
        "text": "".join(b["text"] for b in blocks if b["type"] == "text"),
        "reasoning": "".join(b["thinking"] for b in blocks if b["type"] == "thinking"),
        "calls": [[b["name"], json.loads(b["json"]) if stream else b["input"]] for b in blocks if b["type"] == "tool_use"],
    }


@pytest.mark.parametrize(("name", "client"), cases(), ids=lambda value: str(value))
async def test_a_vendors_wire_format(rig: Rig, name: str, client: str) -> None:
    found, owner = sample(name), provider_of(name, client)
    answer = await ask(rig, name, client)
    told = {**found["told"], **found.get("told_as", {}).get(client, {})}
    assert answer.status == told.get("status", 200), answer.text
    check_sent(found, *rig.sent[owner], prefix=f"/{owner}")
    if "error" in told:
        assert told["error"] in (answer.text if client == "other" else answer.json["error"]["message"])
        assert answer.headers.get("retry-after") == (str(told["retry_after"]) if "retry_after" in told else None)
    elif client == "other":
        assert told["has"] in answer.text
    else:
        stream = found["asked"].get("stream", False)
        seen = told_by_chat(answer, stream) if client == "chat" else told_by_messages(answer, stream)
        wanted = {"text": told.get("text") or "", "calls": told.get("calls", [])}
        if told is found["told"] or "text" not in found.get("told_as", {}).get(client, {}):
            wanted["reasoning"] = told.get("reasoning", "")
        assert {key: seen[key] or ("" if key != "calls" else []) for key in wanted} == wanted
    call = await rig.ended(answer)
    if "usage" in found:
        assert call.usage == Usage(**found["usage"])
    if "limits" in found:
        providers = (await rig.house.ask("GET", "/v1/providers")).json["data"]
        (target,) = next(one["targets"] for one in providers if one["name"] == owner)
        assert {"requests": target["remaining_requests"], "tokens": target["remaining_tokens"]} == {
            "requests": None,
            "tokens": None,
            **found["limits"],
        }


def check_sent(found: dict[str, Any], head: bytes, body: bytes, prefix: str) -> None:
    """That the vendor was sent what it asks for."""
    line, *lines = head.decode().split("\r\n")
    assert line == f"POST {prefix}{found['target']} HTTP/1.1"
    for header, value in found.get("headers", {}).items():
        assert f"{header}: {value}" in lines
    fields = msgspec.json.decode(body, type=dict[str, Any])
    for field, value in found.get("sent", {}).items():
        assert fields.get(field) == value, field


async def test_every_wire_format_has_its_samples_and_they_name_their_source() -> None:
    owners = {name.split("/")[0] for name, _ in cases()}
    assert owners == set(PROFILES) - NOT_DISTINCT
    for name, _ in cases():
        assert sample(name)["source"].startswith("https://"), name
    assert owners - {name.split("/")[0] for name, _ in cases() if "error" in sample(name)["told"]} == set(), "an error is missing"


@pytest.mark.parametrize("profile", sorted(set(PROFILES) - NOT_DISTINCT))
async def test_what_a_provider_is_said_to_do_is_shown_by_a_sample(profile: str) -> None:
    found = [sample(name) for name, _ in cases() if name.split("/")[0] == profile]
    used = [one.get("usage", {}) for one in found]
    shown = {
        "tools": any(one["asked"].get("tools") and one["asked"]["stream"] and one["told"]["calls"] for one in found),
        "thoughts": any(one["told"].get("reasoning") for one in found) or any(usage.get("reasoning") for usage in used),
        "cached": any(usage.get("cached") for usage in used),
        "limits": any("limits" in one for one in found),
    }
    said = abilities(profile)
    assert {name: seen for name, seen in shown.items() if getattr(said, name) is not None} == {
        name: getattr(said, name) for name in shown if getattr(said, name) is not None
    }
