"""The alerts in the console."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.alerts.service import Alerting
from penstock.alerts.subscribing import Subscribing
from penstock.kernel.ports import Ports
from penstock.kernel.web import Page


def pages(ports: Ports, alerting: Alerting, subscribing: Subscribing) -> Sequence[Page]:
    """All pages about alerts."""
    return ()
