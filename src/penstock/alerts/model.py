"""What a rule says, what it finds, and what an alert is."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Severity = Literal["page", "ticket", "info"]
SEVERITIES: tuple[Severity, ...] = ("info", "ticket", "page")
"""From the least to the most urgent."""

Name = Annotated[str, Meta(min_length=1, max_length=120)]
LONGEST = 31 * 86_400
"""Longest window, in seconds."""


class Threshold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The measure stands ``above`` or ``below`` a number (one of the two) in every reading of ``for_seconds``.

    A reading is of ``step_seconds``. ``at_least`` so many calls must be behind the readings together. An estimate counts as above where
    its lower bound is; with ``sure`` a counted share does too, by its Clopper-Pearson bound of 95 % over all of ``for_seconds``. The alert
    ends when the value has been on the good side of ``clear`` (default: a tenth of the threshold away from it) for ``clear_seconds``.
    """

    above: Annotated[float | None, Meta(description="Fires above this value.")] = None
    below: Annotated[float | None, Meta(description="Fires below this value.")] = None
    step_seconds: Annotated[int, Meta(ge=10, le=LONGEST, description="Length of one reading.")] = 60
    for_seconds: Annotated[int, Meta(ge=10, le=LONGEST, description="How long the measure must stand there.")] = 300
    at_least: Annotated[int, Meta(ge=0, description="Calls that must be behind the readings together.")] = 1
    sure: Annotated[bool, Meta(description="Of a counted share, its exact bound of 95 % must be beyond, not only the share.")] = False
    clear: Annotated[
        float | None, Meta(description="The alert ends on the good side of this; default: a tenth of the threshold away from it.")
    ] = None
    clear_seconds: Annotated[
        Annotated[int, Meta(ge=10, le=LONGEST)] | None, Meta(description="How long it must be clear of it; default: as long as to fire.")
    ] = None


class Burn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pair of windows: the error budget is spent ``rate`` times as fast as it would last, over the long and the short one."""

    rate: Annotated[float, Meta(gt=0, le=1000, description="How many times as fast as it would last.")]
    long_seconds: Annotated[int, Meta(ge=10, le=LONGEST, description="The window that shows that a real part is gone.")]
    short_seconds: Annotated[int, Meta(ge=10, le=LONGEST, description="The window that shows that it is still going.")]
    severity: Annotated[Severity, Meta(description="How urgent that is.")] = "ticket"


BURNS = (
    Burn(rate=14.4, long_seconds=3600, short_seconds=300, severity="page"),
    Burn(rate=6.0, long_seconds=6 * 3600, short_seconds=1800, severity="page"),
    Burn(rate=1.0, long_seconds=3 * 86_400, short_seconds=6 * 3600, severity="ticket"),
)
"""Windows and rates of the Site Reliability Workbook, chapter 5, for a budget of 30 days."""


class Objective(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """``target`` of all that is counted is to be good over ``period_days``; what it leaves is the error budget.

    Of a share (``error_rate``), the bad part is the measure itself. Of any other measure, steps are counted: one of ``step_seconds`` is
    bad when the measure stands beyond ``limit`` in it. ``at_least`` so many calls must be in the long window.
    """

    target: Annotated[float, Meta(gt=0, lt=1, description="Share that is to be good, such as 0.999.")]
    limit: Annotated[
        float | None, Meta(description="Of a measure that is no share: beyond which value a reading of `step_seconds` is bad.")
    ] = None
    period_days: Annotated[int, Meta(ge=1, le=90, description="Days for which the error budget is meant.")] = 30
    step_seconds: Annotated[int, Meta(ge=10, le=LONGEST, description="Length of one reading.")] = 300
    at_least: Annotated[int, Meta(ge=0, description="Calls that must be in the long window.")] = 20
    burns: Annotated[
        tuple[Burn, ...], Meta(min_length=1, max_length=6, description="Pairs of windows with their rates, of which one is enough.")
    ] = BURNS


class Detector(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The measure is not as it was at this hour of earlier days: a ``spike`` lasts a few readings, a ``shift`` stays.

    ``sensitivity`` trades delay for false alarms; docs/alerts.md has what each does on series with known events. ``direction`` ``worse``
    looks only to the bad side of the measure, ``both`` to either.
    """

    kind: Annotated[Literal["spike", "shift", "either"], Meta(description="What to look for.")] = "either"
    sensitivity: Annotated[
        Literal["low", "normal", "high"], Meta(description="High finds smaller changes sooner, and more that are none.")
    ] = "normal"
    direction: Annotated[Literal["worse", "both"], Meta(description="Only the bad side of the measure, or either.")] = "worse"
    step_seconds: Annotated[int, Meta(ge=60, le=86_400, description="Length of one reading.")] = 300
    history_days: Annotated[int, Meta(ge=1, le=60, description="Days with which a reading is compared.")] = 7
    at_least: Annotated[int, Meta(ge=0, description="Calls that must be behind a reading for it to count.")] = 1


class Terms(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a rule says: one measure, narrowed by ``where`` and told apart by ``by``, under one of the three conditions.

    ``routes`` are names of `[alerts.routes]`, empty for those that are marked as default. ``unless`` names rules: while one of them has
    an open alert for the same group or for all, this one tells nobody. ``note`` goes into each message: what to do, where the runbook is.
    ``repeat_hours`` tells again of an alert that nobody acknowledged; 0 tells once.
    """

    measure: Annotated[str, Meta(min_length=1, max_length=120, description="Name of the measure (GET /v1/measures lists them).")]
    threshold: Annotated[Threshold | None, Meta(description="The measure beyond a number for a while.")] = None
    objective: Annotated[Objective | None, Meta(description="An objective whose error budget is spent too fast.")] = None
    detector: Annotated[Detector | None, Meta(description="The measure not as it usually is.")] = None
    where: Annotated[
        dict[str, tuple[str, ...]], Meta(description='Values by dimension that it is narrowed to: `{ task = ["support.intent"] }`.')
    ] = msgspec.field(default_factory=dict[str, tuple[str, ...]])
    by: Annotated[str, Meta(max_length=60, description="Dimension whose values are looked at and fire each by itself.")] = ""
    severity: Annotated[Severity, Meta(description="How urgent it is; burn rates have their own.")] = "ticket"
    routes: Annotated[tuple[str, ...], Meta(description="Routes that are told; empty: those marked as default.")] = ()
    unless: Annotated[tuple[str, ...], Meta(description="Rules that keep this one quiet while they fire.")] = ()
    note: Annotated[str, Meta(max_length=2000, description="Goes into each message: what to do, where the runbook is.")] = ""
    repeat_hours: Annotated[float, Meta(ge=0, le=720, description="Tells again of what nobody acknowledged; 0: once.")] = 0.0
    enabled: Annotated[bool, Meta(description="Whether it is looked at.")] = True


class Rule(Struct, frozen=True, kw_only=True):
    """A rule and whose it is. ``organisation`` empty means that it watches all organisations together, which only operators may."""

    id: str
    organisation: str
    name: str
    terms: Terms
    origin: Literal["settings", "api"] = "api"
    created_at: float = 0.0
    created_by: str = ""
    changed_at: float = 0.0

    @property
    def reach(self) -> str | None:
        return self.organisation or None


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule finds of one group now.

    ``state`` is ``bad``, ``good``, or ``unclear`` where readings neither prove the one nor show the other: an alert that is open stays so.
    ``since`` is when it became so, ``told`` says it in a sentence. ``budget_left`` is the share of an objective's error budget.
    """

    state: Literal["bad", "good", "unclear"]
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    count: int = 0
    since: float = 0.0
    told: str = ""
    severity: Severity | None = None
    budget_left: float | None = None


class Cause(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call that is behind an alert."""

    id: str
    href: str
    at: float
    value: float | None = None
    why: str = ""


class Alert(Struct, frozen=True, kw_only=True):
    """An alert. There is at most one open one of a rule and group.

    ``told_at`` is when its routes were last told, as how urgent ``told_severity``; None while a silence, a snooze or another rule keeps it
    quiet. ``quiet`` says which.
    """

    id: str
    organisation: str
    rule_id: str
    rule: str
    group: str
    measure: str
    unit: str
    severity: Severity
    state: Literal["open", "resolved"]
    opened_at: float
    since: float
    seen_at: float
    verdict: Verdict
    where: dict[str, tuple[str, ...]]
    by: str = ""
    note: str = ""
    routes: tuple[str, ...] = ()
    examples: tuple[Cause, ...] = ()
    worst: float | None = None
    resolved_at: float | None = None
    ended: str = ""
    acknowledged_at: float | None = None
    acknowledged_by: str = ""
    snoozed_until: float | None = None
    snoozed_by: str = ""
    told_at: float | None = None
    told: int = 0
    told_severity: Severity | None = None
    quiet: str = ""


class Silence(Struct, frozen=True, kw_only=True):
    """Nobody is told of alerts that match, until a moment. ``match`` has patterns (``*`` for anything) by ``rule``, ``group``,
    ``measure`` or ``severity``; all must fit."""

    id: str
    organisation: str
    match: dict[str, str]
    starts_at: float
    until: float
    why: str
    created_by: str
    created_at: float


class Delivery(Struct, frozen=True, kw_only=True):
    """One message to one route. ``id`` is its idempotency key: a message that is sent again, because nobody knows whether it arrived,
    bears the same."""

    id: str
    organisation: str
    route: str
    kind: str
    subject: str
    alert: str
    event: bytes
    state: Literal["waiting", "sending", "delivered", "failed"]
    created_at: float
    next_at: float
    attempts: int = 0
    last_at: float | None = None
    fault: str = ""
    delivered_at: float | None = None
