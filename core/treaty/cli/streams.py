"""The standard streams of the program, made fit for closed ones and for those that take nothing any more.

What standard error does not take is lost, and changes nothing else; what standard output does not take is the program's
business, and told apart from all other errors. This room must not know what is written, nor exit codes.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any


class CannotWriteError(OSError):
    """Standard output does not take what is written; somebody else would have been a ``BrokenPipeError``."""


class _Output(io.FileIO):
    failure: OSError | None = None

    def write(self, data: Any, /) -> Any:
        try:
            return super().write(data)
        except BrokenPipeError as error:
            self.failure = error
            raise
        except OSError as error:
            self.failure = CannotWriteError(*error.args)
            raise self.failure from error


class _Errors(io.FileIO):
    def write(self, data: Any, /) -> Any:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            return memoryview(data).nbytes


def check_output() -> None:
    """Write what still waits to be written, and raise what standard output has ever raised: whoever printed may have
    taken that for an error of another kind.
    """
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    failure = getattr(getattr(buffer, "raw", buffer), "failure", None)
    if failure is not None:
        raise failure


def mend_streams() -> None:
    """Replace the three in ``sys``: a closed one by one that leads nowhere, so that its number goes to no socket."""
    if sys.stdin is None:
        sys.stdin = open(_nowhere(), encoding="utf-8", closefd=False)  # noqa: SIM115 - open to the end
    sys.stdout = _mended(sys.stdout, _Output)
    sys.stderr = _mended(sys.stderr, _Errors)


def _mended(stream: Any, kind: type[io.FileIO]) -> Any:
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(kind(_nowhere(), "w", closefd=False)), encoding="utf-8")
    if type(stream) is not io.TextIOWrapper:
        return stream
    raw = kind(stream.fileno(), "w", closefd=False)
    stream.flush()
    return io.TextIOWrapper(
        # With ``python -u`` there is no buffer.
        raw if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",  # a terminal that cannot show a character is no reason to fail
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _nowhere() -> int:
    number = os.open(os.devnull, os.O_RDWR)
    # Other programs that are started from here get it as well; they would get a closed one otherwise.
    os.set_inheritable(number, number <= 2)
    return number
