"""The slice of the settings that is about the registry."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class RegistrySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which models may be used, and what their weights are checked against (docs/registry.md)."""

    default: Annotated[
        Literal["open", "listed", "approved"],
        Meta(
            description="What a plain call may use: `open` also models that nobody registered, `listed` only registered ones, `approved` "
            "only approved ones. Revoked models, and weights that are not approved, are refused under each."
        ),
    ] = "open"
    weights: Annotated[
        str,
        Meta(description="Folder below which the paths of versions lie; `models` in the data folder when empty. Nothing outside is read."),
    ] = ""
    trusted_keys: Annotated[
        tuple[str, ...], Meta(description="Files with public keys (PEM, elliptic curve) whose signatures of weights are believed.")
    ] = ()
    refresh_seconds: Annotated[
        float,
        Meta(gt=0, le=1, description="How often changes that other processes made are looked for; a revocation acts within this time."),
    ] = 0.5
