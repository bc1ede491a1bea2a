"""The reference transport: in one process, the smallest correct one, the one to copy.

It is also the double with which users test their own services. It must not know what is inside a frame.
"""

from .transport import MemoryTransport, connect

__all__ = ["MemoryTransport", "connect"]
