"""Batches in the console."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.batches.service import Batching
from penstock.kernel.ports import Ports
from penstock.kernel.web import Page


def pages(ports: Ports, batching: Batching) -> Sequence[Page]:
    return ()
