"""Carries out a plan: everybody begins at once, and everything that happens is written into one chronicle.

Threads and an event loop are its business, and nobody else's. It must not know what is right.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from typing import Any, Final

from treaty import Client, DeadlineExceeded, Notification, Pending, Service, Status, Subscription
from treaty_contracts.bench import Bench
from treaty_contracts.expect import until
from treaty_contracts.properties import model
from treaty_contracts.properties.history import (
    Began,
    Chronicle,
    Ended,
    Event,
    GivenUp,
    Heard,
    History,
    Left,
    LeftOpen,
    Published,
    Ran,
    Subscribed,
    Told,
)
from treaty_contracts.properties.judges import Terms, notifications_are_complete
from treaty_contracts.properties.plans import Caller, Listening, Move, Plan
from treaty_contracts.properties.stage import Actor, Logbook, Stage
from treaty_contracts.recording import Trace
from treaty_contracts.surface import OnLoop

#: Seconds that a call has at least which is meant to run out of time: in less, early could not be told from in time.
_LEAST: Final = 0.03
#: The number of a status message that belongs to another call.
_STRANGE: Final = -1


class Troupe:
    """Performs one plan after the other.

    Args:
        bench: of the rule.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._on_loop = OnLoop()

    def perform(self, plan: Plan, trace: Trace) -> History:
        """Carry out a plan in a world of its own, and return what happened."""
        show = _Show(self._bench, trace, self._on_loop, plan)
        try:
            return show.run()
        finally:
            show.stage.close()

    def close(self) -> None:
        """Leave no thread behind."""
        self._on_loop.close()


class _Part:
    """What one client does: the calls of a caller, which it makes blocking or on a loop."""

    def __init__(self, show: _Show, client: Client, service: str, moves: tuple[Move, ...]) -> None:
        self._show, self._client, self._service = show, client, service
        self._moves = [(show.token(), move) for move in moves]

    def blocking(self) -> None:
        """Make the calls in this thread."""
        waiting = []
        for token, move in self._moves:
            if move.waits and not move.cancel and move.kind != "report":
                self._show.ended(token, partial(self._call, token, move))
                self._show.book.open(token)
                continue
            finish = partial(self._finish, token, move, self._send(token, move))
            if move.waits:
                finish()
            else:
                waiting.append(finish)
        for finish in waiting:
            finish()

    async def on_loop(self) -> None:
        """Make the calls on the running loop."""
        waiting = []
        for token, move in self._moves:
            pending = self._send(token, move)
            if move.waits:
                await self._finish_on_loop(token, move, pending)
            else:
                waiting.append((token, move, pending))
        for left in waiting:
            await self._finish_on_loop(*left)

    def _call(self, token: int, move: Move) -> Any:
        return self._client.call(*self._asked(token, move), timeout=self._show.begins(token, move))

    def _send(self, token: int, move: Move) -> Pending:
        pending = self._client.send(*self._asked(token, move), timeout=self._show.begins(token, move))
        if move.kind != "report":
            pending.on_done(lambda over: self._show.ended(token, over.result))
        if move.cancel:
            self._show.add(GivenUp, call=token, open=pending.cancel())
            self._show.book.open(token)
        return pending

    def _finish(self, token: int, move: Move, pending: Pending) -> None:
        for status in pending.statuses():
            self._show.told(token, status)
        if move.kind == "report":
            self._show.ended(token, pending.result)
        self._show.book.open(token)

    async def _finish_on_loop(self, token: int, move: Move, pending: Pending) -> None:
        async for status in pending.statuses():
            self._show.told(token, status)
        if move.kind == "report":
            self._show.ended(token, pending.result)
        self._show.book.open(token)

    def _asked(self, token: int, move: Move) -> tuple[str, Any]:
        return f"{self._service}.{model.METHODS.get(move.kind, move.kind)}", model.params(move.kind, token, move.value)


class _Show:
    """One performance."""

    def __init__(self, bench: Bench, trace: Trace, on_loop: OnLoop, plan: Plan) -> None:
        self._bench, self._on_loop, self._plan = bench, on_loop, plan
        self._chronicle: Final = Chronicle()
        self.book: Final = Logbook(self._ran)
        self.stage: Final = Stage(bench, trace, self.book)
        self._go = threading.Event()
        self._calling: list[Future[Any]] = []
        self._publishing: list[Future[Any]] = []
        self._listening: list[Future[Any]] = []
        #: When open calls are over at the latest.
        self._due: dict[int, float] = {}
        #: The calls that are meant to run out of time; and whether another one did.
        self._meant: set[int] = set()
        self._hopeless = False
        self._tokens = 0
        self._long = bench.times.arrive
        self._brief = max(bench.times.brief / 4, _LEAST)

    def run(self) -> History:
        """Let everybody begin, and wait for all of them."""
        plan = self._plan
        near = self.stage.transport("client")
        workers = self._workers()
        for number, listening in enumerate(plan.subscribers, 1):
            self._subscriber(f"subscriber {number}", self.stage.client(near), workers[0].name, listening)
        # As long as all have something to publish they do it in step, so that they do meet.
        together = threading.Barrier(max(1, len(plan.publishers)), timeout=self._long)
        for number, count in enumerate(plan.publishers, 1):
            publish = partial(self._publish, workers[0], f"publisher-{number}", count, together)
            self._publishing.append(self._aside(publish))
        parts = [(caller, self._part(caller, near, [worker.name for worker in workers])) for caller in plan.callers]
        self._calling += [self._aside(part.blocking) for caller, part in parts if not caller.on_loop]
        if plan.leaves:
            self._calling.append(self._aside(partial(workers[-1].stop, self._long)))
        self._go.set()
        self._calling += [self._on_loop.run(part.on_loop()) for caller, part in parts if caller.on_loop]
        terms = Terms(ordered=self._bench.guarantees.ordered, stopping=plan.leaves)
        for one in self._over():
            one.result()
        until(lambda: not notifications_are_complete(self._chronicle.history, terms).problems, self._long)
        return self._chronicle.history

    def _over(self) -> set[Future[Any]]:
        """Wait for all parts, or until it is plain that something went wrong, and return those that are over."""
        parts = {*self._publishing, *self._calling, *self._listening}
        limit = time.monotonic() + self._long * 3
        while True:
            over, running = wait(parts, self._bench.times.slack / 8)
            now = time.monotonic()
            late = any(deadline + self._bench.times.slack < now for deadline in list(self._due.values()))
            if not running or late or now > limit or self._hopeless:
                self._leave(now)
                return over

    def _leave(self, now: float) -> None:
        """Calls that are late are open against the contract; the others are only waited for no longer."""
        for token, deadline in list(self._due.items()):
            if deadline + self._bench.times.slack >= now:
                self.add(LeftOpen, call=token)

    # What parts write

    def add(self, event: type[Event], **more: Any) -> None:
        """Write down what happens now."""
        self._chronicle.add(event, **more)

    def token(self) -> int:
        """Return a number for another call."""
        self._tokens += 1
        return self._tokens

    def begins(self, token: int, move: Move) -> float:
        """A call begins; return how long it may take."""
        timeout = self._brief if move.kind == "late" else self._long
        self._due[token] = time.monotonic() + timeout
        if move.kind == "late":
            self._meant.add(token)
        self.add(Began, call=token, kind=move.kind, value=move.value, timeout=timeout)
        return timeout

    def told(self, token: int, status: Status) -> None:
        """A status message was heard."""
        call, _, number = status.reason.partition("/")
        self.add(Told, call=token, number=int(number) if call == str(token) else _STRANGE)

    def ended(self, token: int, result: Callable[[], Any]) -> None:
        """A call is over."""
        try:
            value = result()
        except BaseException as raised:  # whatever ends a call is what is judged
            self.add(Ended, call=token, error=type(raised).__name__)
            self._hopeless |= isinstance(raised, DeadlineExceeded) and token not in self._meant
        else:
            self.add(Ended, call=token, value=value)
        self._due.pop(token, None)

    def _ran(self, worker: str, token: int, request: str) -> None:
        self.add(Ran, call=token, worker=worker, request=request)

    # Who takes part

    def _workers(self) -> list[Actor]:
        """Start the services: several on one transport object, or several with one name on one each."""
        plan, far = self._plan, self.stage.transport("service")
        made = [self.stage.actor(far, f"s{number}", worker=f"s{number}") for number in range(plan.services)]
        made += [
            self.stage.actor(self.stage.transport("service"), "s0", worker=f"s0/{number}")
            for number in range(1, plan.workers)
        ]
        for actor in made:
            actor.start()
        return made

    def _part(self, caller: Caller, near: Any, services: list[str]) -> _Part:
        transport = self.stage.transport("client") if caller.alone else near
        return _Part(self, self.stage.client(transport), services[caller.service % len(services)], caller.moves)

    def _publish(self, service: Service, publisher: str, count: int, together: threading.Barrier) -> None:
        for number in range(count):
            if number < min(self._plan.publishers):
                with suppress(threading.BrokenBarrierError):  # another one is stuck, which is judged by itself
                    together.wait()
            self.add(Published, publisher=publisher, number=number)
            service.publish(publisher, number)

    def _subscriber(self, label: str, client: Client, channel: str, listening: Listening) -> None:
        heard: list[int] = []

        def callback(notification: Notification) -> None:
            publisher = notification.topic.partition(".")[2]
            self.add(Heard, subscriber=label, publisher=publisher, number=notification.data)
            heard.append(notification.data)

        def subscribe() -> Subscription:
            subscription = client.subscribe(f"{channel}.#", callback)
            self.add(Subscribed, subscriber=label)
            return subscription

        def leave(subscription: Subscription) -> None:
            if listening.leaves is not None:
                enough = listening.leaves
                until(lambda: len(heard) >= enough or all(one.done() for one in self._publishing), self._long)
                subscription.close()
                self.add(Left, subscriber=label)

        if listening.early:
            self._listening.append(self._aside(partial(leave, subscribe())))
        else:
            self._listening.append(self._aside(lambda: leave(subscribe())))

    def _aside(self, work: Callable[[], Any]) -> Future[Any]:
        """Do something in a thread, as soon as everybody is there."""
        future: Future[Any] = Future()

        def run() -> None:
            self._go.wait(self._long)
            try:
                future.set_result(work())
            except BaseException as raised:  # whoever asks for the result gets it
                future.set_exception(raised)

        threading.Thread(target=run, name="contract-part", daemon=True).start()
        return future
