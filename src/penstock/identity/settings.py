"""Settings of identity: the ``[identity]`` section."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class IdentitySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Keys and sign-in."""

    refresh_seconds: Annotated[
        float,
        Meta(
            ge=0.05,
            le=1.0,
            description="How often changes of keys made by other processes are looked for; the longest a revoked key lives.",
        ),
    ] = 0.5
    first_key: Annotated[
        bool, Meta(description="Make an organisation, a project and an admin key, printed once, when there is no key at all at start.")
    ] = True
    session_hours: Annotated[
        float, Meta(gt=0, le=8760, description="Hours without activity after which the console asks to sign in again.")
    ] = 12.0
    session_days: Annotated[float, Meta(gt=0, le=365, description="Days after which the console asks to sign in again, active or not.")] = (
        30.0
    )
    rotation_grace_hours: Annotated[
        float, Meta(ge=0, le=720, description="Hours for which a key's old secret still works after a rotation, unless the rotation says.")
    ] = 24.0
    sign_in_guesses: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Wrong keys that one address may try at the console's door at once, and then per minute.")
    ] = 10
    sign_in_guesses_total: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Wrong keys that all addresses together may try so; does not hold for those from which somebody came in before.",
        ),
    ] = 300
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses or networks of reverse proxies whose X-Forwarded-For says who is at the door, and whose "
            "X-Forwarded-Proto whether over TLS; without it everybody behind a proxy shares one count."
        ),
    ] = ()
