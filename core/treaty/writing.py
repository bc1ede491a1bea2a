"""How the answer to a job is written: the result, what its handler raised, or what the service itself has to say.

Something always comes back, and nothing is raised, whatever a value or an exception of the program does when it is
looked at. This room must not know threads or transports.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Final

from treaty.driving import present
from treaty.engine import Answerer
from treaty.errors import InvalidResult, TreatyError
from treaty.job import Job
from treaty.logs import logger, tell
from treaty.registry import is_expected

_LOG: Final = logger("treaty.service")


def result(answerer: Answerer, job: Job, value: object) -> bytes | None:
    """Write what a handler returned. ``None``: not even an error could be written."""

    def frame() -> bytes:
        now = present()
        took = now.steady - job.started
        return answerer.result(
            job.exchange, value, status=job.status_line, headers=job.response_headers, took=took, now=now
        )

    return _guarded(answerer, job, frame)


def failure(answerer: Answerer, job: Job, raised: BaseException, error_id: str) -> bytes | None:
    """Write what a handler raised. ``None``: not even that could be written."""
    headers = job.response_headers
    return _guarded(
        answerer, job, lambda: answerer.failure(job.exchange, raised, error_id=error_id, now=present(), headers=headers)
    )


def verdict(answerer: Answerer, job: Job, error: TreatyError) -> bytes | None:
    """Write what the service says of a job. ``None``: it could not be written."""
    try:
        return answerer.error(job.exchange, error, now=present())
    except Exception as raised:
        tell(_LOG, logging.ERROR, "%s: no answer could be written", job.method, error=raised)
        return None


def note(job: Job, raised: BaseException) -> str:
    """Log what a handler raised, unless it was planned for. Return the id under which it is logged."""
    error_id = os.urandom(6).hex()
    if isinstance(raised, asyncio.CancelledError | TimeoutError) and job.cancelled:
        tell(_LOG, logging.DEBUG, "%s: stopped, as the caller had given up", job.method)
    elif not is_expected(raised):
        tell(_LOG, logging.ERROR, "%s failed, error id %s", job.method, error_id, error=raised)
    return error_id


def _guarded(answerer: Answerer, job: Job, frame: Callable[[], bytes]) -> bytes | None:
    try:
        return frame()
    except BaseException as raised:  # what is looked at may raise anything, also sys.exit
        tell(_LOG, logging.ERROR, "%s: its answer could not be written", job.method, error=raised)
        text = f"{job.method} was executed, but its answer cannot be written: {_shown(raised)}"[:1000]
        return verdict(answerer, job, InvalidResult(text))


def _shown(raised: BaseException) -> str:
    try:
        return repr(raised)
    except Exception:
        return type(raised).__name__
