"""Taking an address so that nobody else has it, and leaving nothing behind: what each scheme needs for that.

This room knows ports in use, lock files and the names of this process. It must not know what an endpoint does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import cast
from weakref import WeakSet

import zmq

from treaty import AddressInUse, Unavailable

from .address import Address
from .names import NAMES
from .port import Port


class Binding:
    """A bound address: ``withdraw`` it before its socket closes, ``release`` it after."""

    def __init__(self, address: Address, port: Port) -> None:
        """Bind, or raise ``AddressInUse`` or, if this machine does not have the address, ``Unavailable``."""
        self.address = address
        self._socket = port.socket
        self._lock = _Lock(address) if address.scheme == "ipc" else None
        try:
            if address.scheme == "inproc":
                NAMES.bind(address.rest, self._socket)
            else:
                self._socket.bind(address.to_bind())
        except (zmq.ZMQError, OSError) as error:
            self.release()
            if error.errno == errno.EADDRINUSE:
                raise AddressInUse(f"somebody else serves on {address.url}") from error
            raise Unavailable(f"cannot bind {address.url}: {error}") from error
        if address.wildcard:
            self.address = address.at_port_of(cast("bytes", self._socket.last_endpoint).decode().rstrip("\0"))

    def withdraw(self) -> None:
        """Let go of a name of this process at once; libzmq does it some time later."""
        if self.address.scheme == "inproc":
            NAMES.unbind(self.address.rest, self._socket)

    def release(self) -> None:
        """Remove the files. The socket must be gone."""
        if self._lock is not None:
            self._lock.release()


class _Lock:
    """An advisory lock on a file beside the socket of an ``ipc`` address.

    A second bind of an ``ipc`` path succeeds and takes the endpoint from the first, so the lock decides, and a crash
    lets go of it. The file can be removed by the one who holds the lock, because whoever gets a lock looks again
    whether the name still leads to the file that was locked.
    """

    def __init__(self, address: Address) -> None:
        self._socket = Path(address.rest)
        self._path = Path(address.rest + ".lock")
        try:
            while not self._acquire():
                pass
        except BlockingIOError as error:
            raise AddressInUse(f"somebody else serves on {address.url}") from error
        except OSError as error:
            raise Unavailable(f"cannot lock {self._path}: {error.strerror}") from error
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(self._socket.lstat().st_mode):  # libzmq would remove whatever it is
                self._unlock()
                raise AddressInUse(f"{self._socket} is there and is no socket: remove it or use another path")
        _locks.add(self)

    def _acquire(self) -> bool:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._path.stat().st_ino == os.fstat(self._fd).st_ino:
                return True
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(self._fd)
            raise
        os.close(self._fd)  # the last owner removed it between our open and our lock
        return False

    def release(self) -> None:
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(self._socket.lstat().st_mode):
                self._socket.unlink()
        self._unlock()

    def _unlock(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
        fcntl.flock(self._fd, fcntl.LOCK_UN)  # for the copies in forked children as well
        self.drop()

    def drop(self) -> None:
        """Close the descriptor, which keeps the lock if another process has a copy."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_locks: WeakSet[_Lock] = WeakSet()


def _in_child() -> None:
    for lock in list(_locks):  # or a child would keep the address taken after its parent is dead
        lock.drop()


os.register_at_fork(after_in_child=_in_child)
