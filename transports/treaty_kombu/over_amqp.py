"""RabbitMQ: one connection per end, guarded by a lock, and read by whoever is inside ``receive``.

The reader waits for the socket without the lock, so that others can write meanwhile, and takes it only to parse what
came. A small thread keeps heartbeats going while nobody is inside. This room must not know what is inside a frame.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import AbstractContextManager, suppress
from typing import Final

from treaty import ClosedError, ConnectionLost, Guarantees, Unavailable

from .amqp_wire import Inflow, Wire
from .hearing import Hearing
from .link import LONGEST, Arrived, Held, Link, Pulse, Role, Waker, Whole, log, text
from .redial import Redial
from .settings import Settings

#: How long another thread's write may keep ``send`` waiting when its timeout is 0.
_TURN: Final = 0.05
#: How long a broker has to notice that the last connection is gone, which owned the queue that this one is to own.
_NOTICING: Final = 0.3
#: How many frames may wait for a reader, and how many requests for the broker's confirmation.
_BACKLOG: Final = 10_000
#: What RabbitMQ says when another connection owns a queue.
_LOCKED: Final = 405


def guarantees(settings: Settings) -> Guarantees:
    """What holds on RabbitMQ; the README says why."""
    return Guarantees(
        crosses_processes=True,
        notifications=True,
        competing_workers=True,
        ordered=True,
        notices_absence=2.0,
        survives_restart=True,
        redelivers=True,
        max_frame=settings.max_frame,
    )


class AmqpLink(Link):
    """An end on RabbitMQ."""

    def __init__(self, settings: Settings, role: Role) -> None:
        super().__init__(settings, role)
        self._lock = threading.RLock()  # guards the wire
        self._wire: Wire | None = None
        self._inflow = Inflow()
        self._closing = self._closed = False
        self._receiving = threading.Lock()  # held while somebody is inside receive
        self._hearing = Hearing(self._lock, self._receiving)
        self._waker = Waker()
        self._polled: tuple[Wire, int, select.poll] | None = None  # which wire, and what waits for it
        self._pulse: Pulse | None = None
        self._redial = Redial(settings.shown, self._connect_again, self._waker.set)

    # ---- connecting and losing -----------------------------------------------------------------------------------

    def open(self) -> None:
        self._pulse = Pulse("heartbeat", self.settings.heartbeat / 4, self._beat)
        if self.role.kind == "replies":
            return  # whoever dials connects with the first use, which knows how long it may take
        with self._turn(self.settings.connect_timeout):
            self._connect(self.settings.connect_timeout)

    def _turn(self, timeout: float) -> AbstractContextManager[None]:
        """Hold the lock, or raise ``Unavailable``."""
        return Held(self._lock, max(timeout, _TURN), self.settings.shown, lambda: None)

    def _connect(self, timeout: float) -> Wire:
        """The wire, made now if there is none, else ``Unavailable``. With the lock held."""
        if self._wire is not None:
            return self._wire
        if self._closing:
            raise ClosedError("closed while connecting")
        try:
            wire = self._make(timeout)
        except Exception as error:
            self._redial.later()
            raise Unavailable(f"cannot connect to {self.settings.shown}: {text(error)}") from error
        if self._closing:  # meanwhile, and whoever closes may not have waited for this
            wire.kill()
            raise ClosedError("closed while connecting")
        self._wire = wire
        self._waker.set()  # whoever waits for the old socket must look at the new one
        return wire

    def _make(self, timeout: float) -> Wire:
        until = time.monotonic() + min(_NOTICING, timeout / 2)
        while True:
            try:
                return self._made(timeout)
            except Exception as error:
                if self.role.kind != "replies" or getattr(error, "reply_code", 0) != _LOCKED:
                    raise
                # The broker has not noticed yet that the connection which owned our queue is gone.
                if time.monotonic() >= until:
                    self.address = self.settings.reply_queue(os.urandom(16).hex())

    def _made(self, timeout: float) -> Wire:
        settings, role = self.settings, self.role
        heartbeat = 0 if role.kind == "none" else settings.heartbeat
        wire = Wire(settings, timeout, heartbeat, self._inflow)
        try:
            if role.kind == "replies":
                wire.take_replies(self.address)
            elif role.kind == "work":
                wire.take_work(settings.service_queue(role.name), role.capacity, settings.expires, settings.max_queued)
            elif role.kind == "feed":
                own = settings.own_name("feed", self.token)
                wire.take_feed(settings.channel_exchange(role.name), own, settings.max_queued)
            else:
                wire.take_nothing()
            return wire.settled()
        except BaseException:
            wire.kill()
            raise

    def _lose(self) -> None:
        """Drop the wire. With the lock held."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.kill()
        if self.role.kind != "replies":
            self._inflow.arrived.clear()  # not handed out, so the broker gives them to somebody else
        self._waker.set()

    def _broken(self, error: BaseException) -> ConnectionLost:
        loss = ConnectionLost(f"the connection to {self.settings.shown} broke: {text(error)}")
        loss.__cause__ = error
        return loss

    def _spoil(self, error: BaseException) -> None:
        """Lose the wire, and have whoever waits for what it would have brought hear of it. With the lock held."""
        self._lose()
        self._hearing.lost(self._broken(error))

    # ---- sending -------------------------------------------------------------------------------------------------

    def send(self, service: str, frame: bytes, timeout: float) -> None:
        deadline, address = time.monotonic() + timeout, self.address
        while self._wire is None or not self._sent(service, frame, address, deadline):
            self._redial.reach(deadline)

    def _sent(self, service: str, frame: bytes, address: str, deadline: float) -> bool:
        """Send on the connection that there is. Whether there is one."""
        with self._turn(deadline - time.monotonic()):
            with suppress(Exception):  # a loss is told by receive
                self._catch_up()
            self._hearing.wait(deadline)
            wire = self._wire
            if wire is None:
                return False
            if self.address != address:
                raise Unavailable(
                    f"not sent: its answer would go where nobody reads since {self.settings.shown} was lost"
                )
            if wire.blocked:
                raise Unavailable(f"{self.settings.shown} takes no messages: it is out of memory or disk space")
            if len(wire.unconfirmed) >= _BACKLOG:
                raise Unavailable(f"{self.settings.shown} has not confirmed the last {_BACKLOG} requests")
            self._hearing.sent()
            try:
                with Whole(self._spoil):
                    wire.request(self.settings.service_queue(service), frame, address)
            except Exception as error:
                raise self._broken(error) from error
        if self._inflow:  # the driver reads before it writes, so the socket will not wake the reader for these
            self._waker.set()
        return True

    def reply(self, address: str, frame: bytes) -> None:
        with self._turn(self.settings.io_timeout):
            for last in (False, True):
                try:
                    wire = self._connect(self.settings.connect_timeout)
                except Unavailable as error:
                    raise ConnectionLost(f"the reply was not sent: {error}") from error
                try:
                    self._catch_up()
                    with Whole(self._spoil):
                        wire.reply(address, frame)
                    break
                except Exception as error:
                    # The queue of whoever asked outlives our connection. Should both get there, the first one counts.
                    if last:
                        raise self._broken(error) from error
        if self._inflow:
            self._waker.set()

    def _catch_up(self) -> None:
        """Read what is there, to notice that the connection broke while nobody looked. With the lock held."""
        while self._wire is not None and len(self._inflow.arrived) < _BACKLOG and self._wire.pending():
            with Whole(self._spoil):
                self._dropped(self._wire.drain())

    def publish(self, channel: str, frame: bytes) -> None:
        exchange, timeout = self.settings.channel_exchange(channel), self.settings.io_timeout
        with self._turn(timeout):
            with suppress(Exception):  # it broke while nobody was using it, which harms nobody
                self._catch_up()
            wire = self._connect(timeout)
            if wire.blocked:
                raise Unavailable(f"{self.settings.shown} takes no messages: it is out of memory or disk space")
            try:
                with Whole(self._spoil):
                    taken = wire.publish(exchange, frame, timeout)
            except Exception as error:
                raise self._broken(error) from error
            if not taken:
                raise ConnectionLost(f"{self.settings.shown} is out of memory or disk space: it may deliver this later")

    # ---- receiving -----------------------------------------------------------------------------------------------

    def receive(self, timeout: float) -> Arrived | None:
        deadline = time.monotonic() + timeout
        with self._receiving:
            try:
                return self._next(deadline)
            finally:
                self._hearing.left()

    def _next(self, deadline: float) -> Arrived | None:
        inflow = self._inflow
        while True:
            if self._closing:
                raise ClosedError("closed while waiting")
            if inflow.returned:
                raise Unavailable("nobody serves this, or its queue is full", frame=inflow.returned.popleft())
            if inflow.arrived:
                return self._hand_out(inflow)
            self._hearing.tell()
            left = max(0.0, deadline - time.monotonic())
            wire = self._wire
            if wire is None:
                self._reconnect(left)
            else:
                reads = wire.reads
                if self._wait(wire, left):
                    self._read(wire, reads)
                    continue
            if left <= 0 and not inflow:
                return None

    def _hand_out(self, inflow: Inflow) -> Arrived | None:
        try:
            arrived = inflow.arrived.popleft()
        except IndexError:  # the pulse found the connection broken just now
            return None
        self._hearing.came()
        if self.role.kind == "feed":
            self._settle(arrived, accepted=True)  # a copy is ours alone: it is done with once it is handed out
        return arrived

    def _wait(self, wire: Wire, timeout: float) -> bool:
        """Wait for the socket, without the lock. Whether it was the socket that woke us."""
        if self._polled is None or self._polled[0] is not wire:
            with self._turn(LONGEST):
                if wire is not self._wire:
                    return False
                own = wire.fileno()
            if own < 0:
                return True  # interrupted; reading will say so
            poll = select.poll()
            poll.register(self._waker.fileno(), select.POLLIN)
            poll.register(own, select.POLLIN)
            self._polled = (wire, own, poll)
        _, own, poll = self._polled
        if wire.buffered():
            return True
        ready = [descriptor for descriptor, _ in poll.poll(min(timeout, LONGEST) * 1000)]
        if ready != [own]:
            self._waker.clear()
        return own in ready

    def _read(self, wire: Wire, reads: int) -> None:
        """Read one thing, unless somebody else has read it by now: then there may be nothing left to wait for."""
        with self._turn(LONGEST):
            if wire is not self._wire:
                return
            with suppress(Exception), Whole(self._spoil):  # a loss is told by receive
                if wire.reads == reads or wire.pending():
                    self._dropped(wire.drain())

    def _dropped(self, count: int) -> None:
        if count:
            log.warning("%d foreign message(s) in the queue of %s were thrown away", count, self.role.name or "a line")

    def _reconnect(self, timeout: float) -> None:
        """See that somebody tries to connect again, and wait for what comes of it; that it fails is no news."""
        self._waker.wait(min(self._redial.begin(), timeout))

    def _connect_again(self) -> None:
        with self._turn(self.settings.connect_timeout):
            self._connect(self.settings.connect_timeout)

    def settle(self, arrived: Arrived, accepted: bool) -> None:
        if self.role.kind != "feed":
            self._settle(arrived, accepted)

    def _settle(self, arrived: Arrived, accepted: bool) -> None:
        with suppress(Exception), self._turn(LONGEST):  # a loss is told by receive
            wire: Wire = arrived.token[0]
            if wire is not self._wire:
                return  # the broker has given it to somebody else when that connection broke
            tag: int = arrived.token[1]
            with Whole(self._spoil):
                if accepted:
                    wire.ack(tag)
                else:
                    queue, timeout = self.settings.service_queue(self.role.name), self.settings.io_timeout
                    wire.hand_back(queue, arrived.frame, arrived.reply_to, tag, timeout)
        if self._inflow:
            self._waker.set()

    # ---- housekeeping --------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        """Read and send heartbeats, since nobody may have been inside for a while."""
        wire = self._wire
        if wire is None:
            return
        if not self._lock.acquire(timeout=self.settings.io_timeout):
            wire.interrupt()  # somebody is stuck in the middle of a message, and finds out by this
            return
        try:
            if wire is self._wire:
                with suppress(Exception):  # a loss is told by receive
                    self._catch_up()
                    with Whole(self._spoil):
                        wire.beat()
                        wire.check_confirmations()
        finally:
            self._lock.release()
        if self._inflow:
            self._waker.set()

    # ---- the end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        # Not once it was begun: where it was interrupted, the next one goes on.
        if self._closed:
            return
        self._closing = True
        self._waker.set()
        self._redial.stop()
        self._hang_up()
        if self._pulse is not None:
            self._pulse.stop()
        # The reader has been woken; its descriptors go when it has gone. It cannot be this very thread.
        if self._receiving.acquire(timeout=self.settings.connect_timeout + 1):
            self._receiving.release()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waker.close()

    def _hang_up(self) -> None:
        try:
            with self._turn(1.0):
                self._end_wire(polite=True)
            return
        except Unavailable as error:
            log.debug("closing: %s", error)
        if self._redial.trying:
            return  # there is no wire, and one that comes of it is dropped there
        wire = self._wire
        if wire is not None:
            wire.interrupt()
        with self._lock:
            self._end_wire(polite=False)

    def _end_wire(self, *, polite: bool) -> None:
        wire = self._wire
        if wire is not None:
            with Whole(lambda _: wire.kill()):
                wire.end(polite=polite)
            self._wire = None  # not before: whoever interrupts this may leave the rest to the next one

    def abandon(self) -> None:
        if not self._closing:
            self._closing = self._closed = True
            if self._wire is not None:
                self._wire.abandon()
            self._waker.abandon()


LINK: Final = AmqpLink
