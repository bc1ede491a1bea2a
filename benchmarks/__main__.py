"""``python -m benchmarks``: run everything that can be reached, and print the ratios beside what they should be."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.fault_places import PLACES
from benchmarks.faults import run as faulty_run
from benchmarks.leaks import after_many_calls
from benchmarks.measure import in_turn, rates
from benchmarks.peers import peer
from benchmarks.processes import SECRET, free_port
from benchmarks.raw import kombu_caller, zmq_caller
from benchmarks.storage import CALLERS, CHANGES_EACH, FLOOD, MOST_GROWTH, SUBSCRIBERS, crowd, notice_latency, save_rates
from treaty import Client, Pending, connect
from treaty.sealing import Keyring

REDIS = os.environ.get("TREATY_TEST_REDIS", "redis://127.0.0.1:6379/0")
AMQP = os.environ.get("TREATY_TEST_AMQP", "amqp://guest:guest@127.0.0.1:5672//")
TEXT = "x" * 64
#: About what one of our sealed requests has.
BODY = b"x" * 330
WINDOW = 64
#: Seconds after which nothing of a closed service may be left on a broker.
EXPIRY = 75.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the calls")
    parser.add_argument("--only", choices=[*PARTS], action="append", help="run just this part")
    faulty = parser.add_argument_group("storage-faults")
    faulty.add_argument("--changes", type=int, default=20_000, help="for each transport (default: %(default)s)")
    faulty.add_argument("--faults", type=int, default=20, help="for each transport (default: %(default)s)")
    faulty.add_argument("--seed", type=int, default=1, help="of what is drawn (default: %(default)s)")
    faulty.add_argument("--on", choices=[*PLACES], action="append", help="just this transport")
    options = parser.parse_args()
    options.scale = 0.1 if options.quick else 1.0
    table = Table("what", "ours", "beside", "ratio", "should be", "", title="Treaty, sealing on")
    missed = 0
    for name in options.only or PARTS:
        print(f"… {name}", file=sys.stderr, flush=True)
        for row, good in PARTS[name](options):
            table.add_row(*row, "" if good is None else "[green]yes[/]" if good else "[red]NO[/]")
            missed += good is False
    Console(width=150 if not sys.stdout.isatty() else None).print(table)
    return 1 if missed else 0


Row = tuple[list[str], bool | None]


def sealing(scale: float) -> list[Row]:
    ring = Keyring(SECRET)
    body = b'{"jsonrpc":"2.0","method":"' + b"x" * 950 + b'","treaty":{}}'
    body += b" " * (1024 - 44 - len(body))
    count = int(50_000 * scale)
    start = time.perf_counter()
    for _ in range(count):
        ring.open(ring.seal(b"q", body), b"q")
    each = (time.perf_counter() - start) / count * 1e6
    return [(["seal and open a frame of 1 KiB", f"{each:.1f} µs", "", "", "< 15 µs"], each < 15)]


def zmq_calls(scale: float) -> list[Row]:
    ours, raw, grpc_port = free_port(), free_port(), free_port()
    with ExitStack() as stack:
        stack.enter_context(peer("treaty", f"zmq+tcp://127.0.0.1:{ours}"))
        stack.enter_context(peer("zmq", f"tcp://127.0.0.1:{raw}"))
        stack.enter_context(peer("grpc", f"127.0.0.1:{grpc_port}"))
        client = stack.enter_context(Client(f"zmq+tcp://127.0.0.1:{ours}", secret=SECRET))
        caller = stack.enter_context(zmq_caller(f"tcp://127.0.0.1:{raw}"))
        timed = in_turn(
            {"ours": lambda: client.call("bench.echo", {"text": TEXT}), "raw": lambda: caller.echo(BODY)},
            rounds=int(40 * scale) or 1,
            block=200,
        )
        speed = rates(
            {
                "ours": lambda count: _deferred(client, count),
                "raw": lambda count: caller.pipelined(BODY, count, WINDOW),
                "grpc": _grpc_pipelined(stack, f"127.0.0.1:{grpc_port}"),
            },
            rounds=5,
            count=int(10_000 * scale),
        )
        awaited = rates({"ours": lambda count: _awaited(client, count)}, rounds=3, count=int(5_000 * scale))
    rows = [_latency("zmq tcp, blocking call", "raw pyzmq", timed, 1.35)]
    rows.append(_rate("zmq tcp, 64 in flight", "raw pyzmq", speed["ours"], speed["raw"], 0.3))
    rows.append(_rate("zmq tcp, 64 in flight", "grpcio", speed["ours"], speed["grpc"], 5))
    rows.append(_rate("zmq tcp, 64 tasks of one event loop", "raw pyzmq", awaited["ours"], speed["raw"], None))
    return rows


def kombu_calls(scheme: str, raw_url: str, most: float, scale: float) -> list[Row]:
    name = f"kombu on {scheme}"
    if not _reachable(raw_url):
        return [([f"{name}, blocking call", "not run", f"{scheme} cannot be reached", "", f"≤ {most}"], None)]
    with ExitStack() as stack:
        stack.enter_context(peer("treaty", f"kombu+{raw_url}"))
        stack.enter_context(peer("kombu", raw_url))
        client = stack.enter_context(Client(f"kombu+{raw_url}", secret=SECRET))
        echo = stack.enter_context(kombu_caller(raw_url))
        timed = in_turn(
            {"ours": lambda: client.call("bench.echo", {"text": TEXT}), "raw": lambda: echo(BODY)},
            rounds=int(30 * scale) or 1,
            block=100,
        )
    return [_latency(f"{name}, blocking call", "raw kombu", timed, most)]


def leaks(scale: float) -> list[Row]:
    count = int(100_000 * scale)
    rows: list[Row] = []
    targets = {"memory": "memory://bench", "zmq tcp": f"zmq+tcp://127.0.0.1:{free_port()}"}
    targets |= {name: f"kombu+{url}" for name, url in (("redis", REDIS), ("amqp", AMQP)) if _reachable(url)}
    for name, url in targets.items():
        outside = _outside(name)
        before, after = after_many_calls(url, count)
        closed = time.monotonic()
        while (left := _outside(name)) > outside and time.monotonic() - closed < EXPIRY:
            time.sleep(1)  # what is made to expire by itself does so in its time
        waited = f" after {time.monotonic() - closed:.0f} s" if name in ("redis", "amqp") else ""
        grown = after.rss_mib - before.rss_mib
        good = after.threads <= before.threads and after.descriptors <= before.descriptors and left <= outside
        found = (
            f"threads {after.threads - before.threads:+}, descriptors {after.descriptors - before.descriptors:+}, "
            f"keys and queues {left - outside:+}{waited}, RSS {grown:+.1f} MiB"
        )
        rows.append(
            ([f"{count:,} calls on {name}, then close", found, "", "", "nothing, < 10 MiB"], good and grown < 10)
        )
    return rows


def storage(scale: float) -> list[Row]:
    soon = notice_latency(int(2_000 * scale))
    late = soon.after / soon.call
    beside = f"blocking call: p50 {soon.call:.0f} µs (save: {soon.save:.0f} µs)"
    what = "zmq tcp, from save returning to the callback"
    rows: list[Row] = [([what, f"p50 {soon.after:+.0f} µs", beside, f"{late:+.2f} ×", "< 2"], late < 2)]
    speed = save_rates(int(5_000 * scale), rounds=5)
    what = f"saves on SQLite, {CALLERS} callers over zmq tcp"
    rows.append(_rate(what, "the same rows directly", speed["service"], speed["same rows"], 0.5))
    rows.append(_rate(what, "a row of one table directly", speed["service"], speed["one row"], None))
    rows.append(_rate("the same with calls that do nothing", "that one row", speed["echo"], speed["one row"], None))
    changes = int(CHANGES_EACH * scale)
    seen = crowd(changes, int(FLOOD * scale))
    everybody = all(one == str(changes) for one in seen.heard)
    told = f"all of {changes:,}" if everybody else f"{seen.heard}"
    what = f"zmq tcp, {SUBSCRIBERS} subscribers, one of them stopped"
    rows.append(([f"{what}: the others", f"{told} in {seen.seconds:.1f} s", "", "", f"all of {changes:,}"], everybody))
    total = changes + int(FLOOD * scale)
    caught_up = seen.late == str(total)
    told = f"all of {total:,}" if caught_up else seen.late
    rows.append(([f"{what}: itself, once continued", told, "", "", f"all of {total:,}"], caught_up))
    grown = f"{seen.growth:+.1f} MiB, {seen.flooded:+.1f} MiB after {total:,} changes"
    bounded = seen.flooded < MOST_GROWTH
    rows.append(([f"{what}: the service's memory", grown, "", "", f"< {MOST_GROWTH:.0f} MiB"], bounded))
    return rows


def storage_faults(options: argparse.Namespace) -> list[Row]:
    changes, faults = (max(1, int(one * options.scale)) for one in (options.changes, options.faults))
    rows: list[Row] = []
    for name in options.on or PLACES:
        with ExitStack() as stack:
            try:
                place = stack.enter_context(PLACES[name]())
            except OSError as error:
                rows.append(([f"{name}: {changes:,} changes, {faults} faults", f"not run: {error}", "", "", ""], None))
                continue
            found = faulty_run(place, changes=changes, faults=faults, seed=options.seed, say=_say)
            for finding in found.findings:
                _say(finding)
            what = f"{place.name}: {found.changes:,} changes, {faults} faults, {found.told:,} callbacks"
            wrong = f"silent gaps {found.silent}, twice {found.duplicates}, out of order {found.disorder}, "
            wrong += f"wrong {found.wrong}"
            healed = f"{found.gaps} gaps reported and healed, {found.seconds:.0f} s"
            rows.append(([what, wrong, healed, "", "0 of each"], found.good))
    return rows


PARTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "sealing": lambda options: sealing(options.scale),
    "zmq": lambda options: zmq_calls(options.scale),
    "amqp": lambda options: kombu_calls("amqp", AMQP, 1.25, options.scale),
    "redis": lambda options: kombu_calls("redis", REDIS, 1.1, options.scale),
    "storage": lambda options: storage(options.scale),
    "storage-faults": storage_faults,
    "leaks": lambda options: leaks(options.scale),
}


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def _latency(what: str, beside: str, timed: dict[str, Any], most: float) -> Row:
    ours, raw = timed["ours"], timed["raw"]
    ratio = ours.p50 / raw.p50
    row = [
        what,
        f"p50 {ours.p50:.0f} µs, p99 {ours.p99:.0f} µs",
        f"{beside}: p50 {raw.p50:.0f} µs, p99 {raw.p99:.0f} µs",
        f"{ratio:.2f} × (p99 {ours.p99 / raw.p99:.2f} ×)",
        f"≤ {most}",
    ]
    return row, ratio <= most


def _rate(what: str, beside: str, ours: float, other: float, least: float | None) -> Row:
    ratio = ours / other
    bound = "" if least is None else f"≥ {least:g}"
    row = [what, f"{ours:,.0f}/s", f"{beside}: {other:,.0f}/s", f"{ratio:.2f} ×", bound]
    return row, None if least is None else ratio >= least


def _deferred(client: Client, count: int) -> None:
    open_calls: deque[Pending] = deque()
    for _ in range(count):
        if len(open_calls) == WINDOW:
            open_calls.popleft().result()
        open_calls.append(client.send("bench.echo", {"text": TEXT}))
    for pending in open_calls:
        pending.result()


def _awaited(client: Client, count: int) -> None:
    import asyncio

    async def one_after_the_other(times: int) -> None:
        for _ in range(times):
            await client.send("bench.echo", {"text": TEXT})

    async def run() -> None:
        await asyncio.gather(*(one_after_the_other(count // WINDOW) for _ in range(WINDOW)))

    asyncio.run(run())


def _grpc_pipelined(stack: ExitStack, address: str) -> Callable[[int], None]:
    import grpc

    channel = stack.enter_context(grpc.insecure_channel(address))
    call = channel.unary_unary("/bench/echo")

    def run(count: int) -> None:
        open_calls: deque[Any] = deque()
        for _ in range(count):
            if len(open_calls) == WINDOW:
                open_calls.popleft().result()
            open_calls.append(call.future(BODY))
        for future in open_calls:
            future.result()

    return run


def _outside(name: str) -> int:
    """Count the Redis keys or AMQP queues, if these are what the target uses and can be counted here."""
    if name == "redis":
        with connect_redis() as redis:
            return len(redis.keys("treaty.*bench-leak*")) + len(redis.keys("treaty.reply.*"))
    if name == "amqp":
        listing = subprocess.run(
            ["rabbitmqctl", "list_queues", "-q", "name"], capture_output=True, text=True, check=False
        )
        return len([line for line in listing.stdout.splitlines() if "bench-leak" in line or "treaty.reply" in line])
    return 0


def connect_redis() -> Any:
    from redis import Redis

    return Redis.from_url(REDIS)


def _reachable(url: str) -> bool:
    transport = connect(f"kombu+{url}")
    try:
        with transport, transport.serve("bench-probe"):
            return True
    except Exception:
        return False


if __name__ == "__main__":
    sys.exit(main())
