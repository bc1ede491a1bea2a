"""One inbox, and the threads that take turns at it."""

from __future__ import annotations

import threading

import pytest

from treaty import ClosedError, ConnectionLost, Delivery, Inbox
from treaty.reception import Reception, reply, settle


class Parcel(Delivery):
    def __init__(self, frame: bytes) -> None:
        self.frame = frame

    def reply(self, frame: bytes) -> None:
        raise AssertionError(frame)

    def settle(self, accepted: bool = True) -> None:
        raise AssertionError(accepted)


class Scripted(Inbox):
    """Gives out what it was made with: a delivery, nothing, or an error to raise."""

    def __init__(self, *script: Delivery | BaseException | None) -> None:
        super().__init__()
        self.script = list(script)

    def receive(self, timeout: float) -> Delivery | None:
        self.check()
        step = self.script.pop(0) if self.script else None
        if isinstance(step, BaseException):
            raise step
        return step

    def close(self) -> None:
        self._closed = True


def test_a_delivery_is_handed_out_and_counted() -> None:
    parcel = Parcel(b"one")
    reception = Reception(Scripted(parcel, None))

    assert reception.receive(1) is parcel
    assert reception.receive(1) is None
    assert reception.received == 1


@pytest.mark.parametrize(
    "trouble", [ConnectionLost("gone"), ValueError("what a transport may not raise"), SystemExit(3)]
)
def test_a_broken_connection_is_tried_again_and_said_once(
    trouble: BaseException, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("treaty.reception._PAUSE", 0)
    parcel = Parcel(b"one")
    reception = Reception(Scripted(trouble, trouble, parcel))

    assert [reception.receive(1) for _ in range(3)] == [None, None, parcel]

    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "the connection of a service was lost",
        "the connection of a service is back",
    ]


def test_a_closed_inbox_says_so() -> None:
    reception = Reception(Scripted())
    reception.close()

    with pytest.raises(ClosedError):
        reception.receive(1)


def test_the_rest_is_what_is_there_already() -> None:
    first, second = Parcel(b"one"), Parcel(b"two")

    assert list(Reception(Scripted(first, second, None, Parcel(b"three"))).rest()) == [first, second]
    for trouble in (ConnectionLost("gone"), MemoryError(), SystemExit(3)):
        assert list(Reception(Scripted(first, trouble)).rest()) == [first]


def test_one_thread_receives_while_the_others_wait_their_turn() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(Scripted):
        def receive(self, timeout: float) -> Delivery | None:
            inside.set()
            assert go_on.wait(10)
            return super().receive(timeout)

    reception = Reception(Slow())
    threads = [threading.Thread(target=reception.receive, args=(1,)) for _ in range(2)]
    assert not reception.busy

    threads[0].start()
    assert inside.wait(10)
    assert reception.busy
    assert reception.waiting == 1
    inside.clear()
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(10)

    assert inside.is_set()
    assert not reception.busy
    assert reception.waiting == 0


class Faulty(Delivery):
    def __init__(self, raised: BaseException) -> None:
        self.raised = raised

    def reply(self, frame: bytes) -> None:
        raise self.raised

    def settle(self, accepted: bool = True) -> None:
        raise self.raised


@pytest.mark.parametrize(
    ("raised", "level"),
    [(ClosedError(), None), (ConnectionLost(), "WARNING"), (MemoryError(), "ERROR"), (SystemExit(3), "ERROR")],
    ids=repr,
)
def test_what_a_transport_raises_for_an_answer_is_logged_and_ends_nobody(
    raised: BaseException, level: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert not reply(Faulty(raised), b"answer")
    assert [record.levelname for record in caplog.records] == ([level] if level else [])
    settle(Faulty(raised))
    assert caplog.records[-1].levelname == "ERROR"


def test_nothing_is_sent_where_nothing_was_written() -> None:
    assert not reply(Parcel(b"one"), None)


def test_an_inbox_that_cannot_be_closed_ends_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Scripted):
        def close(self) -> None:
            raise OSError

    Reception(Stuck()).close()
    assert "could not be closed" in caplog.text
