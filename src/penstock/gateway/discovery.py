"""Providers from the settings, and those found by themselves: keys in the environment, an Ollama on this machine, the local model."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from penstock.gateway.providers.http import HttpProvider
from penstock.gateway.providers.minilm import MiniLMProvider, installed
from penstock.gateway.providers.profile import Profile
from penstock.gateway.providers.profiles import PROFILES
from penstock.gateway.providers.provider import Provider
from penstock.gateway.providers.recording import RecordingProvider
from penstock.gateway.providers.replay import ReplayProvider
from penstock.gateway.settings import GatewaySettings, ProviderSettings
from penstock.kernel.errors import SettingsError

OLLAMA = "ollama"
LOCAL = "local"


def configured(settings: GatewaySettings, data_dir: Path, environ: Mapping[str, str]) -> dict[str, Provider]:
    """Every provider of the settings and the environment, by name. Raises `SettingsError` for one that cannot be built."""
    providers: dict[str, Provider] = {}
    recordings: list[tuple[str, Profile, ProviderSettings]] = []
    for name, section in settings.providers.items():
        if "/" in name:
            raise SettingsError(f"gateway.providers.{name}: a provider's name must not contain a slash", param=name)
        profile = _profile(name, section)
        if profile.kind == "recording":
            recordings.append((name, profile, section))
        elif profile.kind == "replay":
            providers[name] = ReplayProvider(name, profile, section)
        elif profile.kind == "minilm":
            providers[name] = MiniLMProvider(name, profile, data_dir)
        else:
            providers[name] = HttpProvider(name, profile, section, environ)
    if settings.discover:
        taken = {p.profile.name for p in providers.values()}
        for profile in PROFILES.values():
            if profile.name not in taken and profile.base_url and profile.key_needed and any(environ.get(v) for v in profile.key_env):
                providers[profile.name] = HttpProvider(profile.name, profile, ProviderSettings(), environ)
    if settings.local_embeddings and LOCAL not in providers and installed():
        providers[LOCAL] = MiniLMProvider(LOCAL, PROFILES["minilm"], data_dir)
    for name, profile, section in recordings:  # last: each wraps another
        inner = providers.get(section.records or "")
        if inner is None:
            raise SettingsError(
                f"gateway.providers.{name}.records: names no configured provider ({section.records!r}); known: {', '.join(providers)}",
                param=name,
            )
        providers[name] = RecordingProvider(name, profile, section, inner)
    return providers


async def find_ollama(environ: Mapping[str, str]) -> HttpProvider:
    """The Ollama of this machine with the models that it lists. Raises `UpstreamError` when none answers."""
    host = environ.get("OLLAMA_HOST", "127.0.0.1:11434").strip()
    base = host if "://" in host else f"http://{host}"
    if base.startswith("http://0.0.0.0"):  # what `ollama serve` is told to listen on, not where to reach it
        base = base.replace("http://0.0.0.0", "http://127.0.0.1", 1)
    if base.count(":") == 1:
        base += ":11434"
    provider = HttpProvider(OLLAMA, PROFILES[OLLAMA], ProviderSettings(base_url=f"{base.rstrip('/')}/v1", connect_seconds=0.5), environ)
    try:
        provider.declared = await provider.models()
    except BaseException:
        await provider.close()
        raise
    return provider


def _profile(name: str, section: ProviderSettings) -> Profile:
    wanted = section.profile or name
    profile = PROFILES.get(wanted)
    if profile is not None:
        return profile
    if section.profile is None and section.base_url is not None:
        return PROFILES["openai-compatible"]
    near = difflib.get_close_matches(wanted, PROFILES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(PROFILES)}"
    raise SettingsError(f"gateway.providers.{name}.profile: unknown profile {wanted!r}; {hint}", param=name)
