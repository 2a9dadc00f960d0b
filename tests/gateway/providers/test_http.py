"""A provider over HTTP, against a real server: what it sends, and what it says of itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from tests.gateway.upstream import Conversation, serving

from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.profile import CHAT, COUNT_TOKENS, EMBEDDINGS, MESSAGES, RESPONSES
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.settings import ProviderSettings
from penstock.kernel.errors import SettingsError, UpstreamError, UpstreamMalformed

ANY = "openai-compatible"


def provider(profile: str, environ: dict[str, str] | None = None, **terms: Any) -> HttpProvider:
    return HttpProvider("p", PROFILES[profile], msgspec.convert(terms, ProviderSettings), environ or {})


@asynccontextmanager
async def answering(status: str, body: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """The address of a server that answers everything with this, and the heads that it was sent."""
    heads: list[bytes] = []

    async def script(peer: Conversation) -> None:
        while True:
            head, _ = await peer.request()
            heads.append(head)
            await peer.json(body, status)

    async with serving(script) as upstream:
        yield upstream.url, heads


async def sent(profile: str, shape: str = CHAT, model: str = "m", **terms: Any) -> list[str]:
    """The lines of the head of one request."""
    async with answering("200 OK", b"{}") as (url, heads):
        made = provider(profile, base_url=url, **terms)
        answer = await made.post(shape, model, b"{}", fields={}, stream=False, headers=[("traceparent", "t")], timeout=5)
        assert await answer.read(100) == b"{}"
        await made.close()
        return heads[0].decode().split("\r\n")


@pytest.mark.parametrize(
    ("profile", "shape", "line"),
    [
        (ANY, CHAT, "POST /v1/chat/completions HTTP/1.1"),
        (ANY, EMBEDDINGS, "POST /v1/embeddings HTTP/1.1"),
        ("openai", RESPONSES, "POST /v1/responses HTTP/1.1"),
        ("anthropic", MESSAGES, "POST /v1/messages HTTP/1.1"),
        ("anthropic", COUNT_TOKENS, "POST /v1/messages/count_tokens HTTP/1.1"),
        ("azure", CHAT, "POST /v1/openai/deployments/a%2Fb%20c/chat/completions?api-version=2024%2F1 HTTP/1.1"),
    ],
)
async def test_each_shape_goes_to_its_path(profile: str, shape: str, line: str) -> None:
    more = {"api_version": "2024/1"} if profile == "azure" else {}
    assert (await sent(profile, shape, "a/b c", api_key="sk-1", **more))[0] == line


@pytest.mark.parametrize(
    ("profile", "header"), [(ANY, "authorization: Bearer sk-1"), ("anthropic", "x-api-key: sk-1"), ("azure", "api-key: sk-1")]
)
async def test_the_key_goes_where_the_profile_says(profile: str, header: str) -> None:
    lines = await sent(profile, MESSAGES if profile == "anthropic" else CHAT, api_key="sk-1", headers={"X-Org": "acme"})
    assert header in lines
    assert "x-org: acme" in lines
    assert "traceparent: t" in lines
    assert sum("sk-1" in line for line in lines) == 1


def test_where_a_key_comes_from() -> None:
    environ = {"OPENAI_API_KEY": "sk-env", "OTHER": "sk-other"}
    assert provider("openai", environ).key_source == "OPENAI_API_KEY"
    assert provider("openai", environ, api_key_env="OTHER").key_source == "OTHER"
    assert provider("openai", environ, api_key="sk-own").key_source == "the settings"
    assert provider("ollama").key_source is None
    with pytest.raises(SettingsError, match=r"gateway\.providers\.p: OpenAI needs a key; set OPENAI_API_KEY"):
        provider("openai")
    with pytest.raises(SettingsError, match="set OTHER in the environment"):
        provider("openai", api_key_env="OTHER")


@pytest.mark.parametrize("terms", [{"api_key": "sk\r\nx-evil: 1"}, {"headers": {"x-a": "b\nc"}}, {"headers": {"x\0": "b"}}])
def test_a_line_break_in_a_header_is_refused_and_the_key_not_shown(terms: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="line break") as caught:
        provider(ANY, base_url="http://127.0.0.1:1/v1", **terms)
    assert "sk" not in caught.value.message.replace("key contains", "")


def test_an_endpoint_without_an_address_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"base_url: .* has no common address"):
        provider(ANY)


@pytest.mark.parametrize(
    ("profile", "spoken"),
    [
        (ANY, {CHAT: CHAT, EMBEDDINGS: EMBEDDINGS, MESSAGES: CHAT, RESPONSES: CHAT, COUNT_TOKENS: None}),
        ("anthropic", {CHAT: MESSAGES, EMBEDDINGS: None, MESSAGES: MESSAGES, RESPONSES: MESSAGES, COUNT_TOKENS: COUNT_TOKENS}),
        ("openai", {CHAT: CHAT, EMBEDDINGS: EMBEDDINGS, MESSAGES: CHAT, RESPONSES: RESPONSES, COUNT_TOKENS: None}),
    ],
)
def test_what_is_best_sent_in_which_shape(profile: str, spoken: dict[str, str | None]) -> None:
    made = provider(profile, base_url="http://127.0.0.1:1/v1", api_key="sk")
    assert {shape: made.speaks(shape) for shape in spoken} == spoken


async def test_its_models() -> None:
    async with answering("200 OK", b'{"data":[{"id":"a","object":"model"},{"id":"b"}]}') as (url, heads):
        made = provider(ANY, base_url=url, api_key="sk-1")
        assert await made.models() == ("a", "b")
        assert heads[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
        await made.close()
    assert await provider("azure", base_url="http://127.0.0.1:1", api_key="sk").models() == ()


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        ("500 Oops", b"{}", UpstreamError),
        ("200 OK", b"<html>", UpstreamMalformed),
        ("200 OK", b"{}", UpstreamMalformed),
        ("200 OK", b'{"data":[{}]}', UpstreamMalformed),
        ("200 OK", b'{"models":[{}]}', UpstreamMalformed),
    ],
)
async def test_a_list_of_models_that_is_none(status: str, body: bytes, fault: type[UpstreamError]) -> None:
    async with answering(status, body) as (url, _):
        made = provider(ANY, base_url=url)
        with pytest.raises(fault):
            await made.models()
        await made.close()


@pytest.mark.parametrize(
    ("status", "good", "words"),
    [
        ("200 OK", True, "answers 200"),
        ("404 Not Found", True, "answers 404"),
        ("401 Unauthorized", False, "refuses our key (401); it came from the settings"),
        ("403 Forbidden", False, "refuses our key (403)"),
        ("503 Service Unavailable", False, "answers 503"),
    ],
)
async def test_what_the_doctor_is_told(status: str, good: bool, words: str) -> None:
    async with answering(status, b"{}") as (url, _):
        made = provider(ANY, base_url=url, api_key="sk-secret")
        found, what = await made.probe()
        assert (found, words in what, "sk-secret" in what) == (good, True, False)
        await made.close()


async def test_the_doctor_is_told_of_one_that_cannot_be_reached() -> None:
    from penstock.edge.server import free_port

    made = provider(ANY, base_url=f"http://127.0.0.1:{free_port('127.0.0.1', 0)}/v1")
    found, what = await made.probe()
    assert not found
    assert what
    await made.close()


async def test_googles_list_of_models_and_its_two_paths() -> None:
    async with answering("200 OK", b'{"models":[{"name":"models/gemini-2.5-flash","version":"1"},{"name":"models/gemma"}]}') as (
        url,
        heads,
    ):
        made = provider("gemini", base_url=f"{url}beta", api_key="sk")
        assert await made.models() == ("gemini-2.5-flash", "gemma")
        for stream, path in ((False, b":generateContent HTTP"), (True, b":streamGenerateContent?alt=sse HTTP")):
            answer = await made.post("google.generate", "g", b"{}", fields={}, stream=stream, headers=[], timeout=5)
            await answer.read(10_000)
            assert b"/models/g" + path in heads[-1]
        await made.close()


async def test_names_of_models_do_not_fill_memory() -> None:
    async with answering("200 OK", b"{}") as (url, heads):
        made = provider(ANY, base_url=url)
        for number in range(10_020):
            made._head(CHAT, f"m{number}", False)
        assert len(made._heads) == 10_000
        answer = await made.post(CHAT, "one more", b"{}", fields={}, stream=False, headers=[], timeout=5)
        assert answer.status == 200
        assert heads
        await made.close()
