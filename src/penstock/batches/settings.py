"""The batches' slice of the settings."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class BatchSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Batches: files of calls that are made while there is room. They need the extra `journal`."""

    folder: Annotated[
        str,
        Meta(
            description="Folder of the batches' lines and results; empty: `batches` in the data folder. Shared by all `penstock worker`s."
        ),
    ] = ""
    max_lines: Annotated[int, Meta(ge=1, description="Lines that one batch may have.")] = 200_000
    max_line_bytes: Annotated[int, Meta(ge=1024, description="Longest line of a batch, in bytes.")] = 8_388_608
    max_body_bytes: Annotated[
        int, Meta(ge=1024, description="Largest body of a POST to /v1/messages/batches, which is written to disk.")
    ] = 268_435_456
    window_hours: Annotated[float, Meta(gt=0, description="Hours after which what is not done of a batch expires.")] = 24.0
    keep_days: Annotated[float, Meta(gt=0, description="Days for which the results of Anthropic-shaped batches are kept.")] = 29.0
    max_in_flight: Annotated[int, Meta(ge=1, description="Most lines in flight at once in one process, of all batches together.")] = 64
    beside_interactive: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Share of the process's time for batches while interactive calls come in; of `max_in_flight` it is a quarter.",
        ),
    ] = 0.05
    at_once: Annotated[int, Meta(ge=1, description="Batches of one organisation that are worked on at once; the others wait.")] = 2
    per_process: Annotated[int, Meta(ge=1, description="Batches that one process works on at once.")] = 8
    tries: Annotated[
        int,
        Meta(ge=1, description="Tries of a line that fails upstream. Refusals (rate limits, overload) are waited out and do not count."),
    ] = 4
    delegate: Annotated[
        tuple[str, ...],
        Meta(description="Providers to whose own batches, and at whose price of those, lines are handed: OpenAI and Anthropic have them."),
    ] = ()
    delegate_fallback: Annotated[
        bool,
        Meta(description="Whether lines that a vendor's batch did not do are called in real time while the window lasts."),
    ] = True
    delegate_poll_seconds: Annotated[
        float, Meta(gt=0, description="Longest time between two looks at a vendor's batch; it begins with a sixteenth of it.")
    ] = 60.0
