"""What animals know of the way between the ends: whether it is cut, how often it was, and how many strangers came.

A transport is not told; what is broken on the way must know, so that it is broken always or never and not by chance.
It must not know any animal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from treaty_contracts.target import HOOKS, Context, Target


class Way:
    """The way between the ends of the target that is judged in this process."""

    def __init__(self) -> None:
        #: How often it was cut, or what stands between the ends restarted.
        self.cuts = 0
        #: How often something was injected.
        self.strangers = 0
        #: Of the rule that runs.
        self.secret = ""
        self._whole = threading.Event()
        self._whole.set()

    @property
    def cut(self) -> bool:
        """Whether the way is cut."""
        return not self._whole.is_set()

    def hooks(self, target: Target) -> dict[str, Any]:
        """Return the hooks of a target, which tell this way as well."""
        given = {name: getattr(target, name) for name in HOOKS if callable(getattr(target, name))}
        told: dict[str, Callable[[Any], Any]] = {
            "cut_link": self._cutting,
            "restart_peer": self._restarting,
            "inject": self._injecting,
        }
        return {name: told[name](hook) if name in told else hook for name, hook in given.items()}

    def wait(self, seconds: float, over: Callable[[], bool]) -> None:
        """Wait until the way is mended, or something is over."""
        for _ in range(int(seconds / 0.01)):
            if self._whole.wait(0.01) or over():
                return

    def _cutting(self, hook: Callable[[Context], Callable[[], None]]) -> Callable[[Context], Callable[[], None]]:
        def cut_link(context: Context) -> Callable[[], None]:
            # First told and then done, so that nobody meets a way that is cut without knowing.
            self.cuts += 1
            self._whole.clear()
            mend = hook(context)

            def mended() -> None:
                mend()
                self._whole.set()

            return mended

        return cut_link

    def _restarting(self, hook: Callable[[Context], None]) -> Callable[[Context], None]:
        def restart_peer(context: Context) -> None:
            self.cuts += 1
            hook(context)

        return restart_peer

    def _injecting(self, hook: Callable[[Context, str, bytes], None]) -> Callable[[Context, str, bytes], None]:
        def inject(context: Context, service: str, data: bytes) -> None:
            hook(context, service, data)
            self.strangers += 1

        return inject


#: There is one, as each rule runs in a process of its own.
WAY: Final = Way()
