"""Who is alive on a shared journal: each process beats, and takes over the runs of those that have stopped."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from penstock.journal.tables import NODES

_log = logging.getLogger("penstock.journal")

ROUND_SECONDS = 0.4
"""How often a process beats and looks for others that do not, at most a fifth of its lease."""

# The one clock that all processes share.
NOW = sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double)
LIVING = sa.select(NODES.c.node).where(NODES.c.beat_at + NODES.c.lease > NOW)
"""The nodes whose lease holds, as a subquery."""


class Lease:
    """This process's place among the living. A thread of its own beats, so that neither a busy loop nor a long step can miss it.

    ``reap`` hands on what belongs to no living node. ``lost`` is called when others had to take this process for dead, after a standstill
    or a database that was away: its runs are theirs by then, what it writes for them is refused, and it goes on under the node that
    ``lost`` returns.
    """

    def __init__(
        self, engine: Engine, node: str, seconds: float, *, reap: Callable[[], int], lost: Callable[[], str], each: Callable[[], None]
    ) -> None:
        self.node = node
        self._engine = engine
        self._seconds = seconds
        self._round = min(ROUND_SECONDS, seconds / 5)
        self._reap = reap
        self._lost = lost
        self._each = each
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock-lease", daemon=True)

    def begin(self) -> None:
        """Enter the node, before it takes up any run, and begin to beat. Raises SQLAlchemyError."""
        self._enter()
        self._thread.start()

    def leads(self) -> bool:
        """Whether this is the first of the living, who does what one of them has to do; blocks. Two may think so for a moment."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.min(NODES.c.node)).where(NODES.c.node.in_(LIVING))).scalar() == self.node

    def end(self) -> None:
        """Stop beating and leave; whatever the node still had under way is up for others from now on."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        with self._engine.begin() as connection:
            connection.execute(sa.delete(NODES).where(NODES.c.node == self.node))

    def _enter(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                sa.insert(NODES).values(
                    node=self.node, host=socket.gethostname(), pid=os.getpid(), started_at=NOW, beat_at=NOW, lease=self._seconds
                )
            )

    def _run(self) -> None:
        beaten = time.monotonic()
        while not self._over.wait(self._round):
            try:
                if self._beat():
                    beaten = time.monotonic()
                else:
                    _log.warning("lost the lease; others have taken over this process's runs", extra={"node": self.node})
                    self.node = self._lost()
                    self._enter()
                taken = self._reap()
                if taken:
                    _log.warning("took over runs of a process that does not beat any more", extra={"runs": taken})
                self._bury()
                self._each()
            except SQLAlchemyError as fault:
                silent = time.monotonic() - beaten
                _log.warning("the journal's database does not answer", extra={"fault": type(fault).__name__, "seconds": round(silent, 1)})

    def _beat(self) -> bool:
        with self._engine.begin() as connection:
            done = connection.execute(sa.update(NODES).where(NODES.c.node == self.node).values(beat_at=NOW))
            return done.rowcount == 1

    def _bury(self) -> None:
        # Only once everything of theirs was handed on. A node that comes back finds itself gone and goes on under another name.
        with self._engine.begin() as connection:
            connection.execute(sa.delete(NODES).where(NODES.c.beat_at + NODES.c.lease <= NOW))
