"""One connection and one channel to RabbitMQ, and what is declared on it for each kind of end.

Not safe to share: the link above takes its lock around every call. Nothing here waits without a limit, and callbacks
only append to lists, so that nothing of ours runs inside the driver. It must not know about threads or reconnecting.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final

from .link import CONTENT_TYPE, Arrived, driver, log, readable
from .settings import Settings

#: Under TLS the socket may be readable with nothing in it for us: how long we look before we wait for it again.
_LOOK: Final = 0.05
#: Look at what is there and leave it there.
_PEEK: Final = int(socket.MSG_PEEK | socket.MSG_DONTWAIT)
#: How many notifications the broker sends ahead to one subscriber.
_FEED_AHEAD: Final = 100
#: Seconds that a broker is given to say goodbye as well: it removes what is ours all the same, if later.
_GOODBYE: Final = 1.0
#: How often a subscriber declares an exchange that is gone again before it is bound.
_TRIES: Final = 20
#: What RabbitMQ says of an exchange that does not exist.
_NOT_FOUND: Final = 404


class Inflow:
    """What came in and was not handed out yet. It survives the wire."""

    def __init__(self) -> None:
        self.arrived: deque[Arrived] = deque()
        #: Requests that came back: no such queue, or the queue was full.
        self.returned: deque[bytes] = deque()

    def __bool__(self) -> bool:
        return bool(self.arrived or self.returned)


class Wire:
    """A live connection. Making one connects; any exception from any method means that it is broken.

    Args:
        settings: where to.
        timeout: seconds for connecting.
        heartbeat: seconds; 0 for none, where nobody is there to keep it going.
        inflow: where to put what comes in.
    """

    def __init__(self, settings: Settings, timeout: float, heartbeat: int, inflow: Inflow) -> None:
        self._max_frame = settings.max_frame
        self._confirm = settings.confirm
        self._io_timeout = settings.io_timeout
        self._inflow = inflow
        #: Whether the broker has stopped taking messages, out of memory or disk space.
        self.blocked = False
        #: Requests that the broker has not confirmed yet, by delivery tag, oldest first.
        self.unconfirmed: dict[int, bytes] = {}
        self._oldest = (0, 0.0)  # of those, and since when
        #: Goes up after the driver may have read from the socket: what a reader saw before that may be gone.
        self.reads = 0
        self._sent = 0
        self._back: Any = None
        self._foreign: list[int] = []
        #: Whether the broker waits to hear what became of a message; to say so unasked breaks the connection.
        self._acknowledges = False
        self._driver: Final = driver(
            "pyamqp",
            hostname=settings.host,
            port=settings.port,
            userid=settings.user or None,
            password=settings.password or None,
            virtual_host=settings.path,
            connect_timeout=min(timeout, settings.connect_timeout),
            heartbeat=heartbeat,
            ssl=_tls(settings),
            transport_options={
                "on_blocked": self._on_blocked,
                "on_unblocked": self._on_unblocked,
                # Kernel timeouts: those of Python's own sockets would cost a system call more for each part of a frame.
                "read_timeout": min(timeout, settings.io_timeout),  # until it stands, see settled()
                "write_timeout": settings.io_timeout,
            },
        )
        self._raw: Final = self._driver.establish_connection()
        self._sock: Final = self._raw.sock  # kept: the driver's own property connects again when there is none
        try:
            self._sock.settimeout(None)
            self._look: Final = _LOOK if settings.tls else None
            # Or the driver would look for the broker's alarms before each message, which the link does anyway.
            self._raw.client_properties.get("capabilities", {})["connection.blocked"] = False
            self.channel = self._open_channel()
        except BaseException:
            self.kill()
            raise

    def _open_channel(self) -> Any:
        channel = self._driver.create_channel(self._raw)
        channel.auto_decode = False  # what we send is no text, which the driver would find out anew for each message
        return channel

    def settled(self) -> Wire:
        """From now on, what the broker has begun to say is given the usual time."""
        self._read_within(self._io_timeout)
        return self

    def _read_within(self, seconds: float) -> None:
        whole = int(seconds)
        limit = struct.pack("@ll", whole, int((seconds - whole) * 1e6))
        socket.socket.setsockopt(self._sock, socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)

    def fileno(self) -> int:
        """The socket, to wait for. The driver reads whole messages and keeps nothing back, save under TLS."""
        return int(self._sock.fileno())

    def buffered(self) -> bool:
        """Whether something was taken from the socket and not read yet: then waiting for the socket is in vain."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def pending(self) -> bool:
        """Whether there is something to read, be it a single byte."""
        if isinstance(self._sock, ssl.SSLSocket):
            return self.buffered() or readable(self.fileno())
        try:
            self._sock.recv(1, _PEEK)
        except BlockingIOError:
            return False
        except OSError:  # reading will say so
            return True
        return True

    # ---- what is declared ----------------------------------------------------------------------------------------

    def take_replies(self, queue: str) -> None:
        """Own a queue that lives as long as this connection, and hear about each request what became of it."""
        if self._confirm:
            self._hear_confirmations()
        self.channel.events["basic_return"].add(self._on_return)
        self.channel.queue_declare(queue, durable=False, exclusive=True, auto_delete=True)
        self.channel.basic_consume(queue, no_ack=True, callback=self._on_message)

    def take_nothing(self) -> None:
        """Only publish, and hear that the broker has it."""
        self._hear_confirmations()

    def _hear_confirmations(self) -> None:
        self.channel.confirm_select()
        self.channel.events["basic_ack"].add(self._on_ack)
        self.channel.events["basic_nack"].add(self._on_nack)

    def take_work(self, queue: str, capacity: int, expires: float, limit: int) -> None:
        """Compete for a queue that outlives its last worker by ``expires`` seconds."""
        arguments = {"x-expires": int(expires * 1000), "x-max-length": limit, "x-overflow": "reject-publish"}
        self.channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
        self.channel.basic_qos(0, capacity, False)  # noqa: FBT003 - the driver's signature
        self._acknowledge(queue)

    def take_feed(self, exchange: str, queue: str, limit: int) -> None:
        """Own a queue that gets a copy of everything; when it is full, the oldest is dropped."""
        arguments = {"x-max-length": limit}
        self.channel.queue_declare(queue, durable=False, exclusive=True, auto_delete=True, arguments=arguments)
        for left in reversed(range(_TRIES)):
            self.channel.exchange_declare(exchange, "fanout", durable=False, auto_delete=True)
            try:
                self.channel.queue_bind(queue, exchange)
                break
            except self._driver.channel_errors as error:
                if getattr(error, "reply_code", 0) != _NOT_FOUND or not left:
                    raise
                # The last of those who listened until now left in between, and the exchange went with them.
                self.channel = self._open_channel()
        self.channel.basic_qos(0, _FEED_AHEAD, False)  # noqa: FBT003 - the driver's signature
        self._acknowledge(queue)

    def _acknowledge(self, queue: str) -> None:
        self._acknowledges = True
        self.channel.basic_consume(queue, no_ack=False, callback=self._on_message)

    # ---- what is sent --------------------------------------------------------------------------------------------

    def request(self, queue: str, frame: bytes, reply_to: str) -> None:
        """Send a request; it is returned if there is no such queue, and refused if the queue is full."""
        if self._confirm:
            self._sent += 1
            self.unconfirmed[self._sent] = frame
        self.channel.basic_publish(self._message(frame, reply_to), exchange="", routing_key=queue, mandatory=True)
        self.reads += 1

    def hand_back(self, queue: str, frame: bytes, reply_to: str, tag: int, timeout: float) -> None:
        """Put a request back into its queue, through the front door: one merely rejected would count as redelivered.

        It is confirmed before the old one is acknowledged. Until then our own place is taken, so that the broker
        gives it to somebody idle, if there is anybody.
        """
        if self.blocked:  # nothing is confirmed before the alarm is over
            self.channel.basic_reject(tag, requeue=True)
            return
        if self._back is None:  # a channel of its own: confirmations would slow down the replies on the other
            self._back = self._open_channel()
        message = self._message(frame, reply_to)
        try:
            self._back.basic_publish_confirm(message, exchange="", routing_key=queue, confirm_timeout=timeout)
        except Exception:
            if not self._raw.connected:
                raise
            self.channel.basic_reject(tag, requeue=True)  # no room at the front door: better marked than lost
        else:
            self.ack(tag)
        finally:
            self.reads += 1

    def reply(self, queue: str, frame: bytes) -> None:
        """Send to a queue, or nowhere if there is none."""
        self.channel.basic_publish(self._message(frame, ""), exchange="", routing_key=queue)
        self.reads += 1

    def publish(self, exchange: str, frame: bytes, timeout: float) -> bool:
        """Send to a fanout exchange and wait until the broker has it. No exchange: nobody is listening.

        ``False``: it has stopped taking messages, and will look at this one when it takes them again.
        """
        deadline = time.monotonic() + timeout
        self._inflow.returned.clear()  # an earlier one's, of which the sender was told that it may not arrive
        self._sent += 1
        self.unconfirmed[self._sent] = frame
        try:
            self.channel.basic_publish(self._message(frame, ""), exchange=exchange, routing_key="")
            # The driver's own way takes any confirmation for that of the last message.
            while self._sent in self.unconfirmed:
                if self.blocked:
                    return False
                if not self.buffered() and not readable(self.fileno(), max(0.0, deadline - time.monotonic())):
                    raise TimeoutError("the broker does not confirm what it was sent")
                self.drain()
        except self._driver.channel_errors as error:
            if getattr(error, "reply_code", 0) != _NOT_FOUND:
                raise
            self.channel = self._open_channel()  # the broker closed the old one over it
            self._sent = 0
            self.unconfirmed.clear()
            self._hear_confirmations()
        if self._inflow.returned:
            raise ConnectionError("the broker could not take what it was sent")
        return True

    def ack(self, tag: int) -> None:
        """Tell the broker that a message is done with."""
        self.channel.basic_ack(tag)

    def _message(self, frame: bytes, reply_to: str) -> Any:
        properties = {"delivery_mode": 1, "reply_to": reply_to} if reply_to else {"delivery_mode": 1}
        return self.channel.prepare_message(
            frame, content_type=CONTENT_TYPE, content_encoding="binary", properties=properties
        )

    # ---- what comes in -------------------------------------------------------------------------------------------

    def drain(self) -> int:
        """Read one thing that the broker sent; only if there is one. Returns how many foreign messages were in it.

        The rest of a frame that has begun is waited for. Should it never come, the pulse ends the connection.
        """
        try:
            # A message has three frames or more, and a heartbeat is one that means nothing: never wait for the next.
            while not self._read() and self.pending():
                pass
        except TimeoutError:
            return 0
        finally:
            self.reads += 1
        if not self._foreign:
            return 0
        foreign, self._foreign = self._foreign, []
        if self._acknowledges:
            for tag in foreign:
                self.ack(tag)
        return len(foreign)

    def _read(self) -> bool:
        """Read one frame, and return whether it ends something."""
        if self._look is None:  # what the driver does itself where no timeout is to be set and put back
            return bool(self._raw.on_inbound_frame(self._raw.transport.read_frame()))
        return bool(self._raw.blocking_read(self._look))

    def beat(self) -> None:
        """Send a heartbeat if it is time, and raise if the broker has not sent any."""
        self._driver.heartbeat_check(self._raw, rate=2)

    def check_confirmations(self) -> None:
        """Raise if the broker has not confirmed a request for a long time."""
        oldest, since = next(iter(self.unconfirmed), 0), time.monotonic()
        if oldest != self._oldest[0] or self.blocked:
            self._oldest = (oldest, since)
        elif oldest and since - self._oldest[1] > 2 * self._io_timeout:
            raise TimeoutError("the broker does not confirm what it was sent")

    def _on_message(self, message: Any) -> None:
        tag, properties, body = message.delivery_tag, message.properties, message.body
        if properties.get("content_type") != CONTENT_TYPE or not isinstance(body, bytes) or len(body) > self._max_frame:
            self._foreign.append(tag)
            return
        reply_to = properties.get("reply_to") or ""
        self._inflow.arrived.append(Arrived(body, reply_to, bool(message.delivery_info["redelivered"]), (self, tag)))

    def _on_return(self, _error: Exception, _exchange: str, _key: str, message: Any) -> None:
        self._inflow.returned.append(bytes(message.body))

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._confirmed(tag, multiple=multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._inflow.returned.extend(self._confirmed(tag, multiple=multiple))

    def _confirmed(self, tag: int, *, multiple: bool) -> list[bytes]:
        tags = [t for t in self.unconfirmed if t <= tag] if multiple else [tag]
        return [self.unconfirmed.pop(t) for t in tags if t in self.unconfirmed]

    def _on_blocked(self, _reason: str) -> None:
        self.blocked = True

    def _on_unblocked(self) -> None:
        self.blocked = False

    # ---- the end -------------------------------------------------------------------------------------------------

    def end(self, *, polite: bool) -> None:
        """Drop the connection, and say goodbye before if asked: then the broker removes what is ours at once. Never
        raises.
        """
        try:
            try:
                if polite:
                    self._read_within(min(_GOODBYE, self._io_timeout))
                    self._driver.close_connection(self._raw)
            finally:
                self.kill()
        except Exception:
            log.debug("a connection ended without a goodbye", exc_info=True)

    def interrupt(self) -> None:
        """End whatever another thread is stuck in. The one method that needs no lock."""
        with suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)  # not the one of TLS, which would say goodbye

    def kill(self) -> None:
        """Drop the connection."""
        self.interrupt()
        self._raw.collect()

    def abandon(self) -> None:
        """In a forked child: close our copy of the socket, without the shutdown that the parent would feel."""
        self._sock.close()


def _tls(settings: Settings) -> Any:
    if not settings.tls:
        return False
    if settings.insecure:
        return {"cert_reqs": ssl.CERT_NONE}
    return {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": settings.ca, "server_hostname": settings.host}
