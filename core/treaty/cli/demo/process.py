"""The parent's hold on another process: start it, hear that it is ready, ask it, end it, whatever happens.

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
    """Plays a part at ``url`` while the ``with`` block runs: see ``child`` for the parts.

    Raises:
        Unavailable: on entering, when it does not serve; the text says why.
    """

    def __init__(self, url: str, secret: str, part: str = "teahouse") -> None:
        self._order = {"part": part, "url": url, "secret": secret}
        self._log: deque[str] = deque(maxlen=200)
        self.url = url
        #: Why it does less than it should, if so.
        self.excuse = ""

    def __enter__(self) -> Self:
        self.spawn()
        self.begin()
        return self

    def spawn(self) -> None:
        """Start it, and do not wait for it."""
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

    def begin(self, **order: Any) -> None:
        """Let it play its part, and return when it does.

        Raises:
            Unavailable: it does not; the text says why. It is gone then.
        """
        try:
            heard = self.ask({**self._order, **order})
            self.url, self.excuse = heard["url"], heard.get("excuse", "")
        except BaseException:
            self.end()
            raise

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

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return what it says to a line of standard input.

        Raises:
            Unavailable: nothing, or that it cannot go on.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(question) + "\n")
            stdin.flush()
            line = stdout.readline() if select.select([stdout], [], [], _START)[0] else ""
        except BrokenPipeError:
            line = ""
        if not line:
            raise Unavailable(self.obituary or f"the other process said nothing within {_START:g} s")
        heard: dict[str, Any] = json.loads(line)
        if "error" in heard:
            raise Unavailable(f"the other process does not serve: {heard['error']}")
        return heard

    def kill(self) -> str:
        """Kill it with SIGKILL, and return how it ended."""
        self._process.kill()
        return f"ended with code {self._process.wait(_STOP)}"

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

    def _read_log(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        for line in stderr:
            self._log.append(line)
