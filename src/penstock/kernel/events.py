"""Facts that capabilities publish and others subscribe to, without knowing each other.

Delivery is in process, synchronous and in order of subscription; a handler must be quick and must not fail: one that raises is logged
and the others still hear. What must survive a crash belongs in a store, not here.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from penstock.kernel.call import Call
from penstock.kernel.journal import StepKey

_log = logging.getLogger("penstock.events")


class Event:
    """Root of all events."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class HouseStarted(Event):
    """Every room has started: what works by itself on what other rooms know may begin."""


@dataclass(frozen=True, slots=True)
class CallEnded(Event):
    """A call has left the line: replied, refused, failed or cancelled; ``call`` is complete and must not be changed any more."""

    call: Call


@dataclass(frozen=True, slots=True)
class StepEnded(Event):
    """A step of a durable run is over and journalled, or about to be. Times are Unix seconds; ``attempts`` counts the tries.

    ``error`` is what the last try raised, as type and message without secrets; both empty where it did not. ``labels`` are the run's.
    """

    key: StepKey
    labels: Mapping[str, str]
    started_at: float
    ended_at: float
    attempts: int
    error_kind: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """A durable run has ended, and that is journalled; told by the process in which it ended. An abandoned run has not: it may go on.

    ``state`` is ``done``, ``failed`` or ``cancelled``; times are Unix seconds, ``created_at`` that of its start or its queueing.
    ``parent`` is the run that started it. A run that is taken up again after it was cancelled ends, and is told, again.
    """

    run: str
    name: str
    version: int
    organisation: str
    state: str
    labels: Mapping[str, str]
    created_at: float
    ended_at: float
    executions: int = 1
    parent: str | None = None
    error_kind: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class KeyRevoked(Event):
    """A key stopped being valid; calls that it still has in flight may end."""

    key_id: str
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalsChanged(Event):
    """What `penstock.kernel.approvals.Approvals` answers may be another answer now; what goes on using a model should ask again."""


@dataclass(frozen=True, slots=True)
class BudgetSpent(Event):
    """A budget reached a level of its limit in the current period: ``percent`` is the level, amounts are in micro-units. ``organisation``
    is empty for a budget of all."""

    budget_id: str
    name: str
    limit: int
    spent: int
    percent: int
    organisation: str = ""


@dataclass(frozen=True, slots=True)
class VersionMoved(Event):
    """A version of a model was ``approved`` or ``revoked``; told where it was done, and only there."""

    organisation: str
    model: str
    version: str
    state: str
    by: str
    why: str


E = TypeVar("E", bound=Event)


class Events:
    """The bus: ``subscribe(kind, handler)`` and ``publish(event)``."""

    def __init__(self) -> None:
        self._handlers: dict[type[Event], list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe(self, kind: type[E], handler: Callable[[E], None]) -> None:
        """Call ``handler`` with every event of exactly this ``kind`` from now on."""
        self._handlers[kind].append(handler)

    def heard(self, kind: type[Event]) -> bool:
        """Whether anybody subscribes to this kind; for facts that cost something to tell."""
        return kind in self._handlers

    def publish(self, event: Event) -> None:
        """Tell every subscriber of the event's kind; returns when all have heard."""
        for handler in self._handlers.get(type(event), ()):
            try:
                handler(event)
            except Exception:  # a subscriber's fault must not fail the publisher's call
                _log.exception("subscriber failed", extra={"event": type(event).__name__})
