"""What the drivers share."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from treaty.driving import Errands, Turn, WakeUp, Worker, check_callback, present

from .services import LIMIT, in_threads


def test_the_present_moves_on_on_both_clocks() -> None:
    before, after = present(), present()
    assert after.steady >= before.steady
    assert abs(before.wall - time.time() * 1000) < 60_000


def test_a_wake_up_that_comes_first_is_kept_and_several_count_as_one() -> None:
    one = WakeUp()
    one.wake()
    one.wake()
    started = time.monotonic()
    one.sleep(LIMIT)
    assert time.monotonic() - started < LIMIT
    one.sleep(0)
    one.sleep(-1)


def test_a_sleeper_is_woken_from_another_thread() -> None:
    one = WakeUp()
    sleeper = threading.Thread(target=one.sleep, args=(LIMIT * 100,))
    sleeper.start()
    one.wake()
    sleeper.join(LIMIT)
    assert not sleeper.is_alive()


def test_a_worker_starts_one_thread_however_often_it_is_asked() -> None:
    ran: list[str] = []
    let = threading.Event()

    def work() -> None:
        ran.append(threading.current_thread().name)
        let.wait(LIMIT)

    worker = Worker("a-worker", work)
    in_threads(8, lambda _: worker.start())
    let.set()
    worker.join()
    assert ran == ["a-worker"]


def test_a_worker_that_never_started_is_joined_at_once() -> None:
    Worker("a-worker", lambda: None).join()


def test_a_worker_may_join_itself() -> None:
    worker = Worker("a-worker", lambda: worker.join())
    worker.start()
    worker.join()


def test_a_turn_is_of_one_until_that_one_leaves_it() -> None:
    turn, one, other = Turn(), object(), object()
    assert not turn.taken and not turn.leave(one)
    assert turn.take(one) and turn.taken
    assert not turn.take(other) and not turn.take(one)
    assert not turn.leave(other) and turn.taken
    assert turn.leave(one) and not turn.taken
    assert turn.take(other)


def test_errands_are_run_in_order_and_what_comes_after_the_end_is_given_back() -> None:
    errands, ran = Errands("errands"), list[str]()
    errands.add(lambda: ran.append("first"))
    errands.add(lambda: ran.append("second"))
    errands.end()
    errands.add(late := lambda: ran.append("late"))
    assert errands.join() == [late]
    assert ran == ["first", "second"]


class Asking:
    async def __call__(self, reply: object) -> None: ...

    async def ask(self, reply: object) -> None: ...

    def __repr__(self) -> str:
        return "asking"


@pytest.mark.parametrize("wrong", [Asking(), Asking().ask, partial(Asking().ask), "print", None], ids=repr)
def test_what_nobody_would_await_or_could_call_is_no_callback(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"^a handler is call"):
        check_callback("a handler", wrong)


def test_what_can_be_called_is_a_callback() -> None:
    for right in (print, lambda _: None, partial(print, 1), str):
        check_callback("a handler", right)


def test_errands_that_are_ended_by_one_of_them_come_to_an_end() -> None:
    errands, done = Errands("errands"), list[str]()

    def end() -> None:
        errands.end()
        errands.add(lambda: done.append("asked for since"))
        assert errands.join() == []
        done.append("ended")

    errands.add(end)
    errands.join()
    assert done == ["ended", "asked for since"]


def test_an_errand_that_is_asked_for_after_the_end_is_done_at_once_and_leaves_no_thread() -> None:
    errands, done = Errands("errands that are late"), list[str]()
    errands.end()
    assert errands.join() == []
    errands.add(lambda: done.append(threading.current_thread().name))
    assert done == [threading.current_thread().name]
    assert not errands.started


def test_a_start_that_is_interrupted_leaves_one_thread_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    start, gate, ran = threading.Thread.start, threading.Event(), []

    def begin_and_strike(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    def work() -> None:
        ran.append(threading.current_thread())
        assert gate.wait(LIMIT)

    before = threading.active_count()
    for _ in range(20):
        worker = Worker("a-worker", work)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(threading.Thread, "start", begin_and_strike)
            worker.start()
        worker.start()
        worker.start()
        gate.set()
        worker.join()
        gate.clear()
        assert len(ran) == 1
        ran.clear()
    until = time.monotonic() + LIMIT
    while threading.active_count() > before:
        assert time.monotonic() < until
