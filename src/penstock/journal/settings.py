"""The journal's slice of the settings."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class JournalSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Durable runs. They need the extra `journal`, and are kept where `storage.records` says: beside the SQLite database, in a file of
    their own, or in the same PostgreSQL database."""

    definitions: Annotated[
        tuple[str, ...],
        Meta(description="Your own runs: `module:function` references, each called at start with the journal, to define and declare."),
    ] = ()
    work_in_up: Annotated[
        bool,
        Meta(description="Whether `penstock up` executes runs itself. Say no on PostgreSQL when `penstock worker` processes do it."),
    ] = True
    lease_seconds: Annotated[
        float,
        Meta(ge=1, le=600, description="How long a process that stops beating is still taken for alive; then others take over its runs."),
    ] = 10.0
    poll_seconds: Annotated[
        float, Meta(ge=0.02, le=60, description="How often a process looks into the queues; the longest that a free place stays empty.")
    ] = 0.25
    keep_days: Annotated[
        float,
        Meta(ge=0, description="Days for which runs are kept after they have ended, with all their steps; 0 keeps them for ever."),
    ] = 90.0
    archive: Annotated[
        bool, Meta(description="Whether runs that are kept no longer are written to `archive/runs` in the data folder before they go.")
    ] = False
    recoveries: Annotated[
        int, Meta(ge=0, description="How often a run is taken up again after its process died, before it is abandoned as what kills it.")
    ] = 100
