"""DBOS's log in ours."""

from __future__ import annotations

import logging

import pytest

from penstock.journal.quiet import quieten, worth_saying


def line(text: str) -> logging.LogRecord:
    return logging.LogRecord("dbos", logging.ERROR, "", 0, text, None, None)


def test_what_a_run_raised_is_said_once_and_without_what_it_held() -> None:
    assert not worth_saying(line("Exception encountered in asynchronous workflow: the customer's words"))
    assert not worth_saying(line("Asyncio task cancelled for workflow 4"))
    assert worth_saying(line("the database does not answer"))


def test_its_lines_go_where_ours_go(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("dbos")
    before = list(logger.filters)
    logger.addHandler(logging.NullHandler())
    try:
        quieten()
        assert (logger.handlers, logger.propagate) == ([], True)
        logger.error("the database does not answer")
        logger.error("Exception encountered in a workflow")
        assert [record.getMessage() for record in caplog.records if record.name == "dbos"] == ["the database does not answer"]
    finally:
        logger.filters[:] = before
