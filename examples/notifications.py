"""Notifications: a service tells everybody who listens, and a client picks what it wants to hear.

python examples/notifications.py [url]
"""

import os
import sys
from queue import SimpleQueue

from treaty import Client, Incoming, Key, Notification, Service, connect


class Hosts(Service):
    name = "hosts"

    def on_add(self, message: Incoming, address: str) -> None:
        self.publish("Host.created", {"address": address})

    def on_remove(self, message: Incoming, address: str) -> None:
        self.publish("Host.deleted", {"address": address})


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "memory://hosts"
    secret = Key.generate(os.urandom)
    with (
        connect(url) as transport,
        Hosts(transport, secret=secret),
        Client(transport, secret=secret) as client,
    ):
        created: SimpleQueue[Notification] = SimpleQueue()
        client.subscribe("hosts.Host.created", created.put)  # a callback: called in a thread of the subscription's own
        everything = client.subscribe("hosts.#")  # without a callback: iterate over it

        client.call("hosts.add", {"address": "10.0.0.1"})
        client.call("hosts.remove", {"address": "10.0.0.1"})
        for notification in everything:
            print("iterator:", notification.topic, notification.data)
            if notification.topic == "hosts.Host.deleted":
                everything.close()
        notification = created.get(timeout=5)
        print("callback:", notification.topic, notification.data)


if __name__ == "__main__":
    main()
