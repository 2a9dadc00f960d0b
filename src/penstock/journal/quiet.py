"""What DBOS logs, where we log, without what we say ourselves."""

from __future__ import annotations

import logging


def quieten() -> None:
    """Have DBOS log where we log, and leave out what we say ourselves."""
    logger = logging.getLogger("dbos")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.propagate = True
    logger.addFilter(worth_saying)


def worth_saying(record: logging.LogRecord) -> bool:
    """Whether a line of DBOS's tells something that we do not."""
    text = record.getMessage()
    # A failed run is journalled and logged by us, without what it held.
    return not text.startswith(("Exception encountered in ", "Asyncio task cancelled"))
