"""The abstract transport: the only thing that the author of a third transport implements.

A transport carries sealed frames and never opens one: it does not parse, seal, retry or correlate. This room must not
know what is inside a frame, and holds no socket of its own. Each rule below is proven by the contract suite.

The law:

* ``serve`` and ``subscribe`` return only when what is sent or published from then on will arrive.
* A request reaches exactly one of the competing inboxes, and never waits behind a busy one while another is idle: an
  inbox takes requests off the shared queue only while fewer than ``capacity`` of its deliveries are unsettled.
* ``receive`` returns within its timeout (seconds), wakes for a frame at once, and ends when another thread closes.
* ``close`` is idempotent, works while another thread is inside, and leaves no thread, socket, queue, key or file.
* Resources live in lines and inboxes: a transport on which none is open holds no thread and no socket. What was carried
  is let go: threads, descriptors and memory do not grow with it.
* Names of services and channels are plain tokens; topics below a channel are none of the transport's business.
* No foreign exception crosses: what is raised stands in the table below, ``from`` its cause where it has one.

=====================================  =============================================================================
condition                              what is raised
=====================================  =============================================================================
used after close                       ``ClosedError``; a ``receive`` that is blocked while another thread closes
                                       raises it as well
used in a forked child                 ``ForkedError``, by everything but ``close``, which lets go without touching
                                       what belongs to the parent, and ``settle``, which does nothing
a name that is no plain token          ``InvalidTarget``
frame over ``guarantees.max_frame``    ``FrameTooLarge``, by ``send``, ``reply`` and ``publish``; the line stays usable
declared "no" in ``guarantees``        ``Unsupported``, at once
endpoint already taken                 ``AddressInUse``, by ``serve``
nobody took the frame                  ``Unavailable``: by ``send`` if known within its timeout, else by a later
                                       ``receive`` of the same line, with ``frame`` set
the connection broke                   ``ConnectionLost`` once, by ``receive``: to whoever waits there, or comes next
                                       while something that was sent may go unanswered. By ``send``, ``reply`` and
                                       ``publish`` only for the frame that they were given. The next use connects
                                       again, whether anybody has heard of it or not
=====================================  =============================================================================

Where two conditions hold, the one further up the table wins.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import TracebackType
from typing import Any, Final, Self

from msgspec import Struct

from treaty.errors import (
    ClosedError,
    ConfigurationError,
    ForkedError,
    InvalidTarget,
    InvalidURL,
    MissingExtra,
    UnknownScheme,
)

#: How many forks lie between the first process and this one. Asking the operating system for the process id at each
#: use would cost more than everything else that a use does for its safety.
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)
_TOKEN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


@lru_cache(maxsize=1024)
def check_name(name: str) -> str:
    """Return the name of a service or channel if it is a plain token, else raise ``InvalidTarget``."""
    if isinstance(name, str) and _TOKEN.fullmatch(name):
        return name
    raise InvalidTarget(f"{name!r} is no name for a service or channel: use up to 64 of a-z, 0-9, '_' and '-'")


class Guarantees(Struct, frozen=True, kw_only=True):
    """What a transport promises. There are no defaults: each question is answered, and the contract proves the answer.

    A promise may depend on the configuration: two transports of one class may declare different things.
    """

    #: May the two ends live in different processes?
    crosses_processes: bool
    #: Do ``publish`` and ``subscribe`` work?
    notifications: bool
    #: May several inboxes serve one service, each request reaching exactly one of them?
    competing_workers: bool
    #: Do the frames of one line reach a single inbox, and those of one delivery their line, in the order sent?
    ordered: bool
    #: Seconds, 20 at most, within which a frame for a service that nobody serves becomes ``Unavailable``; ``None``: it is
    #: never noticed, or later than that.
    notices_absence: float | None
    #: Do requests that were queued while nobody served reach the next inbox?
    survives_restart: bool
    #: Is an unsettled delivery of an inbox that died given to another one (with ``redelivered`` set)?
    redelivers: bool
    #: The largest frame in bytes; 64 KiB or more.
    max_frame: int


class Resource(ABC):
    """Something that is closed once and belongs to the process that made it. Usable in a ``with`` statement."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._forks = _forks
        self._closed = False

    def check(self) -> None:
        """Raise ``ClosedError`` after close, ``ForkedError`` in another process. Call it first in every method."""
        if self._closed:
            raise ClosedError(f"{type(self).__name__} is closed")
        self.check_process()

    def check_process(self) -> None:
        """Raise ``ForkedError`` in another process, where nothing of this comes to an end by itself."""
        if self._forks != _forks:
            raise ForkedError(f"{type(self).__name__} was made by process {self._pid}: make a new one in this process")

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    @property
    def foreign(self) -> bool:
        """Whether this is a forked child's copy, which must not touch the sockets and locks of its parent."""
        return self._forks != _forks

    @abstractmethod
    def close(self) -> None:
        """Release everything. Idempotent, never raises, may be called from any thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Delivery(ABC):
    """One frame that arrived at an inbox."""

    #: The frame, as it was sent.
    frame: bytes
    #: Where the transport believes that replies go. The core compares it with the address sealed into the request;
    #: empty when replies go back on the asking connection.
    reply_to: str = ""
    #: Whether another inbox may have had this frame before.
    redelivered: bool = False

    @abstractmethod
    def reply(self, frame: bytes) -> None:
        """Send a frame to where this one came from: any thread, any number of times, also after ``settle``.

        A caller that has gone away is no error. What was replied before the inbox closes still arrives.

        Raises:
            FrameTooLarge: nothing was sent.
            ConnectionLost: the reply may be lost.
            ClosedError: the inbox was closed.
            ForkedError: this is a forked child.
        """

    @abstractmethod
    def settle(self, accepted: bool = True) -> None:
        """Give the place in the inbox free again. ``accepted=False`` hands the frame to another inbox if there can be
        one (as not redelivered: nobody ran it). Idempotent; never raises. Any thread.
        """


class Line(Resource):
    """A caller's end: requests go out, whatever is replied comes in."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where replies to this line go, up to 255 characters; empty if on the asking connection. It is sealed into
        each request, and equals ``reply_to`` of the delivery that comes of it.

        It may change after ``ConnectionLost``.
        """

    @abstractmethod
    def send(self, service: str, frame: bytes, timeout: float) -> None:
        """Hand a frame over for one of the inboxes that serve ``service``. Any thread; several at once.

        Args:
            service: a plain token.
            frame: one byte at least, and at most ``guarantees.max_frame``.
            timeout: seconds to wait for a connection or for room, not for a service that is known to be absent. 0 never
                blocks.

        Raises:
            Unavailable: it was certainly not delivered: no connection, no room, or nobody there.
            ConnectionLost: it may have been delivered. What a ``receive`` is to tell of a loss is told there all the same.
            FrameTooLarge: nothing was sent.
        """

    @abstractmethod
    def receive(self, timeout: float) -> bytes | None:
        """Return the next frame that was replied to this line, or ``None`` after ``timeout`` seconds. One thread at a
        time. 0 never blocks.

        Raises:
            Unavailable: an earlier ``send`` came back; ``error.frame`` says which.
            ConnectionLost: what was under way may be lost: every request whose ``send`` had returned, also on a newer
                connection. So whoever waits here is told before anything goes out on that one. Where nobody does, a
                ``send`` goes on: nobody may ever come. If no answer is to come, nobody need be told.
        """


class Inbox(Resource):
    """The end where frames arrive: of a service, or of a subscription."""

    @abstractmethod
    def receive(self, timeout: float) -> Delivery | None:
        """Return the next delivery, or ``None`` after ``timeout`` seconds. One thread at a time. 0 never blocks.

        Raises:
            ConnectionLost: what was under way may be lost. The inbox connects again when it is next used.
        """


class Transport(Resource):
    """How frames travel. Safe to share between threads; it belongs to the process that made it."""

    #: What this transport promises: see :class:`Guarantees`.
    guarantees: Guarantees

    @abstractmethod
    def dial(self) -> Line:
        """Open a caller's end. A service need not be there yet.

        Raises:
            Unavailable: the system has no more descriptors for it. So do the others below.
        """

    @abstractmethod
    def serve(self, service: str, capacity: int = 1) -> Inbox:
        """Compete for the requests of one service. Returns when requests sent from now on will arrive.

        Args:
            service: a plain token.
            capacity: how many deliveries may be unsettled at once before the inbox leaves the rest to others; 1 or more.

        Raises:
            AddressInUse: another process or transport object serves here and cannot be competed with; also when this
                transport object already serves the service and declares that workers do not compete.
            Unavailable: the broker cannot be reached.
        """

    @abstractmethod
    def publish(self, channel: str, frame: bytes) -> None:
        """Give one copy of the frame to every subscriber of the channel. Nobody listening is no error."""

    @abstractmethod
    def subscribe(self, channel: str) -> Inbox:
        """Listen to a channel. Returns when what is published from now on will arrive.

        Replies to what comes out of it go nowhere; ``settle`` does nothing.

        Raises:
            Unavailable: the publisher or broker cannot be reached.
        """


_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*", re.ASCII)
_GROUP: Final = "treaty.transports"
#: What must not be repeated in an error.
_CREDENTIALS: Final = re.compile(r"[^/@\s]*@")


def connect(url: str, **options: Any) -> Transport:
    """Make the transport that a URL names, such as ``zmq+tcp://127.0.0.1:5555`` or ``kombu+redis://127.0.0.1:6379/0``.

    Transports are found through the entry-point group ``treaty.transports`` by URL scheme; the entry point is a
    callable that takes the URL and the options and returns a :class:`Transport`. Nothing is connected yet.

    Raises:
        InvalidURL: there is no scheme, or the transport cannot read the rest.
        UnknownScheme: nobody answers to it; the text lists who is installed.
        MissingExtra: the library behind it is not installed; the text says what to install.
        ConfigurationError: an option is wrong, the entry point is broken, or what is installed cannot be read.
    """
    scheme = _scheme(url)
    if not scheme:
        shown = _CREDENTIALS.sub("***@", str(url))
        raise InvalidURL(f"{shown!r} is no transport URL: write something like 'zmq+tcp://127.0.0.1:5555'")
    try:
        found = {entry.name: entry for entry in entry_points(group=_GROUP)}
    except Exception as error:
        # All packages are read for that, and the cause may lie with any of them, or be a lack of descriptors.
        raise ConfigurationError(f"the transports that are installed cannot be listed: {error}") from error
    if scheme not in found:
        known = ", ".join(sorted(found)) or "none"
        raise UnknownScheme(f"no transport for {scheme!r} is installed; known schemes: {known}")
    factory = _load(found[scheme])
    transport = factory(url, **options) if callable(factory) else factory
    if not isinstance(transport, Transport):
        raise ConfigurationError(f"{_origin(found[scheme])} makes no transport, but {type(transport).__name__}")
    return transport


def open_transport(transport: Transport | str) -> tuple[Transport, bool]:
    """Return a transport for what a client or service was given, and whether it was made here, from a URL."""
    if isinstance(transport, Transport):
        return transport, False
    return connect(transport), True


def _scheme(url: object) -> str:
    scheme, colon, _ = url.partition("://") if isinstance(url, str) else ("", "", "")
    return scheme.lower() if colon and _SCHEME.fullmatch(scheme) else ""


def _origin(entry: EntryPoint) -> str:
    package = f" of {entry.dist.name}" if entry.dist else ""
    return f"the entry point {entry.name!r} = {entry.value!r}{package}"


def _load(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except ImportError as error:
        package = entry.dist.name if entry.dist else "the package that provides it"
        extra = entry.name.partition("+")[0]
        offered = entry.dist.metadata.get_all("Provides-Extra") if entry.dist else None
        cure = f"pip install '{package}[{extra}]'" if extra in (offered or ()) else f"install what {package} needs"
        raise MissingExtra(f"the transport for {entry.name!r} needs {error.name or error}: {cure}") from error
    except Exception as error:
        raise ConfigurationError(f"{_origin(entry)} cannot be loaded: {error!r}") from error
