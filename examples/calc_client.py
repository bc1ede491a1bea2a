"""A calculator and its client: blocking calls, deferred calls, and errors that keep their type.

    python examples/calc_client.py

Both ends share this process and the memory transport; give a URL to use another:

    python examples/calc_client.py zmq+tcp://127.0.0.1:5556
"""

import os
import sys

from treaty import Client, Incoming, InvalidParams, Key, Reply, Service, connect, error


# Registered at both ends (here: once), so the caller gets this very class, with its fields.
@error("calc.no-root", status=422)
class NoRoot(Exception):
    def __init__(self, number: float) -> None:
        super().__init__(f"{number:g} has no real root")
        self.number = number


class Calc(Service):
    name = "calc"

    def on_add(self, message: Incoming, a: int, b: int) -> int:
        return a + b

    def on_root(self, message: Incoming, number: float) -> float:
        if number < 0:
            raise NoRoot(number)
        return float(number**0.5)


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "memory://calc"
    secret = Key.generate(os.urandom)
    with (
        connect(url) as transport,
        Calc(transport, secret=secret),
        Client(transport, secret=secret, timeout=5) as client,
    ):
        print("2 + 3 =", client.call("calc.add", {"a": 2, "b": 3}))

        calc = client.service("calc")  # the same calls, spelled as methods
        print("4 + 5 =", calc.add(a=4, b=5))

        pending = client.send("calc.root", [2])  # returns at once
        print("the square root of 2 =", pending.result())

        def note(reply: Reply) -> str:  # is handed every answer of calc
            return f"{reply.status.code} after {reply.elapsed * 1000:.1f} ms"

        client.on_response("calc.*", note)
        print("what the response handler made of it:", client.request("calc.add", [1, 1]).handled)

        try:
            calc.root(number=-1)
        except NoRoot as raised:
            print("NoRoot:", raised, "| its field:", raised.number)
        try:
            calc.add(a="two", b=3)
        except InvalidParams as raised:
            print(raised)


if __name__ == "__main__":
    main()
