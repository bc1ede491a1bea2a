"""Where messages go: targets, topics and their patterns, and the table of a service's handlers.

This room must not know about frames, time or threads. A wire string never reaches an attribute look-up: the table is
made once, from the handlers that are there, and a name is either in it or unknown.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache, partial
from types import SimpleNamespace
from typing import Any, Final, get_type_hints

import msgspec
from msgspec import Struct

from treaty.converting import convert, described
from treaty.errors import InvalidHandler, InvalidParams, InvalidTarget, UnknownMethod
from treaty.messages import Params
from treaty.transport import check_name

_HANDLER_PREFIX: Final = "on_"
_LONGEST: Final = 255
#: The types whose values msgspec leaves as they are.
_PLAIN: Final = frozenset({str, int, float, bool})


def split_target(target: str) -> tuple[str, str]:
    """Split ``service.method``; the method may be any text, as it is for the service to know it.

    Raises:
        InvalidTarget: there is no dot, nothing behind it, or no plain token before it.
    """
    if not isinstance(target, str):
        raise InvalidTarget(f"{_short(target)} is no target: write 'service.method'")
    return _split_target(target)


def _short(given: object) -> str:
    """Show what was given, and not all of what goes on for ever."""
    return repr(given[:40]) + " …" if isinstance(given, str) and len(given) > _LONGEST else repr(given)


@lru_cache(maxsize=1024)
def _split_target(target: str) -> tuple[str, str]:
    service, dot, name = target.partition(".")
    if not dot or not name or len(target) > _LONGEST:
        raise InvalidTarget(f"{_short(target)} is no target: write 'service.method'")
    return check_name(service), name


def split_topic(topic: str) -> tuple[str, str]:
    """Split ``channel.topic`` or a pattern of that form.

    Raises:
        InvalidTarget: there is no dot, an empty token, or no plain token before the first dot.
    """
    channel, dot, rest = topic.partition(".") if isinstance(topic, str) else ("", "", "")
    if not dot or not all(rest.split(".")) or len(topic) > _LONGEST:
        raise InvalidTarget(f"{_short(topic)} is no topic: write 'channel.topic', such as 'storage.Host.created'")
    return check_name(channel), rest


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic fits a pattern: whole tokens between dots; ``*`` is any one token, ``#`` any number of them.

    The one definition for every transport, as brokers disagree about theirs.
    """
    return _matches(pattern.split("."), topic.split("."))


def _matches(pattern: list[str], topic: list[str]) -> bool:
    # Which lengths of the topic the pattern so far can account for: no backtracking, whatever the pattern.
    reached = {0}
    for token in pattern:
        if token == "#":  # noqa: S105 - a wildcard
            reached = set(range(min(reached), len(topic) + 1))
        else:
            reached = {at + 1 for at in reached if at < len(topic) and token in ("*", topic[at])}
        if not reached:
            return False
    return len(topic) in reached


class Parameter(Struct, frozen=True):
    """One parameter of a handler."""

    name: str
    annotation: Any
    required: bool


class Bound(Struct, frozen=True):
    """A handler with the arguments that were found for it."""

    handler: Handler
    args: list[Any]
    kwargs: dict[str, Any]


class Handler(Struct, frozen=True, kw_only=True):
    """A method that a service exposes, and what it may be called with."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    positional: list[Parameter]
    keyword: dict[str, Parameter]
    #: The annotation of ``*args`` and ``**kwargs``, or ``None`` where the handler has none.
    rest_positional: Parameter | None
    rest_keyword: Parameter | None
    #: The names of what it is called with anyway: the message, and the object that it is a method of.
    taken: frozenset[str]
    doc: str

    def bind(self, params: Params) -> Bound:
        """Find the arguments for a call, each converted to its annotation.

        Raises:
            InvalidParams: wrong count, name or type; the text names the parameter.
        """
        args, kwargs = self._by_name(params) if isinstance(params, dict) else self._by_position(params)
        return Bound(self, args, kwargs)

    def _by_position(self, params: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        extra = params[len(self.positional) :]
        if extra and self.rest_positional is None:
            raise InvalidParams(
                f"{self.name} takes at most {len(self.positional)} positional parameters, {len(params)} were given"
            )
        args = [self._convert(parameter, value) for parameter, value in zip(self.positional, params, strict=False)]
        if self.rest_positional is not None:
            args += [self._convert(self.rest_positional, value) for value in extra]
        for parameter in (*self.positional[len(params) :], *self._keyword_only()):
            if parameter.required:
                raise InvalidParams(f"{self.name} lacks the parameter {parameter.name!r}")
        return args, {}

    def _by_name(self, params: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        kwargs = {}
        for name, value in params.items():
            parameter = self.keyword.get(name, self.rest_keyword)
            if parameter is None or name in self.taken:
                raise InvalidParams(f"{self.name} has no parameter {name!r}")
            kwargs[name] = self._convert(parameter, value, name)
        if self.rest_keyword is not None or len(kwargs) < len(self.keyword):
            for parameter in self.keyword.values():
                if parameter.required and parameter.name not in kwargs:
                    raise InvalidParams(f"{self.name} lacks the parameter {parameter.name!r}")
        return [], kwargs

    def _keyword_only(self) -> list[Parameter]:
        by_position = {parameter.name for parameter in self.positional}
        return [parameter for parameter in self.keyword.values() if parameter.name not in by_position]

    def _convert(self, parameter: Parameter, value: Any, name: str = "") -> Any:
        # What is of the very type is the usual case, and needs no conversion. (A bool is no int here.)
        if parameter.annotation is Any or (parameter.annotation is type(value) and type(value) in _PLAIN):
            return value
        try:
            return convert(value, parameter.annotation)
        except Exception as error:  # the annotation's own __post_init__ may raise anything
            raise InvalidParams(f"{self.name}: parameter {name or parameter.name!r}: {error}") from None

    def describe(self) -> dict[str, Any]:
        """Return name, parameters and first line of the docstring, as plain values."""
        stars = ("*", self.rest_positional), ("**", self.rest_keyword)
        parameters = [
            *((p.name, p) for p in (*self.positional, *self._keyword_only())),
            *((star + p.name, p) for star, p in stars if p is not None),
        ]
        return {
            "name": self.name,
            "parameters": [{"name": n, "type": _spell(p.annotation), "required": p.required} for n, p in parameters],
            "doc": self.doc,
        }


class HandlerTable:
    """The methods of one service by name. Made once; what is not in it does not exist."""

    def __init__(self, handlers: Mapping[str, Callable[..., Any]]) -> None:
        self._handlers = {name: _inspect(name, function) for name, function in handlers.items()}

    @classmethod
    def of(cls, service: object) -> HandlerTable:
        """Collect the ``on_<method>`` handlers of an object: those of its class and the bases of that. What is no
        function is no handler; a property is not even evaluated.

        Raises:
            InvalidHandler: one of them cannot be called with a message, is a generator, or a parameter's type cannot
                be read.
        """
        found = {
            name.removeprefix(_HANDLER_PREFIX): _looked_up(service, name)
            for name in dir(type(service))
            if name.startswith(_HANDLER_PREFIX) and name != _HANDLER_PREFIX
        }
        return cls({name: f for name, f in found.items() if callable(f) and not name.startswith("_")})

    def find(self, name: str) -> Handler:
        """Return the handler of a method.

        Raises:
            UnknownMethod: there is none of that name.
        """
        try:
            return self._handlers[name]
        except KeyError:
            raise UnknownMethod(f"there is no method {name!r} here") from None

    def with_handlers(self, handlers: Mapping[str, Callable[..., Any]]) -> HandlerTable:
        """Return a table that has these handlers as well."""
        table = HandlerTable(handlers)
        table._handlers = {**self._handlers, **table._handlers}
        return table

    @property
    def names(self) -> list[str]:
        """The methods, sorted."""
        return sorted(self._handlers)

    def describe(self) -> list[dict[str, Any]]:
        """Return what :meth:`Handler.describe` says of each method, sorted by name."""
        return [self._handlers[name].describe() for name in self.names]


def _looked_up(service: object, name: str) -> Any:
    if isinstance(inspect.getattr_static(type(service), name, None), property | cached_property):
        return None
    try:
        return getattr(service, name)
    except Exception as error:  # a descriptor of somebody else may raise anything
        handler = name.removeprefix(_HANDLER_PREFIX)
        raise InvalidHandler(f"the handler of {handler!r} cannot be looked up: {error!r}") from error


def _inspect(name: str, function: Callable[..., Any]) -> Handler:
    where = f"the handler of {name!r}"
    try:
        parameters = list(inspect.signature(function).parameters.values())
        hints = _hints(function, [parameter.name for parameter in parameters[1:]])
    except (NameError, TypeError, ValueError) as error:
        raise InvalidHandler(f"{where}: its signature cannot be read: {error}") from error
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise InvalidHandler(f"{where} must take the message as its first parameter")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidHandler(
            f"{where} is a generator, and a call has one result: return the result as a whole, and send what comes "
            "before it with message.status(...)"
        )
    positional: list[Parameter] = []
    keyword: dict[str, Parameter] = {}
    rest: dict[inspect._ParameterKind, Parameter] = {}
    for parameter in parameters[1:]:
        annotation = hints.get(parameter.name, Any)
        _check_readable(where, parameter.name, annotation)
        many = parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        required = parameter.default is inspect.Parameter.empty and not many
        entry = Parameter(parameter.name, annotation, required)
        if many:
            rest[parameter.kind] = entry
            continue
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            positional.append(entry)
        if parameter.kind is not inspect.Parameter.POSITIONAL_ONLY:
            keyword[parameter.name] = entry
        elif entry.required:
            raise InvalidHandler(f"{where}: parameter {parameter.name!r} cannot be given by name")
    return Handler(
        name=name,
        function=function,
        is_async=inspect.iscoroutinefunction(function),
        positional=positional,
        keyword=keyword,
        rest_positional=rest.get(inspect.Parameter.VAR_POSITIONAL),
        rest_keyword=rest.get(inspect.Parameter.VAR_KEYWORD),
        taken=_taken(function, parameters[0]),
        doc=(inspect.getdoc(_partly(function)) or "").partition("\n")[0],
    )


def _taken(function: Callable[..., Any], message: inspect.Parameter) -> frozenset[str]:
    leading = [message]
    method = _partly(function)
    if inspect.ismethod(method):
        leading.append(next(iter(inspect.signature(method.__func__).parameters.values())))
    return frozenset(one.name for one in leading if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _partly(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a ``functools.partialmethod`` stands for."""
    while isinstance(function, partial):
        function = function.func
    return function


def _hints(function: Callable[..., Any], names: list[str]) -> dict[str, Any]:
    """Evaluate the annotations of the parameters alone: those of message and result may name what is not imported."""
    plain = inspect.unwrap(_partly(function))
    written = getattr(plain, "__annotations__", {})
    asked = SimpleNamespace(__annotations__={name: written[name] for name in names if name in written})
    scope = {**getattr(plain, "__globals__", {}), **inspect.getclosurevars(plain).nonlocals}
    return get_type_hints(asked, globalns=scope, include_extras=True)


def _check_readable(where: str, name: str, annotation: Any) -> None:
    try:
        unreadable = _unreadable_in(annotation)
    except TypeError:
        unreadable = annotation
    if unreadable is not None:
        inside = "" if unreadable is annotation else f", in {_spell(annotation)},"
        raise InvalidHandler(f"{where}: parameter {name!r}: {_spell(unreadable)}{inside} cannot be read from JSON")


def _unreadable_in(annotation: Any) -> Any:
    """Return a class in a type that nothing in JSON becomes, however deep; ``None`` if there is none."""
    unknown = (one.cls for one in described(annotation) if isinstance(one, msgspec.inspect.CustomType))
    return next((cls for cls in unknown if cls is not object), None)


def _spell(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
