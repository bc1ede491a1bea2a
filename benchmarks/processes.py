"""Other processes that are talked to in lines, and end with who started them."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

SECRET: Final = "ty1.00112233445566ff.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"  # of no use but this one
#: Seconds in which a process ends whose input has ended.
_LIMIT: Final = 15.0
_ROOT: Final = Path(__file__).resolve().parents[1]


def free_port() -> int:
    """Return a port that is free, below those that the system gives to outgoing connections by itself: so it is still
    free when whoever served there is started again.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Peer:
    """``python -m MODULE ROLE …``, once it has said that it is ready.

    Args:
        module: what runs.
        errors: where its log goes.
        role: its first argument.
        arguments: the others.
    """

    def __init__(self, module: str, errors: Path, role: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, role, *arguments]
        with errors.open("ab") as file:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True, cwd=_ROOT
            )
        self._role = role
        self.hear("ready")

    def say(self, line: object) -> None:
        """Give it a line."""
        _pipe(self.process.stdin).write(f"{line}\n")
        _pipe(self.process.stdin).flush()

    def read(self) -> str:
        """Wait for its next line."""
        return _pipe(self.process.stdout).readline().strip()

    def hear(self, line: object) -> None:
        """Wait until it says this."""
        heard = self.read()
        if heard != str(line):
            self.kill()
            raise RuntimeError(f"the {self._role} said {heard!r}, not {line!r}")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> None:
        """End its input, and wait until it has ended; see to it if it does not."""
        _pipe(self.process.stdin).close()
        try:
            self.process.wait(_LIMIT)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            _pipe(pipe).close()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
