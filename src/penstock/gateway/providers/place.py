"""Where a provider is: its base URL, with the region and the project that the vendor's addresses hold, and whose machine that is."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from penstock.gateway.providers.profile import Profile
from penstock.gateway.settings import ProviderSettings
from penstock.kernel.errors import SettingsError
from penstock.kernel.tasks import Place

_INSIDE = (".local", ".lan", ".internal", ".home.arpa", ".svc", ".cluster.local")
"""Ends of names that are never a public host's."""


def place_of(profile: Profile, url: str, region: str = "") -> Place:
    """Whose machine listens there, as profile and address tell: a self-hosted engine at an address of this machine stands on the
    ``device``, at a private address or name on ``own`` machines. Everything else is at a ``vendor``, who keeps to a ``region`` where one is
    named.

    A vendor's own profile is a vendor's at whatever address: what listens on this machine may be a proxy.
    """
    vendor: Place = "vendor" if region in ("", "global") else "region"
    if not (profile.local or (profile.base_url is None and profile.prices_as is None)):
        return vendor
    host = (urlsplit(url).hostname or "").lower().rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host == "localhost" or host.endswith(".localhost"):
            return "device"
        return "own" if host and ("." not in host or host.endswith(_INSIDE)) else vendor
    address = getattr(address, "ipv4_mapped", None) or address
    return "device" if address.is_loopback else "own" if address.is_private and not address.is_unspecified else vendor


def region_of(profile: Profile, settings: ProviderSettings, environ: Mapping[str, str]) -> str:
    """The region of the settings, or of the environment where the vendor's address holds one; empty when there is none."""
    return settings.region or (_first(profile.region_env, environ) if settings.base_url is None else None) or ""


def base_url(name: str, profile: Profile, settings: ProviderSettings, environ: Mapping[str, str]) -> str:
    """The address of the settings, else the profile's, filled in. Raises `SettingsError` when something is missing."""
    if settings.base_url is not None:
        return settings.base_url
    if profile.base_url is None:
        raise SettingsError(f"gateway.providers.{name}.base_url: {profile.title} has no common address; give yours", param="base_url")
    url = profile.base_url
    if "{region}" in url:
        where = region(name, profile, settings, environ)
        url = profile.elsewhere.get(where, url).replace("{region}", where)
    if "{project}" in url:
        url = url.replace("{project}", _project(name, profile, settings, environ))
    return url


def region(name: str, profile: Profile, settings: ProviderSettings, environ: Mapping[str, str]) -> str:
    """The region of the settings or the environment. Raises `SettingsError` when there is none, or what there is is no region's name."""
    found = settings.region or _first(profile.region_env, environ)
    if found is None:
        wanted = " or ".join(profile.region_env)
        raise SettingsError(f"gateway.providers.{name}.region: {profile.title} needs a region; give one, or set {wanted}", param="region")
    # It becomes part of a host's name.
    if not found.replace("-", "").isalnum() or not found.isascii():
        raise SettingsError(f"gateway.providers.{name}.region: {found!r} is no region", param="region")
    return found


def _project(name: str, profile: Profile, settings: ProviderSettings, environ: Mapping[str, str]) -> str:
    file = settings.credentials or environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    found = settings.project or _first(profile.project_env, environ) or (_project_of(file) if file else None)
    if found is None:
        wanted = " or ".join(profile.project_env)
        raise SettingsError(f"gateway.providers.{name}.project: {profile.title} needs a project; give one or set {wanted}", param="project")
    if not found.replace("-", "").replace(":", "").replace(".", "").isalnum() or not found.isascii():
        raise SettingsError(f"gateway.providers.{name}.project: {found!r} is no project's id", param="project")
    return found


class _File(msgspec.Struct):
    project_id: str | None = None


def _project_of(file: str) -> str | None:
    try:
        return msgspec.json.decode(Path(file).read_bytes(), type=_File).project_id
    except (OSError, msgspec.DecodeError):
        return None  # whoever needs the file itself will say what is wrong with it


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
