"""The slice of the settings that is about what agents remember."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class MemorySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Threads, and the long-term memory of agents."""

    thread_days: Annotated[float, Meta(gt=0, le=36500, description="How long a thread is kept after its last message.")] = 365.0
    history_bytes: Annotated[
        int, Meta(ge=1024, description="Most bytes of a thread's messages that a run begins with; of a longer thread the newest.")
    ] = 1024 * 1024
    keep_days: Annotated[
        float, Meta(gt=0, le=36500, description="How long a memory is kept that nobody recalls, where it does not say itself.")
    ] = 365.0
    most_records: Annotated[
        int, Meta(ge=1, le=100_000, description="Memories of one person, one team or one agent; no more are taken then.")
    ] = 2000
    most_characters: Annotated[int, Meta(ge=100, le=100_000, description="Characters that one memory may have.")] = 4000
