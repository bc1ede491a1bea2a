"""Requests that nobody takes, and callers without room for hearing so."""

from __future__ import annotations

import pytest

from treaty_zmq import refusals
from treaty_zmq.port import Sent
from treaty_zmq.refusals import Refusals

Message = tuple[bytes, bytes, bytes]


class Way:
    """Where messages go: to peers with so much room, and to nobody else."""

    def __init__(self, **room: int) -> None:
        self.room = {peer.encode(): free for peer, free in room.items()}
        self.sent: list[Message] = []

    def __call__(self, peer: bytes, word: bytes, head: bytes) -> Sent:
        if peer not in self.room:
            return Sent.GONE
        if not self.room[peer]:
            return Sent.NO_ROOM
        self.room[peer] -= 1
        self.sent.append((peer, word, head))
        return Sent.DONE


def test_what_finds_no_room_is_sent_later_and_in_order() -> None:
    way = Way(deaf=1, other=9)
    owed = Refusals(way)
    for head in (b"1", b"2", b"3"):
        owed.add(b"deaf", b"busy", head)
    owed.add(b"other", b"absent", b"4")
    assert owed.owes
    assert way.sent == [(b"deaf", b"busy", b"1"), (b"other", b"absent", b"4")]
    owed.catch_up()
    assert len(way.sent) == 2
    way.room[b"deaf"] = 9
    owed.add(b"deaf", b"busy", b"5")  # behind those that wait
    owed.catch_up()
    assert way.sent[2:] == [(b"deaf", b"busy", head) for head in (b"2", b"3", b"5")]
    assert not owed.owes


def test_who_has_gone_is_owed_nothing() -> None:
    way = Way(deaf=0)
    owed = Refusals(way)
    owed.add(b"nobody", b"busy", b"0")
    assert not owed.owes
    for head in (b"1", b"2"):
        owed.add(b"deaf", b"busy", head)
    del way.room[b"deaf"]
    owed.catch_up()
    assert not owed.owes
    assert way.sent == []


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "MOST", 2)
    way = Way(deaf=0)
    owed = Refusals(way)
    for head in (b"1", b"2", b"3"):
        owed.add(b"deaf", b"busy", head)
    way.room[b"deaf"] = 9
    owed.catch_up()
    assert [head for _, _, head in way.sent] == [b"1", b"2"]
    owed.add(b"deaf", b"busy", b"4")
    assert way.sent[-1] == (b"deaf", b"busy", b"4")
