"""Requests for Bedrock, signed, over a real socket to a server that checks them by the published rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.providers.aws import signed_properly
from tests.gateway.upstream import Conversation, serving

from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.profile import CONVERSE
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.settings import ProviderSettings
from penstock.kernel.errors import ProviderCredentials, SettingsError

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
MODEL = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOTHING = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN")


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in NOTHING.items():
        monkeypatch.setenv(name, value)


def bedrock(url: str, environ: dict[str, str] | None = None, **terms: Any) -> HttpProvider:
    settings = msgspec.convert({"base_url": url, "region": "eu-central-1", **terms}, ProviderSettings)
    return HttpProvider("b", PROFILES["bedrock"], settings, environ or {})


async def asked(provider: HttpProvider, *, stream: bool = False, body: bytes = b'{"messages":[]}') -> int:
    answer = await provider.post(CONVERSE, MODEL, body, fields={}, stream=stream, headers=[("traceparent", "t")], timeout=10)
    await answer.read(1000)
    return answer.status


class Aws:
    """A server that lets in whoever signs properly with `SECRET`."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.wrong: list[str] = []

    async def __call__(self, peer: Conversation) -> None:
        while True:
            head, body = await peer.request()
            self.heads.append(head)
            wrong = signed_properly(head, body, SECRET, "eu-central-1")
            if wrong is None:
                await peer.json(b"{}")
            else:
                self.wrong.append(wrong)
                await peer.json(b'{"message":"no"}', "403 Forbidden", b"x-amzn-errortype: InvalidSignatureException\r\n")


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzEXAMPLE//token=="])
async def test_a_request_is_signed_as_amazon_has_it(monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    if token is not None:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    aws = Aws()
    async with serving(aws) as upstream:
        provider = bedrock(upstream.url.removesuffix("/v1"))
        statuses = [await asked(provider), await asked(provider, stream=True), await asked(provider, body="é".encode() * 9)]
        good, what = await provider.probe()
        await provider.close()
    assert (statuses, aws.wrong, good, what) == ([200, 200, 200], [], True, "answers 200")
    lines = aws.heads[0].decode().split("\r\n")
    quoted = MODEL.replace(":", "%3A").replace("/", "%2F")
    assert lines[0] == f"POST /model/{quoted}/converse HTTP/1.1"
    assert aws.heads[1].startswith(f"POST /model/{quoted}/converse-stream HTTP/1.1".encode())
    assert (f"x-amz-security-token: {token}" in lines) is (token is not None)
    assert "traceparent: t" in lines
    assert SECRET.encode() not in b"".join(aws.heads)


async def test_a_wrong_secret_is_found_out_by_the_judge_and_told_by_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    aws = Aws()
    async with serving(aws) as upstream:
        provider = bedrock(upstream.url.removesuffix("/v1"))
        assert await asked(provider) == 403
        good, what = await provider.probe()
        await provider.close()
    assert aws.wrong[0] == "the signature is another one"
    assert (good, what) == (
        False,
        "refuses our credentials (403 InvalidSignatureException); it came from the AWS credential chain",
    )


async def test_a_named_profile_is_read_from_the_shared_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shared = tmp_path / "credentials"
    shared.write_text(f"[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    aws = Aws()
    async with serving(aws) as upstream:
        provider = bedrock(upstream.url.removesuffix("/v1"), credentials="work")
        assert await asked(provider) == 200
        await provider.close()
    assert b"Credential=AKIDWORK/" in aws.heads[0]


async def test_a_containers_role_is_fetched_and_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[bytes] = []

    async def container(peer: Conversation) -> None:
        while True:
            head, _ = await peer.request()
            fetched.append(head)
            ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
            role = {"AccessKeyId": f"ASIA{len(fetched)}", "SecretAccessKey": SECRET, "Token": "tok", "Expiration": ends}
            await peer.json(json.dumps(role).encode())

    aws = Aws()
    async with serving(container) as role, serving(aws) as upstream:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{role.port}/role")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let-me-in")
        provider = bedrock(upstream.url.removesuffix("/v1"))
        assert [await asked(provider) for _ in range(3)] == [200, 200, 200]
        await provider.close()
    assert len(fetched) == 1
    assert b"Authorization: let-me-in" in fetched[0]
    assert b"x-amz-security-token: tok" in aws.heads[0]


async def test_without_credentials_it_says_what_to_set() -> None:
    provider = bedrock("http://127.0.0.1:9")
    with pytest.raises(ProviderCredentials, match="b: the AWS credential chain: no AWS credentials found; set AWS_ACCESS_KEY_ID"):
        await asked(provider)
    good, what = await provider.probe()
    assert not good
    assert "no AWS credentials found" in what
    await provider.close()


async def test_a_key_of_bedrocks_own_is_sent_as_it_is() -> None:
    heads: list[bytes] = []

    async def server(peer: Conversation) -> None:
        while True:
            head, _ = await peer.request()
            heads.append(head)
            await peer.json(b"{}")

    async with serving(server) as upstream:
        provider = bedrock(upstream.url.removesuffix("/v1"), {"AWS_BEARER_TOKEN_BEDROCK": "bedrock-api-key-x"})
        assert provider.key_source == "AWS_BEARER_TOKEN_BEDROCK"
        assert await asked(provider) == 200
        await provider.close()
    assert b"authorization: Bearer bedrock-api-key-x\r\n" in heads[0]


def test_where_it_is_needs_a_region() -> None:
    with pytest.raises(SettingsError, match=r"gateway\.providers\.b\.region: Amazon Bedrock needs a region; .* AWS_REGION"):
        HttpProvider("b", PROFILES["bedrock"], ProviderSettings(), {})
    assert HttpProvider("b", PROFILES["bedrock"], ProviderSettings(), {"AWS_REGION": "us-west-2"}).base_url == (
        "https://bedrock-runtime.us-west-2.amazonaws.com"
    )
