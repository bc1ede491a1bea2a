"""The threads of a running service: they receive, run handlers, and send what comes of it.

The thread that receives a request runs its handler, while another one receives: nothing is handed over on the way.
Coroutines run on one event loop. This room must not know what a service is called or who stops it.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from treaty.coroutines import LoopThread
from treaty.driving import SERVING_UNTIL, WakeUp, present
from treaty.engine import Answer, Answerer, Run, Stop
from treaty.errors import ClosedError, ConnectionLost, InvalidResult, ResourceExhausted, TreatyError, Unavailable
from treaty.incoming import Incoming
from treaty.job import Job
from treaty.logs import logger
from treaty.places import Places
from treaty.reception import Reception
from treaty.registry import is_expected
from treaty.transport import Delivery, Inbox

if TYPE_CHECKING:
    from treaty.client import Client

#: How many requests may wait inside a service whose transport has no other worker to give them to.
BACKLOG: Final = 10_000
_LOG: Final = logger("treaty.service")
#: How long a receive lasts, which is how soon a thread notices that the service stops.
_SLICE: Final = 0.1
#: How long every worker must have been busy before somebody else receives, or twice that at most: the stand-in looks as
#: seldom as that allows, since each look takes the interpreter away from them.
_PATIENCE: Final = 0.01


class _Thread(threading.Thread):
    """A thread that may run handlers, and knows of whom."""

    def __init__(self, serving: Serving, work: Callable[[], None], name: str) -> None:
        super().__init__(target=work, name=name, daemon=True)
        self.serving = serving


class Serving:
    """Serves one inbox until it is stopped.

    Args:
        answerer: the engine.
        inbox: where requests arrive.
        concurrency: how many handlers run at once.
        reads_ahead: whether requests are received while every handler is busy, to wait here: right where no other
            worker could take them, since cancellations and pings are then heard as well.
        client: returns the client for nested calls.
    """

    def __init__(
        self,
        answerer: Answerer,
        inbox: Inbox,
        *,
        concurrency: int,
        reads_ahead: bool,
        client: Callable[[], Client],
    ) -> None:
        self.answerer = answerer
        self._reception = Reception(inbox, counts=concurrency > 1)
        self._client = client
        self._concurrency = concurrency
        self._reads_ahead = reads_ahead
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._places: Places[Job] = Places(concurrency, BACKLOG)
        self._jobs: dict[str, Job] = {}
        self._stopping = False
        self._hurried = threading.Event()
        self._threads: list[threading.Thread] = []
        self._workers = 1
        self._left_at = 0.0
        self._parked = False
        self._stand_in_wake = WakeUp()
        self._loop = LoopThread("treaty-service-loop")
        self._spawn(self._work, "treaty-service-1")
        if reads_ahead:
            self._spawn(self._stand_in, "treaty-service-stand-in")

    @property
    def own_thread(self) -> bool:
        """Whether the calling thread is one of those that run handlers."""
        thread = threading.current_thread()
        return (isinstance(thread, _Thread) and thread.serving is self) or self._loop.own_thread

    def hurry(self) -> None:
        """End a drain at once."""
        self._hurried.set()
        with self._lock:
            self._changed.notify_all()

    def stop(self, drain: float) -> None:
        """Take no new requests, give running handlers ``drain`` seconds, answer what is left, and close the inbox."""
        until = time.monotonic() + drain
        with self._lock:
            self._stopping = True
        for job in self._places.end():
            self._hand_back(job)
        while True:
            # What comes now is answered as well: a new request was not executed, a cancellation ends the wait.
            self._hand_back_queued()
            with self._lock:
                left = until - time.monotonic()
                if not self._jobs or self._hurried.is_set() or left <= 0:
                    abandoned = list(self._jobs.values())
                    break
                self._changed.wait(min(left, _SLICE))
        for job in abandoned:
            lost = ConnectionLost(f"{job.method}: may have been executed: the service stopped while it ran")
            self._finish(job, partial(self.answerer.error, job.exchange, lost, now=present()))
            self._tell(job)
        self._reception.close()
        self._stand_in_wake.wake()
        self._loop.stop()
        # A thread whose handler was abandoned cannot be ended; it is a daemon, and what it returns goes nowhere.
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(0.1 if abandoned else None)

    # Receiving

    def _spawn(self, work: Callable[[], None], name: str) -> None:
        thread = _Thread(self, work, name)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        # A handler may have forked: in the child this is the only thread, and with it the child ends.
        while not self._stopping and not self._reception.foreign:
            self._work_once(_SLICE)

    def _work_once(self, timeout: float) -> None:
        """Receive one frame, and do all that is to be done about it."""
        if not self._reads_ahead and not self._places.take(timeout):
            return
        job = self._next(timeout)
        if job is None:
            if not self._reads_ahead:
                self._places.next_or_leave()
        elif not self._reads_ahead or self._queue_or_refuse(job):
            self._left_at = time.monotonic()
            if self._parked:
                self._stand_in_wake.wake()
            if self._concurrency > 1:
                self._ensure_worker()
            self._run_all(job)

    def _stand_in(self) -> None:
        """Receive while every worker has been busy for a while, so that cancellations, pings and refusals are heard.

        Sleeps without a timeout as long as nothing happens, and costs a busy worker nothing.
        """
        seen = -1
        while not self._stopping:
            since = time.monotonic() - self._left_at
            if not self._reception.busy and since >= _PATIENCE:
                self._work_once(_PATIENCE)
                continue
            self._parked = seen == self._reception.received and self._reception.busy
            seen = self._reception.received
            self._stand_in_wake.sleep(3600 if self._parked else max(_PATIENCE, 2 * _PATIENCE - since))
            self._parked = False

    def _ensure_worker(self) -> None:
        """Before this thread gets busy: is there another one to receive?"""
        with self._lock:
            if self._reception.waiting == 0 and self._workers < self._concurrency and not self._stopping:
                self._workers += 1
                self._spawn(self._work, f"treaty-service-{self._workers}")

    def _next(self, timeout: float) -> Job | None:
        """Receive one frame and do what is to be done about it, short of running a handler."""
        try:
            delivery = self._reception.receive(timeout)
        except ClosedError:
            self._stopping = True
            return None
        if delivery is None:
            return None
        try:
            return self._receive(delivery)
        except Exception:
            # A fault of ours, or of the transport: one frame is lost by it, not the service.
            _LOG.exception("a frame could not be dealt with")
            delivery.settle()
            return None

    def _receive(self, delivery: Delivery) -> Job | None:
        with self._lock:
            asked = self.answerer.receive(
                delivery.frame, now=present(), reply_to=delivery.reply_to, redelivered=delivery.redelivered
            )
            if isinstance(asked, Run):
                job = Job(asked, delivery, self)
                self._jobs[job.id] = job
                if not self._stopping:
                    return job
            stopped = self._jobs.get(asked.id) if isinstance(asked, Stop) else None
        if isinstance(asked, Run):
            self._hand_back(job)
            return None
        if stopped is not None:
            self._abandon(stopped)
        elif isinstance(asked, Answer) and asked.frame is not None:
            self._reply(delivery, asked.frame)
        delivery.settle()
        return None

    def report(self, message: Incoming, code: int, reason: str, progress: float | None) -> bool:
        """Send a status message of a handler's, unless nobody listens any more."""
        assert isinstance(message, Job)
        if message.over or message.one_way or message.cancelled:
            return False
        with self._lock:
            frame = self.answerer.status(message.exchange, code, reason, progress=progress, now=present())
        return self._reply(message.delivery, frame)

    def nested_client(self) -> Client:
        """Return the client for nested calls."""
        return self._client()

    def _queue_or_refuse(self, job: Job) -> bool:
        """Return whether there is a place for the job now."""
        placed = self._places.take_or_queue(job)
        if placed is None and self._stopping:
            self._hand_back(job)
        elif placed is None:
            full = ResourceExhausted(f"{job.method}: not executed: {BACKLOG:,} requests are waiting already")
            self._finish(job, partial(self.answerer.error, job.exchange, full, now=present()))
        return bool(placed)

    # Running

    def _run_all(self, job: Job | None) -> None:
        """Run a job that has a place, and whatever waits for that place."""
        while job is not None:
            if job.bound.handler.is_async:
                self._start_coroutine(job)
                return
            self._run(job)
            job = self._places.next_or_leave()

    def _run(self, job: Job) -> None:
        if self._skip(job):
            return
        token = SERVING_UNTIL.set(job.exchange.deadline)
        job.started = time.monotonic()
        bound = job.bound
        try:
            value = bound.handler.function(job, *bound.args, **bound.kwargs)
        except BaseException as raised:
            self._fail(job, raised)
        else:
            self._succeed(job, value)
        finally:
            SERVING_UNTIL.reset(token)

    def _start_coroutine(self, job: Job) -> None:
        context = copy_context()
        context.run(SERVING_UNTIL.set, job.exchange.deadline)

        def started(task: asyncio.Task[None]) -> None:
            job.task = task
            task.add_done_callback(lambda _: self._coroutine_over(job))

        self._loop.start(lambda: self._run_coroutine(job), context, started)

    async def _run_coroutine(self, job: Job) -> None:
        if self._skip(job):
            return
        job.started = time.monotonic()
        bound = job.bound
        try:
            async with asyncio.timeout(job.remaining):
                value = await bound.handler.function(job, *bound.args, **bound.kwargs)
        except BaseException as raised:
            # sys.exit in a handler must not end the loop either.
            self._fail(job, raised)
        else:
            self._succeed(job, value)

    def _coroutine_over(self, job: Job) -> None:
        if self._reception.foreign:
            os._exit(0)  # the coroutine forked, and to end the child's loop would take the parent's out of its poll
        # A task that is cancelled before its first step never runs: its job ends here.
        self._finish(job, None)
        following = self._places.next_or_leave()
        if following is None:
            return
        if following.bound.handler.is_async:
            self._start_coroutine(following)
        else:
            # A blocking handler has no business on the event loop.
            _Thread(self, partial(self._run_all, following), "treaty-service-late").start()

    # Ending

    def _skip(self, job: Job) -> bool:
        """Whether the caller gave up while the request waited for a place."""
        if not job.cancelled and not job.over:
            return False
        self._finish(job, None)
        return True

    def _succeed(self, job: Job, value: Any) -> None:
        def frame() -> bytes:
            now = present()
            return self.answerer.result(
                job.exchange,
                value,
                status=job.status_line,
                headers=job.response_headers,
                took=now.steady - job.started,
                now=now,
            )

        self._finish(job, frame)

    def _fail(self, job: Job, raised: BaseException) -> None:
        error_id = os.urandom(6).hex()
        given_up = isinstance(raised, asyncio.CancelledError | TimeoutError) and job.cancelled
        if given_up:
            _LOG.debug("%s: stopped, as the caller had given up", job.method)
        elif not is_expected(raised):
            _LOG.error("%s failed, error id %s", job.method, error_id, exc_info=raised)
        self._finish(job, lambda: self.answerer.failure(job.exchange, raised, error_id=error_id, now=present()))

    def _finish(self, job: Job, frame: Callable[[], bytes] | None) -> None:
        """End a job, once: send the answer if somebody still waits for it, and give its place at the inbox free."""
        with self._lock:
            first, job.over = not job.over, True
        if first and frame is not None and not job.cancelled and not job.one_way:
            self._reply(job.delivery, self._written(job, frame))
        job.delivery.settle()
        with self._lock:
            # Not before the answer is on its way: a service that stops waits for this.
            self._jobs.pop(job.id, None)
            if self._stopping:
                self._changed.notify_all()

    def _written(self, job: Job, frame: Callable[[], bytes]) -> bytes:
        try:
            return frame()
        except Exception as raised:
            # Something always comes back, and this thread has more to do.
            _LOG.exception("%s: its answer could not be written", job.method)
            verdict = InvalidResult(f"{job.method} was executed, but its answer cannot be written: {raised!r}"[:1000])
            return self.answerer.error(job.exchange, verdict, now=present())

    def _abandon(self, job: Job) -> None:
        """The caller has given up: nobody wants the answer, and the handler may stop."""
        job.over = True
        self._tell(job)

    def _tell(self, job: Job) -> None:
        job.give_up()
        if job.task is not None:
            self._loop.cancel(job.task)

    def _reply(self, delivery: Delivery, frame: bytes) -> bool:
        try:
            delivery.reply(frame)
        except ClosedError:
            return False
        except TreatyError as error:
            _LOG.warning("an answer could not be sent: %s", error)
            return False
        return True

    # Handing back what was not started

    def _hand_back_queued(self) -> None:
        if not self._reads_ahead:
            return
        for delivery in self._reception.rest():
            self._receive(delivery)

    def _hand_back(self, job: Job) -> None:
        """A request that will not be run here: another worker gets it, or its caller hears that it was not executed."""
        with self._lock:
            self._jobs.pop(job.id, None)
            job.over = True
        if self._reads_ahead and not job.one_way:
            verdict = Unavailable(f"{job.method}: not executed: the service is stopping")
            self._reply(job.delivery, self.answerer.error(job.exchange, verdict, now=present()))
        job.delivery.settle(accepted=False)
