"""What the cache can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Pattern = Annotated[str, Meta(min_length=1, max_length=200)]


class CacheRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which calls are answered from the cache, and how: an entry of ``[[cache.rules]]``. The first rule that fits a call decides."""

    tasks: Annotated[
        tuple[Pattern, ...], Meta(description="Tasks, a trailing * stands for any rest. Empty: all calls, also those without a task.")
    ] = ()
    models: Annotated[tuple[Pattern, ...], Meta(description="Models as callers name them, in the same way. Empty: all.")] = ()
    keys: Annotated[tuple[Pattern, ...], Meta(description="Names of keys, in the same way. Empty: all.")] = ()
    exact: Annotated[bool, Meta(description="Answer a request that was answered before; `false` keeps the cache away altogether.")] = True
    semantic: Annotated[
        bool,
        Meta(
            description="Answer the same question in other words too, once the task's calibration allows it; until then it only watches."
            " Takes a task and the extra `local`."
        ),
    ] = False
    ttl_seconds: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="How long replies are good; default: the room's.")] = None
    single_flight: Annotated[
        bool,
        Meta(
            description="Let a request wait for an equal one in flight instead of asking twice; a stream then begins when that one ended."
        ),
    ] = False
    equality: Annotated[
        Literal["text", "json", "number"],
        Meta(description="When two replies of the task are the same: by their words, as JSON, or by their last number."),
    ] = "text"
    wording: Annotated[
        bool, Meta(description="A semantic hit must name the same numbers, negations and names, whatever the similarity says.")
    ] = True


class CacheSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Answers from what was answered before (docs/cache.md). Without rules only callers who ask for it (x-penstock-cache) are served."""

    rules: Annotated[tuple[CacheRule, ...], Meta(description="Which calls are cached.")] = ()
    callers: Annotated[bool, Meta(description="Whether `x-penstock-cache: on` works where no rule fits (exact only).")] = True
    apart: Annotated[
        Literal["organisation", "project", "key"],
        Meta(description="Who shares replies: all of an organisation, a project, or a key alone. Organisations never share."),
    ] = "organisation"
    ttl_seconds: Annotated[float, Meta(gt=0, description="How long a reply is good for.")] = 86_400.0
    max_bytes: Annotated[int, Meta(ge=1024, description="Memory for replies; the ones unused for longest leave first.")] = 128 * 1024 * 1024
    max_entries: Annotated[int, Meta(ge=1, description="Replies held at most.")] = 50_000
    max_entry_bytes: Annotated[int, Meta(ge=256, description="Largest reply that is kept.")] = 1024 * 1024
    neighbours: Annotated[
        int, Meta(ge=1, le=100_000, description="Questions that a semantic look-up compares with at most, the latest ones.")
    ] = 5_000
    flush_seconds: Annotated[float, Meta(gt=0, description="How often new replies are written to the database.")] = 1.0
    refresh_seconds: Annotated[
        float, Meta(gt=0, description="How often a process looks for what others have kept, cleared and calibrated.")
    ] = 5.0
    false_hits: Annotated[
        float, Meta(ge=1e-6, lt=0.5, description="Share of wrong answers among semantic hits that a calibration must stay below.")
    ] = 0.01
    confidence: Annotated[float, Meta(gt=0.5, lt=1, description="How sure a calibration must be of that.")] = 0.95
    audit: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of semantic hits that the provider answers all the same, to see whether the answers agree."),
    ] = 0.02
