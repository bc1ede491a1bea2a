"""LINE, INBOX, LIFE and REFUSE: what happens across processes, and in a forked child.

Each child opens a transport of its own, or proves that it cannot use its parent's. It must not know adapters.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from treaty import AddressInUse, ConnectionLost, ForkedError, Inbox, Resource, Transport, TransportError, Unavailable
from treaty_contracts import judging
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.expect import until
from treaty_contracts.forking import Child
from treaty_contracts.peer import Peer
from treaty_contracts.registry import Level, rule

#: Where Linux keeps shared memory that has a name.
_SHARED: Final = Path("/dev/shm")
#: How often it is looked whether something is left among what others leave.
_TRIES: Final = 3


@rule(
    "LINE-014",
    level=Level.MUST,
    needs=("crosses_processes",),
    sentence="A line in one process reaches an inbox in another one, and the reply comes back.",
    intent="It was declared, and it is what services are for.",
    causes=("the address means something only in this process", "a global of the library does not survive a fork"),
    mutants=("lies-about-processes",),
)
def crosses_processes(bench: Bench) -> None:
    service = bench.name()

    def work(transport: Transport, peer: Peer) -> str | None:
        peer.wait()
        line = transport.dial()
        line.send(service, b"from the child", bench.times.arrive)
        answer = line.receive(bench.times.arrive)
        return None if answer is None else answer.decode()

    bench.did("forked a child with a transport of its own, served, and let the child send a frame")
    peer = Peer(bench, "client", work)
    inbox = bench.inbox(service)
    peer.go()
    delivery = bench.arrives(inbox, "a frame from another process")
    bench.expect.equal(delivery.frame, b"from the child", "what the other process sent")
    delivery.reply(b"to the child")
    delivery.settle()
    bench.expect.equal(peer.report(), "to the child", "what the other process gets")
    bench.round_trip(bench.line(), inbox, service)


@rule(
    "REFUSE-CROSSES-PROCESSES",
    level=Level.MUST,
    refuses="crosses_processes",
    sentence="Where processes are not crossed, a send from another one is a TransportError, and nothing arrives; or it "
    "crosses all the same, and is answered.",
    intent="A frame that seems to have been sent, and was not, is a call that never ends.",
    causes=("the frame goes into a copy of the queues that nobody reads",),
    mutants=("sends-into-a-copy",),
)
def does_not_cross_processes(bench: Bench) -> None:
    service = bench.name()
    limit = (bench.guarantees.notices_absence or 0.0) + bench.times.arrive

    def work(transport: Transport, peer: Peer) -> str:
        peer.wait()
        try:
            line = transport.dial()
            line.send(service, b"from the child", bench.times.brief)
            answer = line.receive(limit)
        except TransportError:
            return "refused"
        return f"sent, and received {answer!r}"

    bench.did("forked a child with a transport of its own, served, and let the child send")
    peer = Peer(bench, "client", work)
    inbox = bench.inbox(service)
    peer.go()
    report = Aside(peer.report)
    crossed = until(lambda: _answered(inbox, b"from the child") or report.at, limit) and not report.at
    if crossed:
        bench.expect.equal(report.result(limit), "sent, and received b'answer'", "what a send that crossed comes to")
        bench.warn("a frame of another process arrived and was answered: crosses_processes could be declared")
    else:
        bench.expect.equal(report.result(limit * 2), "refused", "what a send from another process comes to")
    bench.round_trip(bench.line(), inbox, service, b"marker")


@rule(
    "INBOX-008",
    level=Level.MUST,
    needs=("redelivers",),
    sentence="A delivery that its inbox took and did not settle goes to another one, marked as redelivered.",
    intent="It was declared; and the mark is what keeps a handler from running twice.",
    causes=(
        "deliveries are acknowledged when they are taken",
        "the mark is not passed on, or not a second time",
        "only the last that was taken is given on",
    ),
    mutants=("gives-on-only-one", "loses-unsettled", "marks-once", "redelivers-unmarked", "unmarks-what-is-given-back"),
)
def unsettled_is_redelivered(bench: Bench) -> None:
    service, frames = bench.name(), [b"taken %d" % number for number in range(3)]
    line, first = bench.line(), bench.inbox(service)
    for frame in frames:
        line.send(service, frame, bench.times.arrive)
    taken = [bench.arrives(first).frame for _ in frames]
    bench.expect.equal(sorted(taken), frames, "what the first inbox takes")
    bench.did("an inbox took requests and closed without settling them; another one served, and took them")
    first.close()
    second = bench.inbox(service)
    done, back, *left = bench.redelivered(second, frames, "the request that was not settled")
    done.reply(b"done")
    done.settle()
    bench.expect.equal(bench.returns(line), b"done", "the reply to what was redelivered")
    bench.did("it answered one, gave one back, and closed; a third one served")
    back.settle(accepted=False)
    second.close()
    frames = [one.frame for one in (back, *left)]
    third = bench.inbox(service)
    for delivery in bench.redelivered(third, frames, "what was not settled there either"):
        delivery.settle()


@rule(
    "LIFE-007",
    level=Level.MUST,
    sentence="In a forked child all but close and settle raises ForkedError, and the parent is not disturbed.",
    intent="Sockets and locks that two processes use are corrupted in ways that nobody finds.",
    causes=(
        "check() is not called first",
        "close in the child shuts the parent's socket down",
        "the child waits for a lock that another thread of the parent held",
    ),
    mutants=("fork-closes-for-all", "works-in-a-fork"),
)
def forked_child(bench: Bench) -> None:
    service, channel = bench.name(), bench.name("c")
    inbox, line = bench.inbox(service), bench.line()
    bench.round_trip(line, inbox, service)
    line.send(service, b"taken before the fork", bench.times.arrive)
    taken = bench.arrives(inbox)
    near, far = bench.transport("client"), bench.transport("service")
    uses: dict[str, Callable[[], Any]] = {
        "line.send": lambda: line.send(service, b"from the child", 0),
        "line.receive": lambda: line.receive(0),
        "inbox.receive": lambda: inbox.receive(0),
        "delivery.reply": lambda: taken.reply(b"from the child"),
        "transport.dial": near.dial,
        "transport.serve": lambda: far.serve(bench.name(), 1),
    }
    ends: list[Resource] = [line, inbox, near, far]
    if bench.guarantees.notifications:
        ends.insert(0, bench.feed(channel))
        uses["transport.publish"] = lambda: far.publish(channel, b"from the child")
        uses["transport.subscribe"] = lambda: near.subscribe(channel)

    def work() -> dict[str, str]:
        found = {name: _how(use) for name, use in uses.items()}
        found["settle"] = _how(taken.settle)
        for end in ends:
            found[f"close {end}"] = _how(end.close)
        return found

    bench.did("forked a child that tried every use of these ends, and closed them; then used them here")
    report = Child(work, bench.times.arrive).report()
    bench.expect.that(isinstance(report, dict), "the child tried everything", report)
    for name in uses:
        bench.expect.equal(report[name], ForkedError.__name__, f"{name} in the child")
    for name in report.keys() - uses.keys():
        bench.expect.equal(report[name], "nothing", f"{name} in the child raises")
    # What the child did must not have reached the line: the parent's own reply is the first.
    taken.reply(b"from the parent")
    taken.settle()
    bench.expect.equal(bench.returns(line), b"from the parent", "the first reply at the line of the parent")
    bench.round_trip(line, inbox, service, b"still here")
    bench.round_trip(bench.line(), inbox, service, b"and so are new lines")


@rule(
    "LIFE-018",
    level=Level.MUST,
    sentence="After close no file is left in the temporary or the working directory, no shared memory and no child process.",
    intent="What a program leaves behind each time fills a disk or a process table in the end.",
    causes=(
        "a socket or lock file is not removed",
        "a helper process is not waited for",
        "what is to survive a restart has no place of its own, and lies in one of these directories",
    ),
    mutants=("leaves-a-child", "leaves-a-file", "leaves-shared-memory"),
)
def no_file_and_no_child_is_left(bench: Bench) -> None:
    def live() -> None:
        near, far = bench.open("client"), bench.open("service")
        service = bench.name()
        line, inbox = near.dial(), far.serve(service, 1)
        bench.round_trip(line, inbox, service)
        if bench.guarantees.notifications:
            near.subscribe(bench.name("c"))
        near.close()
        far.close()

    bench.did(
        "warmed up; opened both ends, carried a frame and closed, in directories of its own that were empty before"
    )
    live()
    before = _children()
    with tempfile.TemporaryDirectory(prefix="contract-") as empty:
        places = Path(empty, "temporary"), Path(empty, "working")
        for place in places:
            place.mkdir()
        home, temporary, variable = Path.cwd(), tempfile.tempdir, os.environ.get("TMPDIR")
        try:
            tempfile.tempdir = os.environ["TMPDIR"] = str(places[0])
            os.chdir(places[1])
            for _ in range(_TRIES):  # others come and go there as well: what a transport leaves it leaves each time
                known = _shared()
                live()
                shared = _shared() - known
                if not shared:
                    break
        finally:
            os.chdir(home)
            tempfile.tempdir = temporary
            os.environ.pop("TMPDIR")
            os.environ.update({} if variable is None else {"TMPDIR": variable})
        files = Counter(f"{place.name} file {path.relative_to(place)}" for place in places for path in place.rglob("*"))
        bench.expect.judged(judging.nothing_new(Counter(), files, "in the temporary and the working directory"))
    bench.expect.judged(judging.nothing_new(Counter(), shared & _shared(), "in shared memory"))
    until(lambda: not _children() - before, bench.times.slack)
    bench.expect.judged(judging.nothing_new(before, _children(), "of child processes"))


def _shared() -> Counter[str]:
    """Return the names of the pieces of shared memory, where the system lists them."""
    return Counter(path.name for path in _SHARED.iterdir()) if _SHARED.is_dir() else Counter()


@rule(
    "LIFE-023",
    level=Level.MUST,
    needs=("crosses_processes",),
    sentence="What a process served that was killed is served again by the next one that asks, and reached there.",
    intent="Programs are killed; whoever starts one again must not have to clear up first.",
    causes=(
        "a socket file or a lock of the dead process is taken for one of the living",
        "the name is given free only by close",
        "requests go to the one that is dead",
    ),
    mutants=("keeps-a-dead-name",),
    requires=("LINE-014", "LIFE-005"),
)
def served_again_after_a_kill(bench: Bench) -> None:
    service, arrive = bench.name(), bench.times.arrive

    def work(transport: Transport, peer: Peer) -> None:
        inbox = transport.serve(service, 1)
        peer.tell()
        inbox.receive(arrive * 2)

    bench.did("served in a forked child and killed it, and served the same here")
    peer = Peer(bench, "service", work)
    peer.did("serves")
    peer.close()
    inbox = served_again(bench, service)
    line = bench.line()

    def arrives() -> bool:
        with suppress(Unavailable, ConnectionLost):  # it may take a moment until everybody knows
            line.send(service, b"again", bench.times.brief)
        return _answered(inbox, b"again")

    bench.expect.that(until(arrives, arrive), "a frame arrives there", f"nothing in {arrive:g} s")


def _children() -> Counter[str]:
    """Count the child processes of this one, by what they are called, also those that are over and not waited for."""
    found: Counter[str] = Counter()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = path.read_text("utf-8", "replace").rpartition(")")
        except OSError:
            continue  # over meanwhile
        if int(tail.split()[1]) == os.getpid():
            found[f"child process {head.partition('(')[2]}"] += 1
    return found


def _answered(inbox: Inbox, frame: bytes) -> bool:
    """Answer a frame if it is there."""
    delivery = inbox.receive(0.002)
    if delivery is None or delivery.frame != frame:
        return False
    delivery.reply(b"answer")
    delivery.settle()
    return True


def _how(use: Callable[[], Any]) -> str:
    try:
        use()
    except Exception as raised:  # its class is the report
        return type(raised).__name__
    return "nothing"


def served_again(bench: Bench, service: str) -> Inbox:
    """Serve what a process served that was killed: it may take a moment until that is known."""
    inboxes: list[Inbox] = []
    taken: list[AddressInUse] = []

    def serves() -> bool:
        try:
            inboxes.append(bench.inbox(service))
        except AddressInUse as error:
            taken.append(error)
        return bool(inboxes)

    again = until(serves, bench.times.slack)
    bench.expect.that(again, "serve of what a killed process served", repr(taken[-1:]))
    return inboxes[0]
