"""NOTE: publishing and subscribing. The rules about lines drive the interface, those about topics a client.

Silence is never waited for: a marker is published the same way, and must be the next thing that arrives.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import queue
from typing import Any

from hypothesis import strategies as st

from treaty import Inbox, Notification, matches
from treaty_contracts.bench import Bench
from treaty_contracts.registry import Level, Strength, rule

_NEEDS = ("notifications",)


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
    sentence="When ``subscribe`` has returned, what is published from then on arrives, unchanged.",
    intent="Whoever subscribes and then reads the present state must not miss the change in between.",
    causes=("the subscription is still on its way when subscribe returns", "the first frames open a connection"),
    mutants=("late-subscription", "loses-every-nth-notification", "lies-about-notifications"),
    strength=Strength.STOCHASTIC,
)
def subscribed_on_return(bench: Bench) -> None:
    publish = _publisher(bench)
    for number in range(bench.profile.rounds):
        channel = bench.name("c")
        publish(channel, b"nobody listens yet")
        feed = bench.feed(channel)
        frames = [bytes([number, index]) * 100 for index in range(bench.profile.burst)]
        for frame in frames:
            publish(channel, frame)
        got = [_next(bench, feed) for _ in frames]
        bench.expect.equal(sorted(got), sorted(frames), "what a subscriber gets")


@rule(
    "NOTE-002",
    level=Level.MUST,
    needs=(*_NEEDS, "ordered"),
    sentence="A subscriber gets what one publisher publishes on a channel in the order of publishing.",
    intent="A change that arrives before the one that it rests on is read wrongly.",
    causes=("several connections or threads publish", "frames are put back at the end"),
    mutants=("reorders-notifications",),
    strength=Strength.STOCHASTIC,
)
def notifications_keep_order(bench: Bench) -> None:
    publish, channel = _publisher(bench), bench.name("c")
    feed = bench.feed(channel)
    frames = [b"%06d" % number for number in range(bench.profile.burst * 2)]
    for frame in frames:
        publish(channel, frame)
    bench.expect.equal([_next(bench, feed) for _ in frames], frames, "what a subscriber gets, in order")


@rule(
    "NOTE-003",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="Nothing arrives after a subscription was closed, and closing one ends no other.",
    intent="A callback that runs after it was removed runs on what is gone.",
    causes=("unsubscribing is not waited for", "the channel is left for all"),
    mutants=("keeps-sending", "close-unsubscribes-all"),
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
    bench.expect.equal([next_heard(bench, kept).data for _ in range(3)], [2, 3, 4], "what the one that stayed hears")
    bench.expect.equal(left.qsize(), 0, "how much the one that was closed hears")


@rule(
    "NOTE-004",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="A subscriber gets what its channel and its pattern match as whole words, and nothing else.",
    intent="Brokers disagree about wildcards and prefixes; Treaty has one definition.",
    causes=("the channel is used as a prefix", "the library's own pattern language reads the topic"),
    mutants=("channels-match-prefixes", "subscribes-to-everything"),
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
        subject.publish("Host.fence", "fence")
        wanted = [topic] if matches(pattern, f"{subject.name}.{topic}") else []
        bench.expect.equal(_up_to_fence(bench, some), wanted, f"what {pattern!r} hears of {topic!r}")
        bench.expect.equal(_up_to_fence(bench, every), [topic], f"what {everything!r} hears of {topic!r}")

    bench.each(drawn, check)
    bench.did("published beside a channel, below the core: the marker must be the first thing that arrives")
    feed, publish = bench.feed(subject.name), bench.transport("service").publish
    for channel in (f"{subject.name}x", subject.name[:-1], f"{subject.name}-x"):
        publish(channel, b"of another channel")
    publish(subject.name, b"marker")
    bench.expect.equal(_next(bench, feed), b"marker", "the first frame of the channel")


@rule(
    "NOTE-005",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="Each subscriber of a channel gets its own copy of every notification, once.",
    intent="Subscribers do not compete: each one keeps a state of its own up to date.",
    causes=("subscribers share a queue", "two subscriptions of one connection are one to the library"),
    mutants=("subscribers-compete", "duplicates-notifications"),
)
def own_copy_each(bench: Bench) -> None:
    publish, channel = _publisher(bench), bench.name("c")
    other = bench.open("client")
    feeds = [bench.feed(channel), bench.feed(channel), bench.keep(other.subscribe(channel))]
    frames = [b"%06d" % number for number in range(bench.profile.burst)]
    for frame in (*frames, b"fence"):
        publish(channel, frame)
    for number, feed in enumerate(feeds):
        got = sorted(_next(bench, feed) for _ in range(len(frames) + 1))
        bench.expect.equal(got, sorted((*frames, b"fence")), f"what subscriber {number} gets")


@rule(
    "NOTE-006",
    level=Level.SHOULD,
    needs=_NEEDS,
    sentence="A subscriber that does not read delays neither the publisher nor any other subscriber.",
    intent="One stuck dashboard must not stop the system that it watches.",
    causes=("publishing waits for every subscriber", "one buffer serves all"),
    mutants=("blocks-on-slow-subscriber",),
)
def slow_subscriber_delays_nobody(bench: Bench) -> None:
    publish, channel = _publisher(bench), bench.name("c")
    bench.feed(channel)
    reading = bench.feed(channel)
    frames = [b"%06d" % number + bytes(1024) for number in range(bench.profile.burst * 4)]
    bench.did(f"one subscriber never read; {len(frames)} frames of 1 KiB were published")
    for frame in frames:
        publish(channel, frame)
        bench.expect.equal(_next(bench, reading), frame, "what the subscriber that reads gets")


@rule(
    "NOTE-007",
    level=Level.MUST,
    needs=_NEEDS,
    sentence="A frame that is published twice, as at-least-once transports do, reaches the callback once.",
    intent="A duplicate carries the same id, so that nobody acts on it twice.",
    causes=("duplicates are sealed anew, with an id of their own",),
    mutants=("new-id-for-duplicates",),
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


def next_heard(bench: Bench, heard: queue.Queue[Notification]) -> Notification:
    """Return the next notification that a callback put into a queue, which must come."""
    try:
        return heard.get(timeout=bench.times.arrive)
    except queue.Empty:
        bench.expect.never("a notification that was published is heard", "nothing")


def _up_to_fence(bench: Bench, heard: queue.Queue[Notification]) -> list[Any]:
    found: list[Any] = []
    while (data := next_heard(bench, heard).data) != "fence":
        found.append(data)
    return found
