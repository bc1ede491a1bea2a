"""Runs a session in a process of its own and hands on its events, so that no target can harm whoever shows them.

The process is a fresh interpreter with a session of its own at the terminal: Ctrl-C reaches only the command, which then
ends everything. How the process ended, and what it printed, becomes one event. This room must not know rules.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import msgspec

from treaty_contracts.isolation import MEDDLED, described, high, printed, withhold
from treaty_contracts.orphans import adopt
from treaty_contracts.session import Began, Ended, Event, Noted, Order, Over, Refused, run
from treaty_contracts.target import SetupError

#: Seconds that an import may take.
IMPORT: Final = 60.0
#: Seconds that a process has to put away what it started, before it is killed.
_LEAVE: Final = 5.0
_LOOK: Final = 0.1
_CHUNK: Final = 65_536
#: The variable that says where Hypothesis keeps its files. Whoever has set it is heard.
HOME: Final = "HYPOTHESIS_STORAGE_DIRECTORY"
_DECODER: Final = msgspec.json.Decoder(Event)
#: How long the mark is that each event begins with: a line without it was written by somebody else.
_MARK: Final = 16


def events(order: Order, patience: float = IMPORT) -> Iterator[Event]:
    """Run a session and yield its events. Whoever stops listening ends it, and everything that it started.

    Args:
        order: what to run.
        patience: seconds that the import may take.
    """
    with tempfile.TemporaryFile() as output:
        reading, writing = os.pipe()
        living, life = os.pipe()
        written = msgspec.json.encode(order).decode()
        # Not an argument, as the target can read those.
        mark = os.urandom(_MARK // 2).hex().encode()
        os.write(life, mark)
        process = subprocess.Popen(
            [sys.executable, "-m", "treaty_contracts.host", str(writing), str(living), written],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(writing, living),
            start_new_session=True,
        )
        try:
            os.close(writing)
            os.close(living)
            yield from _told(process, _Pipe(reading, mark), output, order, patience)
        finally:
            os.close(reading)
            _end(process)
            os.close(life)


@contextmanager
def nothing_left() -> Iterator[None]:
    """Have Hypothesis keep its files elsewhere, so that nothing is left where the command was started.

    What it has found out for one target, such as the constants in the modules of the suite, it reads for the next one.

    Raises:
        SetupError: there is no directory for temporary files.
    """
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise SetupError(f"there is no directory for temporary files: {error.strerror}") from None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ.setdefault(HOME, home)
        try:
            yield
        finally:
            if os.environ.get(HOME) == home:
                del os.environ[HOME]


def _told(
    process: subprocess.Popen[bytes], pipe: _Pipe, output: IO[bytes], order: Order, patience: float
) -> Iterator[Event]:
    subject, imported = order.spec, False
    for event in _read(process, pipe, patience):
        if isinstance(event, Over):
            with suppress(subprocess.TimeoutExpired):
                # What it registered for its end is run undisturbed, a broker that is to be stopped, say.
                process.wait(_LEAVE)
            yield event
            return
        if isinstance(event, Began):
            # Before the target begins, as whoever listens keeps remarks for the next report.
            if not imported and printed(output):
                yield Noted(text=f"the import printed something: {_last_line(output)}")
            subject, imported = event.target, True
        elif isinstance(event, Ended | Refused):
            subject = order.spec
        yield event
    when = "while the contract was run on it" if imported else "while it was imported"
    if pipe.meddled:
        text = f"something was written {when} to descriptors that belong to the program: its pipes"
    elif process.poll() is None and not imported:
        text = f"the import has not come to an end in {patience:g} s"
    else:
        code = process.wait()
        text = (
            f"descriptors were closed {when} that belong to the program: its standard output, or its pipes"
            if code == MEDDLED
            else f"the process ended {when}, with {described(code)}"
        )
    last = _last_line(output)
    yield Refused(target=subject, text=f"{text}; the last that it printed: {last}" if last else text)
    yield Over()


class _Pipe:
    """Where the events of a process come from.

    Args:
        reading: the descriptor.
        mark: what each of them begins with.
    """

    def __init__(self, reading: int, mark: bytes) -> None:
        self.reading: Final = reading
        #: Whether something came that is no event, and that somebody else wrote therefore.
        self.meddled = False
        self._mark = mark

    def event(self, line: bytearray) -> Event | None:
        """Return the event in a line; ``None`` if it is none."""
        try:
            event = _DECODER.decode(line.removeprefix(self._mark)) if self.begins(line) else None
        except msgspec.MsgspecError:
            event = None
        self.meddled = event is None
        return event

    def begins(self, line: bytearray) -> bool:
        """Whether a line that is there in part may be an event."""
        self.meddled = not line.startswith(self._mark[: len(line)])
        return not self.meddled


def _read(process: subprocess.Popen[bytes], pipe: _Pipe, patience: float) -> Iterator[Event]:
    """Yield events until the process has ended, its import has taken too long, or something else came."""
    buffer, reading = bytearray(), pipe.reading
    until, begun = time.monotonic() + patience, False
    while begun or time.monotonic() < until:
        # Whatever the target started may hold the pipe open: the end of the process itself is looked for as well.
        over = process.poll() is not None
        chunk = os.read(reading, _CHUNK) if select.select([reading], [], [], 0 if over else _LOOK)[0] else None
        if chunk:
            buffer += chunk
            *lines, rest = buffer.split(b"\n")
            buffer = bytearray(rest)
            for line in lines:
                event = pipe.event(line)
                if event is None:
                    return
                begun = True
                yield event
            if not pipe.begins(buffer):
                return
        elif chunk == b"" or over:
            process.wait()
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started: asked first, so that a broker it started is stopped in order."""
    with suppress(subprocess.TimeoutExpired):
        if process.poll() is None:
            process.terminate()
            process.wait(_LEAVE)
    for pid in _family(process.pid):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _family(leader: int) -> list[int]:
    """Return who began in the terminal session of a process, whatever group they are in, where the system tells."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


def _last_line(output: IO[bytes]) -> str:
    return printed(output).rpartition("\n")[2]


def _leave(*_: Any) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def _end_with_command(living: int) -> None:
    """Wait until the command is gone, however it went, and end: nobody else would do it."""
    os.read(living, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_LEAVE)  # for what it registered for its end
    os.killpg(0, signal.SIGKILL)


def _main() -> None:
    """Be the process: the descriptors to write to and to live by, and the order."""
    writing, living = int(sys.argv[1]), int(sys.argv[2])
    mark = os.read(living, _MARK)
    for descriptor in (writing, living):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - the name says it
    withhold(writing := high(writing))
    order = msgspec.json.decode(sys.argv[3], type=Order)
    threading.Thread(target=_end_with_command, args=(living,), name="contract-life", daemon=True).start()
    adopt()
    # An exception, so that whatever runs a rule ends it on the way out.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for event in run(order):
            line = memoryview(mark + msgspec.json.encode(event) + b"\n")
            while line:
                line = line[os.write(writing, line) :]
    except OSError as error:
        # Nobody listens any more, unless somebody has closed what is written to.
        raise SystemExit(MEDDLED if error.errno == errno.EBADF else 0) from None


if __name__ == "__main__":
    _main()
