"""The parent's hold on the other process: start it, hear where it serves, end it, whatever happens.

It must not know transports, nor what is called.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections import deque
from types import TracebackType
from typing import Any, Final, Self

from treaty.errors import Unavailable

_START: Final = 20.0
_STOP: Final = 5.0


class OtherProcess:
    """Runs the tea house at ``url`` while the ``with`` block runs.

    Raises:
        Unavailable: on entering, when it does not serve; the text says why.
    """

    def __init__(self, url: str, secret: str) -> None:
        self._order = {"url": url, "secret": secret}
        self._log: deque[str] = deque(maxlen=200)
        self.url = url

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "treaty.cli.demo.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # find what we found
            start_new_session=True,  # Ctrl-C at the terminal is for the parent, which then ends this one
        )
        self._reader = threading.Thread(target=self._read_log, name="treaty-demo-log", daemon=True)
        self._reader.start()
        try:
            self.url = self._hear()["url"]
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def obituary(self) -> str:
        """How it ended, with the last line of its log; empty while it runs."""
        code = self._process.poll()
        if code is None:
            return ""
        last = self._log[-1].strip() if self._log else "its log is empty"
        return f"the other process ended with code {code}: {last}"

    def end(self) -> None:
        """End it: by closing what it listens to, else by force."""
        process = self._process
        try:
            if process.stdin is not None:
                process.stdin.close()
        except BrokenPipeError:
            pass  # it is gone already
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        except BaseException:  # a second Ctrl-C: now it must be quick
            process.kill()
            process.wait()
            raise
        finally:
            self._reader.join(_STOP)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()

    def _hear(self) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(self._order) + "\n")
            stdin.flush()
            line = stdout.readline() if select.select([stdout], [], [], _START)[0] else ""
        except BrokenPipeError:
            line = ""
        if not line:
            raise Unavailable(self.obituary or f"the other process did not serve within {_START:g} s")
        heard: dict[str, Any] = json.loads(line)
        if "error" in heard:
            raise Unavailable(f"the other process does not serve: {heard['error']}")
        return heard

    def _read_log(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        for line in stderr:
            self._log.append(line)
