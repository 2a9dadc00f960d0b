"""What routing can be told."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class RoutingSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How tasks are routed, certified and watched (docs/routing.md). What a task may do stands in the task."""

    refresh_seconds: Annotated[
        float, Meta(gt=0, le=1, description="How often policies that other processes certified or suspended are looked for.")
    ] = 0.5
    embed_ms: Annotated[
        float, Meta(gt=0, description="How long a call waits for its prompt's embedding before it goes without, in milliseconds.")
    ] = 150.0
    fit_share: Annotated[
        float, Meta(gt=0, lt=1, description="Share of the first labels that the estimates are fitted on; the others certify.")
    ] = 0.5
    least_labels: Annotated[int, Meta(ge=20, description="Labels on each side of that split, at least, for an estimate by prompt.")] = 40
    most_labels: Annotated[int, Meta(ge=100, description="Labels that one certification looks at, the newest.")] = 20_000
    watch: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of a routed task's calls that are watched for drift. One that embeds each prompt watches all."),
    ] = 0.1
    alarm: Annotated[
        float,
        Meta(gt=0, lt=1, description="Chance that a sound claim is ever suspended by mistake, over all processes and its whole life."),
    ] = 0.05
    processes: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="Processes that serve this installation on all machines together; each has an equal share of `alarm`. Default: the "
            "workers of this machine on SQLite; on PostgreSQL each process takes a number by itself, and lower ones have more of it."
        ),
    ] = None
    first_process: Annotated[
        int,
        Meta(
            ge=0,
            description="With `processes`: the number of this machine's first one among them, 0 on the first, 4 on a second of four.",
        ),
    ] = 0
    keep_fits_days: Annotated[
        float,
        Meta(
            ge=0,
            description="Days for which the arrays of policies that serve no more are kept, embeddings of prompts among them. "
            "A what-if on an older policy says that they are gone; its figures stay.",
        ),
    ] = 30.0
    audit: Annotated[
        float, Meta(ge=0, le=1, description="Share of a cascade's answers, escalated or not, that are given to the task's judge.")
    ] = 0.02
    cascade_stream_bytes: Annotated[
        int,
        Meta(ge=0, description="How much of a small model's stream is held back to be checked; a longer one is not accepted unchecked."),
    ] = 65_536
    shadows: Annotated[int, Meta(ge=0, description="Explorations that run or wait in one process; more are dropped and counted.")] = 32
