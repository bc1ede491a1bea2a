"""Stacks without the suite's own frames."""

from __future__ import annotations

import faulthandler
import tempfile
import threading
from pathlib import Path

import pytest

from treaty_contracts.expect import Expectations, until
from treaty_contracts.stacks import is_ours, of_error, of_threads


def test_a_stack_begins_where_it_left_the_suite() -> None:
    def theirs() -> None:
        try:
            Path("nowhere/at/all").read_text()
        except OSError as error:
            raise ValueError("second") from error

    with pytest.raises(ValueError, match="second") as caught:
        until(theirs, 1)
    text = of_error(caught.value)
    assert "expect.py" not in text
    assert "FileNotFoundError" in text and "ValueError: second" in text and "in theirs" in text


def test_threads_that_are_only_ours_are_left_out() -> None:
    over = threading.Event()

    def waiting_for_something() -> None:
        over.wait(30)

    thread = threading.Thread(target=waiting_for_something)
    thread.start()
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        text = of_threads(file.read())
    over.set()
    thread.join()
    assert "waiting_for_something" in text
    assert "threading.py" not in text


def test_who_is_of_the_suite() -> None:
    assert is_ours(Expectations.that.__code__.co_filename)
    assert not is_ours(__file__)
    assert of_threads("hello\n\nthere") == "hello\nthere"
