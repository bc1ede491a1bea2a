"""A relay for each namespace, and out of that the hooks of a target whose ends meet at an address.

This room knows contexts, addresses and relays. It must not know rules, nor what is carried.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from itertools import count
from typing import Final

from treaty_contracts.relay import Address, Relay
from treaty_contracts.target import Context

#: How many relays are kept: those of one rule. Rules come one after the other.
_AT_ONCE: Final = 8
#: So that no two share a path.
_numbers: Final = count(1)


class Relays:
    """One relay for each namespace, and the hooks of a target whose ends meet at an address::

        relays = Relays(lambda context: ("127.0.0.1", port_of(context)))
        target = Target(
            name="mine",
            open=lambda context: MyTransport(relays.address(context)),
            tap=relays.tap,
            cut_link=relays.cut_link,
            restart_peer=relays.restart_peer,
        )

    An end that does not connect, but is connected to, takes its own address, and not :meth:`address`.

    Args:
        upstream: the real address, for a namespace.
        listen: where the relay listens; a free port, or a path beside the one of ``upstream``, if it is left out.
    """

    #: The hooks for which a relay is put between the ends.
    HOOKS: Final = frozenset({"tap", "cut_link", "restart_peer"})

    def __init__(
        self, upstream: Callable[[Context], Address], listen: Callable[[Context], Address] | None = None
    ) -> None:
        self._upstream = upstream
        self._listen = listen
        self._lock = threading.Lock()
        self._relays: dict[str, Relay] = {}

    def address(self, context: Context) -> Address:
        """Return where an end connects: through the relay if the rule uses one of its hooks, else directly."""
        return self.of(context).address if self.HOOKS & set(context.hooks) else self._upstream(context)

    def of(self, context: Context) -> Relay:
        """Return the relay of a namespace, made when it is first asked for."""
        with self._lock:
            if context.namespace not in self._relays:
                while len(self._relays) >= _AT_ONCE:
                    self._relays.pop(next(iter(self._relays))).close()
                upstream = self._upstream(context)
                relay = Relay(upstream, self._listen(context) if self._listen else _beside(upstream))
                self._relays[context.namespace] = relay
            return self._relays[context.namespace]

    def tap(self, context: Context) -> Callable[[], bytes]:
        """See :data:`treaty_contracts.target.Tap`."""
        relay = self.of(context)
        relay.record()
        return relay.recorded

    def cut_link(self, context: Context) -> Callable[[], None]:
        """See :data:`treaty_contracts.target.CutLink`."""
        relay = self.of(context)
        relay.cut()
        return relay.mend

    def restart_peer(self, context: Context) -> None:
        """See :data:`treaty_contracts.target.RestartPeer`."""
        self.of(context).restart()

    def close(self) -> None:
        """Close every relay."""
        with self._lock:
            while self._relays:
                self._relays.popitem()[1].close()


def _beside(upstream: Address) -> Address:
    return f"{upstream}.{os.getpid()}-{next(_numbers)}" if isinstance(upstream, str) else ("127.0.0.1", 0)
