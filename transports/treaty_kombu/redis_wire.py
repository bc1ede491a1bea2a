"""Connections to one Redis, with a limit on every wait. kombu makes them; here they are only spoken on.

Not safe to share: whoever speaks on a wire holds the lock of it. It must not know what lies under which key.
"""

from __future__ import annotations

import ssl
import time
from contextlib import ExitStack
from functools import cache
from typing import Any, Final

import redis

from treaty import ConnectionLost, TransportError, Unavailable

from .link import Whole, driver, log, readable, text
from .settings import Settings

#: How long to wait for an answer that must be on its way, whatever the caller's timeout.
SOON: Final = 0.25
#: So many bytes fit into the buffers of a connection, as a rule: to write them takes no time.
AT_ONCE: Final = 65_536
#: An answer that is not there by then is late,
_LATE: Final = 0.05
#: and one that is not there by then is waited for no longer: whoever comes next gives the connection up.
_OVERDUE: Final = 1.0
#: And a new connection is given at least this long, instead of one that broke while idle.
_LEAST: Final = 0.05
_DRIVERS: Final = ("treaty", "kombu", "redis")
#: What a connection is to say of itself: nothing, by the name that this driver has for it.
_SILENCE: Final = {"driver_info": None} if hasattr(redis, "DriverInfo") else {"lib_name": None, "lib_version": None}


class _Silent:
    """A connection that begins with what has to be said. The driver would look up its own version on the disk each time,
    and tell it to the server in two more round trips.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **_SILENCE, **options)


@cache
def _silent(channel: Any) -> Any:
    """The channel of kombu, with connections of this kind."""
    ways = {name: getattr(channel, name) for name in ("connection_class", "connection_class_ssl")}
    return type("Channel", (channel,), {name: type(way.__name__, (_Silent, way), {}) for name, way in ways.items()})


class Broker:
    """What kombu knows about a Redis: how to connect, and what its errors are. Making one connects.

    Args:
        settings: where to.
        timeout: seconds for connecting.
    """

    def __init__(self, settings: Settings, timeout: float) -> None:
        self._settings: Final = settings
        self._wires: Final[list[Wire]] = []
        with ExitStack() as undo:
            try:
                self._driver: Final = driver(
                    "redis",
                    hostname=settings.host,
                    port=settings.port,
                    userid=settings.user or None,
                    password=settings.password or None,
                    virtual_host=settings.path,
                    ssl=_tls(settings),
                    transport_options={
                        "ack_emulation": False,
                        "health_check_interval": 0,
                        "socket_connect_timeout": _bounded(timeout, settings),
                        "socket_timeout": _bounded(timeout, settings),  # until the connection stands
                        "socket_keepalive": True,
                    },
                )
                undo.callback(self._let_go)
                self._driver.Channel = _silent(self._driver.Channel)
                self._driver.establish_connection()
                self.channel: Final[Any] = self._driver.create_channel(self._driver)
            except Exception as error:
                raise Unavailable(f"cannot connect to {self._settings.shown}: {text(error)}") from error
            undo.pop_all()
        self.pool: Final = self.channel.client.connection_pool

    def wire(self, timeout: float) -> Wire:
        """One more connection, within about ``timeout`` seconds. Raises ``Unavailable``."""
        limit = _bounded(timeout, self._settings)
        self.pool.connection_kwargs.update(socket_connect_timeout=limit, socket_timeout=limit)
        try:
            connection = self.pool.get_connection()
            be_patient(connection, self._settings)
        except Exception as error:
            # The pool would hand the one that failed to whoever comes next, with as little time as it had here.
            self.pool.reset()
            raise Unavailable(f"cannot connect to {self._settings.shown}: {text(error)}") from error
        made = Wire(connection, self.channel.ResponseError, self._settings)
        self._wires.append(made)
        return made

    def close(self) -> None:
        """Close every connection."""
        for wire in self._wires:
            wire.close()
        self._let_go()

    def _let_go(self) -> None:
        """Give back what the driver holds, also the descriptor that it would wait with, which it leaves to the collector."""
        self._driver.close_connection(self._driver)
        self._driver.cycle.poller.close()


class Overdue(ConnectionLost):
    """The time was up before the answers came: the commands are on their way, and the connection stands for all we know."""


class Wire:
    """One connection: commands go out, answers come in, in order.

    Answers that come too late for who asked are read, and thrown away, before the next command goes out.
    """

    def __init__(self, connection: Any, refusal: type[Exception], settings: Settings) -> None:
        self._connection: Final = connection
        self._settings: Final = settings
        self._refusal: Final = refusal
        self._live = True
        self._closed = False
        self._took = 0.0  # how long the last answers were under way
        self._asked_at = 0.0  # when the last commands were sent
        self._owed = 0  # how many answers are still to come, whether or not anybody waits for them

    @property
    def live(self) -> bool:
        """Whether there is a connection, as far as anybody knows."""
        return self._live

    @property
    def prompt(self) -> bool:
        """Whether there is a connection, and no answer that is late, as far as anybody knows."""
        return self._live and (not self._owed or time.monotonic() < self._asked_at + _LATE)

    def connect(self, timeout: float) -> None:
        """Connect if there is no connection. Raises ``Unavailable``."""
        if self._live:
            return
        if self._closed:
            raise Unavailable(f"the connection to {self._settings.shown} was closed")
        try:
            limit = _bounded(timeout, self._settings)
            self._connection.socket_connect_timeout = self._connection.socket_timeout = limit
            self._connection.connect()
            be_patient(self._connection, self._settings)
        except Exception as error:
            self._connection.disconnect()
            raise Unavailable(f"cannot connect to {self._settings.shown}: {text(error)}") from error
        self._live = True
        if self._closed:  # meanwhile
            self.drop()

    def drop(self) -> None:
        """Close the connection; an answer that nobody has read must not meet the next command."""
        self._live = False
        self._owed = 0
        self._connection.disconnect()

    def close(self) -> None:
        """Close the connection for good: whoever still has it does not connect again."""
        self._closed = True
        self.drop()

    def lost(self, error: Exception) -> ConnectionLost:
        """Drop the connection and return what to raise."""
        self.drop()
        self._took = 0.0
        loss = ConnectionLost(f"the connection to {self._settings.shown} broke: {text(error)}")
        loss.__cause__ = error
        return loss

    def write(self, *commands: tuple[str | bytes | int, ...], timeout: float | None = None) -> None:
        """Send commands, within about ``timeout`` seconds if they are large. Raises whatever the driver raises."""
        if not self._live:
            raise ConnectionError(
                "not connected"
            )  # the driver would connect by itself, and wait for as long as it likes
        packed = self._connection.pack_commands(commands)
        if timeout is None or sum(map(len, packed)) <= AT_ONCE:
            self._connection.send_packed_command(packed, check_health=False)
            return
        end, usual = self._connection._sock, self._settings.io_timeout  # noqa: SLF001 - the driver has one limit for all
        end.settimeout(min(timeout, usual))
        try:
            self._connection.send_packed_command(packed, check_health=False)
        finally:
            end.settimeout(usual)

    def ready(self, timeout: float) -> bool:
        """Whether an answer has begun to arrive, now or within ``timeout`` seconds."""
        return bool(self._connection.can_read(timeout))

    def arrives(self, timeout: float) -> bool:
        """The same where one answer is waited for at most, so that nothing of it was read yet. Takes nothing from the
        socket: what interrupts this interrupts a wait, and no answer.
        """
        end = self._connection._sock  # noqa: SLF001 - the driver's own way to ask reads what it finds
        if end is None:
            raise ConnectionError("not connected")
        return (isinstance(end, ssl.SSLSocket) and end.pending() > 0) or readable(end.fileno(), timeout)

    def read(self) -> Any:
        """The next answer. A refusal by the server is an answer, too."""
        try:
            return self._connection.read_response()
        except self._refusal as refusal:
            return refusal

    def ask(self, timeout: float, *commands: tuple[str | bytes | int, ...], least: float | None = None) -> list[Any]:
        """Send commands in one piece and wait for their answers.

        Args:
            timeout: seconds for connecting, if need be, and for the answers.
            commands: what to send.
            least: seconds that the answers are waited for at least, since the commands are on their way. By default it
                depends on how far the server has been.

        Raises:
            Unavailable: not connected, earlier answers are late, or the server refused: nothing happened.
            Overdue: the time was up. They may be executed.
            ConnectionLost: they may have been executed.
        """
        until = time.monotonic() + timeout
        self._catch_up(until)
        self.connect(until - time.monotonic())
        if least is None:
            least = max(SOON, min(2 * self._took, _OVERDUE))
        return self._exchange(max(least, until - time.monotonic()), commands)

    def stands(self, deadline: float) -> bool:
        """Whether there is a connection, and nothing to wait for before the next command. Raises ``Unavailable``: there is."""
        self._catch_up(deadline)
        return self._live

    def _exchange(self, timeout: float, commands: tuple[tuple[str | bytes | int, ...], ...]) -> list[Any]:
        answers: list[Any] = []
        # Before they go out: whatever strikes from here on, no answer to them is taken for one to others.
        self._asked_at, self._owed = time.monotonic(), len(commands)
        try:
            with Whole(lambda _: self.drop()):
                self.write(*commands, timeout=timeout)
            self._read_owed(self._asked_at + timeout, answers)
        except Exception as error:
            raise self.lost(error) from error
        if self._owed and timeout >= _OVERDUE:
            raise self.lost(TimeoutError("no answer in time"))
        if self._owed:
            raise Overdue(f"{self._settings.shown} has not answered in {timeout:.3g} seconds")
        self._took = time.monotonic() - self._asked_at
        for answer in answers:
            if isinstance(answer, Exception):
                raise Unavailable(f"{self._settings.shown} refused: {text(answer)}") from answer
        return answers

    def _catch_up(self, deadline: float) -> None:
        """Read the answers that are still to come, so that the next ones are to the next commands.

        Raises:
            Unavailable: they may come yet.
        """
        if not self._owed:
            self.check_idle()
            return
        overdue = self._asked_at + _OVERDUE
        try:
            self._read_owed(min(deadline, overdue), [])
        except Exception as error:
            pass_on(error)
            log.debug("%s", self.lost(error))
        if self._owed and time.monotonic() < overdue:
            raise Unavailable(f"{self._settings.shown} has yet to answer what it was asked before")
        if self._owed:
            log.debug("%s", self.lost(TimeoutError("no answer in time")))

    def _read_owed(self, deadline: float, answers: list[Any]) -> None:
        """Read what is still to come until the deadline. Raises whatever the driver raises."""
        with Whole(lambda _: self.drop()):
            while self._owed and self.ready(max(0.0, deadline - time.monotonic())):
                answers.append(self.read())
                self._owed -= 1

    def check_idle(self) -> None:
        """Notice that the server hung up since the last command, before the next one is lost with the connection."""
        if self._live:
            try:
                stale = self.arrives(0)
            except Exception as error:
                pass_on(error)
                log.debug("a connection to %s was closed while idle: %s", self._settings.shown, text(error))
                stale = True
            if stale:
                self.drop()


def pass_on(error: Exception) -> None:
    """Raise an error that is about to be put aside, if it is no trouble with a connection.

    What the program's own signal handler raises may strike anywhere, and is the program's.
    """
    cause = error.__cause__ if isinstance(error, TransportError) else error
    if not isinstance(cause, OSError | None) and type(cause).__module__.partition(".")[0] not in _DRIVERS:
        raise error


def _bounded(timeout: float, settings: Settings) -> float:
    return max(_LEAST, min(timeout, settings.connect_timeout))


def be_patient(connection: Any, settings: Settings) -> None:
    """Give a connection that stands the time for each write and answer that it is to have from now on.

    The driver waits as long for the first words of a server as for any other, and has no way to change that later. A
    server that takes connections and says nothing would otherwise hold up a caller far beyond its timeout.
    """
    connection.socket_timeout = settings.io_timeout
    connection._sock.settimeout(settings.io_timeout)  # noqa: SLF001 - see above
    connection._parser.on_connect(connection)  # noqa: SLF001 - it has a copy; nothing is unread now


def _tls(settings: Settings) -> Any:
    if not settings.tls:
        return False
    if settings.insecure:
        return {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    return {"ssl_cert_reqs": "required", "ssl_ca_certs": settings.ca, "ssl_check_hostname": True}
