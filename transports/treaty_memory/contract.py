"""The contract on this transport: ``treaty check treaty_memory.contract:memory``.

Copy it with the folder and it works there. It is the one module here that imports the contract suite, and is imported
by no other.
"""

from __future__ import annotations

from typing import Final

from treaty_contracts import Target

from . import connect

#: Nothing stands between two ends in one process, so there is nothing to cut, to restart or to listen in on.
memory: Final = Target(name="memory", open=lambda context: connect(f"memory://{context.namespace}"), parallel=True)

targets: Final = (memory,)
