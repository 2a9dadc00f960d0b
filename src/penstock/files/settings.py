"""The slice of the settings that is about files."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class FilesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Stored files. Their bytes lie where `storage.blobs` says, what is known of them where `storage.records` says."""

    max_file_bytes: Annotated[int, Meta(ge=1024, description="Largest size of one file.")] = 512 * 1024 * 1024
    max_organisation_bytes: Annotated[int, Meta(ge=1024, description="Bytes that all files of one organisation may have together.")] = (
        20 * 1024 * 1024 * 1024
    )
    max_organisation_files: Annotated[int, Meta(ge=1, description="Files that one organisation may have.")] = 100_000
    max_inline_bytes: Annotated[
        int, Meta(ge=1024, description="Bytes of stored files that one call may name; they are sent to the provider inside the request.")
    ] = 15 * 1024 * 1024
    batch_lifetime_seconds: Annotated[
        float, Meta(ge=3600, description="How long files for batches are kept when the uploader does not say; others stay until deleted.")
    ] = 30 * 86400.0
    sweep_seconds: Annotated[float, Meta(ge=1, description="How often files that have expired are removed.")] = 300.0
    orphan_seconds: Annotated[
        float, Meta(ge=60, description="Age from which bytes that belong to no file, left by a killed process, are removed at start.")
    ] = 86400.0
