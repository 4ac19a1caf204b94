"""The server's log: lines are written together, none too late, and a warning at once."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import time

import pytest

from bmretriever_integrations.serving import log
from bmretriever_integrations.serving.log import LinesTogether


@pytest.fixture
def written():
    return io.StringIO()


@pytest.fixture
def logger(written):
    logger = logging.Logger("of_this_test")
    logger.addHandler(LinesTogether(written))
    return logger


def test_lines_are_written_a_moment_later(logger, written, monkeypatch):
    monkeypatch.setattr(log, "LATEST_SECONDS", 0.05)
    logger.info("one")
    logger.info("two")
    assert written.getvalue() == ""
    until = time.monotonic() + 10
    while not written.getvalue() and time.monotonic() < until:
        time.sleep(0.01)
    assert written.getvalue() == "one\ntwo\n"


def test_a_warning_is_written_at_once_after_the_lines_before_it(logger, written):
    logger.info("one")
    logger.warning("beware")
    assert written.getvalue() == "one\nbeware\n"


def test_many_lines_do_not_wait(logger, written, monkeypatch):
    monkeypatch.setattr(log, "MOST_LINES", 3)
    for number in range(4):
        logger.info("%d", number)
    assert written.getvalue() == "0\n1\n2\n"


def test_a_line_that_cannot_be_formatted_stops_nobody(logger, written, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logger.info("%d", "no number")
    logger.warning("later")
    assert written.getvalue() == "later\n"


def test_a_closed_stream_stops_nobody(logger, written, capsys):
    written.close()
    logger.warning("nobody reads this")
    assert capsys.readouterr().err == ""


def test_what_waits_is_written_when_the_process_ends():
    lines = (
        "import logging; from bmretriever_integrations.serving.log import log_to_stderr; log_to_stderr(); "
        "logging.getLogger('bmretriever_integrations').info('the last line')"
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("INFO the last line\n")
