"""The fault run: writers, subscribers and a service, while links are cut and processes killed; then everybody is asked.

What is done, and to whom, is drawn from a seed. Most of the changes of a step are made while its fault lasts, the rest
while it heals. In the end each subscriber must know what the store knows, and have been told of each change once.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks.fault_judge import Life, Logged, Objects, Verdict
from benchmarks.fault_models import Cluster, Expected, Host, Told, read_record
from benchmarks.processes import SECRET, Peer
from treaty import Client
from treaty.storage import StorageClient
from treaty_contracts.relay import Address, Relay

KINDS: Final = ("stopped", "killed", "cut", "stalled", "service killed", "broker restarted")
#: Seconds after which something that must happen has not.
LIMIT: Final = 60.0
_PEERS: Final = "benchmarks.fault_peers"
#: These are never killed, so that they can say whether they saw everything.
_SURVIVORS: Final = ("s1", "s2")
_MORTALS: Final = ("s3", "s4")
#: The parts of a step's changes that are made until the fault begins, about, and until it ends.
_BEFORE: Final = 0.3
_DURING: Final = 0.8


class Place(NamedTuple):
    """A transport, and where its ends meet."""

    name: str
    #: What the relays connect to.
    upstream: Address
    #: The URL by which an end connects to an address.
    url: Callable[[Address], str]
    #: Whether the service connects as well, to a broker; else it is what the others connect to.
    brokered: bool = False
    #: Breaks all connections of this run at the broker itself.
    drop: Callable[[], None] = lambda: None


class Run:
    """One run over one transport.

    Args:
        place: the transport.
        directory: for the database and the records; short, where sockets are made in it.
        seed: of everything that is drawn.
        hold: how many seconds a fault lasts.
        threads: how many write at once.
    """

    def __init__(self, place: Place, directory: Path, *, seed: int, hold: float, threads: int) -> None:
        self._place = place
        self._directory = directory
        self._database = directory / "store.db"
        self._hold = hold
        self._luck = random.Random(seed)
        self._seed = seed
        self._threads = threads
        self._ends = ExitStack()
        self._relays: dict[str, Relay] = {}
        self._subscribers: dict[str, Peer] = {}
        self._lives: list[Life] = []
        self.verdict = Verdict()

    def run(self, changes: int, faults: int, say: Callable[[str], None]) -> Verdict:
        """Make at least so many changes, with so many faults in between, and judge."""
        start = time.monotonic()
        with self._ends:
            self._begin()
            step = changes / (faults + 1)
            self._write(step)
            for number, kind in enumerate(self._drawn(faults), 1):
                begun = time.monotonic()
                before, during = (round(step * (number + part)) for part in (_BEFORE, _DURING))
                self._writer.say(before)
                # Not waited for: the fault comes in the middle of it.
                with self._fault(kind) as whom:
                    self._writer.say(during)
                    threading.Event().wait(self._hold)  # how long it lasts
                self._writer.hear(before)
                self._writer.hear(during)
                self._write(step * (number + 1))
                self.verdict.faults[kind] += 1
                say(f"{number}/{faults} {kind}{whom}: {time.monotonic() - begun:.1f} s")
            self._writer.end()
            self._judge()
        self.verdict.seconds = time.monotonic() - start
        return self.verdict

    def _begin(self) -> None:
        for name in ("service", "writer", *_SURVIVORS, *_MORTALS):
            self._relays[name] = self._ends.enter_context(_relay(self._place.upstream, self._directory / f"r.{name}"))
        self._service = self._start_service()
        self._ends.callback(lambda: self._service.kill())
        for name in (*_SURVIVORS, *_MORTALS):
            self._start_subscriber(name, snapshot=False)
        expected = str(self._directory / "expected.json")
        self._writer = Peer(
            _PEERS,
            self._directory / "writer.log",
            "writer",
            self._url("writer"),
            str(self._seed),
            str(self._threads),
            expected,
        )
        self._ends.callback(self._writer.kill)

    def _url(self, name: str) -> str:
        return self._place.url(self._relays[name].address)

    def _start_service(self) -> Peer:
        url = self._url("service") if self._place.brokered else self._place.url(self._place.upstream)
        return Peer(_PEERS, self._directory / "service.log", "service", url, f"sqlite:///{self._database}")

    def _start_subscriber(self, name: str, *, snapshot: bool) -> None:
        number = sum(life.name == name for life in self._lives)
        record = self._directory / f"{name}.{number}"
        self._lives.append(Life(name, record, snapshot, last=False, told=()))
        kind = "snapshot" if snapshot else "future"
        peer = Peer(_PEERS, self._directory / f"{name}.log", "subscriber", self._url(name), str(record), kind)
        self._subscribers[name] = peer
        self._ends.callback(peer.kill)

    def _write(self, until: float) -> None:
        self._writer.say(round(until))
        self._writer.hear(round(until))

    def _drawn(self, faults: int) -> list[str]:
        """Draw the faults: each kind about as often as the others, in no order."""
        kinds = [*KINDS] * (faults // len(KINDS)) + self._luck.sample(KINDS, faults % len(KINDS))
        self._luck.shuffle(kinds)
        return kinds

    # The faults

    @contextmanager
    def _fault(self, kind: str) -> Iterator[str]:
        if kind == "service killed":
            left = self._luck.randrange(3)
            self._service.say(left)
            yield f" {left} changes later"
            if self._service.process.wait(LIMIT) != -signal.SIGKILL:
                raise RuntimeError("the service ended by itself")
            self._service.kill()
            self._service = self._start_service()
        elif kind == "broker restarted":
            self._place.drop()
            for relay in self._relays.values():
                relay.cut()
            yield ""
            for relay in self._relays.values():
                relay.mend()
        elif kind in ("stopped", "killed"):
            name = self._luck.choice(_MORTALS if kind == "killed" else [*_SURVIVORS, *_MORTALS])
            peer = self._subscribers[name]
            if kind == "stopped":
                peer.signal(signal.SIGSTOP)
                yield f" {name}"
                peer.signal(signal.SIGCONT)
            else:
                peer.kill()
                yield f" {name}"
                self._start_subscriber(name, snapshot=True)
        else:
            # A service has a link of its own only where there is a broker.
            others = ["writer", "service"] if self._place.brokered else ["writer"]
            name = self._luck.choice([*_SURVIVORS, *_MORTALS, *_SURVIVORS, *_MORTALS, *others])
            relay = self._relays[name]
            if kind == "cut":
                relay.cut()
                yield f" {name}"
                relay.mend()
            else:
                relay.stall()
                yield f" {name}"
                if self._luck.random() < 0.5:
                    relay.restart()  # what was on the way is lost
                relay.resume()

    # The end

    def _judge(self) -> None:
        expected = msgspec.json.decode((self._directory / "expected.json").read_bytes(), type=Expected)
        with Client(self._url("writer"), secret=SECRET) as client, StorageClient(client) as storage:
            if not self._settled():
                self.verdict.find("silent", "not everybody got to the end in time")
            hosts = [("Host", one.name, one.value, str(one.password)) for one in storage.list(Host)]
            clusters = [("Cluster", one.name, one.value, "") for one in storage.list(Cluster)]
        for peer in self._subscribers.values():
            peer.end()
        found = {(model, key): (value, password) for model, key, value, password in [*hosts, *clusters]}
        log, versions = self._read_store()
        if log and [one.sequence for one in log] != list(range(1, log[-1].sequence + 1)):
            self.verdict.find("wrong", "the log has holes")
        objects: Objects = {which: (versions.get(which, 0), value) for which, (value, _) in found.items()}
        last = {life.name: life.record for life in self._lives}
        lives = [one._replace(last=last[one.name] == one.record, told=read_record(one.record)) for one in self._lives]
        self.verdict.changes = len(log)
        self.verdict.judge(lives, log, objects)
        self.verdict.judge_store(expected, found)

    def _settled(self) -> bool:
        """Wait until every subscriber has heard of the last change, and no late request has made another one."""
        end = time.monotonic() + LIMIT
        quiet_since, head_before = time.monotonic(), -1
        while time.monotonic() < end:
            log, _ = self._read_store()
            head = log[-1].sequence if log else 0
            if head != head_before:
                quiet_since, head_before = time.monotonic(), head
            current = {life.name: life.record for life in self._lives}
            behind = [name for name, record in current.items() if _heard(record) < head]
            if not behind and time.monotonic() - quiet_since > self._hold:
                return True
            threading.Event().wait(0.05)
        return False

    def _read_store(self) -> tuple[list[Logged], dict[tuple[str, str], int]]:
        connection = sqlite3.connect(self._database)
        try:
            query = "SELECT sequence, epoch, event, model, key FROM treaty_changes ORDER BY sequence"
            log = [Logged(*row) for row in connection.execute(query)]
            versions = {
                (row[0], row[1]): row[2] for row in connection.execute("SELECT model, key, version FROM treaty_objects")
            }
        finally:
            connection.close()
        return log, versions


def run(
    place: Place,
    *,
    changes: int,
    faults: int,
    seed: int,
    hold: float = 2.0,
    threads: int = 8,
    say: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Run once, and leave nothing behind but what is needed to understand a bad end."""
    directory = Path(tempfile.mkdtemp(prefix="tf", dir="/tmp"))
    verdict = None
    try:
        verdict = Run(place, directory, seed=seed, hold=hold, threads=threads).run(changes, faults, say)
    finally:
        if verdict is not None and verdict.good:
            shutil.rmtree(directory)
        else:
            say(f"the records are in {directory}")
    return verdict


def _heard(record: Path) -> int:
    told = [one for one in read_record(record) if isinstance(one, Told) and one.registration == "any"]
    return told[-1].sequence if told else 0


@contextmanager
def _relay(upstream: Address, path: Path) -> Iterator[Relay]:
    relay = Relay(upstream, str(path) if isinstance(upstream, str) else ("127.0.0.1", 0))
    try:
        yield relay
    finally:
        relay.close()
