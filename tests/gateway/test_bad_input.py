"""Everything that can be wrong with a request, against every API, over a real socket: the right status in that API's own error shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.gateway.upstream import Conversation, serving
from tests.house import SETTINGS, House, open_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
EMBEDDINGS = "/v1/embeddings"
MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
MODERATIONS = "/v1/moderations"
JINA = "/v1/rerank"
COHERE = "/v2/rerank"
COMPLETIONS = "/v1/completions"
SPEECH = "/v1/audio/speech"
IMAGES = "/v1/images/generations"
EDITS = "/v1/images/edits"
GENERATE, STREAM, TOKENS, EMBED, BATCH = GOOGLE = tuple(
    f"/v1beta/models/g:{method}"
    for method in ("generateContent", "streamGenerateContent?alt=sse", "countTokens", "embedContent", "batchEmbedContents")
)
NAMING = (CHAT, RESPONSES, EMBEDDINGS, MESSAGES, COUNT, JINA, COHERE, COMPLETIONS, SPEECH, IMAGES, EDITS)
"""Paths whose body names the model."""
PATHS = (*NAMING, MODERATIONS, *GOOGLE)
SAID = [{"role": "user", "content": "hi"}]
GOOD: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": SAID},
    RESPONSES: {"model": "m", "input": "hi"},
    EMBEDDINGS: {"model": "m", "input": "hi"},
    MESSAGES: {"model": "c", "max_tokens": 5, "messages": SAID},
    COUNT: {"model": "c", "messages": SAID},
    MODERATIONS: {"model": "m", "input": "hi"},
    COMPLETIONS: {"model": "m", "prompt": "hi"},
    SPEECH: {"model": "m", "input": "hi", "voice": "alloy"},
    IMAGES: {"model": "m", "prompt": "hi"},
    EDITS: {"model": "m", "prompt": "hi", "images": [{"image_url": "https://h/a.png"}]},
    JINA: {"model": "m", "query": "hi", "documents": ["a", {"text": "b"}]},
    COHERE: {"model": "m", "query": "hi", "documents": ["a", "b"]},
    **{path: {"contents": [{"parts": [{"text": "hi"}]}]} for path in (GENERATE, STREAM, TOKENS)},
    EMBED: {"content": {"parts": [{"text": "hi"}]}},
    BATCH: {"requests": [{"content": {"parts": [{"text": "hi"}]}}]},
}


class Rig:
    """A house with a provider of each shape, and the heads that the providers were sent."""

    def __init__(self) -> None:
        self.house: House
        self.heads: list[bytes] = []
        self.caller = ""

    async def provider(self, peer: Conversation) -> None:
        while True:
            head, _ = await peer.request()
            self.heads.append(head)
            await peer.json(b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"input_tokens":1,"output_tokens":1}}')

    async def raw(self, data: bytes, *, more: bytes = b"") -> tuple[int, bytes]:
        """Status and everything that came back for these bytes; status 0 when the connection was closed without a reply."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.house.url.rsplit(":", 1)[1]))
        writer.write(data)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, b""
        finally:
            writer.close()
        length = next(
            (int(v) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:") for v in line.split(b":")[1:]), 0
        )
        try:
            body = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            body = b""
        return int(head.split(b" ", 2)[1]), body


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    rig = Rig()
    async with serving(rig.provider) as upstream:
        settings = (
            f"{SETTINGS}max_body_bytes = 5000000\n"
            f'[gateway.providers.chat]\nprofile = "openai-compatible"\nbase_url = "{upstream.url}"\nmodels = ["m"]\n'
            f'[gateway.providers.claude]\nprofile = "anthropic"\nbase_url = "{upstream.url}"\napi_key = "sk-provider"\nmodels = ["c"]\n'
            f'[gateway.providers.gemini]\nbase_url = "{upstream.url}"\napi_key = "sk-provider"\nmodels = ["g"]\n'
        )
        async with open_house(tmp_path_factory.mktemp("house"), settings) as rig.house:
            rig.caller, _ = await rig.house.key(scopes=["call"])
            yield rig


def fault_of(path: str, answer: Any) -> Any:
    """The error, which Cohere's and Jina's APIs answer without an object around it."""
    return answer.json if path in (JINA, COHERE) else answer.json["error"]


def expect(path: str, answer: Any, status: int, code: str | None = None) -> None:
    """The called API's own error shape, no trace of ours in it, and the code where that API has room for one."""
    assert answer.status == status, answer.text
    fault = fault_of(path, answer)
    assert isinstance(fault["message"], str)
    assert fault["message"]
    assert "Traceback" not in answer.text
    assert "penstock/" not in answer.text
    if path in (MESSAGES, COUNT):
        assert answer.json["type"] == "error"
        kinds = {
            400: "invalid_request_error",
            401: "authentication_error",
            403: "permission_error",
            404: "not_found_error",
            413: "request_too_large",
        }
        assert fault["type"] == kinds[status]
        assert answer.headers["request-id"].startswith("call_")
    elif path in GOOGLE:
        words = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 413: "INVALID_ARGUMENT"}
        assert (fault["code"], fault["status"]) == (status, words[status])
        if code is not None:
            assert fault["details"][0]["reason"] == code.upper()
    else:
        assert set(fault) >= {JINA: {"detail", "message"}, COHERE: {"id", "message"}}.get(path, {"message", "type"}) | {"param", "code"}
        if code is not None:
            assert fault["code"] == code


NOT_JSON = [
    b"",
    b"{",
    b"nonsense",
    b"[]",
    b'"text"',
    b"null",
    b"17",
    b'{"model": "m", "messages": [}',
    b'{"model": "m"} trailing',
    b'{"model": "\xff\xfe"}',
    b'\xef\xbb\xbf{"model": "m"}',
    b'{"a": 1,}',
    b"{'model': 'm'}",
    b'{"a": NaN}',
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", NOT_JSON, ids=repr)
async def test_what_is_no_json_object(rig: Rig, path: str, body: bytes) -> None:
    expect(path, await rig.house.ask("POST", path, body, key=rig.caller), 400, "malformed_request")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("depth", [200, 100_000])
@pytest.mark.parametrize("opener", ["[", '{"a":'])
async def test_nesting_that_is_too_deep(rig: Rig, path: str, depth: int, opener: str) -> None:
    closer = "]" if opener == "[" else "}"
    needed = '"model":"m","messages":[],"input":"x","max_tokens":1,"contents":[],"content":{},"requests":[]'
    deep = f'{{{needed},"metadata":{opener * depth}1{closer * depth}}}'
    answer = await rig.house.ask("POST", path, deep, key=rig.caller)
    expect(path, answer, 400, "malformed_request")
    assert "nested" in fault_of(path, answer)["message"]


@pytest.mark.parametrize("path", PATHS)
async def test_nesting_that_is_deep_enough_for_anybody(rig: Rig, path: str) -> None:
    fine = {**GOOD[path], "metadata": json.loads("[" * 90 + "]" * 90)}
    answer = await rig.house.ask("POST", path, fine, key=rig.caller)
    assert "nested" not in answer.text


WRONG: list[tuple[str, str, Any]] = [
    *((path, "model", value) for path in NAMING for value in (None, 5, "", ["m"], {"name": "m"}, "m" * 600)),
    *((MODERATIONS, "model", value) for value in (5, "", ["m"])),
    *((path, "messages", value) for path in (CHAT, MESSAGES, COUNT) for value in (None, "hi", {}, 3)),
    *((path, "stream", value) for path in (CHAT, RESPONSES, MESSAGES) for value in ("yes", 1, [], {})),
    (RESPONSES, "input", 5),
    (EMBEDDINGS, "input", {}),
    *((MODERATIONS, "input", value) for value in (None, 5, {}, True)),
    *((path, "query", value) for path in (JINA, COHERE) for value in (None, 5, [], True)),
    *((path, "documents", value) for path in (JINA, COHERE) for value in (None, 5, "a", {})),
    *((path, "top_n", value) for path in (JINA, COHERE) for value in (0, -1, 1.5, "2", 2**40)),
    (COHERE, "query", {"text": "hi"}),
    *((COMPLETIONS, "prompt", value) for value in (None, 5, {}, True)),
    *((COMPLETIONS, "max_tokens", value) for value in (-1, 1.5, "2", 2**40)),
    *((COMPLETIONS, "stream", value) for value in ("yes", 1, [])),
    (COMPLETIONS, "stop", 5),
    *((SPEECH, "input", value) for value in (None, 5, [], True)),
    *((path, "prompt", value) for path in (IMAGES, EDITS) for value in (None, 5, [], True)),
    *((path, "n", value) for path in (IMAGES, EDITS) for value in (0, -1, 1.5, "2", 1000)),
    *((path, "stream", value) for path in (IMAGES, EDITS) for value in ("yes", 1, [])),
    *((EDITS, "images", value) for value in (None, 5, "a", {})),
    (CHAT, "max_tokens", "many"),
    (CHAT, "max_tokens", -1),
    (CHAT, "max_completion_tokens", 1.5),
    (CHAT, "max_tokens", 2**70),
    (CHAT, "n", 0),
    (MESSAGES, "max_tokens", 0),
    (MESSAGES, "max_tokens", "5"),
    (MESSAGES, "max_tokens", None),
    (RESPONSES, "max_output_tokens", -5),
    *((path, "contents", value) for path in (GENERATE, STREAM) for value in (None, "hi", 3)),
    *((GENERATE, name, {field: value}) for name, field in (("generationConfig", "maxOutputTokens"),) for value in (-1, 1.5, "x", 2**40)),
    (GENERATE, "generationConfig", {"candidateCount": 0}),
    (GENERATE, "generation_config", {"max_output_tokens": -1}),
    (GENERATE, "generationConfig", []),
    (EMBED, "content", "hi"),
    (EMBED, "content", None),
    (BATCH, "requests", {}),
    (BATCH, "requests", [5]),
]


@pytest.mark.parametrize(("path", "field", "value"), WRONG, ids=str)
async def test_fields_of_the_wrong_kind_are_named(rig: Rig, path: str, field: str, value: Any) -> None:
    answer = await rig.house.ask("POST", path, {**GOOD[path], field: value}, key=rig.caller)
    expect(path, answer, 400, "malformed_request")
    assert field in fault_of(path, answer)["message"]
    if path in GOOGLE:
        assert answer.json["error"]["details"][1]["fieldViolations"][0]["field"] == field
    elif path not in (MESSAGES, COUNT):
        assert fault_of(path, answer)["param"] == field


@pytest.mark.parametrize("path", NAMING)
@pytest.mark.parametrize("field", ["model"])
async def test_a_field_that_is_missing_is_named(rig: Rig, path: str, field: str) -> None:
    body = {name: value for name, value in GOOD[path].items() if name != field}
    answer = await rig.house.ask("POST", path, body, key=rig.caller)
    expect(path, answer, 400, "malformed_request")
    assert field in fault_of(path, answer)["message"]


@pytest.mark.parametrize("path", PATHS)
async def test_keys_that_open_nothing(rig: Rig, path: str) -> None:
    for key, code in (
        ("", "missing_api_key"),
        ("psk_" + "x" * 49, "invalid_api_key"),
        ("sk-ant-foreign", "invalid_api_key"),
        ("☃ is no header", "missing_api_key"),  # headers are ASCII; what is not cannot be read
    ):
        answer = await rig.house.ask("POST", path, GOOD[path], key=key)
        expect(path, answer, 401, code)
        assert not key or key not in answer.text
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", PATHS)
async def test_a_key_that_expired_was_revoked_or_may_not_call(rig: Rig, path: str) -> None:
    house = rig.house
    revoked, id = await house.key(scopes=["call"])
    await house.ask("POST", f"/v1/keys/{id}/revoke")
    expect(path, await house.ask("POST", path, GOOD[path], key=revoked), 401, "revoked_api_key")
    reader, _ = await house.key(scopes=["read"])
    expect(path, await house.ask("POST", path, GOOD[path], key=reader), 403, "permission_denied")
    narrow, _ = await house.key(scopes=["call"], models=["other"])
    expect(path, await house.ask("POST", path, GOOD[path], key=narrow), 403, "permission_denied")


@pytest.mark.parametrize("path", PATHS)
async def test_a_model_that_nobody_serves(rig: Rig, path: str) -> None:
    answer = await rig.house.ask("POST", path.replace("/g:", "/mm:"), {**GOOD[path], "model": "mm"}, key=rig.caller)
    expect(path, answer, 404, "model_not_found")
    assert "did you mean 'm'" in fault_of(path, answer)["message"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_too_large_is_refused_before_it_is_read(rig: Rig, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {rig.caller}\r\ncontent-length: 50000000\r\n\r\n"
    status, body = await rig.raw(head.encode() + b"{" * 1000)
    assert status == 413
    assert b"max_body_bytes" in body


@pytest.mark.parametrize("path", PATHS)
async def test_a_chunked_body_that_grows_too_large_is_cut_off(rig: Rig, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {rig.caller}\r\ntransfer-encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    status, _ = await rig.raw(head.encode() + piece * 90)
    assert status in (0, 413)  # the reply may be lost when the connection is closed on a client that still sends


async def test_a_large_body_of_a_stranger_is_not_even_read(rig: Rig) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 4000000\r\n\r\n"
    status, body = await rig.raw(head.encode())
    assert (status, json.loads(body)["error"]["code"]) == (401, "missing_api_key")


SMUGGLED = [
    b"content-length: 5\r\ncontent-length: 6\r\n",
    b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
    b"transfer-encoding: chunked, identity\r\n",
    b"transfer-encoding: xchunked\r\n",
    b"content-length: -5\r\n",
    b"content-length: +5\r\n",
    b"content-length: 5, 5\r\n",
    b"content-length: 0x5\r\n",
    b"content-length: 99999999999999999999\r\n",
    b"content-length : 5\r\n",
    b"x-null: a\0b\r\n",
    b"x-cr: a\rb\r\n",
    b" x-folded: a\r\n",
    b"no colon here\r\n",
    b"x-huge: " + b"a" * 600_000 + b"\r\n",
    b"".join(b"x-%d: a\r\n" % n for n in range(2000)),
]


@pytest.mark.parametrize("headers", SMUGGLED, ids=lambda h: repr(h[:40]))
async def test_heads_that_could_smuggle_a_request_reach_nobody(rig: Rig, headers: bytes) -> None:
    before = len(rig.heads)
    inner = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\n"
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n%s\r\n" % (rig.caller.encode(), headers)
    status, _ = await rig.raw(head + b"0\r\n\r\n" + inner)
    assert status == 0 or 400 <= status < 500
    assert len(rig.heads) == before


async def test_what_a_client_sends_in_headers_does_not_reach_a_provider(rig: Rig) -> None:
    answer = await rig.house.ask(
        "POST",
        MESSAGES,
        GOOD[MESSAGES],
        key="",
        x_api_key=rig.caller,
        anthropic_beta="tools-2026",
        cookie="a=b",
        x_forwarded_for="1.2.3.4",
        host="evil.example",
        proxy_authorization="Basic x",
    )
    assert answer.status == 200
    head = rig.heads[-1].lower()
    assert rig.caller.lower().encode() not in head
    for name in (b"cookie", b"x-forwarded-for", b"evil.example", b"proxy-authorization"):
        assert name not in head
    assert b"x-api-key: sk-provider" in head
    assert b"anthropic-beta: tools-2026" in head


@pytest.mark.parametrize(
    ("name", "value"),
    [("x-penstock-timeout", "soon"), ("x-penstock-timeout", "-1"), ("x-penstock-timeout", "nan"), ("x-penstock-priority", "first"),
     ("x-penstock-labels", "no equals sign"),
     ("x-penstock-labels", ",".join(f"a{n}=1" for n in range(40)))],
)  # fmt: skip
async def test_headers_of_ours_that_make_no_sense(rig: Rig, name: str, value: str) -> None:
    answer = await rig.house.ask("POST", CHAT, GOOD[CHAT], key=rig.caller, **{name.replace("-", "_"): value})
    expect(CHAT, answer, 400, "malformed_request")
    assert answer.json["error"]["param"] == name


async def test_a_stop_of_the_wrong_kind_is_named_when_it_must_be_translated(rig: Rig) -> None:
    answer = await rig.house.ask("POST", CHAT, {**GOOD[CHAT], "model": "c", "stop": 5}, key=rig.caller)
    expect(CHAT, answer, 400, "malformed_request")
    assert answer.json["error"]["param"] == "stop"


async def test_a_refused_call_is_on_the_record_with_its_reason(rig: Rig) -> None:
    answer = await rig.house.ask("POST", CHAT, b"{", key=rig.caller)
    seen = await rig.house.ask("GET", f"/v1/calls/{answer.headers['x-request-id']}")
    assert (seen.json["outcome"], seen.json["status"], seen.json["error_code"]) == ("refused", 400, "malformed_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_the_wrong_method(rig: Rig, method: str) -> None:
    answer = await rig.house.ask(method, CHAT, key=rig.caller)
    assert answer.status in (404, 405)
    assert answer.json["error"]["code"] in ("unknown_url", "method_not_allowed")


@pytest.mark.parametrize("model", ["", "%20" * 600, "m" * 513])
async def test_a_path_that_names_no_model(rig: Rig, model: str) -> None:
    answer = await rig.house.ask("POST", f"/v1beta/models/{model}:generateContent", GOOD[GENERATE], key=rig.caller)
    expect(GENERATE, answer, 400, "malformed_request")


async def test_a_stream_that_is_not_asked_for_as_events(rig: Rig) -> None:
    answer = await rig.house.ask("POST", "/v1beta/models/g:streamGenerateContent", GOOD[STREAM], key=rig.caller)
    expect(STREAM, answer, 400, "malformed_request")
    assert "alt=sse" in answer.json["error"]["message"]


async def test_a_query_of_very_many_fields(rig: Rig) -> None:
    query = "&".join(f"key{n}=1" for n in range(5000))
    answer = await rig.house.ask("POST", f"{GENERATE}?{query}", GOOD[GENERATE], key="")
    expect(GENERATE, answer, 401)


@pytest.mark.parametrize("place", ["../../keys", "..%2f..%2fkeys", "g%00", "g/../x", "\u2603"])
async def test_names_of_models_do_not_lead_anywhere_else(rig: Rig, place: str) -> None:
    before = len(rig.heads)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(rig.house.url.rsplit(":", 1)[1]))
    head = f"GET /v1beta/models/{place} HTTP/1.1\r\nhost: x\r\nx-goog-api-key: {rig.caller}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode())
    status = int((await reader.read()).split(b" ", 2)[1])
    writer.close()
    assert 400 <= status < 500
    assert len(rig.heads) == before
