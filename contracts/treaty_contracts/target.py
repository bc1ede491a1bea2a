"""What the author of a transport hands over: a name, and a way to open it.

This room must not know rules or pytest. What is wrong with a target is said here, before anything is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from treaty import Transport


class SetupError(Exception):
    """A target that cannot be judged as it stands. The text says what to write instead."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """For what a transport is opened. Two transports with one namespace meet; those of two never do."""

    #: A plain token, new for each rule: make it part of the address, or ignore it where the address is shared,
    #: because the names of services and channels begin with it as well.
    namespace: str
    #: ``"service"`` or ``"client"``, for transports whose ends are configured differently.
    role: str
    #: The secret that both ends hold. A transport has no use for it; a relay or a hub of its own might.
    secret: str
    #: By how much the times of the target are multiplied.
    time_scale: float


@dataclass(frozen=True, kw_only=True)
class Target:
    """A transport in one configuration.

    Args:
        name: what reports call it, such as ``"zmq/tcp"``.
        open: makes a transport object for one end. It is called once for each end, also in forked children.
        time_scale: multiplies every time of the suite, for slow machines and distant brokers.

    Raises:
        SetupError: something is missing or of another kind.
    """

    name: str
    open: Callable[[Context], Transport]
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise SetupError(f"a target has a name for reports, such as 'zmq/tcp', not {self.name!r}")
        if isinstance(self.open, Transport):
            raise SetupError(
                f"target {self.name!r}: open is a transport object; the suite opens one for each end: "
                "write open=lambda context: ... that makes a new one"
            )
        if not callable(self.open):
            raise SetupError(f"target {self.name!r}: open is a function, not {type(self.open).__name__}")
        if isinstance(self.time_scale, bool) or not isinstance(self.time_scale, int | float) or self.time_scale <= 0:
            raise SetupError(f"target {self.name!r}: time_scale is a number above 0, not {self.time_scale!r}")

    def opened(self, context: Context) -> Transport:
        """Open a transport for one end.

        Raises:
            SetupError: what came back is no transport.
        """
        made = self.open(context)
        if not isinstance(made, Transport):
            raise SetupError(
                f"target {self.name!r}: open returned {type(made).__name__}; it must return a treaty.Transport"
            )
        return made
