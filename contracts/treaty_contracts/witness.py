"""What is seen from outside: the exceptions that cross the interface of a transport, and secrets among bytes.

The functions here are pure, and are tested with good and bad samples of their own. This room must not know rules.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from treaty import Delivery, Inbox, Line, Transport, TreatyError
from treaty_contracts.wrapping import WrappedDelivery, WrappedInbox, WrappedLine, WrappedTransport

_T = TypeVar("_T")
#: The directions for which keys are derived, and what they are derived with: see ``docs/wire.md``.
_DIRECTIONS: Final = (b"request", b"response", b"notification")
_LABEL: Final = b"treaty frame v1\x00"


class Witness(WrappedTransport):
    """A transport whose exceptions are kept, oldest first, also those that whoever uses it is silent about."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.raised: list[Exception] = []

    def noting(self, use: Callable[[], _T]) -> _T:
        """Use the interface, and keep what it raises."""
        try:
            return use()
        except Exception as raised:
            self.raised.append(raised)
            raise

    def dial(self) -> Line:
        return self.noting(super().dial)

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return self.inbox(self.noting(lambda: self.inner.serve(service, capacity)), service)

    def publish(self, channel: str, frame: bytes) -> None:
        self.noting(lambda: self.inner.publish(channel, frame))

    def subscribe(self, channel: str) -> Inbox:
        return self.feed(self.noting(lambda: self.inner.subscribe(channel)), channel)

    def close(self) -> None:
        self.noting(super().close)

    def line(self, inner: Line) -> Line:
        return _Line(inner, self)

    def inbox(self, inner: Inbox, service: str) -> Inbox:  # noqa: ARG002 - all inboxes are looked at
        return _Inbox(inner, self)

    def feed(self, inner: Inbox, channel: str) -> Inbox:  # noqa: ARG002 - the same
        return _Inbox(inner, self)


class _Line(WrappedLine):
    def __init__(self, inner: Line, witness: Witness) -> None:
        super().__init__(inner)
        self._witness = witness

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self._witness.noting(lambda: self.inner.send(service, frame, timeout))

    def receive(self, timeout: float) -> bytes | None:
        return self._witness.noting(lambda: self.inner.receive(timeout))

    def close(self) -> None:
        self._witness.noting(self.inner.close)


class _Inbox(WrappedInbox):
    def __init__(self, inner: Inbox, witness: Witness) -> None:
        super().__init__(inner)
        self._witness = witness

    def receive(self, timeout: float) -> Delivery | None:
        return self._witness.noting(lambda: super(_Inbox, self).receive(timeout))

    def delivery(self, inner: Delivery) -> Delivery:
        return _Delivery(inner, self._witness)

    def close(self) -> None:
        self._witness.noting(self.inner.close)


class _Delivery(WrappedDelivery):
    def __init__(self, inner: Delivery, witness: Witness) -> None:
        super().__init__(inner)
        self._witness = witness

    def reply(self, frame: bytes) -> None:
        self._witness.noting(lambda: self.inner.reply(frame))

    def settle(self, accepted: bool = True) -> None:
        self._witness.noting(lambda: self.inner.settle(accepted))


def foreign(raised: Iterable[Exception]) -> list[str]:
    """Return what is none of Treaty's exceptions, as text."""
    return [repr(one) for one in raised if not isinstance(one, TreatyError)]


def unchained(raised: Iterable[Exception]) -> list[str]:
    """Return what was raised because of another library's exception and does not name it as its cause, as text.

    What that was is known only where the one was raised while the other was handled.
    """
    return [
        f"{one!r} while {one.__context__!r} was handled"
        for one in raised
        if one.__cause__ is None and one.__context__ is not None and not isinstance(one.__context__, TreatyError)
    ]


def derived(root: bytes, key_id: bytes) -> list[bytes]:
    """Return the keys that are derived from a secret, one for each direction (RFC 5869, with one block)."""
    pseudorandom = hmac.digest(bytes(32), root, "sha256")
    infos = (_LABEL + key_id + b"\x00" + direction for direction in _DIRECTIONS)
    return [hmac.digest(pseudorandom, info + b"\x01", "sha256") for info in infos]


def spellings(held: bytes) -> set[bytes]:
    """Return how bytes may be written: as they are, in hexadecimal, and in base64 wherever in a text they begin."""
    found = {held, held.hex().encode(), held.hex().upper().encode()}
    for before in range(3):
        # The characters at both ends depend on what stands beside the bytes.
        text = b64encode(bytes(before) + held).rstrip(b"=")[(0, 2, 3)[before] :]
        exact = text if (before + len(held)) % 3 == 0 else text[:-1]
        found |= {exact, exact.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def crossed(medium: bytes, held: Iterable[bytes]) -> bool:
    """Whether one of these is among the bytes on a medium, in any spelling."""
    return any(spelled in medium for one in held for spelled in spellings(one))
