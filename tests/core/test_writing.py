"""Something always comes back, whatever is answered."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from treaty import ConnectionLost, InvalidResult, Response
from treaty.codec import decode
from treaty.driving import present
from treaty.engine import Answerer
from treaty.job import Job
from treaty.registry import read_error
from treaty.writing import failure, note, result, verdict

from .test_incoming import Host
from .test_job import Nowhere
from .world import ADDRESS, KEYRING, answerer, caller, run


def asked(end: Answerer) -> Job:
    now = present()
    outgoing = caller().request("slow.echo", ["hi"], timeout=10, now=now, reply=ADDRESS)
    return Job(run(end, outgoing.frame, now), Nowhere(), Host())


def read(frame: bytes | None) -> Response:
    assert frame is not None
    response = decode(b"r", KEYRING.open(frame, b"r").body)
    assert isinstance(response, Response)
    return response


def heard(frame: bytes | None) -> Exception:
    response = read(frame)
    assert response.error is not None
    return read_error(response.error, response.status)


class HostileError(Exception):
    """Raises, or ends the program, when it is looked at."""

    def __repr__(self) -> str:
        raise RuntimeError

    @property
    def detail(self) -> str:
        raise SystemExit


def test_what_a_handler_returned_is_written_with_what_it_set() -> None:
    end = answerer()
    job = asked(end)
    job.set_status(201)
    job.set_header("tide", "high")
    response = read(result(end, job, "done"))
    assert (response.result, response.status.code, response.headers) == ("done", 201, {"tide": "high"})


def test_what_the_service_says_of_a_job_is_written() -> None:
    end = answerer()
    assert isinstance(heard(verdict(end, asked(end), ConnectionLost("cut"))), ConnectionLost)


def test_what_a_handler_raised_is_logged_once_under_its_id(caplog: pytest.LogCaptureFixture) -> None:
    end = answerer()
    job = asked(end)
    raised = ValueError("no tea")
    error_id = note(job, raised)
    assert error_id in str(heard(failure(end, job, raised, error_id)))
    assert [error_id in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    "write", [lambda end, job: failure(end, job, KeyError("x"), ""), lambda end, job: result(end, job, object())]
)
def test_an_error_bears_the_headers_that_were_set_before_it(write: Callable[[Answerer, Job], bytes | None]) -> None:
    end = answerer()
    job = asked(end)
    job.set_header("retry-after", "5")
    assert read(write(end, job)).headers == {"retry-after": "5"}


def test_what_a_caller_gave_up_is_no_mishap(caplog: pytest.LogCaptureFixture) -> None:
    job = asked(answerer())
    job.give_up()
    note(job, TimeoutError())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_an_exception_that_raises_when_it_is_looked_at_is_answered_all_the_same() -> None:
    end = answerer()
    job = asked(end)
    assert isinstance(heard(failure(end, job, HostileError(), note(job, HostileError()))), Exception)


@pytest.mark.parametrize("raised", [MemoryError(), SystemExit(3), HostileError()], ids=type)
def test_an_answer_that_cannot_be_written_is_an_error_that_says_so(
    raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = answerer()
    job = asked(end)

    def fail(*_: object, **__: object) -> bytes:
        raise raised

    monkeypatch.setattr(end, "result", fail)
    assert isinstance(heard(result(end, job, "done")), InvalidResult)
    monkeypatch.setattr(end, "error", fail if isinstance(raised, Exception) else _out_of_memory)
    assert result(end, job, "done") is None


def _out_of_memory(*_: object, **__: object) -> bytes:
    raise MemoryError
