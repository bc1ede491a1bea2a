"""What travels between a DEALER and the endpoint: the multipart layout, in one place.

A message of one part carries a frame: towards the endpoint after the service's name and a zero byte, towards a DEALER
as it is. More parts are an operation and what belongs to it. This room knows words only, no sockets.
"""

from __future__ import annotations

from typing import Final

#: Between the name of the service and the frame of a request. No name contains it.
END_OF_NAME: Final = b"\0"
#: The bytes that the longest name and its end add to a frame.
NAME_BYTES: Final = 65

# Towards the endpoint.
SUBSCRIBE: Final = b"subscribe"  # channel
UNSUBSCRIBE: Final = b"unsubscribe"  # channel
PUBLISH: Final = b"publish"  # channel, frame

# Towards a DEALER.
SUBSCRIBED: Final = b"subscribed"  # empty
FULL: Final = b"full"  # empty: no room for one more subscription
GAP: Final = b"gap"  # empty: frames were dropped here because the subscriber did not keep up
STILL: Final = b"still"  # empty: sent to see whether the subscriber is still there; means nothing to it
ABSENT: Final = b"absent"  # head of the refused frame: nobody serves this
BUSY: Final = b"busy"  # head of the refused frame: the inbox is full

#: How much of a refused frame comes back: enough to tell which request it was.
HEAD_BYTES: Final = 128
