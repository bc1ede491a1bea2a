"""The status messages of a call on standard error: one live line on a terminal, else a plain line for each.

It must not know clients, and never touches standard output.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from treaty.cli.screen import err, one_line
from treaty.messages import Status
from treaty.pending import Reply


class StatusLines:
    """Shows what a call reports while it runs. On a terminal the line is gone when the call is over."""

    def __init__(self, target: str) -> None:
        self._console = err()
        self._spinner = Spinner("dots")
        self._text = Text(one_line(target), style="bold")
        self._progress: float | None = None
        # A terminal that cannot move its cursor gets plain lines as well.
        self._live = Live(get_renderable=self._render, console=self._console, transient=True, refresh_per_second=12.5)
        self._is_live = self._console.is_terminal and not self._console.is_dumb_terminal

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def show(self, status: Status) -> None:
        """Show one status message."""
        text, self._progress = f"{status.code} {one_line(status.reason)}", status.progress
        self._text = Text(text)
        if not self._is_live:
            done = "" if status.progress is None else f" ({status.progress:.0%})"
            self._console.print(Text(text + done), soft_wrap=True)

    def end(self, reply: Reply) -> None:
        """Show the status that came with the result, where it says more than that all went well."""
        if (reply.status.code, reply.status.reason) != (200, "OK"):
            self._console.print(Text(f"{reply.status.code} {one_line(reply.status.reason)}", "green"), soft_wrap=True)

    def _render(self) -> RenderableType:
        line = Table.grid(padding=(0, 1))
        cells: list[RenderableType] = [self._spinner]
        if self._progress is not None:
            done = min(max(self._progress, 0.0), 1.0)
            cells += [ProgressBar(total=1.0, completed=done, width=24), Text(f"{done:4.0%}", "cyan")]
        self._text.truncate(max(self._console.width - 36, 8), overflow="ellipsis")
        line.add_row(*cells, self._text)
        return line
