"""What the contract suite is handed. Nothing else imports this module: users of the transport need no suite."""

import socket

from treaty_contracts import Context, Nothing, Target
from treaty_unix import UnixTransport


def inject(context: Context, service: str, data: bytes) -> None:
    """Send bytes to a service as a stranger would, from a socket without a name."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(data, f"\0{context.namespace}/{service}")


target = Target(
    name="unix",
    open=lambda context: UnixTransport(f"unix://{context.namespace}"),
    parallel=True,
    inject=inject,
    tap=Nothing("the kernel hands over each datagram as it was sent: there is no medium to listen to"),
    cut_link=Nothing("datagrams go from one end to the other: there is no connection that could break"),
    restart_peer=Nothing("nothing stands between the two ends"),
)

#: What the entry point names: a target for each configuration worth judging.
targets = [target]
