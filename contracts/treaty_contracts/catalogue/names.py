"""LINE and NOTE: names of services and channels, and what keeps those apart that are alike.

It must not know what any library below makes of a name.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from functools import partial
from typing import Final

from treaty import InvalidTarget
from treaty_contracts import judging
from treaty_contracts.bench import Bench
from treaty_contracts.registry import Level, rule

#: Characters of the longest name.
_LONGEST: Final = 64


def alike(name: str) -> tuple[str, ...]:
    """Return a name and others that are easily taken for it: longer, shorter, or different in one character."""
    longest = name.ljust(_LONGEST - 1, "x")
    number = int.from_bytes(name.encode()[-6:]) + 1
    return (
        name,
        *(f"{name}{end}" for end in ("b", "-b", "_b", "0", "00", "x", "-", "_", "-x", "-0")),
        *(f"{start}{name}" for start in ("x", "0")),
        name[:-1],
        name[1:],
        name.replace("-", "_"),
        *(f"{zeros}{number}" for zeros in ("", "0", "00")),
        f"{longest}1",
        f"{longest}2",
        longest,
    )


@rule(
    "LINE-010",
    level=Level.MUST,
    sentence="A name that is no plain token raises InvalidTarget, in send, serve, publish and subscribe.",
    intent="Separators and wildcards of the library below would let one name reach another one's frames.",
    causes=("check_name is not called", "the library's own check speaks first", "letters of all scripts are taken"),
    mutants=("takes-any-name", "takes-all-letters"),
)
def names_are_checked(bench: Bench) -> None:
    line = bench.line()
    names = ("", "A", "a.b", "a/b", "a b", "*", "#", "ä", "aä", "a٣", "a\x00", "a\n", "-a", "a" * 65)
    for name in names:
        shown = f"the name {name[:8]!r}"
        bench.expect.raises(InvalidTarget, partial(line.send, name, b"x", 0), f"send, {shown}")
        bench.expect.raises(InvalidTarget, partial(bench.inbox, name), f"serve, {shown}")
        if bench.guarantees.notifications:
            bench.expect.raises(InvalidTarget, partial(bench.feed, name), f"subscribe, {shown}")
            publish = bench.transport("service").publish
            bench.expect.raises(InvalidTarget, partial(publish, name, b"x"), f"publish, {shown}")


@rule(
    "NOTE-014",
    level=Level.MUST,
    needs=("notifications",),
    sentence="A channel and a service of one name are two: what is published reaches no inbox, what is sent no subscriber.",
    intent="A service publishes under its own name; who calls it is not who listens to it.",
    causes=("one queue, topic or key serves both", "a request is announced to all who listen"),
    mutants=("publishes-to-services", "sends-to-subscribers"),
    requires=("SETUP-003", "NOTE-001"),
)
def channels_are_no_services(bench: Bench) -> None:
    name = bench.name()
    inbox, line, feed = bench.inbox(name), bench.line(), bench.feed(name)
    publish = bench.transport("service").publish
    bench.did(f"served {name}, subscribed to a channel of that name, and published and sent in turn")
    rounds = range(bench.profile.rounds)
    sent = {
        "channel": [b"published %d" % number for number in rounds],
        "service": [b"sent %d" % number for number in rounds],
    }
    heard: list[bytes] = []
    for news, ask in zip(sent["channel"], sent["service"], strict=True):
        publish(name, news)
        heard.append(bench.arrives(feed, "what was published").frame)
        bench.round_trip(line, inbox, name, ask)
    heard += bench.silence(feed)
    what = "what a subscriber gets while a service has the name of its channel"
    bench.expect.judged(judging.isolated(sent, {"channel": heard}, what))
    bench.expect.equal(bench.silence(inbox), [], "what arrives at the inbox besides")
