"""Where messages can go: the routes and webhooks that the settings name, with their secrets, and subscriptions."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from penstock.alerts.hooks import Hook
from penstock.alerts.model import SEVERITIES, Alert, Severity
from penstock.alerts.settings import AlertSettings, RouteSettings
from penstock.alerts.shapes import PAGERDUTY
from penstock.alerts.signing import derived
from penstock.kernel.errors import SettingsError

ROUTE, HOOK, DECLARED = "route:", "webhook:", "webhook:settings:"
"""How deliveries name what they go to."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One place to send to. ``address`` and ``secret`` may be secrets and are never shown; ``shown`` is. ``public`` targets are kept from
    private addresses. ``lacks`` names the variable that is not set, where something is missing."""

    name: str
    kind: str
    address: str
    shown: str
    secret: str = ""
    to: tuple[str, ...] = ()
    sender: str = ""
    user: str = ""
    tls: str = "start"
    public: bool = False
    examples: bool = True
    lacks: str = ""

    def __repr__(self) -> str:
        return f"Target({self.name!r})"


class Targets:
    """The places that the settings name, read with their secrets once. Raises `SettingsError` for one that cannot be."""

    def __init__(self, settings: AlertSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._named: dict[str, Target] = {}
        for name, one in settings.routes.items():
            self._named[ROUTE + name] = _route(name, one, environ)
        for name, hook in settings.webhooks.items():
            where = f"alerts.webhooks.{name}"
            if not hook.url.startswith(("https://", "http://")):
                raise SettingsError(f"{where}.url: it begins with https:// or http://", param=f"{where}.url")
            secret, lacks = _secret(hook.secret_env, environ)
            self._named[DECLARED + name] = Target(
                name=DECLARED + name, kind="webhook", address=hook.url, shown=shown(hook.url), secret=secret, lacks=lacks
            )

    def named(self, name: str) -> Target | None:
        """A place that the settings name."""
        return self._named.get(name)

    def all(self) -> list[Target]:
        """All places that the settings name."""
        return list(self._named.values())

    def open_to(self, name: str, organisation: str, home: str) -> bool:
        """Whether alerts of an organisation (empty: of all together) may go to a route of this name."""
        one = self._settings.routes.get(name)
        if one is None:
            return False
        whose = one.organisations
        return "*" in whose or organisation in whose or (not whose and organisation in ("", home))

    def routes(self, organisation: str, home: str) -> list[str]:
        """The names of the routes that alerts of an organisation may go to."""
        return [name for name in self._settings.routes if self.open_to(name, organisation, home)]

    def of_alert(self, alert: Alert, home: str) -> list[str]:
        """The places that are told of an alert: the routes of its rule, or those marked as default, as far as it is urgent enough."""
        found: list[str] = []
        for name, one in self._settings.routes.items():
            wanted = name in alert.routes if alert.routes else one.default
            if wanted and self.open_to(name, alert.organisation, home) and _urgent(alert.severity, one.least):
                found.append(ROUTE + name)
        return found

    def declared(self, kind: str) -> list[str]:
        """The webhooks of the settings that are told of events of a type."""
        return [DECLARED + name for name, one in self._settings.webhooks.items() if _wants(one.events, kind)]


def of_hook(hook: Hook, master: bytes, *, public: bool) -> Target:
    """The place behind a subscription."""
    return Target(
        name=HOOK + hook.id,
        kind="webhook",
        address=hook.url,
        shown=shown(hook.url),
        secret=derived(master, hook.id, hook.turn),
        public=public,
    )


def shown(url: str) -> str:
    """An address without what may be secret in it: scheme and host."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{host}/…" if host else ""


def _route(name: str, one: RouteSettings, environ: Mapping[str, str]) -> Target:
    where = f"alerts.routes.{name}"
    secret, lacks = _secret(one.secret_env, environ)
    address, missing = (one.url, "") if not one.url_env else _secret(one.url_env, environ)
    if one.kind == "pagerduty":
        address = address or PAGERDUTY
        if not one.secret_env:
            raise SettingsError(f"{where}.secret_env: name the variable with PagerDuty's integration key", param=f"{where}.secret_env")
    if one.kind == "email":
        if not one.to or not one.sender:
            raise SettingsError(f"{where}: e-mail needs 'to' and 'sender'", param=where)
        if not address.startswith("smtp://"):
            raise SettingsError(f"{where}.url: the SMTP server, as smtp://mail.example.org:587", param=f"{where}.url")
    elif not missing and not address.startswith(("https://", "http://")):
        raise SettingsError(f"{where}.url: it begins with https://, or url_env names the variable that holds it", param=f"{where}.url")
    return Target(
        name=ROUTE + name,
        kind=one.kind,
        address=address,
        shown=", ".join(one.to) if one.kind == "email" else shown(address),
        secret=secret,
        to=one.to,
        sender=one.sender,
        user=one.user,
        tls=one.tls,
        examples=one.payload_examples,
        lacks=missing or lacks,
    )


def _secret(variable: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """What a variable holds, and its name where it holds nothing."""
    if not variable:
        return "", ""
    value = environ.get(variable, "")
    return value, "" if value else variable


def _urgent(severity: Severity, least: Severity) -> bool:
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def _wants(patterns: tuple[str, ...], kind: str) -> bool:
    return any(kind == one or (one.endswith("*") and kind.startswith(one[:-1])) for one in patterns)
