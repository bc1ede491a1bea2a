"""The threads of a running service: they receive, run handlers, and send what comes of it.

The thread that receives a request runs its handler, while another one receives: nothing is handed over on the way.
Coroutines run on one event loop. This room must not know what a service is called or who stops it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

from treaty.children import end_child
from treaty.closing import Finish
from treaty.coroutines import LoopThread
from treaty.driving import Allowance, WakeUp, held_here, present
from treaty.engine import Answer, Answerer, Run, Stop
from treaty.errors import ClosedError, ConnectionLost, ResourceExhausted, TreatyError, Unavailable
from treaty.incoming import Incoming
from treaty.job import Job
from treaty.logs import logger, tell
from treaty.places import Places
from treaty.reception import Reception, reply, settle
from treaty.transport import Delivery, Inbox
from treaty.writing import failure, note, result, verdict

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
#: How long a stop waits for a coroutine that blocks the event loop, once it was given up.
_GRACE: Final = 1.0


class _Thread(threading.Thread):
    """A thread that may run handlers, and knows of whom."""

    def __init__(self, serving: Serving, work: Callable[[], None], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.serving = serving
        self._work = work

    def run(self) -> None:
        """Do the work; should that not survive something, the service ends with it rather than be deaf."""
        try:
            self._work()
        except BaseException as raised:
            self.serving.fail(raised)


class Serving:
    """Serves one inbox until it is stopped.

    Args:
        answerer: the engine.
        inbox: where requests arrive.
        concurrency: how many handlers run at once.
        reads_ahead: whether requests are received while every handler is busy, to wait here: right where no other
            worker could take them, since cancellations and pings are then heard as well.
        client: returns the client for nested calls.
        failed: called once, in any thread, if the service can serve no longer, with what says why.
    """

    def __init__(
        self,
        answerer: Answerer,
        inbox: Inbox,
        *,
        concurrency: int,
        reads_ahead: bool,
        client: Callable[[Allowance], Client],
        failed: Callable[[TreatyError], None],
    ) -> None:
        self.answerer = answerer
        self._failed = failed
        self._reception = Reception(inbox, counts=concurrency > 1)
        self._client = client
        self._concurrency, self._reads_ahead = concurrency, reads_ahead
        self._lock = threading.RLock()  # a __del__ may report from the middle of anything, see report()
        self._changed = threading.Condition(self._lock)
        self._places: Places[Job] = Places(concurrency, BACKLOG)
        self._jobs: dict[str, Job] = {}
        self._stopping = self._hurried = self._parked = False
        self._drained_by = inf  # until when running handlers are waited for
        self._end_all = Finish()
        self._threads: list[threading.Thread] = []
        self._workers = 1
        self._left_at = 0.0
        self._stand_in_wake = WakeUp()
        self._context = copy_context()  # of whoever starts the service: handlers find what is set there
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
        self._hurried = True
        with self._lock:
            self._changed.notify_all()

    def stop(self, drain: float) -> None:
        """Take no new requests, give running handlers ``drain`` seconds, answer what is left, and close the inbox."""
        self._drained_by = min(self._drained_by, time.monotonic() + drain)
        self._end_all(self._stop)
        self._end_all.wait()

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
        for job in self._places.end():
            self._hand_back(job)
        while True:
            # What comes now is answered as well: a new request was not executed, a cancellation ends the wait.
            for delivery in self._reception.rest() if self._reads_ahead else ():
                self._take_in(delivery)
            with self._lock:
                left = self._drained_by - time.monotonic()
                if not self._jobs or self._hurried or left <= 0:
                    abandoned = list(self._jobs.values())
                    break
                self._changed.wait(min(left, _SLICE))
        for job in abandoned:
            lost = ConnectionLost(f"{job.method}: may have been executed: the service stopped while it ran")
            self._finish(job, partial(verdict, self.answerer, job, lost))
            self._tell(job)
        self._reception.close()
        self._stand_in_wake.wake()
        self._loop.stop(_GRACE if abandoned else None)
        # A thread whose handler was abandoned cannot be ended; it is a daemon, and what it returns goes nowhere.
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(0.1 if abandoned else None)

    def fail(self, raised: BaseException) -> None:
        """Nothing can be served any more: say so, once, and why."""
        with self._lock:
            if self._stopping:
                return
            closed = isinstance(raised, ClosedError)
            text = "the transport was closed under the service" if closed else "a thread of the service ended"
            error = (ClosedError if closed else TreatyError)(text)
            error.__cause__ = raised
            self._stopping = True
        tell(_LOG, logging.ERROR, "%s, which stops", text, error=raised)
        try:
            self._failed(error)
        except Exception:
            self._reception.close()  # not to be registered and deaf

    # Receiving

    def _spawn(self, work: Callable[[], None], name: str) -> None:
        thread = _Thread(self, work, name)
        thread.start()
        self._threads.append(thread)

    def _work(self) -> None:
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
                try:
                    self._spawn(self._work, f"treaty-service-{self._workers + 1}")
                    self._workers += 1
                except Exception as error:  # no memory, or too many threads: those that are there go on
                    tell(_LOG, logging.ERROR, "the service goes on with %d threads", self._workers, error=error)

    def _next(self, timeout: float) -> Job | None:
        """Receive one frame and do what is to be done about it, short of running a handler."""
        try:
            delivery = self._reception.receive(timeout)
        except ClosedError as error:
            self.fail(error)
            return None
        return None if delivery is None else self._take_in(delivery)

    def _take_in(self, delivery: Delivery) -> Job | None:
        try:
            return self._receive(delivery)
        except BaseException as error:
            # A fault of ours, or of the transport: one frame is lost by it, not the service.
            tell(_LOG, logging.ERROR, "a frame could not be dealt with", error=error)
            settle(delivery)
            return None

    def _receive(self, delivery: Delivery) -> Job | None:
        with self._lock:
            frame, to, again = delivery.frame, delivery.reply_to, delivery.redelivered
            asked = self.answerer.receive(frame, now=present(), reply_to=to, redelivered=again, running=self._jobs)
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
            stopped.over = True  # nobody wants the answer, and the handler may stop
            self._tell(stopped)
        elif isinstance(asked, Answer):
            reply(delivery, asked.frame)
        settle(delivery)
        return None

    def report(self, message: Incoming, code: int, reason: str, progress: float | None) -> bool:
        """Send a status message of a handler's, unless nobody listens any more."""
        assert isinstance(message, Job)
        if message.over or message.one_way or message.cancelled or held_here(self._lock):
            return False
        with self._lock:
            frame = self.answerer.status(message.exchange, code, reason, progress=progress, now=present())
        return reply(message.delivery, frame)

    def nested_client(self, message: Incoming) -> Client:
        """Return the client for the nested calls of a handler."""
        assert isinstance(message, Job)
        return self._client(message.allowance)

    def _queue_or_refuse(self, job: Job) -> bool:
        """Return whether there is a place for the job now."""
        placed = self._places.take_or_queue(job)
        if placed is None and self._stopping:
            self._hand_back(job)
        elif placed is None:
            full = ResourceExhausted(f"{job.method}: not executed: {BACKLOG:,} requests are waiting already")
            self._finish(job, partial(verdict, self.answerer, job, full))
        return bool(placed)

    # Running

    def _run_all(self, job: Job | None) -> None:
        """Run a job that has a place, and whatever waits for that place."""
        while job is not None:
            if (job.bound.handler.is_async or self._run(job)) and self._pass_on(job):
                return
            job = self._places.next_or_leave()

    def _pass_on(self, job: Job) -> bool:
        """Have a job that has a place run by another thread than this one, and return whether there can be one."""
        try:
            if job.bound.handler.is_async or job.awaited is not None:
                self._start_coroutine(job)
            else:
                _Thread(self, partial(self._run_all, job), "treaty-service-late").start()
        except Exception as error:  # no memory, or too many threads or files
            tell(_LOG, logging.ERROR, "%s: no thread could be started", job.method, error=error)
            full = ResourceExhausted(f"{job.method}: not executed: no thread could be started")
            self._finish(job, partial(verdict, self.answerer, job, full))
            return False
        return True

    def _run(self, job: Job) -> bool:
        """Run a job, and return whether what its handler returned has yet to be awaited."""
        if self._skip(job):
            return False
        job.started = time.monotonic()
        try:
            value = job.enter(self._context).run(job.call)
        except BaseException as raised:
            self._end(job, raised, None)
            return False
        if isinstance(value, Awaitable):
            job.awaited = value
            return True
        self._end(job, None, value)
        return False

    def _start_coroutine(self, job: Job) -> None:
        context = job.context or job.enter(self._context)

        def started(task: asyncio.Task[None]) -> None:
            job.task = task
            task.add_done_callback(lambda _: self._coroutine_over(job))

        self._loop.start(lambda: self._run_coroutine(job), context, started)

    async def _run_coroutine(self, job: Job) -> None:
        if job.awaited is None:
            if self._skip(job):
                return
            job.started = time.monotonic()
        try:
            async with asyncio.timeout(job.remaining):
                value = await (job.awaited or job.call())
        except BaseException as raised:
            # sys.exit in a handler must not end the loop either.
            self._end(job, raised, None)
        else:
            self._end(job, None, value)

    def _coroutine_over(self, job: Job) -> None:
        if self._reception.foreign:
            end_child()  # to end the child's loop would take the parent's out of its poll
        self._finish(job, None)  # a task that is cancelled before its first step never runs
        while (following := self._places.next_or_leave()) is not None and not self._pass_on(following):
            pass

    # Ending

    def _skip(self, job: Job) -> bool:
        """Whether the caller gave up while the request waited for a place."""
        if not job.cancelled and not job.over:
            return False
        self._finish(job, None)
        return True

    def _end(self, job: Job, raised: BaseException | None, value: Any) -> None:
        """A handler has returned or raised."""
        if self._reception.foreign:
            end_child(raised)  # it has forked
        job.allowance.until = None
        failed = None if raised is None else partial(failure, self.answerer, job, raised, note(job, raised))
        self._finish(job, failed or partial(result, self.answerer, job, value))

    def _finish(self, job: Job, write: Callable[[], bytes | None] | None) -> None:
        """End a job, once: send the answer if somebody still waits for it, and give its place at the inbox free."""
        with self._lock:
            first, job.over = not job.over, True
        if first and write is not None and not job.cancelled and not job.one_way:
            reply(job.delivery, write())
        settle(job.delivery)
        with self._lock:
            # Not before the answer is on its way: a service that stops waits for this.
            self._jobs.pop(job.id, None)
            if self._stopping:
                self._changed.notify_all()

    def _tell(self, job: Job) -> None:
        job.give_up()
        if job.task is not None:
            self._loop.cancel(job.task)

    # Handing back what was not started

    def _hand_back(self, job: Job) -> None:
        """A request that will not be run here: another worker gets it, or its caller hears that it was not executed."""
        with self._lock:
            self._jobs.pop(job.id, None)
            job.over = True
        if self._reads_ahead and not job.one_way:
            stopping = Unavailable(f"{job.method}: not executed: the service is stopping")
            reply(job.delivery, verdict(self.answerer, job, stopping))
        settle(job.delivery, accepted=False)
