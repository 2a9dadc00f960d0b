from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.alerts.test_shapes import alert

from penstock.alerts.hooks import Hook
from penstock.alerts.settings import AlertSettings
from penstock.alerts.targets import Targets, of_hook, shown
from penstock.kernel.errors import SettingsError


def targets(environ: dict[str, str] | None = None, **settings: Any) -> Targets:
    return Targets(msgspec.convert(settings, AlertSettings), environ or {})


ROUTES = {
    "all": {"kind": "slack", "url_env": "HOOK"},
    "page": {"kind": "pagerduty", "secret_env": "PD", "least": "page"},
    "named": {"kind": "webhook", "url": "http://10.0.0.1/x", "default": False, "organisations": ["org_1"]},
}


def test_who_is_told_of_what() -> None:
    found = targets({"HOOK": "https://x/y", "PD": "k"}, routes=ROUTES)
    assert found.of_alert(alert(), "home") == ["route:all", "route:page"]
    assert found.of_alert(alert(severity="ticket"), "home") == ["route:all"]
    assert found.of_alert(alert(organisation="home"), "home") == ["route:all", "route:page"]
    assert found.of_alert(alert(organisation="org_1"), "home") == []
    assert found.of_alert(alert(organisation="org_1", routes=("named", "all")), "home") == ["route:named"]
    assert found.routes("org_1", "home") == ["named"]
    assert targets(routes={"a": {"kind": "slack", "url": "https://x", "organisations": ["*"]}}).routes("org_9", "home") == ["a"]


def test_secrets_come_from_the_environment_once() -> None:
    found = targets({"HOOK": "https://hooks.x.org/geheim"}, routes=ROUTES)
    named = {one.name: one for one in found.all()}
    assert (named["route:all"].address, named["route:all"].shown) == ("https://hooks.x.org/geheim", "https://hooks.x.org/…")
    assert named["route:page"].lacks == "PD"
    assert "geheim" not in repr(found.all())
    assert targets(routes=ROUTES).all()[0].lacks == "HOOK"


@pytest.mark.parametrize(
    ("route", "param"),
    [
        ({"kind": "slack"}, "alerts.routes.x.url"),
        ({"kind": "webhook", "url": "ftp://x"}, "alerts.routes.x.url"),
        ({"kind": "pagerduty"}, "alerts.routes.x.secret_env"),
        ({"kind": "email", "url": "smtp://x"}, "alerts.routes.x"),
        ({"kind": "email", "url": "mail.x.org", "to": ["a@x"], "sender": "b@x"}, "alerts.routes.x.url"),
    ],
)
def test_a_route_that_goes_nowhere_is_refused(route: dict[str, Any], param: str) -> None:
    with pytest.raises(SettingsError) as fault:
        targets(routes={"x": route})
    assert fault.value.param == param


def test_webhooks_of_the_settings_hear_by_type() -> None:
    found = targets(webhooks={"a": {"url": "https://x", "events": ["penstock.budget.*"]}, "b": {"url": "https://y"}})
    assert found.declared("penstock.budget.reached") == ["webhook:settings:a", "webhook:settings:b"]
    assert found.declared("penstock.key.revoked") == ["webhook:settings:b"]
    with pytest.raises(SettingsError):
        targets(webhooks={"a": {"url": "x"}})


def test_subscriptions_want_by_organisation_and_type() -> None:
    hook = Hook(id="h", organisation="org_1", url="https://x/secret", events=("penstock.alert.*",))
    assert hook.wants("penstock.alert.fired", "org_1")
    assert not hook.wants("penstock.alert.fired", "")
    assert not hook.wants("penstock.key.revoked", "org_1")
    assert not msgspec.structs.replace(hook, enabled=False).wants("penstock.alert.fired", "org_1")
    assert msgspec.structs.replace(hook, everywhere=True).wants("penstock.alert.fired", "")
    target = of_hook(hook, b"m" * 32, public=True)
    assert (target.name, target.shown, target.public) == ("webhook:h", "https://x/…", True)
    assert shown("nonsense") == ""
