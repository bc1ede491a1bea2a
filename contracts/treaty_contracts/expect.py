"""The checks that rules make: each one counts as an observation, and says in words what was expected.

Nothing here relies on pytest's rewriting of asserts. It must not know transports.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from treaty_contracts.judging import Verdict

_SHOWN: Final = 400
#: How often something that was late is done again: what is slow is slow each time, a busy machine is not.
_TRIES: Final = 3


class Violated(Exception):
    """A check did not hold."""

    def __init__(self, expected: str, observed: str) -> None:
        super().__init__(f"expected {expected}; observed {observed}")
        self.expected = expected
        self.observed = observed


class Expectations:
    """Counts what was judged, and stops at the first thing that does not hold."""

    def __init__(self) -> None:
        self.observations = 0

    def that(self, holds: object, expected: str, observed: object) -> None:
        """Check that something holds."""
        self.observations += 1
        if not holds:
            raise Violated(expected, shown(observed))

    def judged(self, verdict: Verdict) -> None:
        """Take over what a judge says: each thing that it looked at counts."""
        self.observations += verdict.judged
        if verdict.observed:
            raise Violated(verdict.expected, verdict.observed)

    def equal(self, observed: object, wanted: object, what: str) -> None:
        """Check that two values are equal, and of one type: ``1``, ``1.0`` and ``True`` are three things."""
        same = observed == wanted and type(observed) is type(wanted)
        due, found = shown(wanted), shown(observed)
        if due == found and type(observed) is not type(wanted):
            # What reads the same is told apart by its type, as with a subclass of bytes.
            self.that(same, f"{what}: {due}, of type {type_name(wanted)}", f"{found}, of type {type_name(observed)}")
        self.that(same, f"{what}: {due}", observed)

    def raises(
        self, kinds: type[BaseException] | tuple[type[BaseException], ...], action: Callable[[], object], what: str
    ) -> BaseException:
        """Check that an action raises one of the given classes, and return what it raised."""
        wanted = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        found: BaseException | None = None
        result: object = None
        try:
            result = action()
        except (KeyboardInterrupt, Violated):
            raise
        except BaseException as raised:  # whatever was raised is what is judged
            found = raised
        if found is None:
            self.never(f"{what}: {wanted}", f"no error, but {shown(result)}")
        self.that(isinstance(found, kinds), f"{what}: {wanted}", said(found))
        return found

    def never(self, expected: str, observed: object) -> NoReturn:
        """Say that this point must not be reached."""
        self.observations += 1
        raise Violated(expected, shown(observed))

    def in_time(self, took: float, limit: float, what: str) -> None:
        """Check that something took at most ``limit`` seconds."""
        self.that(took <= limit, f"{what}: within {limit:.3f} s", f"{took:.3f} s")

    def promptly(self, action: Callable[[], float], limit: float, what: str, tries: int = _TRIES) -> None:
        """Judge the seconds that an action says it took: it is done again when it was late, and its best counts."""
        took = action()
        for _ in range(tries - 1):
            if took <= limit:
                break
            took = min(took, action())
        self.in_time(took, limit, what)


def plain(text: str) -> str:
    """Return a text that every file and screen can take: what is half a character is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def said(raised: BaseException) -> str:
    """Return class and text of an exception, also of one that cannot even be printed."""
    try:
        text = str(raised)
    except Exception as error:  # whatever its author made of it
        text = f"(its text cannot be had: {type(error).__name__})"
    return plain(f"{type(raised).__name__}: {text}")


def shown(value: object) -> str:
    """Return a repr that fits on a screen."""
    if isinstance(value, bytes) and len(value) > _SHOWN:
        return f"{value[: _SHOWN // 4]!r}… ({len(value):,} bytes)"
    text = plain(repr(value) if not isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text):,} characters)"


def type_name(value: object) -> str:
    """Return what the type of a value is called, with its module if it is none of Python's own."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """Run an action and return its result and the seconds that it took."""
    started = time.monotonic()
    result = action()
    return result, time.monotonic() - started


def until(holds: Callable[[], object], limit: float) -> bool:
    """Look again and again until something holds, for ``limit`` seconds at most: the only poll of the suite."""
    end = time.monotonic() + limit
    pause = Event()
    while not holds():
        if time.monotonic() >= end:
            return bool(holds())
        pause.wait(0.002)
    return True
