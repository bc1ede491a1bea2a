"""Animals that do not bear it when the operating system has no descriptor to give.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

import os

from treaty import Inbox, Line, Transport, Unavailable
from treaty_contracts.wrapping import WrappedTransport
from treaty_contracts.zoo.animals import broken


def _opened() -> int:
    return os.open(os.devnull, os.O_RDONLY)


@broken("raw-errors-in-a-shortage", kills=("LIFE-033",), shows="OSError")
class RawErrorsInAShortage(WrappedTransport):
    """Whoever dials where no descriptor is left gets the error of the operating system."""

    def dial(self) -> Line:
        os.close(_opened())
        return self.inner.dial()


@broken("keeps-half-in-a-shortage", kills=("LIFE-033",), shows="stays")
class KeepsHalfInAShortage(WrappedTransport):
    """An inbox takes two descriptors to make, and keeps the first where there is none for the second."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        try:
            first = _opened()
            second = _opened()
        except OSError as error:
            raise Unavailable(f"no descriptor is left: {error}") from error
        os.close(first)
        os.close(second)
        return self.inner.serve(service, capacity)


@broken("stays-short", kills=("LIFE-033",), shows="when there are descriptors again")
class StaysShort(WrappedTransport):
    """A transport that was once without a descriptor never dials again."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self._short = False

    def dial(self) -> Line:
        try:
            os.close(_opened())
        except OSError:
            self._short = True
        if self._short:
            raise Unavailable("no descriptor is left")
        return self.inner.dial()
