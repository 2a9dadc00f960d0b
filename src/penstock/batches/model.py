"""A batch as it stands, in our own words; the wire shapes render it in theirs."""

from __future__ import annotations

import enum

import msgspec


class Status(enum.StrEnum):
    """Where a batch stands. ``failed``: its input was not valid, or its key may call no more."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.EXPIRED, Status.CANCELLED})

OPENAI = "openai"
ANTHROPIC = "anthropic"
MESSAGES = "/v1/messages"


class LineError(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the input: a stable code, a message, and the line's number from 1 where it is about one."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch. Times are Unix seconds, ``cost`` micro-dollars of its results, ``full_cost`` what they would have cost in
    real time, ``rate`` lines a second of late.

    ``completed`` lines have a good answer, ``failed`` ones the answer of an error; ``cancelled`` and ``expired`` ones none. ``codes``
    counts the failed ones by code. ``errors`` is what was wrong with the whole.
    """

    id: str
    organisation: str
    key_id: str
    shape: str
    endpoint: str
    status: Status
    created_at: float
    expires_at: float
    updated_at: float
    in_progress_at: float | None = None
    finalizing_at: float | None = None
    completed_at: float | None = None
    failed_at: float | None = None
    expired_at: float | None = None
    cancelling_at: float | None = None
    cancelled_at: float | None = None
    archived_at: float | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0
    cost: int = 0
    full_cost: int = 0
    rate: float = 0.0
    input_file: str | None = None
    output_file: str | None = None
    error_file: str | None = None
    output_lifetime: float | None = None
    errors: list[LineError] = msgspec.field(default_factory=list[LineError])
    codes: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    metadata: dict[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def done(self) -> int:
        """Lines that have their result."""
        return self.completed + self.failed + self.cancelled + self.expired

    @property
    def ended_at(self) -> float | None:
        """When it ended, however it ended; None while it goes on."""
        return self.completed_at or self.failed_at or self.expired_at or self.cancelled_at

    @property
    def left_seconds(self) -> float | None:
        """How long it will still take at the pace of late; None when that cannot be said."""
        if self.status is not Status.IN_PROGRESS or self.rate <= 0 or not self.total:
            return None
        return (self.total - self.done) / self.rate
