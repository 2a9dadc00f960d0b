"""The inbox's slice of the settings."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from penstock.agents.inbox.policy import Rule


class ValidatorSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An agent that looks at proposals, and the key that it asks its model with."""

    agent: Annotated[str, Meta(min_length=1, description="Name of an agent in `agents.modules` whose answer is a `Verdict`.")]
    key: Annotated[str, Meta(min_length=1, description="Id of the key that it works with: another one than runs are started with.")]


class WebhookSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A program that is told of requests, as signed CloudEvents over HTTP (docs/webhooks.md)."""

    url: Annotated[str, Meta(pattern="^https?://", description="Address that takes the events.")]
    secret_env: Annotated[str, Meta(description="Variable with the secret that signs them; empty: they are not signed.")] = ""
    organisations: Annotated[
        tuple[str, ...], Meta(description="Ids of organisations whose requests go there; empty: of who runs the installation; `*`: all.")
    ] = ()


class MailSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """People who are told of requests by e-mail."""

    to: Annotated[tuple[str, ...], Meta(min_length=1, description="E-mail addresses that the message goes to.")]
    sender: Annotated[str, Meta(min_length=3, description="E-mail address that it comes from.")]
    url: Annotated[str, Meta(pattern="^smtp://", description="The SMTP server: `smtp://host:port`.")]
    user: Annotated[str, Meta(description="User at the SMTP server; empty for none.")] = ""
    secret_env: Annotated[str, Meta(description="Variable with the password of that user.")] = ""
    tls: Annotated[Literal["start", "whole", "none"], Meta(description="STARTTLS, TLS from the first byte, or none.")] = "start"
    organisations: Annotated[
        tuple[str, ...], Meta(description="Ids of organisations whose requests go there; empty: of who runs the installation; `*`: all.")
    ] = ()


class InboxSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who has to agree to what agents do (docs/approvals.md)."""

    rules: Annotated[
        tuple[Rule, ...],
        Meta(description="Rules of the installation, in their order: `[[agents.inbox.rules]]`. No policy gets below them."),
    ] = ()
    match: Annotated[
        Literal["first", "strictest"], Meta(description="Whether the first rule that fits says what a call needs, or all that fit do.")
    ] = "first"
    validators: Annotated[
        dict[str, ValidatorSettings], Meta(description="Agents that look at proposals, by name: `[agents.inbox.validators.NAME]`.")
    ] = field(default_factory=dict[str, ValidatorSettings])
    webhooks: Annotated[dict[str, WebhookSettings], Meta(description="Programs that are told, by name.")] = field(
        default_factory=dict[str, WebhookSettings]
    )
    mail: Annotated[dict[str, MailSettings], Meta(description="People who are told by e-mail, by name.")] = field(
        default_factory=dict[str, MailSettings]
    )
    public_url: Annotated[str, Meta(description="Address of this console in messages; empty: links have only their path.")] = ""
    round_seconds: Annotated[
        float, Meta(gt=0, description="How often it is looked for notices to send, and for requests that expire or go to others.")
    ] = 2.0
    send_seconds: Annotated[float, Meta(gt=0, description="Longest time that one notice may take.")] = 10.0
    give_up_hours: Annotated[float, Meta(gt=0, description="After how long a notice that nobody takes is given up.")] = 24.0
    keep_days: Annotated[float, Meta(gt=0, description="How long requests that are over are kept; their trail stays.")] = 365.0
