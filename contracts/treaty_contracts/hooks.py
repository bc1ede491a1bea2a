"""Calls the hooks of a target, and says what is wrong with one that raises or hands back something else than it must.

Whatever is wrong there is a fault of the target: neither the transport nor the suite is to be blamed for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from treaty_contracts.expect import said
from treaty_contracts.target import Context, SetupError, Target

#: What each hook is, as the author of a target writes it.
SHAPES: Final = {
    "tap": "tap(context) begins to record what crosses the medium, and returns a function that gives all of it, as bytes",
    "inject": "inject(context, service, data) puts bytes where the inbox of the service expects its messages",
    "restart_peer": "restart_peer(context) restarts what stands between the ends, and returns when it is back",
    "cut_link": "cut_link(context) cuts the way between the ends, and returns a function that mends it",
}


def hooked(target: Target, name: str, context: Context) -> Callable[..., Any]:
    """Return a hook for one rule: what it takes besides the context is still to be given.

    Calling it, or what it returns, raises a :class:`SetupError` if the hook raises or returns what it must not.
    """

    def call(*given: Any) -> Any:
        made = _ask(name, partial(getattr(target, name), context, *given))
        if name not in ("tap", "cut_link"):
            return None
        if not callable(made):
            raise faulty(target, name, f"returned {type(made).__name__}, which cannot be called")
        return partial(_read, target, made) if name == "tap" else partial(_ask, name, made)

    return call


def _read(target: Target, recorded: Callable[[], Any]) -> bytes:
    seen = _ask("tap", recorded)
    if not isinstance(seen, bytes | bytearray):
        raise faulty(target, "tap", f"recorded {type(seen).__name__}, not bytes")
    return bytes(seen)


def _ask(name: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except (SetupError, KeyboardInterrupt):
        raise
    except BaseException as error:  # an exit or a failed assertion of a test runner is no fault of the transport either
        raise SetupError(f"your target's {name} raised {said(error)}; {SHAPES[name]}") from error


def faulty(target: Target, name: str, what: str) -> SetupError:
    """Return what says that a hook of a target is at fault, and how such a hook is written.

    Args:
        target: whose hook it is.
        name: of the hook.
        what: it did, or did not.
    """
    return SetupError(f"the hook {name} of target {target.name!r} {what}; {SHAPES[name]}")
