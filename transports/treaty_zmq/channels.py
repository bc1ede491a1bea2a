"""Who listens to which channel at this endpoint, and who was too slow.

This room is bookkeeping about peers and channels. It must not know sockets: it is told how to send, and never waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .port import Sent
from .wire import FULL, GAP, STILL, SUBSCRIBED

#: Seconds between two looks for subscribers that went away without a word, when the table is full.
_SWEEP: float = 1.0


class Channels:
    """The subscriptions of one endpoint, one for each connection. Not safe for threads: lock around it.

    A subscriber that has no room misses frames, and the next thing that it gets is the word that says so.
    """

    def __init__(self, limit: int, send: Callable[..., Sent]) -> None:
        self._limit = limit
        self._send = send  # (peer, frame) or (peer, word, b"")
        self._channel_of: dict[bytes, bytes] = {}
        self._peers: dict[bytes, dict[bytes, None]] = {}
        self._owed: set[bytes] = set()  # who is to be told of a gap
        self._swept = 0.0

    def __len__(self) -> int:
        return len(self._channel_of)

    def add(self, peer: bytes, channel: bytes) -> None:
        """Subscribe a peer and acknowledge it, or say that there is no room."""
        if self._channel_of.get(peer, channel) != channel or (len(self) >= self._limit and not self._sweep()):
            self._send(peer, FULL, b"")
        elif self._send(peer, SUBSCRIBED, b"") is Sent.DONE:
            self._channel_of[peer] = channel
            self._peers.setdefault(channel, {})[peer] = None

    def remove(self, peer: bytes) -> None:
        """Forget a peer."""
        channel = self._channel_of.pop(peer, None)
        self._owed.discard(peer)
        if channel is not None:
            del self._peers[channel][peer]
            if not self._peers[channel]:
                del self._peers[channel]

    def publish(self, channel: bytes, frame: bytes) -> None:
        """Give each subscriber of the channel the frame, or a gap."""
        for peer in list(self._peers.get(channel, ())):
            if peer in self._owed and not self._tell(peer):
                continue
            sent = self._send(peer, frame)
            if sent is Sent.NO_ROOM:
                self._owed.add(peer)
            elif sent is Sent.GONE:
                self.remove(peer)

    @property
    def owes(self) -> bool:
        """Whether somebody missed something and was not told yet."""
        return bool(self._owed)

    def tell_gaps(self) -> None:
        """Tell those who have room by now."""
        for peer in list(self._owed):
            self._tell(peer)

    def _tell(self, peer: bytes) -> bool:
        sent = self._send(peer, GAP, b"")
        if sent is Sent.DONE:
            self._owed.discard(peer)
        elif sent is Sent.GONE:
            self.remove(peer)
        return sent is Sent.DONE

    def _sweep(self) -> bool:
        """Whether there is room after asking who is still there; not again for a while, for a flood must not pay."""
        now = time.monotonic()
        if now >= self._swept + _SWEEP:
            self._swept = now
            for peer in list(self._channel_of):
                if self._send(peer, STILL, b"") is Sent.GONE:
                    self.remove(peer)
        return len(self) < self._limit
