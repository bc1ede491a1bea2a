"""NOTE: publishing and subscribing. The rules about lines drive the interface, those about topics a client.

Silence is never waited for: a marker is published the same way, and must be the next thing that arrives.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import queue
from functools import partial
from threading import Barrier
from typing import Any, Final

from hypothesis import strategies as st

from treaty import Inbox, Notification, matches
from treaty_contracts import judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.names import alike
from treaty_contracts.catalogue.sizes import large_sizes, mixed_sizes
from treaty_contracts.registry import Level, Strength, rule

_NEEDS = ("notifications",)
#: How many one transport object has of one channel, besides another one: more than a table of few has room for.
_SUBSCRIBERS: Final = 11
#: How many notifications a subscription is sent at most before it is read, as it may have a bound: less than 64, as
#: docs/write-a-transport.md says.
_UNREAD: Final = 60
#: How many threads publish at the same time.
_PUBLISHERS: Final = 4


def _many(bench: Bench, times: int = 1) -> int:
    return min(bench.profile.burst * times, _UNREAD)


def _publisher(bench: Bench) -> Any:
    """The end that publishes: a transport object that serves, as the one of a service does."""
    transport = bench.transport("service")
    bench.keep(transport.serve(bench.name("p"), 1))
    return transport.publish


def _next(bench: Bench, feed: Inbox, what: str = "what was published") -> bytes:
    delivery = bench.arrives(feed, what)
    delivery.settle()
    return delivery.frame


@rule(
    "NOTE-001",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="When ``subscribe`` has returned, what is published from then on arrives, unchanged, whatever its size.",
    intent="Whoever subscribes and then reads the present state must not miss the change in between.",
    causes=(
        "the subscription is still on its way when subscribe returns",
        "the first frames open a connection",
        "what is too large for one piece is lost, or cut",
    ),
    mutants=(
        "cuts-large-notifications",
        "late-subscription",
        "lies-about-notifications",
        "loses-every-nth-notification",
        "loses-large-notifications",
        "loses-the-largest-notification",
        "lies-about-max-frame",
    ),
    strength=Strength.STOCHASTIC,
)
def subscribed_on_return(bench: Bench) -> None:
    publish = _publisher(bench)
    for number in range(bench.profile.rounds):
        channel = bench.name("c")
        publish(channel, b"nobody listens yet")
        feed = bench.feed(channel)
        frames = [bytes([number, index]) * 100 for index in range(_many(bench))]
        for frame in (*frames, b"fence"):
            publish(channel, frame)
        got = bench.gather(feed, len(frames), b"fence")
        bench.expect.judged(judging.complete(frames, got, "what a subscriber gets"))
    feed = bench.feed(channel := bench.name("c"))
    bench.did("published frames of more than 64 KiB, one after the other, as far as they are declared")
    before = b""
    for size in (*large_sizes(bench), bench.guarantees.max_frame):
        frame = bench.random.randbytes(size)
        publish(channel, frame)
        while (came := _next(bench, feed, f"a notification of {size:,} bytes")) == before:
            pass  # what comes too often is for another rule
        bench.expect.equal(came, frame, "what was published")
        bench.trace.restart()  # which would keep them
        before = frame


@rule(
    "NOTE-002",
    level=Level.MUST,
    needs=(*_NEEDS, "ordered"),
    sentence="A subscriber gets what one publisher publishes on a channel in the order of publishing.",
    intent="A change that arrives before the one that it rests on is read wrongly.",
    causes=(
        "several connections or threads publish",
        "frames are put back at the end",
        "large frames take another way than small ones",
    ),
    mutants=("large-notifications-are-overtaken", "reorders-notifications"),
    requires=("LINE-008", "NOTE-001"),
    strength=Strength.STOCHASTIC,
)
def notifications_keep_order(bench: Bench) -> None:
    publish, channel = _publisher(bench), bench.name("c")
    feed = bench.feed(channel)
    frames = mixed_sizes(bench, _many(bench, 2))
    bench.did(f"published {len(frames)} numbered frames, some large among small ones")
    for frame in frames:
        publish(channel, frame)
    publish(channel, b"fence")
    got = bench.gather(feed, len(frames), b"fence")
    bench.expect.judged(judging.in_order(frames, got, "what a subscriber gets, in order"))


@rule(
    "NOTE-003",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="Nothing arrives after a subscription was closed, and closing one ends no other.",
    intent="A callback that runs after it was removed runs on what is gone.",
    causes=("unsubscribing is not waited for", "the channel is left for all"),
    mutants=("close-unsubscribes-all", "keeps-listening", "subscribers-compete"),
    requires=("NOTE-001",),
)
def nothing_after_close(bench: Bench) -> None:
    subject = bench.subject()
    listening, leaving = bench.client(), bench.client()
    kept: queue.Queue[Notification] = queue.Queue()
    left: queue.Queue[Notification] = queue.Queue()
    listening.subscribe(f"{subject.name}.#", kept.put)
    subscription = leaving.subscribe(f"{subject.name}.#", left.put)
    subject.publish("first", 1)
    for heard in (kept, left):
        bench.expect.equal(next_heard(bench, heard).data, 1, "what both subscribers hear first")
    subscription.close()
    bench.did("one of two subscriptions was closed; three more notifications were published")
    for number in (2, 3, 4):
        subject.publish("later", number)
    heard_on = sorted(next_heard(bench, kept).data for _ in range(3))
    bench.expect.equal(heard_on, [2, 3, 4], "what the one that stayed hears")
    bench.expect.that(bench.stays(left.empty), "the one that was closed hears nothing", list(left.queue))


@rule(
    "NOTE-004",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="A subscriber gets what its channel and its pattern match as whole words, and nothing else.",
    intent="Brokers disagree about wildcards and prefixes; Treaty has one definition.",
    causes=("the channel is used as a prefix", "the library's own pattern language reads the topic"),
    mutants=(
        "channels-drop-zeros",
        "channels-match-prefixes",
        "patterns-are-prefixes",
        "subscribes-to-everything",
        "subscribers-compete",
    ),
    requires=("LINE-004", "NOTE-001"),
    strength=Strength.STOCHASTIC,
)
def topics_match_whole(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    neighbour = bench.subject(name=f"{subject.name}x")
    pattern, everything = f"{subject.name}.Host.*", f"{subject.name}.#"
    some: queue.Queue[Notification] = queue.Queue()
    every: queue.Queue[Notification] = queue.Queue()
    client.subscribe(pattern, some.put)
    client.subscribe(everything, every.put)
    words = st.sampled_from(["Host", "host", "Hos", "Hosts", "created", "*"])
    drawn = st.lists(words, min_size=1, max_size=3).map(".".join)

    def check(topic: str) -> None:
        neighbour.publish(topic, "of another channel")
        subject.publish(topic, topic)
        wanted = {everything: every}
        if matches(pattern, f"{subject.name}.{topic}"):
            wanted[pattern] = some
        for which, heard in wanted.items():
            bench.expect.equal(next_heard(bench, heard).data, topic, f"what {which!r} hears of {topic!r}")
        # Only now, as it may overtake where order is not kept.
        subject.publish("Host.fence", "fence")
        for which, heard in ((everything, every), (pattern, some)):
            bench.expect.equal(next_heard(bench, heard).data, "fence", f"what {which!r} hears after {topic!r}")

    bench.each(drawn, check, trips=3)
    bench.did(
        "published on channels with names that are alike, below the core: what arrives is what was published there"
    )
    publish = bench.transport("service").publish
    names = alike(bench.name("c"))
    feeds = {name: bench.feed(name) for name in names}
    for name in (*names[1:], names[0]):
        publish(name, name.encode())
    published = {name: [name.encode()] for name in names}
    for name, feed in feeds.items():
        first = {name: [_next(bench, feed)]}
        bench.expect.judged(judging.isolated(published, first, "the first frame of the channel"))


@rule(
    "NOTE-005",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="Each subscriber of a channel gets its own copy of every notification, once.",
    intent="Subscribers do not compete: each one keeps a state of its own up to date.",
    causes=(
        "subscribers share a queue",
        "two subscriptions of one connection are one to the library",
        "there is room for so many subscribers and no more",
    ),
    mutants=("duplicates-notifications", "notifies-eight", "subscribers-compete"),
    requires=("NOTE-001",),
)
def own_copy_each(bench: Bench) -> None:
    publish, channel = _publisher(bench), bench.name("c")
    feeds = [bench.feed(channel) for _ in range(_SUBSCRIBERS)]
    feeds.append(bench.keep(bench.open("client").subscribe(channel)))
    frames = [b"%06d" % number for number in range(_many(bench))]
    for frame in (*frames, b"fence"):
        publish(channel, frame)
    for number, feed in enumerate(feeds):
        got = bench.gather(feed, len(frames), b"fence")
        bench.expect.judged(judging.exactly_once(frames, got, f"what subscriber {number} gets"))


@rule(
    "NOTE-006",
    level=Level.SHOULD,
    needs=_NEEDS,
    sentence="A subscriber that does not read delays neither the publisher nor any other subscriber.",
    intent="One stuck dashboard must not stop the system that it watches.",
    causes=("publishing waits for every subscriber", "one buffer serves all"),
    mutants=("blocks-on-slow-subscriber", "duplicates-notifications", "subscribers-compete"),
    requires=("NOTE-001",),
)
def slow_subscriber_delays_nobody(bench: Bench) -> None:
    publish, channel = _publisher(bench), bench.name("c")
    bench.feed(channel)
    reading = bench.feed(channel)
    bench.did(f"one subscriber never read; {_many(bench)} frames of 1 KiB were published, four times over")
    for part in range(4):
        frames = [b"%d %06d" % (part, number) + bytes(1024) for number in range(_many(bench))]

        def publish_all(frames: list[bytes] = frames) -> None:
            for frame in frames:
                publish(channel, frame)

        publishing = Aside(publish_all)
        got = [_next(bench, reading) for _ in frames]
        publishing.result(bench.times.arrive)
        bench.expect.judged(judging.complete(frames, got, "what the subscriber that reads gets"))


@rule(
    "NOTE-007",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="A frame that is published twice, as at-least-once transports do, reaches the callback once.",
    intent="A duplicate carries the same id, so that nobody acts on it twice.",
    causes=("duplicates are sealed anew, with an id of their own",),
    mutants=("hears-replays",),
    requires=("NOTE-001",),
)
def duplicates_are_heard_once(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    heard: queue.Queue[Notification] = queue.Queue()
    client.subscribe(f"{subject.name}.#", heard.put)
    subject.publish("first", 1)
    bench.expect.equal(next_heard(bench, heard).data, 1, "what is heard first")
    frame = next(crossing.frame for crossing in bench.trace.snapshot() if crossing.verb == "publish")
    bench.transport("service").publish(subject.name, frame)
    subject.publish("second", 2)
    bench.expect.equal(next_heard(bench, heard).data, 2, "what is heard after the first was published again")


@rule(
    "NOTE-008",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="A callback that raises keeps its subscription.",
    intent="One notification that a program cannot digest must not make it deaf.",
    causes=("the reading thread ends with the exception",),
    mutants=("unsubscribes-on-raise",),
    requires=("NOTE-001",),
)
def raising_callback_stays(bench: Bench) -> None:
    subject, client = bench.subject(), bench.client()
    heard: queue.Queue[Notification] = queue.Queue()

    def callback(notification: Notification) -> None:
        heard.put(notification)
        raise LookupError("on purpose")

    client.subscribe(f"{subject.name}.#", callback)
    for number in range(3):
        subject.publish("again", number)
        bench.expect.equal(next_heard(bench, heard).data, number, "what a callback that raises hears")


@rule(
    "NOTE-011",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="A notification need not be settled, and replies to it go nowhere.",
    intent="Whoever listens has no place to give free, and nobody to answer to.",
    causes=("a subscription has the capacity of an inbox", "a reply to a notification is delivered, or raises"),
    mutants=("notifications-take-places", "duplicates-notifications", "subscribers-compete"),
    requires=("NOTE-001",),
)
def notifications_are_one_way(bench: Bench) -> None:
    publish, channel = _publisher(bench), bench.name("c")
    feed, bystander, line = bench.feed(channel), bench.feed(channel), bench.line()
    service = bench.name()
    inbox = bench.inbox(service)
    frames = [b"%06d" % number for number in range(_many(bench))]
    bench.did(f"replied to {len(frames)} notifications and settled none but the last, which was settled three times")
    for frame in frames:
        publish(channel, frame)
    deliveries = [bench.arrives(feed, "a notification while others are not settled") for _ in frames]
    for delivery in deliveries:
        delivery.reply(b"to nobody")
    for accepted in (True, False, True):
        deliveries[-1].settle(accepted)
    publish(channel, b"fence")
    for one in (feed, bystander):
        count = 0 if one is feed else len(frames)
        got = bench.gather(one, count, b"fence")
        bench.expect.equal(sorted(got), frames[:count], "what a subscriber gets besides")
    bench.round_trip(line, inbox, service)


@rule(
    "NOTE-012",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="Any number of threads may publish at the same time: each notification arrives once and whole.",
    intent="The handlers of one service run in many threads, and all of them publish.",
    causes=("a socket that is not thread-safe is used without a lock", "parts of two frames are interleaved"),
    mutants=("interleaves-notifications", "blocks-on-slow-subscriber"),
    strength=Strength.STOCHASTIC,
    requires=("NOTE-001",),
)
def many_threads_publish(bench: Bench) -> None:
    publish, burst, each = _publisher(bench), bench.profile.burst, _UNREAD // _PUBLISHERS

    def publish_all(channel: str, frames: list[bytes], together: Barrier) -> None:
        together.wait(bench.times.arrive)
        for frame in frames:
            publish(channel, frame)

    bench.did(f"{_PUBLISHERS} threads published {burst} notifications each, and all was read after {each} of each")
    for first in range(0, burst, each):
        channel = bench.name("c")  # a new one, as what comes twice may come later
        numbers = range(first, min(first + each, burst))
        shares = [[b"%d:%d:" % (one, n) + b"x" * (n * 37) for n in numbers] for one in range(_PUBLISHERS)]
        together = Barrier(_PUBLISHERS)
        with bench.feed(channel) as feed:
            for publishing in [Aside(partial(publish_all, channel, share, together)) for share in shares]:
                publishing.result(bench.profile.limit)
            publish(channel, b"last")
            sent = [frame for share in shares for frame in share]
            got = bench.gather(feed, len(sent), b"last")
        bench.expect.judged(judging.complete(sent, got, "the notifications that arrive"))


def next_heard(bench: Bench, heard: queue.Queue[Notification]) -> Notification:
    """Return the next notification that a callback put into a queue, which must come."""
    try:
        return heard.get(timeout=bench.times.arrive)
    except queue.Empty:
        bench.expect.never("a notification that was published is heard", "nothing")
