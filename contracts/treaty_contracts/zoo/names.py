"""Animals that take one name for another, or take what is no name.

Each has one defect and no other. It must not know rules.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import ClassVar

from treaty import Inbox, Line
from treaty_contracts.wrapping import WrappedLine, WrappedTransport
from treaty_contracts.zoo.animals import broken
from treaty_contracts.zoo.references import complete


class _SharedLine(WrappedLine):
    """Sends to a name that is made of the given one."""

    def __init__(self, inner: Line, renamed: Callable[[str], str]) -> None:
        super().__init__(inner)
        self._renamed = renamed

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        self.inner.send(self._renamed(service), frame, timeout)


class _Renaming(WrappedTransport):
    """Takes each name of a service for another one."""

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        return self.inner.serve(self.renamed(service), capacity)

    def line(self, inner: Line) -> Line:
        return _SharedLine(inner, self.renamed)

    def renamed(self, name: str) -> str:
        """Return what the name is taken for."""
        raise NotImplementedError


@broken("shares-all-names", kills=("SETUP-003",), shows="what the inbox of")
class SharesAllNames(_Renaming):
    """What follows the first dash of a service's name does not count."""

    def renamed(self, name: str) -> str:
        plain = name.replace("-", "").isalnum() and name.islower() and len(name) < 65
        return name.partition("-")[0] if plain else name


@broken("cuts-long-names", kills=("SETUP-003",), shows="AddressInUse", base=complete(competing_workers=False))
class CutsLongNames(_Renaming):
    """Of a name of 64 characters the last one does not count."""

    def renamed(self, name: str) -> str:
        return name[:63] if len(name) == 64 else name


@broken("drops-trailing-zeros", kills=("SETUP-003",), shows="AddressInUse", base=complete(competing_workers=False))
class DropsTrailingZeros(_Renaming):
    """Zeros at the end of a service's name that follow a dash do not count."""

    def renamed(self, name: str) -> str:
        stem = name.rstrip("0")
        return stem if stem.endswith("-") else name


@broken("reads-numbers", kills=("SETUP-003",), shows="AddressInUse", base=complete(competing_workers=False))
class ReadsNumbers(_Renaming):
    """Names of digits are read as numbers: zeros in front do not count."""

    def renamed(self, name: str) -> str:
        return str(int(name)) if name.isdecimal() else name


@broken("matches-prefixes", kills=("SETUP-003",), shows="of another")
class MatchesPrefixes(WrappedTransport):
    """A request goes to the service with the shortest name that its own name begins with."""

    served: ClassVar[set[str]] = set()

    def serve(self, service: str, capacity: int = 1) -> Inbox:
        self.served.add(service)
        return self.inner.serve(service, capacity)

    def line(self, inner: Line) -> Line:
        return _SharedLine(inner, self._shortest)

    def _shortest(self, name: str) -> str:
        return min((one for one in list(self.served) if name.startswith(one)), key=len, default=name)


@broken("takes-any-name", kills=("LINE-010",), shows="InvalidTarget")
class TakesAnyName(_Renaming):
    """A name that is no plain token is made one."""

    def subscribe(self, channel: str) -> Inbox:
        return self.inner.subscribe(self.renamed(channel))

    def publish(self, channel: str, frame: bytes) -> None:
        self.inner.publish(self.renamed(channel), frame)

    def renamed(self, name: str) -> str:
        return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


@broken("takes-all-letters", kills=("LINE-010",), shows="InvalidTarget")
class TakesAllLetters(TakesAnyName):
    """Behind the first character of a name, letters and digits of all scripts will do."""

    def renamed(self, name: str) -> str:
        foreign = name[:1].isascii() and not name.isascii() and name.isalnum()
        return super().renamed(name) if foreign else name
