"""The exit codes of the commands that judge nothing, for their help: they call nobody, so that no call can go wrong.

This room must not know these commands.
"""

from __future__ import annotations

from typing import Final

from treaty.cli.exits import ExitCode

#: What the help says.
READING: Final[dict[int, str]] = {
    ExitCode.OK: "it worked",
    ExitCode.USAGE: "usage or configuration: arguments, or a file that cannot be read, taken or written",
    ExitCode.MISHAP: "something unforeseen; -v shows where",
    ExitCode.UNWRITTEN: "standard output could not be written, such as to a full disk",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
    ExitCode.UNREAD: "whoever read the output has left, as with any program that SIGPIPE ends",
}
