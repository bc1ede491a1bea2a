from __future__ import annotations

import pytest

from treaty import errors
from treaty.cli.exits import MEANINGS, ExitCode, code_for, code_for_answer
from treaty.errors import TreatyError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RemoteError("x"), 1),
        (errors.UnknownMethod("x"), 1),
        (errors.InvalidURL("x"), 2),
        (errors.MissingExtra("x"), 2),
        (errors.InvalidSecret("x"), 2),
        (errors.EncodingError("x"), 2),
        (errors.AddressInUse("x"), 2),
        (errors.Unsupported("x"), 2),
        (errors.Unavailable("x"), 3),
        (errors.DeadlineExceeded("x"), 4),
        (errors.AuthenticationError("x"), 5),
        (errors.ConnectionLost("x"), 6),
        (errors.TransportError("x"), 6),
        (errors.ClosedError("x"), 70),
        (ZeroDivisionError("x"), 70),
    ],
)
def test_each_kind_of_error_has_its_code(error: Exception, code: int) -> None:
    assert code_for(error) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.FrameTooLarge("x"), 1),
        (errors.Cancelled("x"), 1),
        (KeyError("x"), 1),
        (errors.Unavailable("x"), 3),
        (errors.DeadlineExceeded("x"), 4),
        (errors.ConnectionLost("x"), 6),
    ],
)
def test_an_answer_means_the_same_as_what_is_noticed_here(error: Exception, code: int) -> None:
    assert code_for_answer(error) == code


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


def test_every_error_that_ends_a_call_is_told_from_a_mishap() -> None:
    local = {errors.ClosedError, errors.ForkedError, errors.Cancelled, TreatyError}
    ours = {cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, TreatyError)}
    refused = {errors.FrameRefused}
    assert {cls for cls in ours - refused if code_for(cls("x")) == ExitCode.MISHAP} == local
