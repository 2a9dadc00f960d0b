"""The slice of the settings that is about stored responses."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class ResponsesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Responses of `/v1/responses` that are kept, so that they can be fetched and followed by `previous_response_id`."""

    store: Annotated[
        Literal["unless_refused", "when_asked", "off"],
        Meta(
            description="unless_refused: all but those with `store: false`, as OpenAI does; when_asked: those with `store: true`; "
            "off: none, and whatever a call says about stored state goes to its provider."
        ),
    ] = "unless_refused"
    retention_days: Annotated[float, Meta(gt=0, le=3650, description="How long a response is kept.")] = 30.0
    max_turn_bytes: Annotated[
        int,
        Meta(ge=1024, description="Largest turn (its input and its response) that is kept; of a larger one the reply says `store: false`."),
    ] = 4 * 1024 * 1024
    max_chain_bytes: Annotated[
        int, Meta(ge=1024, description="Most bytes of earlier turns that a call may follow; they are sent to the provider each time.")
    ] = 15 * 1024 * 1024
    max_chain_turns: Annotated[int, Meta(ge=1, le=10_000, description="Most earlier turns that a call may follow.")] = 1000
    drain_seconds: Annotated[
        float, Meta(ge=0.01, le=60, description="How long a stored response may wait in its journal before it moves into the database.")
    ] = 0.1
    conversation_days: Annotated[
        float, Meta(gt=0, le=36500, description="How long a conversation is kept that nobody uses; each response in it counts as a use.")
    ] = 365.0
    event_hours: Annotated[
        float,
        Meta(
            gt=0, le=8760, description="How long the events of a background response are kept after they came, for clients that come back."
        ),
    ] = 24.0
    at_once: Annotated[
        int, Meta(ge=1, description="Background responses of one organisation that are worked on at once; the others wait.")
    ] = 100
    per_process: Annotated[int, Meta(ge=1, description="Background responses that one process works on at once.")] = 100
    sweep_seconds: Annotated[float, Meta(ge=1, description="How often responses whose time is over are removed.")] = 300.0
