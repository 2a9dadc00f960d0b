"""Gemini's API from the socket on: addresses, keys, bytes, streams, and what a provider's refusal becomes."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, House, open_house

from penstock.gateway.asked import estimate_tokens
from penstock.gateway.discovery import configured
from penstock.gateway.settings import GatewaySettings
from penstock.gateway.shapes import seal

ASKED = {"contents": [{"parts": [{"text": "hi"}]}]}
REPLY = {
    "candidates": [{"content": {"parts": [{"text": "hello"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12},
    "modelVersion": "g",
    "responseId": "r",
    "laterField": {"a": [1.50]},
}
CHAT_REPLY = {
    "id": "x",
    "model": "m",
    "created": 1,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
}
EMBEDDED = {"data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 2, "total_tokens": 2}}


class Rig:
    """A house with a Gemini behind ``g`` and a chat provider behind ``m``; what they were asked, and what the Gemini shall answer."""

    def __init__(self) -> None:
        self.house: House
        self.caller = ""
        self.asked: list[tuple[str, str, bytes]] = []
        self.refusals: list[tuple[str, Any]] = []

    async def provider(self, peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            path = head.split(b" ")[1].decode()
            self.asked.append((path, head.decode(), body))
            if self.refusals:
                status, refusal = self.refusals.pop(0)
                await peer.json(json.dumps(refusal).encode(), status)
            elif path.endswith("?alt=sse"):
                data = f"data: {json.dumps(REPLY)}\r\n\r\n".encode()
                await peer.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(data), data))
            else:
                found = CHAT_REPLY if path.endswith("/completions") else EMBEDDED if path.endswith("/embeddings") else REPLY
                await peer.json(json.dumps(found).encode())


@asynccontextmanager
async def rigged(folder: Path) -> AsyncIterator[Rig]:
    rig = Rig()
    async with serving(rig.provider) as upstream:
        settings = (
            f"{SETTINGS}retry_wait_seconds = 0.2\n"
            f'[gateway.providers.gemini]\nbase_url = "{upstream.url}beta"\napi_key = "AIza-provider"\nmodels = ["g"]\n'
            f'[gateway.providers.chat]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m"]\n'
            f'[gateway.models.both]\ntargets = ["gemini/g", "chat/m"]\n'
        )
        async with open_house(folder, settings) as rig.house:
            rig.caller, _ = await rig.house.key(scopes=["call"])
            yield rig


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rigged(tmp_path) as rig:
        yield rig


async def test_gemini_on_both_sides_passes_bytes(rig: Rig) -> None:
    body = b'{"contents":[ {"parts":{"text":"\\u00e9"}} ],"madeUp":{"a":[1.50, 1e2]}}'
    answer = await rig.house.ask("POST", "/v1beta/models/g:generateContent", body, key="", x_goog_api_key=rig.caller)
    assert (answer.status, answer.json) == (200, REPLY)
    path, head, sent = rig.asked[-1]
    assert path == "/v1beta/models/g:generateContent"
    assert sent == body.replace(b'": ', b'":')
    assert "x-goog-api-key: AIza-provider" in head
    assert rig.caller not in head
    assert answer.headers["x-penstock-provider"] == "gemini"


async def test_a_stream_ends_without_a_word_of_ours(rig: Rig) -> None:
    answer = await rig.house.ask("POST", "/v1/models/g:streamGenerateContent?alt=sse", ASKED, key=rig.caller)
    assert rig.asked[-1][0] == "/v1beta/models/g:streamGenerateContent?alt=sse"
    # Google's SDK takes a comment for JSON, so the cost stays on the record.
    assert answer.text == f"data: {json.dumps(REPLY)}\n\n"
    seen = (await rig.house.ask("GET", f"/v1/calls/{answer.headers['x-request-id']}")).json
    assert (seen["outcome"], seen["input_tokens"], seen["output_tokens"]) == ("ok", 9, 3)


@pytest.mark.parametrize("model", ["g", "m", "gemini/g", "chat%2Fm", "both"])
async def test_every_name_works_in_a_path(rig: Rig, model: str) -> None:
    answer = await rig.house.ask("POST", f"/v1beta/models/{model}:generateContent", ASKED, key=rig.caller)
    assert answer.status == 200, answer.text
    assert answer.json["candidates"][0]["content"]["parts"] == [{"text": "hello"}]


async def test_a_key_in_the_query_opens_and_is_written_down_nowhere(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await rig.house.ask("POST", f"/v1beta/models/g:generateContent?key={rig.caller}", ASKED, key="")
    assert answer.status == 200
    assert (await rig.house.ask("GET", f"/v1/models?key={rig.caller}", key="")).json["models"]
    wrong = await rig.house.ask("POST", "/v1beta/models/g:generateContent?key=psk_wrong-secret", ASKED, key="")
    lost = await rig.house.ask("POST", "/v1beta/models/g:nothingLikeIt?key=psk_wrong-secret", ASKED, key="")
    assert (wrong.status, lost.status) == (401, 401)
    seen = await rig.house.ask("GET", f"/v1/calls/{answer.headers['x-request-id']}")
    for text in (answer.text, wrong.text, lost.text, seen.text, caplog.text, *(head for _, head, _ in rig.asked)):
        assert rig.caller not in text
        assert "wrong-secret" not in text


async def test_who_lists_models_gets_the_list_of_his_vendor(rig: Rig) -> None:
    for path in ("/v1beta/models", "/v1/models"):
        googles = await rig.house.ask("GET", f"{path}?pageSize=50", key="", x_goog_api_key=rig.caller)
        assert [model["name"] for model in googles.json["models"]] == ["models/both", "models/g", "models/m"]
    assert googles.json["models"][1]["supportedGenerationMethods"][0] == "generateContent"
    assert [model["id"] for model in (await rig.house.ask("GET", "/v1/models", key=rig.caller)).json["data"]] == ["both", "g", "m"]
    one = await rig.house.ask("GET", "/v1beta/models/g", key="", x_goog_api_key=rig.caller)
    assert one.json["name"] == "models/g"
    narrow, _ = await rig.house.key(scopes=["call"], models=["m"])
    assert len((await rig.house.ask("GET", "/v1beta/models", key=narrow)).json["models"]) == 1
    assert (await rig.house.ask("GET", "/v1beta/models/g", key=narrow)).json["error"]["status"] == "NOT_FOUND"
    reader, _ = await rig.house.key(scopes=["read"])
    assert (await rig.house.ask("GET", "/v1beta/models", key=reader)).json["error"]["status"] == "PERMISSION_DENIED"
    assert (await rig.house.ask("GET", "/v1beta/models", key="")).json["error"]["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("path", ["/v1beta/models/g:predict", "/v1/models/g:generateAnswer"])
async def test_a_method_that_is_not_served_is_missed_in_googles_words(rig: Rig, path: str) -> None:
    answer = await rig.house.ask("POST", path, ASKED, key="", x_goog_api_key=rig.caller)
    assert (answer.status, answer.json["error"]["code"], answer.json["error"]["status"]) == (404, 404, "NOT_FOUND")
    assert path in answer.json["error"]["message"]
    assert (await rig.house.ask("POST", path, ASKED, key="")).status == 401


async def test_the_time_to_wait_that_a_refusal_names_is_heeded(rig: Rig) -> None:
    def busy(delay: str) -> tuple[str, Any]:
        retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
        fault = {"code": 429, "message": "You exceeded your current quota.", "status": "RESOURCE_EXHAUSTED", "details": [retry]}
        return "429 Too Many Requests", {"error": fault}

    rig.refusals = [busy("0.01s")]
    answer = await rig.house.ask("POST", "/v1beta/models/g:generateContent", ASKED, key=rig.caller)
    assert (answer.status, len(rig.asked)) == (200, 2)
    rig.refusals = [busy("38s")]  # longer than we wait: the client is told, in its own API's words
    answer = await rig.house.ask("POST", "/v1beta/models/g:generateContent", ASKED, key=rig.caller)
    assert (answer.status, answer.json["error"]["status"], answer.headers["retry-after"]) == (429, "RESOURCE_EXHAUSTED", "38")
    assert answer.json["error"]["details"][-1]["retryDelay"] == "38s"
    asked = len(rig.asked)  # and for as long the other target of a name is asked instead
    assert (await rig.house.ask("POST", "/v1beta/models/both:generateContent", ASKED, key=rig.caller)).status == 200
    assert len(rig.asked) == asked + 1


async def test_a_key_that_google_refuses_is_no_fault_of_the_callers(rig: Rig) -> None:
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    fault = {"code": 400, "message": "API key AIza-provider not valid.", "status": "INVALID_ARGUMENT", "details": [reason]}
    rig.refusals = [("400 Bad Request", {"error": fault})] * 2
    answer = await rig.house.ask(
        "POST", "/v1/chat/completions", {"model": "g", "messages": [{"role": "user", "content": "hi"}]}, key=rig.caller
    )
    assert answer.status == 502
    assert "AIza" not in answer.text
    assert (await rig.house.ask("POST", "/v1beta/models/both:generateContent", ASKED, key=rig.caller)).status == 200
    rig.refusals = [("400 Bad Request", {"error": {"code": 400, "message": "Unknown name.", "status": "INVALID_ARGUMENT"}})]
    answer = await rig.house.ask("POST", "/v1beta/models/both:generateContent", ASKED, key=rig.caller)
    assert (answer.status, "Unknown name." in answer.text) == (400, True)


async def test_what_another_vendor_signed_is_not_shown_to_google(rig: Rig) -> None:
    thought = {"text": "hm", "thought": True, "thoughtSignature": seal.to_client("anthropic:sig", "google")}
    contents = [{"parts": [{"text": "hi"}]}, {"role": "model", "parts": [thought, {"text": "yes?"}]}, {"parts": [{"text": "go on"}]}]
    answer = await rig.house.ask("POST", "/v1beta/models/g:generateContent", {"contents": contents, "madeUp": 1}, key=rig.caller)
    assert answer.status == 200
    sent = json.loads(rig.asked[-1][2])
    assert sent["contents"][1] == {"role": "model", "parts": [{"text": "yes?"}]}
    assert sent["madeUp"] == 1
    assert "thought" in answer.headers["x-penstock-notes"]
    streamed = await rig.house.ask("POST", "/v1/models/g:streamGenerateContent?alt=sse", {"contents": contents}, key=rig.caller)
    assert "hello" in streamed.text


def test_content_in_the_body_is_not_counted_by_its_bytes() -> None:
    picture = {"inline_data": {"mime_type": "image/png", "data": "A-_9" * 250_000}}
    assert estimate_tokens(json.dumps({"contents": [{"parts": [picture]}]}).encode()) < 2000


async def test_embeddings_of_another_shape_keep_their_order(rig: Rig) -> None:
    one = {"content": {"parts": [{"text": "a"}]}, "taskType": "RETRIEVAL_QUERY"}
    two = {"content": {"parts": [{"text": "b"}]}, "taskType": "RETRIEVAL_QUERY"}
    answer = await rig.house.ask("POST", "/v1beta/models/m:batchEmbedContents", {"requests": [one, two]}, key=rig.caller)
    assert [found["values"] for found in answer.json["embeddings"]] == [[0.5], [2.0]]
    assert json.loads(rig.asked[-1][2])["input"] == ["a", "b"]
    assert "taskType" in answer.headers["x-penstock-notes"]
    # Two vectors for one text are no answer.
    assert (await rig.house.ask("POST", "/v1beta/models/m:embedContent", one, key=rig.caller)).status == 502
    refused = await rig.house.ask("POST", "/v1/embeddings", {"model": "g", "input": [[1, 2]]}, key=rig.caller)
    assert refused.json["error"]["param"] == "input"


@pytest.mark.parametrize("variable", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
async def test_the_key_is_found_by_itself(tmp_path: Path, variable: str) -> None:
    provider = configured(GatewaySettings(local_embeddings=False), tmp_path, {variable: "AIza"})["gemini"]
    assert provider.speaks("openai.chat") == "google.generate"
    assert provider.speaks("openai.embeddings") == "google.batch_embed"
    assert provider.speaks("anthropic.count_tokens") == "google.count_tokens"
    await provider.close()
