"""Keeps account of a log of operations: what was sent and has not arrived, and whether each thing that happened was due.

It judges as somebody would who knows only the law of the interface, and reads the log from the beginning. Where that is
not enough to tell, it says so. It must not know programs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from treaty import ClosedError, FrameTooLarge, InvalidTarget, TreatyError
from treaty_contracts.operations import Operation

#: Seconds after which a frame that is due is overdue: with less, a rule may just have been quick to close.
_OVERDUE: Final = 0.2
_TOKEN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


class Doubt(Exception):
    """The log does not tell enough."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What had to come of an operation."""

    #: Whether something else came of it.
    wrong: bool = False
    #: Whether it is not worth doing again.
    skip: bool = False
    error: type[TreatyError] | None = None
    #: Whether no error at all is allowed.
    silent: bool = False
    #: The frames one of which had to arrive, the likeliest first.
    frames: tuple[bytes, ...] = ()
    #: Whether no frame had to arrive.
    nothing: bool = False
    #: The ends at one of which the frame had to arrive.
    ends: tuple[str, ...] = ()


_AS_IT_IS: Final = Expected()
_SKIP: Final = Expected(skip=True)


@dataclass
class _End:
    """A line, an inbox or a feed."""

    kind: str
    transport: str
    #: The service or channel; nothing for a line.
    name: str = ""
    capacity: int = 1
    #: What has to arrive at a line or feed, and from which delivery or transport.
    due: list[tuple[bytes, str]] = field(default_factory=list)
    #: The deliveries that were not settled: the frame, and the line that sent it.
    unsettled: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    #: By delivery: the line that sent the frame.
    askers: dict[str, str] = field(default_factory=dict)


class Account:
    """What is known after the operations so far."""

    def __init__(self) -> None:
        #: The declarations, which may be anything.
        self._transports: dict[str, Any] = {}
        self._ends: dict[str, _End] = {}
        self._closed: dict[str, int] = {}
        #: By service: what was sent, and by which line.
        self._queues: dict[str, list[tuple[bytes, str]]] = {}
        self._seen: set[bytes] = set()
        #: By line.
        self._last_send: dict[str, Operation] = {}
        self._overdue: dict[tuple[str, ...], Any] = {}
        #: When something became due, or the last thing arrived: by service, channel or line.
        self._since: dict[str, float] = {}

    @property
    def max_frame(self) -> int:
        """What the transports declare to be the largest frame; 0 if that is no number."""
        return next(
            (one for each in self._transports.values() if isinstance(one := getattr(each, "max_frame", None), int)), 0
        )

    def enter(self, operation: Operation) -> Expected:
        """Account for one operation, and return what had to come of it."""
        if operation.verb == "open":
            self._transports[operation.made] = operation.arguments[1]
            return _AS_IT_IS
        if operation.subject not in self._transports and operation.subject not in self._ends:
            if operation.verb in ("close", "settle"):
                return _SKIP  # something of an earlier case
            raise Doubt
        if operation.verb == "close":
            return self._close(operation)
        if self._is_closed(operation):
            wrong = operation.raised is None or not issubclass(operation.raised, ClosedError)
            return _SKIP if operation.verb == "settle" else Expected(error=ClosedError, wrong=wrong)
        if operation.raised is not None and issubclass(operation.raised, ClosedError):
            return _SKIP  # it was under way when somebody else closed
        refused = self._refused(operation)
        if refused is not None:
            wrong = operation.raised is None or not issubclass(operation.raised, refused)
            return Expected(error=refused, wrong=wrong)
        if operation.raised is not None:
            return Expected(wrong=not issubclass(operation.raised, TreatyError))
        handled = getattr(self, f"_{operation.verb}")(operation)
        assert isinstance(handled, Expected)
        return handled

    def missing(self, operation: Operation) -> Expected | None:
        """Return what an end has waited for in vain when it receives nothing, or is closed. Ask before it is entered."""
        vain = operation.verb == "receive" and operation.frame is None
        if operation.subject not in self._ends or not (vain or operation.verb == "close"):
            return None
        end = self._ends[operation.subject]
        if self._is_closed(operation) or (end.kind == "serve" and len(end.unsettled) >= end.capacity):
            return None
        frames, ends = self._due(operation.subject)
        if not frames or len(ends) > 1:
            return None
        waited = (operation.over if vain else operation.at) - self._since.get(end.name or operation.subject, 0.0)
        return Expected(frames=tuple(frames), ends=ends, wrong=True) if waited > _OVERDUE else None

    def at_rest(self) -> bool:
        """Whether nothing is due anywhere, and nothing unsettled."""
        busy = any(end.due or end.unsettled for end in self._ends.values())
        return not busy and not any(self._queues.values())

    def mark(self, ends: tuple[str, ...], mark: Any) -> None:
        """Remember that these ends wait for something. It is forgotten when they get anything."""
        self._overdue.setdefault(ends, mark)

    def overdue(self) -> Any:
        """Return the first mark that was not forgotten, or ``None``."""
        return min(self._overdue.values(), key=lambda mark: mark[0], default=None)

    # What is closed or refused

    def _close(self, operation: Operation) -> Expected:
        self._closed.setdefault(operation.subject, operation.ended)
        return Expected(wrong=operation.raised is not None, silent=True)

    def _is_closed(self, operation: Operation) -> bool:
        subject = operation.subject
        names = [subject, self._ends[subject].transport] if subject in self._ends else [subject]
        return any(0 < self._closed.get(name, 0) < operation.began for name in names)

    def _refused(self, operation: Operation) -> type[TreatyError] | None:
        arguments = operation.arguments
        if operation.verb in ("send", "serve", "subscribe", "publish") and not _is_token(arguments[0]):
            return InvalidTarget
        if operation.verb in ("send", "reply", "publish"):
            transport = operation.subject
            if transport in self._ends:
                transport = self._ends[transport].transport
            limit = getattr(self._transports[transport], "max_frame", None)
            if not isinstance(limit, int):
                raise Doubt
            if len(arguments[1]) > limit:
                return FrameTooLarge
        return None

    # What each verb does

    def _dial(self, operation: Operation) -> Expected:
        self._ends[operation.made] = _End("dial", operation.subject)
        return _AS_IT_IS

    def _serve(self, operation: Operation) -> Expected:
        service, capacity = operation.arguments
        self._ends[operation.made] = _End("serve", operation.subject, service, capacity)
        return _AS_IT_IS

    def _subscribe(self, operation: Operation) -> Expected:
        self._ends[operation.made] = _End("subscribe", operation.subject, operation.arguments[0])
        return _AS_IT_IS

    def _send(self, operation: Operation) -> Expected:
        service, frame, _ = operation.arguments
        self._seen.add(frame)
        last = self._last_send.get(operation.subject)
        if last is not None and last.thread != operation.thread and last.ended > operation.began:
            raise Doubt  # two threads inside at once: one thread cannot do that again
        self._last_send[operation.subject] = operation
        if self._serving(service):
            self._queues.setdefault(service, []).append((frame, operation.subject))
            self._since[service] = operation.at
        return _AS_IT_IS

    def _publish(self, operation: Operation) -> Expected:
        channel, frame = operation.arguments
        self._seen.add(frame)
        for name, end in self._ends.items():
            if end.kind == "subscribe" and end.name == channel and name not in self._closed:
                end.due.append((frame, operation.subject))
                self._since[channel] = operation.at
        return _AS_IT_IS

    def _reply(self, operation: Operation) -> Expected:
        delivery, frame = operation.arguments
        end = self._ends[operation.subject]
        self._seen.add(frame)
        if end.kind == "subscribe":
            return _AS_IT_IS
        if delivery not in end.askers:
            raise Doubt
        self._ends[end.askers[delivery]].due.append((frame, delivery))
        self._since[end.askers[delivery]] = operation.at
        return _AS_IT_IS

    def _settle(self, operation: Operation) -> Expected:
        delivery, accepted = operation.arguments
        end = self._ends[operation.subject]
        held = end.unsettled.pop(delivery, None)
        if held is not None and not accepted:
            self._queues.setdefault(end.name, []).insert(0, held)
        return _AS_IT_IS

    def _receive(self, operation: Operation) -> Expected:
        frame = operation.frame
        if frame is None:
            return _SKIP
        if operation.redelivered:
            raise Doubt
        due, ends = self._due(operation.subject)
        self._overdue = {group: mark for group, mark in self._overdue.items() if group != ends}
        if frame not in due:
            if not due and frame not in self._seen:
                raise Doubt  # somebody else sent it: another process, or a hook
            if len(ends) > 1:
                raise Doubt  # which of them gets what is another matter each time
            return Expected(wrong=True, frames=tuple(due), nothing=not due, ends=ends)
        strict = self._is_ordered(operation.subject, ends)
        if strict and due[0] != frame:
            return Expected(wrong=True, frames=(due[0],), ends=ends)
        self._arrived(operation)
        self._since[self._ends[operation.subject].name or operation.subject] = operation.over
        others = () if strict else tuple(one for one in due if one != frame)
        return Expected(frames=(frame, *others), ends=ends)

    def _arrived(self, operation: Operation) -> None:
        end, frame = self._ends[operation.subject], operation.frame
        assert frame is not None
        if end.kind != "serve":
            end.due.remove(next(one for one in end.due if one[0] == frame))
            return
        queue = self._queues[end.name]
        sent = next(one for one in queue if one[0] == frame)
        queue.remove(sent)
        end.unsettled[operation.delivery] = sent
        end.askers[operation.delivery] = sent[1]

    def _due(self, name: str) -> tuple[list[bytes], tuple[str, ...]]:
        """Return the frames that may come next at an end, and the ends that compete for them."""
        end = self._ends[name]
        if end.kind != "serve":
            return [frame for frame, _ in end.due], (name,)
        others = [one for one in self._serving(end.name) if one != name]
        return [frame for frame, _ in self._queues.get(end.name, [])], (name, *others)

    def _serving(self, service: str) -> list[str]:
        return [
            name
            for name, end in self._ends.items()
            if end.kind == "serve" and end.name == service and not {name, end.transport} & self._closed.keys()
        ]

    def _is_ordered(self, name: str, ends: Sequence[str]) -> bool:
        """Whether the law says which frame comes next."""
        end = self._ends[name]
        if not getattr(self._transports[end.transport], "ordered", False) or len(ends) > 1:
            return False
        under_way = self._queues.get(end.name, []) if end.kind == "serve" else end.due
        # Order is promised for what comes from one line, from one delivery, from one publisher.
        return len({source for _, source in under_way}) <= 1


def _is_token(name: object) -> bool:
    return isinstance(name, str) and _TOKEN.fullmatch(name) is not None
