"""A service that calls a service: the time its caller has left bounds what it asks in turn.

python examples/two_services.py [url]
"""

import os
import sys

from treaty import Client, DeadlineExceeded, Incoming, Key, Service, connect


class Stock(Service):
    name = "stock"

    def on_count(self, message: Incoming, item: str) -> int:
        return {"tea": 12, "milk": 0}.get(item, 0)

    def on_recount(self, message: Incoming, item: str) -> int:
        """Take a minute, unless the caller's time runs out before: also when that caller is another service."""
        message.wait_cancelled(60)
        return 0


class Shop(Service):
    name = "shop"

    def on_sell(self, message: Incoming, item: str) -> str:
        left = message.client.call("stock.count", {"item": item})
        return f"sold, {left - 1} left" if left else f"no {item} today"

    def on_audit(self, message: Incoming, item: str) -> int:
        # No timeout here: the one who asked for the audit has set it.
        count: int = message.client.call("stock.recount", {"item": item})
        return count


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "memory://shop"
    secret = Key.generate(os.urandom)
    with (
        connect(url) as transport,  # services that share a transport share its endpoint
        Stock(transport, secret=secret),
        Shop(transport, secret=secret),
        Client(transport, secret=secret) as client,
    ):
        print("tea: ", client.call("shop.sell", {"item": "tea"}))
        print("milk:", client.call("shop.sell", {"item": "milk"}))
        try:
            client.call("shop.audit", {"item": "tea"}, timeout=0.5)
        except DeadlineExceeded as raised:
            print("DeadlineExceeded:", raised)


if __name__ == "__main__":
    main()
