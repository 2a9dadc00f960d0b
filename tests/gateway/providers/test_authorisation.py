from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec
import pytest

from penstock.gateway.client import Origin
from penstock.gateway.providers.authorisation import authoriser, way_in
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.settings import ProviderSettings
from penstock.kernel.errors import SettingsError


def settings(**terms: Any) -> ProviderSettings:
    return msgspec.convert(terms, ProviderSettings)


@pytest.mark.parametrize(
    ("profile", "terms", "environ", "way"),
    [
        ("openai", {}, {}, "key"),
        ("azure", {}, {}, "key"),
        ("azure", {"auth": "entra"}, {}, "entra"),
        ("azure-v1", {"auth": "entra"}, {"AZURE_OPENAI_V1_API_KEY": "k"}, "entra"),
        ("vertex", {}, {}, "google"),
        ("bedrock", {}, {}, "aws"),
        ("bedrock", {}, {"AWS_BEARER_TOKEN_BEDROCK": "k"}, "key"),
        ("bedrock", {"auth": "aws"}, {"AWS_BEARER_TOKEN_BEDROCK": "k"}, "aws"),
        ("bedrock", {"api_key_env": "MINE"}, {"MINE": "k"}, "key"),
    ],
)
def test_how_each_lets_us_in(profile: str, terms: dict[str, Any], environ: dict[str, str], way: str) -> None:
    assert way_in("p", PROFILES[profile], settings(**terms), environ) == way


def test_a_way_that_a_provider_does_not_know_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"gateway\.providers\.p\.auth: OpenAI knows key, not aws"):
        way_in("p", PROFILES["openai"], settings(auth="aws"), {})


async def test_what_signs_says_where_its_credentials_come_from() -> None:
    origin = Origin("https://h")
    sources = {
        ("azure", "entra", None): "azure-identity's default credentials",
        ("azure", "entra", "id-1"): "the managed identity id-1",
        ("vertex", "google", "/f.json"): "the credentials in /f.json",
        ("bedrock", "aws", "work"): "the AWS profile work",
    }
    for (profile, way, credentials), words in sources.items():
        made, key, source = authoriser("p", PROFILES[profile], settings(auth=way, credentials=credentials, region="r-1"), {}, origin)
        assert made is not None
        assert (key, source) == (None, words)
        await made.close()


def test_a_key_that_is_missing_is_asked_for_and_the_other_way_is_named() -> None:
    with pytest.raises(SettingsError, match='set AZURE_OPENAI_API_KEY in the environment, or auth = "entra"'):
        authoriser("p", PROFILES["azure"], settings(), {}, Origin("https://h"))


@pytest.mark.parametrize(
    ("profile", "package", "extra"),
    [("bedrock", "botocore", "bedrock"), ("vertex", "google.auth", "vertex"), ("azure", "azure.identity", "azure")],
)
def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, profile: str, package: str, extra: str) -> None:
    for module in ("aws_signing", "google_tokens", "entra_tokens"):
        where = f"penstock.gateway.providers.{module}.find_spec"
        monkeypatch.setattr(where, lambda name: None if name in (package, package.partition(".")[0]) else object())
    way = {"azure": "entra"}.get(profile)
    with pytest.raises(SettingsError, match=rf"install penstock\[{extra}\]"):
        authoriser("p", PROFILES[profile], settings(auth=way, region="r-1"), {}, Origin("https://h"))


def test_nobody_who_does_not_use_them_imports_the_vendors_libraries() -> None:
    ask = "import sys, penstock.app; print([n for n in ('botocore', 'google.auth', 'azure.identity', 'requests') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.strip() == "[]"
