"""The alerts' slice of the settings."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from penstock.alerts.model import Terms


class RouteSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where alerts go. Secrets stand in variables of the environment, which are named here."""

    kind: Annotated[
        Literal["webhook", "email", "slack", "teams", "pagerduty"],
        Meta(description="What takes the message: signed CloudEvents over HTTP, an SMTP server, or a hook of Slack, Teams or PagerDuty."),
    ]
    url: Annotated[str, Meta(description="Address that takes the message; PagerDuty has its own (events.pagerduty.com).")] = ""
    url_env: Annotated[str, Meta(description="Variable that holds the address, where the address is a secret (Slack, Teams).")] = ""
    secret_env: Annotated[
        str,
        Meta(description="Variable with the secret: what signs webhooks, PagerDuty's integration key, the password of the SMTP server."),
    ] = ""
    to: Annotated[tuple[str, ...], Meta(description="E-mail addresses that the message goes to.")] = ()
    sender: Annotated[str, Meta(description="E-mail address that it comes from.")] = ""
    user: Annotated[str, Meta(description="User at the SMTP server; empty for none.")] = ""
    tls: Annotated[Literal["start", "whole", "none"], Meta(description="SMTP: STARTTLS, TLS from the first byte, or none.")] = "start"
    least: Annotated[Literal["page", "ticket", "info"], Meta(description="Least urgent severity that goes here.")] = "info"
    default: Annotated[bool, Meta(description="Whether rules that name no route come here.")] = True
    organisations: Annotated[
        tuple[str, ...],
        Meta(description="Ids of organisations whose alerts may come here; empty: those of the installation and of who runs it; `*`: all."),
    ] = ()
    payload_examples: Annotated[bool, Meta(description="Whether links to calls behind the alert are in the message.")] = True


class HookSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A subscription of another program to events of the house, as signed CloudEvents over HTTP."""

    url: Annotated[str, Meta(description="Address that takes the events.")]
    events: Annotated[tuple[str, ...], Meta(description="Types of events; `*` at the end stands for any rest (docs/webhooks.md).")] = ("*",)
    secret_env: Annotated[str, Meta(description="Variable with the secret that signs them; empty: they are not signed.")] = ""


class AlertSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Alerts: rules on measures, whom they reach, and events for other programs (docs/alerts.md, docs/webhooks.md)."""

    every_seconds: Annotated[float, Meta(ge=1, description="How often rules are looked at.")] = 30.0
    lag_seconds: Annotated[
        float, Meta(ge=0, description="How long after their time readings are taken for complete; spans come in batches.")
    ] = 15.0
    lease_seconds: Annotated[
        float, Meta(ge=2, description="After how long without a sign of life another process looks at rules and delivers.")
    ] = 30.0
    public_url: Annotated[str, Meta(description="Address of this console in messages; empty: links have only their path.")] = ""
    send_seconds: Annotated[float, Meta(gt=0, description="Longest time that one delivery may take.")] = 10.0
    retry_seconds: Annotated[
        float, Meta(gt=0, description="Wait before a failed delivery is tried again; doubles up to an hour each time.")
    ] = 5.0
    give_up_hours: Annotated[
        float, Meta(gt=0, description="After how long a message that nobody takes is given up, and told as failed.")
    ] = 24.0
    stale_hours: Annotated[float, Meta(gt=0, description="After how long without readings an open alert ends, and says so.")] = 24.0
    keep_days: Annotated[float, Meta(gt=0, description="How long ended alerts and finished deliveries are kept.")] = 90.0
    max_rules: Annotated[int, Meta(ge=1, description="Rules that one organisation may have.")] = 200
    max_groups: Annotated[
        int, Meta(ge=1, le=500, description="Groups of a rule with `by` that are looked at: those with most behind them.")
    ] = 50
    signing_env: Annotated[
        str,
        Meta(
            description="Variable with the secret from which those of webhooks made over the API are derived; the same on all machines."
            " Empty: the file `webhooks.key` in the data folder."
        ),
    ] = ""
    private_addresses: Annotated[
        bool,
        Meta(description="Whether organisations other than the one that runs this may send webhooks to private addresses."),
    ] = False
    rules: Annotated[
        dict[str, Terms],
        Meta(description='Rules by name: `[alerts.rules."slow support"]` (docs/alerts.md); they watch all organisations together.'),
    ] = field(default_factory=dict[str, Terms])
    routes: Annotated[dict[str, RouteSettings], Meta(description="Where alerts go, by name: `[alerts.routes.NAME]`.")] = field(
        default_factory=dict[str, RouteSettings]
    )
    webhooks: Annotated[dict[str, HookSettings], Meta(description="Who is told of events, by name: `[alerts.webhooks.NAME]`.")] = field(
        default_factory=dict[str, HookSettings]
    )
