"""A slow echo that says how it is going.

    treaty keygen --out secret.key; export TREATY_SECRET_FILE=secret.key
    treaty serve examples.slow:Slow --url zmq+tcp://127.0.0.1:5555
    treaty call slow.echo '{"text": "hi"}' --url zmq+tcp://127.0.0.1:5555

or, without the command line, over any transport:

    TREATY_SECRET="$(cat secret.key)" python examples/slow.py kombu+redis://127.0.0.1:6379/0
"""

import os
import sys

from treaty import Incoming, Service, connect


class Slow(Service):
    name = "slow"

    def on_echo(self, message: Incoming, text: str = "NO DATA", steps: int = 10, pause: float = 0.3) -> dict[str, str]:
        """Give the text back, after a while."""
        for step in range(1, steps + 1):
            message.status(102, f"step {step} of {steps}", progress=step / steps)
            # Waits, but not for nothing: a caller who gives up ends it.
            if message.wait_cancelled(pause):
                break
        message.set_status(200, "Took a while, but I am back.")
        return {"RETURN_DATA": text}

    def on_fail(self, message: Incoming) -> None:
        """Fail: the caller gets the type and the text, the traceback stays in the log of the service."""
        raise NotImplementedError("I was never created")


if __name__ == "__main__":
    url = sys.argv[1] if len(sys.argv) > 1 else "zmq+tcp://127.0.0.1:5555"
    # Ctrl-C lets what runs finish, and then ends.
    Slow(connect(url), secret=os.environ["TREATY_SECRET"]).run()
