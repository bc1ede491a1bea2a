"""A call under way: waited for by threads, awaited by tasks, watched, cancelled; it ends once."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from treaty import Cancelled, Pending, Response, StatusLine, TreatyError, UnknownMethod
from treaty.engine import Ended
from treaty.ledger import OpenCall
from treaty.pending import report

from .conftest import Room
from .services import LIMIT, Slow, echoed, in_threads


class Nobody:
    """Drives no call."""

    def wait(self, pending: Pending, ready: Callable[[], bool], until: float | None) -> bool:
        return ready()

    def attend(self) -> None:
        return

    def abandon(self, pending: Pending) -> bool:
        return pending.settle(Cancelled("enough"))


def answer(result: object) -> Response:
    return Response(id="1", to="0" * 32, status=StatusLine(), sender="", created=0, result=result)


def test_a_call_is_settled_once() -> None:
    pending = Pending(Nobody(), "a.b")
    assert pending.settle(answer(1)) and pending.done
    assert not pending.settle(Cancelled("late"))
    assert not pending.cancel()
    assert pending.result() == 1


def test_many_threads_settle_a_call_once() -> None:
    pending = Pending(Nobody(), "a.b")
    assert in_threads(8, lambda index: pending.settle(answer(index))).count(True) == 1


def test_callbacks_are_called_once_also_when_they_come_late() -> None:
    pending, called = Pending(Nobody(), "a.b"), list[Pending]()
    pending.on_done(called.append)
    assert called == []
    pending.settle(answer(1))
    pending.on_done(called.append)
    assert called == [pending, pending]


def test_a_callback_that_raises_harms_neither_the_call_nor_the_other_callbacks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pending, called = Pending(Nobody(), "a.b"), list[Pending]()

    def broken(_: Pending) -> None:
        raise ValueError("the callback is broken")

    pending.on_done(broken)
    pending.on_done(called.append)
    assert pending.settle(answer(1))
    assert (called, pending.result()) == ([pending], 1)
    assert "the callback is broken" in caplog.text


def test_waiting_for_a_while_leaves_the_call_open(room: Room) -> None:
    service = room.serve(Slow)
    pending = room.client().send("slow.wait")
    with pytest.raises(TimeoutError, match="not over"):
        pending.result(timeout=0.01)
    assert not pending.done
    service.gate.open()
    assert pending.result(timeout=LIMIT) == pending.result() == "waited"
    assert "done" in repr(pending)


def test_a_result_may_be_asked_for_by_many_threads_and_tasks(room: Room) -> None:
    service = room.serve(Slow)
    pending = room.client().send("slow.wait")

    async def wait() -> list[object]:
        async def one() -> object:
            return await pending

        return await asyncio.gather(*(one() for _ in range(5)))

    def ask(index: int) -> object:
        if index == 0:
            service.gate.await_arrival()
            service.gate.open()
        return asyncio.run(wait()) if index % 2 else pending.result()

    assert in_threads(8, ask) == ["waited", ["waited"] * 5] * 4


def test_a_task_that_is_cancelled_gives_the_call_up_only_if_nobody_else_waits(room: Room) -> None:
    service = room.serve(Slow, concurrency=2)
    client = room.client()

    async def cancelled_beside(others: int, pending: Pending) -> None:
        task = asyncio.ensure_future(pending.replied())
        await asyncio.wait([task], timeout=0)  # it has begun to wait when this returns
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert pending.done is not bool(others)

    async def beside_a_task() -> object:
        pending = client.send("slow.wait")
        other = asyncio.ensure_future(pending.replied())
        await asyncio.wait([other], timeout=0)
        await cancelled_beside(1, pending)
        service.gate.open()
        return (await other).result

    async def alone() -> None:
        await cancelled_beside(0, client.send("slow.until_cancelled"))

    assert asyncio.run(beside_a_task()) == "waited"
    asyncio.run(alone())


def test_a_task_that_is_cancelled_leaves_the_call_to_a_thread_that_waits(room: Room) -> None:
    service = room.serve(Slow)
    pending = room.client().send("slow.wait")
    service.gate.await_arrival()
    answers: list[object] = []
    waiting = threading.Thread(target=lambda: answers.append(pending.result()))
    waiting.start()
    while not pending._waiters:
        threading.Event().wait(0.001)

    async def give_up() -> None:
        task = asyncio.ensure_future(pending.replied())
        await asyncio.wait([task], timeout=0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(give_up())
    service.gate.open()
    waiting.join(LIMIT)
    assert answers == ["waited"]


@pytest.mark.parametrize("method", ["slow.until_cancelled", "slow.until_cancelled_later"])
def test_a_cancel_ends_the_call_and_reaches_its_handler(either_room: Room, method: str) -> None:
    service = either_room.serve(Slow, concurrency=2)
    client = either_room.client()
    pending = client.send(method)
    service.gate.await_arrival()
    assert pending.cancel()
    assert not pending.cancel()
    with pytest.raises(Cancelled):
        pending.result()
    assert service.heard.wait(LIMIT)
    assert client.open_calls == 0


def test_a_service_that_is_alone_hears_a_cancel_while_its_only_handler_runs(room_alone: Room) -> None:
    service = room_alone.serve(Slow)
    pending = room_alone.client().send("slow.until_cancelled")
    service.gate.await_arrival()
    pending.cancel()
    assert service.heard.wait(LIMIT)


def test_a_request_that_is_cancelled_while_it_waits_never_runs(room_alone: Room) -> None:
    service = room_alone.serve(Slow)
    client = room_alone.client()
    first = client.send("slow.wait")
    service.gate.await_arrival()
    assert client.send("slow.echo").cancel()
    with pytest.raises(UnknownMethod):
        client.call("slow.fence")  # when this is answered, the cancel was heard
    service.gate.open()
    assert first.result() == "waited"
    client.call("slow.echo")
    assert len(service.seen) == 1


def test_a_task_that_is_cancelled_cancels_its_call(room: Room) -> None:
    service = room.serve(Slow, concurrency=2)
    client = room.client()

    async def give_up() -> Pending:
        pending = client.send("slow.until_cancelled")
        task = asyncio.create_task(pending.replied())
        await asyncio.to_thread(service.gate.await_arrival)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pending

    pending = asyncio.run(give_up())
    with pytest.raises(Cancelled):
        pending.result()
    assert service.heard.wait(LIMIT)


def test_an_answer_and_a_cancel_at_once_end_the_call_once(room: Room) -> None:
    room.serve(Slow)
    client = room.client()
    for _ in range(50):
        over: list[Pending] = []
        pending = client.send("slow.echo")
        pending.on_done(over.append)
        cancelled = in_threads(2, lambda index, p=pending: p.cancel() if index else _outcome(p))  # type: ignore[misc]
        assert (cancelled[1] is True) is (_outcome(pending) == "Cancelled")
        assert over == [pending]
    assert client.open_calls == 0


def _outcome(pending: Pending) -> str:
    try:
        pending.result()
    except TreatyError as error:
        return type(error).__name__
    return "answered"


def test_a_watcher_that_leaves_early_is_not_called_again(room: Room) -> None:
    service = room.serve(Slow)
    pending = room.client().send("slow.wait")
    assert [type(ended) for ended in in_threads(3, lambda _: pending.result(0.01))] == [TimeoutError] * 3
    assert not pending._listeners
    service.gate.open()
    pending.result()


@pytest.mark.parametrize("raised", [SystemExit(7), KeyboardInterrupt(), ValueError("odd")])
def test_what_a_callback_raises_ends_no_thread_and_no_other_call(
    room: Room, raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    service = room.serve(Slow)
    client = room.client()
    called = threading.Event()

    def fail(_: Pending) -> None:
        called.set()
        raise raised

    # Of a call that is over, the callback would run here.
    client.send("slow.wait").on_done(fail)
    service.gate.open()
    assert called.wait(LIMIT)
    assert client.send("slow.echo", ["2"], timeout=LIMIT).result() == echoed("2")
    assert "slow.wait: a callback failed" in caplog.text

    async def awaited() -> object:
        return await client.send("slow.echo", ["3"])

    assert asyncio.run(asyncio.wait_for(awaited(), LIMIT)) == echoed("3")


def test_ctrl_c_in_a_callback_comes_out_when_everybody_else_was_told() -> None:
    def interrupt(_: Pending) -> None:
        raise KeyboardInterrupt

    ended, told = [Pending(Nobody(), "a.b") for _ in range(2)], list[Pending]()
    for pending in ended:
        pending.on_done(interrupt)
        pending.on_done(told.append)
    calls = [OpenCall(id="1", key="", target="a.b", deadline=0.0, expires=0) for _ in ended]
    for call, pending in zip(calls, ended, strict=True):
        call.waiter = pending
    with pytest.raises(KeyboardInterrupt):
        report(*(Ended(call, answer(1)) for call in calls))
    assert told == ended


@pytest.mark.parametrize("timeout", [math.nan, "1", True])
def test_a_time_to_wait_that_is_none_is_refused(timeout: Any) -> None:
    with pytest.raises(ValueError, match="how long to wait is a number of seconds, not"):
        Pending(Nobody(), "a.b").result(timeout)
