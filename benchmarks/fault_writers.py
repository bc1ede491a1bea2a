"""Writers that repeat whatever they have no answer to, and know what the store must hold in the end all the same.

Each thread has keys of its own. A host is saved over the version that it is known to have, so a request that is carried
out late, or twice, finds another version and does nothing; it is deleted only if nobody can create it once more. A
cluster has no version: one whose save was repeated is left alone from then on, so that a late one writes the same.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.fault_models import PASSWORD, Cluster, Expected, Host
from treaty import TreatyError
from treaty.storage import Conflict, NotFound, StorageClient

#: Seconds after which a request that is repeated again and again is given up, and reported.
LIMIT: Final = 60.0
#: Seconds between two tries.
_PAUSE: Final = 0.02
_LIVE: Final = 40
_BATCH: Final = 3
#: Now and then an object is large, so that buffers fill.
_LARGE: Final = 12_000


class Writers:
    """Threads that make a given number of changes and then wait for more to be allowed."""

    def __init__(self, storage: StorageClient, *, seed: int, threads: int) -> None:
        self._allowed = self._begun = self._idle = 0
        self._changed = threading.Condition()
        self._over = False
        self._writers = [_Writer(storage, f"w{number}", random.Random(f"{seed} {number}")) for number in range(threads)]
        self._threads = [threading.Thread(target=self._work, args=(one,), daemon=True) for one in self._writers]
        for thread in self._threads:
            thread.start()

    def work_until(self, changes: int) -> None:
        """Return when so many changes were made since the beginning."""
        with self._changed:
            self._allowed = changes
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._begun >= changes and self._idle == len(self._writers))

    def write_expected(self, path: str) -> None:
        """End, and write what must be in the store."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        objects = [one for writer in self._writers for one in writer.expected()]
        troubles = [one for writer in self._writers for one in writer.troubles]
        expected = Expected(objects=objects, troubles=troubles, repeated=sum(one.repeated for one in self._writers))
        Path(path).write_bytes(msgspec.json.encode(expected))

    def _work(self, writer: _Writer) -> None:
        while (most := self._next(writer)) > 0:
            try:
                writer.change(most)
            except Exception as error:
                writer.troubles.append(f"{writer.name}: {error!r}")

    def _next(self, writer: _Writer) -> int:
        """Return how many changes the next step may make at most; 0 at the end."""
        with self._changed:
            self._idle += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._begun < self._allowed)
            self._idle -= 1
            if self._over:
                return 0
            most = min(writer.draw(), self._allowed - self._begun)
            self._begun += most
            return most


class _Writer:
    """What one thread writes, and what it knows."""

    def __init__(self, storage: StorageClient, name: str, luck: random.Random) -> None:
        self.name = name
        self.troubles: list[str] = []
        self.repeated = 0
        self._storage = storage
        self._luck = luck
        self._numbers: Iterator[int] = count(1)
        self._hosts: dict[str, Host] = {}
        self._clusters: dict[str, Cluster] = {}
        #: Hosts that can be deleted, clusters that can be saved again.
        self._clean: set[str] = set()

    def draw(self) -> int:
        """Return how many changes the next step would like to make."""
        return _BATCH if self._luck.random() < 0.1 else 1

    def change(self, most: int) -> None:
        """Make so many changes."""
        if most > 1:
            self._create([self._new_host() for _ in range(most)])
            return
        chance = self._luck.random()
        if chance < 0.25:
            self._save_cluster()
        elif not self._hosts or (chance < 0.5 and len(self._hosts) < _LIVE):
            self._create([self._new_host()])
        elif chance < 0.7 and (able := [name for name in self._hosts if name in self._clean]):
            self._delete(self._luck.choice(able[: len(able) // 2 + 1]))  # an old one: nothing of it is under way
        else:
            self._update(self._luck.choice(list(self._hosts)))

    def expected(self) -> list[tuple[str, str, str, str]]:
        """Return what must be in the store."""
        hosts = [("Host", one.name, one.value, PASSWORD) for one in self._hosts.values()]
        return [*hosts, *(("Cluster", one.name, one.value, "") for one in self._clusters.values())]

    def _new_host(self) -> Host:
        return Host(name=self._fresh(), value=self._fresh(), filler=self._filler(), password=PASSWORD)

    def _create(self, hosts: list[Host]) -> None:
        if len(hosts) == 1:
            saved, clean = self._save(hosts[0])
            self._hosts[saved.name] = saved
        else:
            found, clean = self._until_known(lambda: self._storage.save_many(hosts), lambda: self._all_there(hosts))
            self._hosts |= {one.name: one for one in found}
        if clean:
            self._clean.update(one.name for one in hosts)

    def _update(self, name: str) -> None:
        known = self._hosts[name]
        password: Any = PASSWORD if self._luck.random() < 0.5 else msgspec.UNSET  # unset: stays as it is
        host = Host(name=name, value=self._fresh(), filler=self._filler(), password=password, revision=known.revision)
        self._hosts[name] = self._save(host)[0]

    def _save(self, host: Host) -> tuple[Host, bool]:
        return self._until_known(lambda: self._storage.save(host), lambda: self._all_there([host])[0])

    def _all_there(self, hosts: list[Host]) -> list[Host]:
        """Return them as they are, if they are as an earlier try would have made them."""
        found = self._storage.get_many(Host, [one.name for one in hosts])
        if [one.value for one in found] != [one.value for one in hosts]:
            raise AssertionError(f"{hosts[0].name} is {found[0].value}, not {hosts[0].value}: somebody else wrote it")
        return found

    def _delete(self, name: str) -> None:
        known = self._hosts[name]
        self._until_known(lambda: self._storage.delete(Host, name, version=known.revision), lambda: self._gone(name))
        del self._hosts[name]

    def _gone(self, name: str) -> None:
        try:
            found = self._storage.get(Host, name)
        except NotFound:
            return
        raise AssertionError(f"{name} is {found.value}, and was to be deleted: somebody else wrote it")

    def _save_cluster(self) -> None:
        able = [name for name in self._clusters if name in self._clean]
        known = able and (len(able) >= _LIVE or self._luck.random() < 0.7)
        name = self._luck.choice(able) if known else self._fresh()
        cluster = Cluster(name=name, value=self._fresh())
        _, clean = self._until_known(lambda: self._storage.save(cluster), lambda: cluster)
        self._clusters[name] = cluster
        (self._clean.add if clean else self._clean.discard)(name)

    def _until_known(self, request: Callable[[], Any], look: Callable[[], Any]) -> tuple[Any, bool]:
        """Repeat a request until it is known to be done. Return what came of it, and whether once was enough."""
        end, tries = time.monotonic() + LIMIT, 0
        ask = request
        while True:
            tries += 1
            try:
                return ask(), tries == 1
            except (Conflict, NotFound) as error:
                if ask is look:
                    raise
                if tries == 1:
                    # Either it was carried out twice, which the transport may do, or somebody else wrote.
                    self.repeated += 1
                ask = look
                last: Exception = error
            except TreatyError as error:
                last = error
                self.repeated += 1
            if time.monotonic() > end:
                raise last
            time.sleep(_PAUSE)

    def _fresh(self) -> str:
        return f"{self.name}-{next(self._numbers)}"

    def _filler(self) -> str:
        return "x" * (_LARGE if self._luck.random() < 0.2 else self._luck.randrange(200))
