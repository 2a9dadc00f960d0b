"""Providers from the settings, from keys in the environment, and from a real Ollama-like server on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.gateway.upstream import Conversation, serving

from penstock.gateway.discovery import LOCAL, configured, find_ollama
from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.provider import Provider
from penstock.gateway.providers.recording import RecordingProvider
from penstock.gateway.settings import GatewaySettings
from penstock.kernel.errors import SettingsError, UpstreamError


def found(folder: Path, environ: dict[str, str] | None = None, **terms: Any) -> dict[str, Provider]:
    settings = msgspec.convert({"discover": False, "local_embeddings": False, **terms}, GatewaySettings)
    return configured(settings, folder, environ or {})


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert found(tmp_path) == {}
    assert found(tmp_path, discover=True) == {}


def test_keys_in_the_environment_are_found_and_only_when_asked_for(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2", "MISTRAL_API_KEY": "", "VLLM_API_KEY": "sk-3"}
    assert set(found(tmp_path, environ, discover=True)) == {"openai", "anthropic"}
    assert found(tmp_path, environ) == {}


def test_a_provider_of_the_settings_takes_the_place_of_one_that_would_be_found(tmp_path: Path) -> None:
    mine = {"main": {"profile": "openai", "api_key": "sk-own"}}
    assert set(found(tmp_path, {"OPENAI_API_KEY": "sk-1"}, discover=True, providers=mine)) == {"main"}


def test_a_name_that_is_no_profile_but_has_an_address_is_compatible(tmp_path: Path) -> None:
    (provider,) = found(tmp_path, providers={"corner": {"base_url": "http://127.0.0.1:1/v1"}}).values()
    assert isinstance(provider, HttpProvider)
    assert provider.profile.name == "openai-compatible"


@pytest.mark.parametrize(
    ("providers", "words"),
    [
        ({"opnai": {}}, r"gateway\.providers\.opnai\.profile: unknown profile 'opnai'; did you mean 'openai'\?"),
        ({"x": {"profile": "zzz"}}, "unknown profile 'zzz'; known: openai, "),
        ({"a/b": {"base_url": "http://x/v1"}}, "must not contain a slash"),
        ({"r": {"profile": "recording", "file": "x.jsonl", "records": "nobody"}}, "names no configured provider"),
        ({"r": {"profile": "replay", "file": "nowhere.jsonl"}}, "nowhere"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, providers: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        found(tmp_path, providers=providers)


def test_a_recorder_wraps_another_whatever_their_order(tmp_path: Path) -> None:
    providers = {
        "taped": {"profile": "recording", "records": "real", "file": str(tmp_path / "x.jsonl"), "models": ["m"]},
        "real": {"base_url": "http://127.0.0.1:1/v1"},
    }
    made = found(tmp_path, providers=providers)
    assert isinstance(made["taped"], RecordingProvider)
    assert set(made) == {"real", "taped"}


def test_the_local_model_is_offered_where_it_is_installed(tmp_path: Path) -> None:
    from penstock.gateway.providers.minilm import installed

    assert (LOCAL in found(tmp_path, local_embeddings=True)) is installed()


@pytest.mark.parametrize("scheme", ["http://", ""])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_an_ollama_of_this_machine_tells_its_models(scheme: str, host: str) -> None:
    async def ollama(peer: Conversation) -> None:
        while True:
            head, _ = await peer.request()
            assert head.startswith(b"GET /v1/models ")
            await peer.json(b'{"object":"list","data":[{"id":"llama3.3"},{"id":"qwen3"}]}')

    async with serving(ollama) as server:
        provider = await find_ollama({"OLLAMA_HOST": f"{scheme}{host}:{server.port}"})
        assert (provider.name, set(provider.declared)) == ("ollama", {"llama3.3", "qwen3"})
        await provider.close()


async def test_where_no_ollama_answers_there_is_none() -> None:
    from penstock.edge.server import free_port

    with pytest.raises(UpstreamError):
        await find_ollama({"OLLAMA_HOST": f"127.0.0.1:{free_port('127.0.0.1', 0)}"})
