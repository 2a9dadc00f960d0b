"""How a provider lets us in: with a key, or with what a vendor's own library signs or fetches."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.gateway.client import Origin
from penstock.gateway.providers.aws_signing import AwsSigner, ready_for_streams
from penstock.gateway.providers.entra_tokens import entra_bearer
from penstock.gateway.providers.google_tokens import google_bearer
from penstock.gateway.providers.place import region
from penstock.gateway.providers.profile import CONVERSE, KEY, Profile
from penstock.gateway.providers.tokens import Authoriser
from penstock.gateway.settings import ProviderSettings
from penstock.kernel.errors import SettingsError


def way_in(name: str, profile: Profile, settings: ProviderSettings, environ: Mapping[str, str]) -> str:
    """One of the profile's ways: the one that is set, else a key where there is one or must be one, else the first other."""
    ways = profile.ways_in
    if settings.auth is not None:
        if settings.auth not in ways:
            raise SettingsError(
                f"gateway.providers.{name}.auth: {profile.title} knows {', '.join(ways)}, not {settings.auth}", param="auth"
            )
        return settings.auth
    others = [way for way in ways if way != KEY]
    if KEY in ways and (profile.key_needed or not others or key_of(profile, settings, environ)[0] is not None):
        return KEY
    return others[0]


def key_of(profile: Profile, settings: ProviderSettings, environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The key and where it came from, None for both when there is none."""
    if settings.api_key:
        return settings.api_key, "the settings"
    for variable in (settings.api_key_env,) if settings.api_key_env else profile.key_env:
        if environ.get(variable):
            return environ[variable], variable
    return None, None


def authoriser(
    name: str, profile: Profile, settings: ProviderSettings, environ: Mapping[str, str], origin: Origin
) -> tuple[Authoriser | None, str | None, str | None]:
    """What signs requests, or else the key, and where that came from. Raises `SettingsError` when what is needed is missing."""
    way = way_in(name, profile, settings, environ)
    if CONVERSE in profile.paths:
        ready_for_streams(name)
    if way == "google":
        made: Authoriser = google_bearer(name, settings.credentials)
    elif way == "entra":
        made = entra_bearer(name, settings.credentials)
    elif way == "aws":
        made = AwsSigner(name, origin.scheme_and_authority, region(name, profile, settings, environ), settings.credentials)
    else:
        key, source = key_of(profile, settings, environ)
        if key is None and profile.key_needed:
            variables = (settings.api_key_env,) if settings.api_key_env else profile.key_env
            wanted = " or ".join(variables) or f"gateway.providers.{name}.api_key_env"
            others = "".join(f', or auth = "{other}"' for other in profile.ways_in if other != KEY)
            raise SettingsError(
                f"gateway.providers.{name}: {profile.title} needs a key; set {wanted} in the environment{others}", param=name
            )
        return None, key, source
    return made, None, made.source
