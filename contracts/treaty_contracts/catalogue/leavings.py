"""LIFE: what errors and losses leave behind at an end that stays open, and what is true of it while and after a cut.

These rules use ends without a client or service. They must not know what stands between the ends.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

from treaty import ConnectionLost, Delivery, Inbox, Line, Transport, TransportError
from treaty_contracts import judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.links import NEEDS, Cut
from treaty_contracts.expect import timed, until
from treaty_contracts.holdings import held, held_beside
from treaty_contracts.registry import Level, rule


class _Ends:
    """A line, the inbox of a service and a subscription, all of them open through cuts."""

    def __init__(self, bench: Bench, capacity: int) -> None:
        self.bench = bench
        self.service, self._channel = bench.name(), bench.name("c")
        near, self._far = bench.open("client"), bench.open("service")
        self.line: Line = near.dial()
        self.inbox: Inbox = self._far.serve(self.service, capacity)
        self.feed: Inbox | None = self._subscribed(near)
        #: All replies, and all notifications.
        self.came: list[bytes] = []
        self.heard: list[bytes] = []
        #: How often each end told of a loss.
        self.told: Counter[str] = Counter()
        self._numbers = count(1)
        self._patience = bench.times.brief / 2

    def _subscribed(self, near: Transport) -> Inbox | None:
        return near.subscribe(self._channel) if self._far.guarantees.notifications else None

    def works(self) -> bool:
        """Send a request, answer what there is, and publish; return whether the answer came, and what was published."""
        frame = b"%d" % next(self._numbers)
        _transported(partial(self.line.send, self.service, frame, self.bench.times.slack))
        while (asked := self.taken()) is not None:  # older ones as well, which were under way
            _transported(partial(asked.reply, asked.frame))
            asked.settle()
            if asked.frame == frame:
                break
        while self.hear() not in {frame, None}:
            pass
        return frame in self.came and (self.feed is None or self.publishes(frame))

    def taken(self) -> Delivery | None:
        """Return the next request, but none that another inbox may have had."""
        asked: Delivery | None = self.uses("the inbox", partial(self.inbox.receive, self._patience))
        while asked is not None and asked.redelivered:
            asked.settle()
            asked = self.uses("the inbox", partial(self.inbox.receive, self._patience))
        return asked

    def rest(self) -> None:
        """Let the inbox connect again, while a request that it handed out is not settled."""
        for _ in range(2):
            if asked := self.taken():
                asked.settle()

    def hear(self) -> bytes | None:
        """Take the next reply, if there is one soon."""
        frame: bytes | None = self.uses("the line", partial(self.line.receive, self._patience))
        self.came += [frame] if frame is not None else []
        return frame

    def publishes(self, frame: bytes) -> bool:
        """Publish, and return whether that is heard."""
        assert self.feed is not None
        _transported(partial(self._far.publish, self._channel, frame))
        while note := self.uses("the subscription", partial(self.feed.receive, self._patience)):
            self.heard.append(note.frame)
            if note.frame == frame:
                return True
        return False

    def uses(self, end: str, receive: Callable[[], Any]) -> Any:
        """Receive, and count if that tells of a loss."""
        try:
            return receive()
        except ConnectionLost:
            self.told[end] += 1
        except TransportError:
            pass
        return None

    def work_again(self) -> None:
        """Use all until all works, and once more: what came twice shows in what comes next."""
        self.bench.did("sent, answered and published until all came")
        works = until(self.works, self.bench.times.arrive)
        what = f"requests, replies and notifications arrive again within {self.bench.times.arrive:g} s"
        self.bench.expect.that(works, what, f"replies: {self.came[-3:]}; notifications: {self.heard[-3:]}")
        until(self.works, self.bench.times.slack)


def _transported(use: Callable[[], object]) -> None:
    with suppress(TransportError):  # as there may be no connection just now
        use()


@rule(
    "LIFE-031",
    level=Level.MUST,
    sentence="What one end leaves behind is of no concern to others: what is open keeps what waits, what comes next is new.",
    intent="A program opens and closes ends all day, on one transport, and each of them stands for somebody else.",
    causes=(
        "what waits, what is taken or what is listened to is kept for the transport, and not for each end",
        "closing an end clears what all of them share, or leaves there what only it had",
    ),
    mutants=("hears-only-the-first-subscription", "places-stay-taken", "throws-away-what-waits-for-others"),
    requires=("SETUP-003", "SETUP-005", "LINE-001", "LINE-004", "LINE-007", "INBOX-004", "NOTE-001"),
)
def ends_are_their_own(bench: Bench) -> None:
    transport, service, other = bench.open("service"), bench.name(), bench.name()
    line, inbox = transport.dial(), transport.serve(service, 9)
    leaving, left = transport.dial(), transport.serve(other, 1)
    bench.round_trip(leaving, left, other)
    line.send(service, b"ask", bench.times.arrive)
    delivery = bench.arrives(inbox)
    for reply in (b"one", b"two"):
        delivery.reply(reply)
    for frame in (b"first", b"second"):
        line.send(service, frame, bench.times.arrive)
    seen = [bench.returns(line), bench.arrives(inbox).frame]  # so that the others are there as well, or about to be
    leaving.send(other, b"never settled", bench.times.arrive)
    bench.arrives(left)
    bench.did("closed an inbox that had settled nothing, and a line, while frames waited at others of their transport")
    left.close()
    leaving.close()
    seen += [bench.returns(line), bench.arrives(inbox).frame]
    bench.expect.equal(sorted(seen), [b"first", b"one", b"second", b"two"], "what arrives at the ends that stay")
    bench.did("served the same name anew, with room for one")
    again, asking = transport.serve(other, 1), transport.dial()
    asking.send(other, b"new", bench.times.arrive)
    while (came := bench.arrives(again, "a request at an inbox of the same name that was opened anew")).frame != b"new":
        came.settle()  # what was never settled, for another one to do
    came.settle()
    if bench.guarantees.notifications:
        channel = bench.name("c")
        bench.did("subscribed, closed, and subscribed to the same channel anew")
        for number in range(2):
            with transport.subscribe(channel) as feed:
                transport.publish(channel, b"%d" % number)
                heard = bench.arrives(feed, f"what is published to subscription {number + 1} of the same channel")
                bench.expect.equal(heard.frame, b"%d" % number, "what it hears")


@rule(
    "LIFE-028",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence="An end that has connected again, however often, holds no more threads and descriptors than before.",
    intent="Networks break every day, and programs live for years.",
    causes=("the old socket is kept when the new one is made", "each connection starts a thread, and ends none"),
    mutants=("keeps-one-for-each-cut",),
    requires=("LIFE-004", "LIFE-011", "NOTE-009"),
)
def reconnects_hold_nothing_more(bench: Bench) -> None:
    ends = _Ends(bench, 100)
    ends.work_again()
    cold = held()

    def through_a_cut() -> None:
        Cut(bench).mend()
        ends.work_again()

    through_a_cut()  # what is opened once only, when there is cause for it
    before = held_beside(cold, bench.times.slack / 4)
    for _ in range(max(2, bench.profile.rounds // 2)):
        through_a_cut()
    left = held_beside(before, bench.times.arrive / 2)
    bench.expect.judged(judging.nothing_new(before, left, "after some more cuts, while the ends are open"))


@rule(
    "LIFE-029",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence="Through a cut, replies, notifications and the loss itself come once at most, and no place of an inbox is lost.",
    intent="What comes twice is done twice, and an inbox without places serves nobody and does not know.",
    causes=(
        "the new connection subscribes twice",
        "what was handed out already is handed out again",
        "the note of a loss is not taken away when somebody was told",
        "settle looks for the old connection, and forgets the place with it",
    ),
    mutants=(
        "subscribes-twice-when-mended",
        "replies-again-when-mended",
        "tells-of-a-loss-again",
        "loses-places-in-cuts",
    ),
    requires=("LIFE-011", "NOTE-009"),
)
def once_through_cuts(bench: Bench) -> None:
    ends = _Ends(bench, 1)
    ends.work_again()
    often: dict[str, list[int]] = {}
    for turn in range(max(2, bench.profile.rounds // 2)):
        ends.told.clear()
        _transported(partial(ends.line.send, ends.service, b"held %d" % turn, bench.times.arrive))
        asked = ends.taken()
        cut = Cut(bench)
        ends.hear()
        ends.taken()  # may tell of the loss; as long as another one is unsettled it hands out nothing
        if turn % 2 and asked is not None:
            asked.settle()
        cut.mend()
        ends.hear()
        ends.rest()
        if asked is not None:
            asked.settle()
        bench.did("settled a request that the inbox had from before")
        ends.work_again()
        for end in ("the line", "the inbox", "the subscription"):
            often.setdefault(end, []).append(ends.told[end])
    bench.expect.judged(judging.at_most_once(ends.came, "a reply: how often it comes"))
    if ends.heard:
        bench.expect.judged(judging.at_most_once(ends.heard, "a notification: how often it comes"))
    for end, times in often.items():
        # A connection that is just being made may break once more: who tells twice does so each time.
        bench.expect.that(min(times) <= 1, f"receive at {end} tells of one loss once", f"in each turn: {times}")


@rule(
    "LIFE-030",
    level=Level.MUST,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence="While the way is cut, ``receive`` keeps its timeout, and ``send`` with 0 does not wait.",
    intent="Deadlines are kept by those who wait, and while nothing works they matter most.",
    causes=(
        "connecting has a limit of its own, and not that of who waits for it",
        "a pause between two attempts is slept through",
    ),
    mutants=("oversleeps-while-cut", "sends-slowly-while-cut"),
    requires=("LIFE-010", "LINE-003"),
)
def timeouts_hold_while_cut(bench: Bench) -> None:
    ends, brief = _Ends(bench, 9), bench.times.brief / 4
    ends.work_again()
    uses: dict[str, tuple[float, Callable[[], object]]] = {
        "line.send(..., 0)": (0.0, lambda: ends.line.send(ends.service, b"x", 0)),
        "line.receive(0)": (0.0, lambda: ends.line.receive(0)),
        f"line.receive({brief:g})": (brief, lambda: ends.line.receive(brief)),
        f"inbox.receive({brief:g})": (brief, lambda: ends.inbox.receive(brief)),
    }
    if (feed := ends.feed) is not None:
        uses[f"receive({brief:g}) of a subscription"] = (brief, lambda: feed.receive(brief))
    Cut(bench)
    for _, use in uses.values():  # the first use of an end may tell of the loss, and that at once
        for _ in range(2):
            _transported(use)
    for what, (timeout, use) in uses.items():
        once = partial(_took, use)
        bench.expect.promptly(once, timeout + bench.times.slack / 4, f"{what} while the way is cut")


def _took(use: Callable[[], object]) -> float:
    return timed(partial(_transported, use))[1]


@rule(
    "LIFE-032",
    level=Level.SHOULD,
    needs=NEEDS,
    hooks=("cut_link",),
    sentence=(
        "Of a connection that breaks while nobody receives, whoever comes next is told, if something that was sent may "
        "go unanswered."
    ),
    intent="Who waits in slices waits between them as well, and the answer is gone all the same.",
    causes=(
        "a connection that turns out to be broken is made again, and nobody hears of it",
        "news of a request are counted as its answer",
    ),
    mutants=("tells-only-who-is-inside", "counts-news-as-answers"),
    requires=("LIFE-021",),
)
def who_comes_next_is_told(bench: Bench) -> None:
    service, line, witness, limit = bench.name(), bench.line(), bench.line(), bench.times.slack * 2
    inbox = bench.inbox(service)
    for one in (line, witness):
        one.send(service, b"before", bench.times.arrive)
        delivery = bench.arrives(inbox, "a request")
        delivery.reply(b"news of it")
        bench.returns(one, "news of a request")
        delivery.settle()
    # Both connections break at once: when one loss was heard, the other one has happened while nobody was inside.
    witnessed = Aside(partial(_heard, witness, bench.times.brief / 4, limit))
    Cut(bench).mend()
    witnessed.result(limit + bench.times.arrive)
    bench.did("waited until another line had heard of it")
    heard = _heard(line, bench.times.brief / 4, limit)
    what = [type(error).__name__ for error in heard] or [f"nothing in {limit:g} s"]
    bench.expect.equal(what, ["ConnectionLost"], "what receive tells of a loss after some news of a request")


def _heard(line: Line, slice_: float, limit: float) -> list[TransportError]:
    """Receive until something is raised, and return that."""
    heard: list[TransportError] = []

    def told() -> bool:
        try:
            line.receive(slice_)
        except TransportError as error:
            heard.append(error)
        return bool(heard)

    until(told, limit)
    return heard
