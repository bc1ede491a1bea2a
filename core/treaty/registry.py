"""Errors that keep their type: exceptions to error objects and back, through a registry of stable codes.

Nothing on the wire names a Python class or module: a code is either registered at this end, or the error arrives as
``RemoteError``. This room must not know about frames, calls or handlers.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, TypeGuard, TypeVar, get_type_hints

from treaty.codec import carries
from treaty.converting import convert
from treaty.errors import ANSWERED, ConfigurationError, InvalidParams, RemoteError, TreatyError, Unavailable
from treaty.messages import ErrorData, ErrorInfo, StatusLine, reason_for

_LOG: Final = logging.getLogger("treaty.client")
_CODE: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+", re.ASCII)
_E = TypeVar("_E", bound=type[Exception])


class _Entry(NamedTuple):
    cls: type[Exception]
    code: str
    status: int


_BY_CODE: Final[dict[str, _Entry]] = {}
_BY_CLASS: Final[dict[type, _Entry]] = {}


def error(code: str, *, status: int = 500) -> Callable[[_E], _E]:
    """Register an exception class under a stable code, at both ends, so that it travels with its fields.

    The fields are the public attributes of the exception; where the class annotates them they are converted at the
    caller. ``__init__`` does not run there, and ``args`` travel as well. ::

        @error("inventory.out-of-stock", status=409)
        class OutOfStock(Exception):
            def __init__(self, item: str, left: int) -> None:
                super().__init__(f"{left} of {item} left")
                self.item, self.left = item, left

    Args:
        code: two or more words joined by dots: ``[a-z0-9_-]+(.[a-z0-9_-]+)+``.
        status: the HTTP-like status of such an answer, 400 to 599.

    Raises:
        ConfigurationError: malformed, or another class has this code.
    """
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise ConfigurationError(f"{code!r} is no error code: write something like @error('inventory.out-of-stock')")
    if not 400 <= status <= 599:
        raise ConfigurationError(f"the status of an error is between 400 and 599, not {status!r}")

    def register(cls: _E) -> _E:
        if not (isinstance(cls, type) and issubclass(cls, Exception)):
            raise ConfigurationError(f"{cls!r} is no exception class")
        other = _BY_CODE.get(code)
        if other and (other.cls.__module__, other.cls.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigurationError(f"the error code {code!r} belongs to {other.cls.__qualname__} already")
        _BY_CODE[code] = _BY_CLASS[cls] = _Entry(cls, code, status)
        return cls

    return register


def is_expected(raised: BaseException) -> bool:
    """Whether an exception is an answer that the application has planned for, and no mishap to be logged."""
    return _entry_of(raised) is not None or _is_own_complaint(raised)


def write_error(raised: BaseException, *, error_id: str = "") -> tuple[ErrorInfo, StatusLine]:
    """Turn what a handler raised into what travels. Never raises; an attribute that JSON cannot carry stays behind."""
    if entry := _entry_of(raised):
        data = ErrorData(type=entry.code, fields=_fields(raised), args=_plain_args(raised))
        info = ErrorInfo(code=RemoteError.code, message=_text(raised), data=data)
        return info, StatusLine(code=entry.status, reason=reason_for(entry.status))
    cls = type(raised)
    if _is_own_complaint(raised):
        return answer(raised)
    # What a nested call ended with is this handler's failure, not a statement about the caller's own call.
    status = raised.status if isinstance(raised, TreatyError) else 500
    data = ErrorData(type=cls.__name__, error_id=error_id)
    info = ErrorInfo(code=RemoteError.code, message=_text(raised), data=data)
    return info, StatusLine(code=status, reason=reason_for(status))


def answer(verdict: TreatyError) -> tuple[ErrorInfo, StatusLine]:
    """Write one of the errors that the service itself answers with, such as ``UnknownMethod``."""
    text = verdict.text if isinstance(verdict, RemoteError) else str(verdict)
    info = ErrorInfo(code=verdict.code, message=_sendable(text), data=ErrorData(type=type(verdict).__name__))
    return info, StatusLine(code=verdict.status, reason=reason_for(verdict.status))


def read_error(info: ErrorInfo, status: StatusLine) -> Exception:
    """Rebuild the exception that an answer stands for: the registered class, one of ours, or ``RemoteError``."""
    data = info.data
    if entry := _BY_CODE.get(data.type):
        try:
            return _rebuild(entry.cls, data)
        except Exception:
            # The class has its own ideas of how it is made: what it stands for arrives all the same.
            _LOG.exception("%r cannot be rebuilt as %s", data.type, entry.cls.__qualname__)
    cls = ANSWERED.get(info.code, RemoteError)
    if issubclass(cls, RemoteError):
        return cls(info.message, type=data.type, fields=data.fields, error_id=data.error_id, status_code=status.code)
    return Unavailable(info.message) if cls is Unavailable else cls(info.message)


def _entry_of(raised: BaseException) -> _Entry | None:
    return next((entry for cls in type(raised).__mro__ if (entry := _BY_CLASS.get(cls))), None)


def _is_own_complaint(raised: BaseException) -> TypeGuard[InvalidParams]:
    # An InvalidParams that came from a nested call has a type, and is about that call.
    return type(raised) is InvalidParams and not raised.type


def _fields(raised: BaseException) -> dict[str, Any]:
    fields = {}
    for name in sorted({*vars(raised), *_hints(type(raised))}):
        if name.startswith("_"):
            continue
        try:
            value = getattr(raised, name, None)
        except Exception:  # noqa: S112 - a property that cannot be computed stays behind
            continue
        if carries(value):
            fields[name] = value
    return fields


def _plain_args(raised: BaseException) -> list[Any]:
    return list(raised.args) if all(map(carries, raised.args)) else [_text(raised)]


def _rebuild(cls: type[Exception], data: ErrorData) -> Exception:
    try:
        # Past a __new__ of its own, which may want other arguments than __init__ has left in args.
        raised = Exception.__new__(cls)
    except TypeError:
        raised = cls.__new__(cls, *data.args)
    # Past a __setattr__ of its own: a frozen dataclass can be raised as well.
    BaseException.args.__set__(raised, tuple(data.args))  # type: ignore[attr-defined]
    hints = _hints(cls)
    for name, value in data.fields.items():
        if name.isidentifier() and not name.startswith("_") and name != "args":
            try:
                object.__setattr__(raised, name, _converted(value, hints.get(name, Any)))
            except Exception:  # noqa: S112 - a property of the class: it is computed from the rest
                continue
    return raised


def _converted(value: Any, annotation: Any) -> Any:
    try:
        return convert(value, annotation)
    except Exception:  # the annotation's own __post_init__ may raise anything
        return value


def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except (NameError, TypeError):
        pass
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):  # one by one: what cannot be evaluated takes no other with it
        scope = vars(sys.modules[base.__module__]) if base.__module__ in sys.modules else {}
        for name, written in vars(base).get("__annotations__", {}).items():
            with suppress(NameError, TypeError):
                hints |= get_type_hints(SimpleNamespace(__annotations__={name: written}), scope, dict(vars(base)))
    return hints


def _text(raised: BaseException) -> str:
    try:
        return _sendable(str(raised))
    except Exception:
        return f"an unprintable {type(raised).__name__}"


def _sendable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
