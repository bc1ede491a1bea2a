"""The status messages of a call: in order, to its end, for threads and for tasks."""

from __future__ import annotations

import asyncio

import pytest

from treaty import Pending, Status
from treaty.statuses import KEPT_STATUSES

from .conftest import Room
from .services import Slow
from .test_pending import Nobody, answer

STEPS = [(1, "step 0", 0.0), (2, "step 1", 1 / 3), (3, "step 2", 2 / 3)]


def status(seq: int) -> Status:
    return Status(id="1", to="0" * 32, seq=seq, code=102, sender="", created=0)


def seen(pending: Pending) -> list[tuple[int, str, float | None]]:
    return [(status.seq, status.reason, status.progress) for status in pending.statuses()]


def test_only_the_latest_of_very_many_status_messages_are_kept_and_who_reads_late_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pending = Pending(Nobody(), "a.b")
    early, late = pending.statuses(), pending.statuses()
    reading = iter(early)

    def progress(first: int, count: int) -> None:
        for seq in range(first, first + count):
            pending.progress(status(seq))

    progress(1, 1)
    assert next(reading).seq == 1
    progress(2, KEPT_STATUSES)
    assert next(reading).seq == 2
    assert early.missed == 0 and not caplog.messages
    progress(KEPT_STATUSES + 2, 4)
    pending.settle(answer(1))
    assert [status.seq for status in late] == list(range(6, KEPT_STATUSES + 6))
    assert late.missed == 5
    assert caplog.messages == [f"a.b: 5 status messages were let go unread; {KEPT_STATUSES} are kept"]


def test_status_messages_are_seen_in_order_by_a_blocking_loop(either_room: Room) -> None:
    either_room.serve(Slow)
    pending = either_room.client().send("slow.report")
    assert seen(pending) == STEPS
    assert pending.result() == "reported"
    assert seen(pending) == STEPS


def test_status_messages_are_seen_in_order_by_an_async_loop(either_room: Room) -> None:
    either_room.serve(Slow)
    client = either_room.client()

    async def watch() -> list[tuple[int, str, float | None]]:
        pending = client.send("slow.report")
        news = [(status.seq, status.reason, status.progress) async for status in pending.statuses()]
        assert await pending == "reported"
        return news

    assert asyncio.run(watch()) == STEPS


def test_a_status_is_seen_while_the_call_runs(either_room: Room) -> None:
    service = either_room.serve(Watched)
    client = either_room.client()
    pending = client.send("watched.step")
    assert next(iter(pending.statuses())).reason == "half way"
    assert not pending.done
    service.gate.open()
    assert pending.result() == "waited"


class Watched(Slow):
    name = "watched"

    def on_step(self, message) -> str:  # type: ignore[no-untyped-def]
        message.status(102, "half way")
        return self.on_wait(message)


def test_the_statuses_of_a_call_that_fails_end_with_it(room: Room) -> None:
    room.serve(Slow)
    pending = room.client().send("slow.fail_by_plan", [1])
    assert list(pending.statuses()) == []
    assert pending.reply().error is not None


def test_a_call_outlives_the_event_loop_in_which_it_was_watched(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client()

    async def look() -> Pending:
        pending = client.send("slow.wait")
        watcher = asyncio.create_task(anext(aiter(pending.statuses()), None))
        await asyncio.wait([watcher], timeout=0)  # it has begun to wait when this returns
        watcher.cancel()
        return pending

    pending = asyncio.run(look())
    service.gate.open()
    assert pending.result() == "waited"
