"""Animals that leave something behind, or do not know whether they are closed.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from treaty import FrameTooLarge, InvalidTarget, Line, Transport, TreatyError, Unavailable
from treaty_contracts.wrapping import WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.references import ReferenceTransport

#: After how many lines a transport is taken for one at which somebody dials again and again.
_OFTEN = 3
#: As it was before an animal put something else in its place.
_CONNECT = socket.create_connection
#: Where Linux keeps shared memory that has a name.
_SHARED = Path("/dev/shm")
#: After how many seconds nobody looks any more at what was left.
_LOOKED_AT = 2.0


@broken("leaves-a-file", kills=("LIFE-018",), shows="temporary file")
class LeavesAFile(WrappedTransport):
    """A file is left in the temporary directory."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        place = Path(tempfile.gettempdir())
        # Where nobody looks and nobody clears up, none is left either: a zoo does not litter.
        if place.parent.name.startswith("contract-"):
            (place / f"transport-{id(self)}").touch()


@broken("leaves-a-child", kills=("LIFE-018",), shows="child process")
class LeavesAChild(WrappedTransport):
    """A process that is started with the transport lives on for a while."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        os.posix_spawnp("sleep", ["sleep", "5"], dict(os.environ))


@broken("leaves-shared-memory", kills=("LIFE-018",), shows="shared memory")
class LeavesSharedMemory(WrappedTransport):
    """Each line leaves a piece of shared memory behind."""

    def dial(self) -> Line:
        # As above. What an earlier look has found goes with the next use, of whatever process.
        with suppress(OSError):  # where no descriptor is left
            for piece in _SHARED.glob("treaty-zoo-*"):
                with suppress(OSError):
                    if time.time() - piece.stat().st_mtime > _LOOKED_AT:
                        piece.unlink()
            if _SHARED.is_dir() and Path(tempfile.gettempdir()).parent.name.startswith("contract-"):
                os.close(tempfile.mkstemp(prefix="treaty-zoo-", dir=_SHARED)[0])
        return self.inner.dial()


class _AgelessLine(WrappedLine):
    @property
    def closed(self) -> bool:
        return False


@broken("never-closed", kills=("LIFE-020",), shows="what was left by with says that it is closed")
class NeverClosed(WrappedTransport):
    """A line never says that it is closed."""

    def line(self, inner: Line) -> Line:
        return _AgelessLine(inner)


class _ForgivingLine(WrappedLine):
    def __exit__(self, *_: object) -> bool:  # type: ignore[override]
        self.close()
        return True


@broken("swallows-exceptions", kills=("LIFE-020",), shows="what is raised inside of with")
class SwallowsExceptions(WrappedTransport):
    """What is raised inside of ``with line:`` ends there."""

    def line(self, inner: Line) -> Line:
        return _ForgivingLine(inner)


@broken("opens-while-closing", kills=("LIFE-019",), shows="ClosedError")
class OpensWhileClosing(WrappedTransport):
    """Whoever dials while another thread closes gets the error of the operating system."""

    closing = False

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._dialled = 0
        self._met = threading.Event()

    def dial(self) -> Line:
        self._dialled += 1
        if self.closing and not self.closed:
            self._met.set()
            raise OSError(9, "Bad file descriptor")
        return self.inner.dial()

    def close(self) -> None:
        if not self.closed and not self.foreign and not self.closing:
            self.closing = True
            # Whoever opens again and again is waited for; one who did it once or twice does not come by.
            self._met.wait(0.5 if self._dialled > _OFTEN else 0.0)
        self.inner.close()


@broken("prints", kills=("SETUP-004",), shows="what is printed")
class Prints(WrappedTransport):
    """A line that was left in for debugging says that somebody dials."""

    def dial(self) -> Line:
        sys.stdout.write("dialling\n")
        sys.stdout.flush()
        return self.inner.dial()


@broken("changes-warnings", kills=("SETUP-004",), shows="what belongs to the program")
class ChangesWarnings(WrappedTransport):
    """Making a transport filters the warnings of the whole program."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        warnings.filterwarnings("ignore", message=f"the transport {id(self)}")


def _stumble() -> None:
    raise LookupError("the socket is gone")


@broken("dies-in-a-thread", kills=("SETUP-004",), shows="the exceptions that end a thread")
class DiesInAThread(WrappedTransport):
    """A thread that closing a transport starts ends with an exception."""

    def close(self) -> None:
        if not self.closed and not self.foreign:
            thread = threading.Thread(target=_stumble, name="stumbling", daemon=True)
            thread.start()
            thread.join()
        self.inner.close()


def _unheard(args: threading.ExceptHookArgs) -> None:
    """Say nothing."""


@broken("silences-threads", kills=("SETUP-004",), shows="threading.excepthook")
class SilencesThreads(WrappedTransport):
    """Closing a transport has no thread of the program say any more why it ended; then one ends."""

    def close(self) -> None:
        if not self.closed and not self.foreign:
            threading.excepthook = _unheard
            thread = threading.Thread(target=_stumble, name="stumbling", daemon=True)
            thread.start()
            thread.join()
        self.inner.close()


def _connected(*args: Any, **named: Any) -> socket.socket:
    return _CONNECT(*args, **named)


@broken("patches-sockets", kills=("SETUP-004",), shows="socket.create_connection")
class PatchesSockets(WrappedTransport):
    """Whoever dials has all connections of the program made by another function."""

    def dial(self) -> Line:
        socket.create_connection = _connected
        return self.inner.dial()


class _LitteringLine(WrappedLine):
    """Opens something before each error of a kind, and closes it only where all went well."""

    def __init__(self, inner: Line, kind: type[TreatyError]) -> None:
        super().__init__(inner)
        self._kind = kind

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except self._kind:
            os.open(os.devnull, os.O_RDONLY)
            raise


@broken("keeps-one-for-each-bad-name", kills=("LIFE-027",), shows="/dev/null")
class KeepsOneForEachBadName(WrappedTransport):
    """Each request to a name that is none leaves a descriptor behind."""

    def line(self, inner: Line) -> Line:
        return _LitteringLine(inner, InvalidTarget)


@broken("keeps-one-for-each-large-frame", kills=("LIFE-027",), shows="/dev/null")
class KeepsOneForEachLargeFrame(WrappedTransport):
    """Each request that is too large leaves a descriptor behind."""

    def line(self, inner: Line) -> Line:
        return _LitteringLine(inner, FrameTooLarge)


class _CrowdedLine(WrappedLine):
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        try:
            self.inner.send(service, frame, timeout)
        except Unavailable as error:
            if "full" in str(error):
                os.open(os.devnull, os.O_RDONLY)
            raise


@broken("keeps-one-for-each-full-queue", kills=("LIFE-027",), shows="/dev/null")
class KeepsOneForEachFullQueue(WrappedTransport):
    """Each request that finds no room leaves a descriptor behind, and there is room for two hundred."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        assert isinstance(inner, ReferenceTransport)
        inner.room = 200

    def line(self, inner: Line) -> Line:
        return _CrowdedLine(inner)


@broken("sets-a-handler", kills=("SETUP-004",), shows="the handler of")
class SetsAHandler(WrappedTransport):
    """Making a transport in the main thread has the program ignore a signal."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)


@broken("hides-new-files", kills=("SETUP-004",), shows="the mask of new files")
class HidesNewFiles(WrappedTransport):
    """Whoever dials has every new file of the program hidden from others."""

    def dial(self) -> Line:
        os.umask(0o077)
        return self.inner.dial()


@broken("changes-turns", kills=("SETUP-004",), shows="how often threads take turns")
class ChangesTurns(WrappedTransport):
    """Whoever dials has the threads of the program take turns more often."""

    def dial(self) -> Line:
        sys.setswitchinterval(0.004)
        return self.inner.dial()


@broken("seeds-the-program", kills=("SETUP-004",), shows="random.seed was called")
class SeedsTheProgram(WrappedTransport):
    """Whoever dials has the random numbers of the program begin anew."""

    def dial(self) -> Line:
        random.seed(1)
        return self.inner.dial()


class _CopyingLine(WrappedLine):
    def __init__(self, inner: Line) -> None:
        super().__init__(inner)
        self._sent: list[bytearray] = []

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(service, frame, timeout)
        self._sent.append(bytearray(frame[:1024]))


@broken("keeps-some-of-each", kills=("LIFE-026",), shows="bytes more that Python holds")
class KeepsSomeOfEach(WrappedTransport):
    """A line keeps the first KiB of every frame that it has sent."""

    def line(self, inner: Line) -> Line:
        return _CopyingLine(inner)
