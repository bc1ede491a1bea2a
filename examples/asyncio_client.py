"""The same client in asyncio: many calls at once, status messages, giving up.

python examples/asyncio_client.py [url]
"""

import asyncio
import os
import sys

from treaty import Cancelled, Client, Incoming, Key, Service, connect


class Slow(Service):
    name = "slow"

    async def on_echo(self, message: Incoming, text: str = "NO DATA", steps: int = 3, pause: float = 0.05) -> str:
        for step in range(1, steps + 1):
            message.status(102, f"step {step} of {steps}", progress=step / steps)
            await asyncio.sleep(pause)
        message.set_status(200, "Took a while, but I am back.")
        return text


async def talk(client: Client) -> None:
    # Twenty slow calls at once take as long as one.
    calls = [client.send("slow.echo", {"text": str(n)}) for n in range(20)]
    print("answers:", ", ".join(await asyncio.gather(*calls)))

    pending = client.send("slow.echo", {"text": "hi"})
    async for status in pending.statuses():
        print(f"  {status.code} {status.reason} ({status.progress:.0%})")
    reply = await pending.replied()
    print(reply.status.reason, reply.result)

    pending = client.send("slow.echo", {"pause": 60})
    async for _ in pending.statuses():
        pending.cancel()  # the handler's coroutine is cancelled as well
    try:
        await pending
    except Cancelled as raised:
        print("Cancelled:", raised)


def main() -> None:
    url = sys.argv[1] if len(sys.argv) > 1 else "memory://slow"
    secret = Key.generate(os.urandom)
    with (
        connect(url) as transport,
        Slow(transport, secret=secret, concurrency=20),
        Client(transport, secret=secret) as client,
    ):
        asyncio.run(talk(client))


if __name__ == "__main__":
    main()
