"""Notifications, without a wire: how one is sealed, and what a subscriber makes of a frame.

This room opens no socket and reads no clock. Which transport carries the frames, and who waits for them, is none of
its business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from treaty.codec import decode, encode
from treaty.engine import SKEW_MS, Instant
from treaty.errors import DecodingError, FrameRefused
from treaty.guard import Admission, Guard
from treaty.messages import Notification
from treaty.routing import matches, split_topic
from treaty.sealing import MAX_FRAME, Keyring

#: How long a notification is news, in milliseconds: one that comes later is taken for a replay.
LIFETIME_MS: Final = 60_000


def announce(
    keyring: Keyring,
    topic: str,
    data: Any,
    *,
    sender: str,
    random: Callable[[int], bytes],
    wall: int,
    max_frame: int = MAX_FRAME,
) -> bytes:
    """Make the frame of a notification.

    Args:
        keyring: seals it.
        topic: ``channel.topic``.
        data: any value that JSON can carry.
        sender: a name for this end.
        random: ``random(n)`` returns n bytes fit for ids.
        wall: the present, in milliseconds since the epoch.
        max_frame: the largest frame, in bytes.

    Raises:
        InvalidTarget: ``topic`` is none.
        EncodingError: JSON cannot carry ``data``.
        FrameTooLarge: over the limit.
    """
    split_topic(topic)
    message = Notification(id=random(16).hex(), topic=topic, data=data, created=wall, ttl=LIFETIME_MS, sender=sender)
    return keyring.seal(Notification.kind, encode(message), limit=max_frame)


class Listener:
    """Says which frames of a channel are news for a subscriber.

    Args:
        keyring: opens them.
        pattern: ``channel.pattern``; see :func:`treaty.routing.matches`.
        max_frame: the largest frame, in bytes.
    """

    def __init__(self, keyring: Keyring, pattern: str, *, max_frame: int = MAX_FRAME) -> None:
        self.channel, _ = split_topic(pattern)
        self._pattern = pattern
        self._keyring = keyring
        self._max_frame = max_frame
        self._guard = Guard()
        #: How often frames were ignored, by reason; ``not remembered`` counts news that was handed out though there
        #: was no room to remember it, so that a replay of it would be handed out as well.
        self.counters: Counter[str] = Counter()

    def receive(self, frame: bytes, now: Instant) -> Notification | None:
        """Return the notification in a frame, or ``None`` when it is none for this subscriber."""
        try:
            opened = self._keyring.open(frame, b"n", limit=self._max_frame)
            message = decode(opened.kind, opened.body)
        except FrameRefused as refused:
            self._ignore(refused.reason)
            return None
        except DecodingError:
            self._ignore("body")
            return None
        assert isinstance(message, Notification)
        if message.topic.partition(".")[0] != self.channel:
            self._ignore("audience")
            return None
        if not -SKEW_MS <= now.wall - message.created <= message.ttl + SKEW_MS:
            self._ignore("freshness")
            return None
        if not matches(self._pattern, message.topic):
            return None
        expires = message.created + message.ttl + SKEW_MS
        admission = self._guard.admit(message.id, message.created, expires, now.wall, now.steady)
        if admission is Admission.SEEN:
            self._ignore("replayed")
            return None
        if admission is Admission.FULL:
            # News that is lost for certain is worse than a replay that is possible.
            self.counters["not remembered"] += 1
        return message

    def _ignore(self, reason: str) -> None:
        self.counters[reason] += 1
