"""The command line: ``treaty serve``, ``call``, ``ping``, ``describe``, ``watch``, ``keygen`` and ``demo``.

This room stands on what the core offers to everybody, and must know no adapter. typer and rich are imported only when
a command runs, so that ``treaty`` without them can say what to install; and everything else not before Ctrl-C is taken
care of.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from treaty.cli.signals import leaving_at_once

_NEEDED: Final = frozenset({"typer", "rich"})


def main() -> int:
    """Run the command line on ``sys.argv``: see ``treaty --help``, also for the exit codes."""
    with leaving_at_once():
        return _main()


def _main() -> int:
    if os.environ.get("COLUMNS", "1").strip("0") == "":
        del os.environ["COLUMNS"]  # no width is meant by that, and all output would be cut to nothing
    # Nearly all of the time until a command runs goes into what is imported here.
    try:
        from treaty.cli.streams import mend_streams

        mend_streams()
        from treaty.cli.app import run
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _NEEDED:
            raise
        sys.stderr.write(f"treaty: the command line needs {missing}: pip install 'treaty[cli]'\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    run()
    return 0
