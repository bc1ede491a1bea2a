"""Shared state: a service keeps objects, and everybody who shares them hears of every change.

python examples/storage.py [url [store]], such as: zmq+tcp://127.0.0.1:* sqlite:///hosts.db
"""

import os
import sys
from queue import SimpleQueue

import msgspec

from treaty import Key, connect
from treaty.storage import Conflict, Gap, Notice, StorageClient, StorageService, StoreConfig, model


@model(key="address", hidden=["password"], version="revision")
class Host(msgspec.Struct):
    address: str
    status: str = "new"
    password: str | msgspec.UnsetType = msgspec.UNSET
    revision: int = 0


class Inventory(StorageService):
    name = "inventory"


def listen(storage: StorageClient, seen: SimpleQueue[str]) -> None:
    def changed(event: str, host: Host | None, message: Notice) -> None:  # in a thread of the registration's own
        print(f"callback: {event} {message.key} {host}")
        seen.put(event)

    def missed(gap: Gap) -> None:  # what was missed is read now, and told to the callback
        print("gap:", gap)

    storage.register_callback(changed, Host, on_gap=missed)


def write(storage: StorageClient) -> None:
    host = storage.save(Host("10.0.0.1", password=os.urandom(8).hex()))  # created
    same = storage.get(Host, "10.0.0.1")

    host.status = "active"
    host = storage.save(host)  # updated; the host that comes back has the new revision

    same.status = "failed"
    try:
        storage.save(same)  # somebody has saved it since this one was read
    except Conflict as error:
        print("Conflict:", error)

    storage.save_many([Host("10.0.0.2"), Host("10.0.0.3")])  # both or none
    storage.delete(Host, "10.0.0.3")


def show(storage: StorageClient) -> None:
    with storage.notifications(Host, snapshot=True) as notifications:  # begins with what is there
        for event, host, message in notifications:
            print("iterator:", event, host, message.source)
            if message.key == "10.0.0.2":
                break


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "memory://shared"
    store = StoreConfig(url=sys.argv[2] if len(sys.argv) > 2 else "memory:", models=[Host])
    secret = Key.generate(os.urandom)
    with (
        connect(url) as transport,
        Inventory(transport, secret=secret, stores=[store]),
        StorageClient(transport, service="inventory", secret=secret) as reader,
        StorageClient(transport, service="inventory", secret=secret) as writer,
    ):
        seen: SimpleQueue[str] = SimpleQueue()
        listen(reader, seen)
        write(writer)
        while seen.get(timeout=5) != "deleted":
            continue
        show(reader)


if __name__ == "__main__":
    main()
