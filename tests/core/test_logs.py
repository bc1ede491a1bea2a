"""What is logged about an exception has a bound."""

from __future__ import annotations

import logging

import pytest

from treaty import Incoming, RemoteError, Service
from treaty.logs import HEAD, TAIL, logger, tell

from .conftest import Room

LOG = logger("treaty.test")


def fail(text: str) -> None:
    raise ValueError(text)


def test_a_traceback_is_logged_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    try:
        fail("wrong")
    except ValueError:
        LOG.exception("it failed")
    assert "in test_a_traceback_is_logged_as_it_is\n" in caplog.text
    assert caplog.text.endswith("\nValueError: wrong\n")


def test_a_very_long_one_is_cut_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    try:
        fail("begins" + "x" * 1_000_000 + "ends")
    except ValueError as error:
        raised = error
        LOG.exception("it failed")
    assert "ValueError: beginsxxx" in caplog.text
    assert " characters are left out ...\n" in caplog.text
    assert caplog.text.endswith("xxxends\n")
    assert len(caplog.text) < HEAD + TAIL + 500
    assert caplog.records[0].exc_info is not None and caplog.records[0].exc_info[1] is raised


def test_the_log_of_a_service_is_not_filled_by_what_a_handler_raises(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    class Wordy(Service):
        name = "wordy"

        def on_fail(self, _message: Incoming) -> None:
            fail("x" * 1_000_000)

    room.serve(Wordy)
    with pytest.raises(RemoteError) as caught:
        room.client().call("wordy.fail")
    assert len(caught.value.text) == 1_000_000
    assert str(caught.value.error_id) in caplog.text
    assert len(caplog.text) < HEAD + TAIL + 1_000


def test_a_logger_that_was_asked_for_before_bounds_once() -> None:
    assert logger("treaty.test") is LOG
    assert len(LOG.filters) == 1


def test_what_is_told_costs_no_thread_its_life(caplog: pytest.LogCaptureFixture) -> None:
    log = logger("treaty.tests.told")
    tell(log, logging.ERROR, "%s is gone", "tea", error=ValueError("no tea"))
    assert "tea is gone" in caplog.text and "ValueError: no tea" in caplog.text

    def fail(record: logging.LogRecord) -> bool:
        raise MemoryError

    log.addFilter(fail)
    tell(log, logging.ERROR, "nothing")
    assert "nothing" not in caplog.text
