"""What only the ZeroMQ transport does. What all transports share is the business of the contract suite."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from treaty import (
    AddressInUse,
    ClosedError,
    ConfigurationError,
    ConnectionLost,
    Delivery,
    ForkedError,
    FrameTooLarge,
    Inbox,
    InvalidURL,
    Line,
    Unavailable,
)
from treaty_zmq import ZmqTransport, connect, parse
from treaty_zmq.contexts import Contexts
from treaty_zmq.pace import MANY
from treaty_zmq.port import Sleeper, Waker

PATIENCE = 5.0
TCP = "zmq+tcp://127.0.0.1:*"


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A short directory: the path of a socket has 107 bytes."""
    path = Path(f"/tmp/tz{os.getpid()}")
    path.mkdir(mode=0o700)
    yield path
    left = sorted(entry.name for entry in path.iterdir())
    for name in left:
        (path / name).unlink()
    path.rmdir()
    assert left == []


@pytest.fixture(params=["tcp", "ipc", "inproc"])
def url(request: pytest.FixtureRequest, place: Path) -> str:
    return {"tcp": TCP, "ipc": f"zmq+ipc://{place}/s", "inproc": "zmq+inproc://test"}[request.param]


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        threading.Event().wait(0.002)
    return True


def resources() -> tuple[int, int]:
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def must(inbox: Inbox) -> Delivery:
    delivery = inbox.receive(PATIENCE)
    assert delivery is not None
    return delivery


def answer(inbox: Inbox, line: Line, frame: bytes, service: str = "svc") -> None:
    """One round trip in this thread."""
    line.send(service, frame, PATIENCE)
    delivery = must(inbox)
    assert delivery.frame == frame
    delivery.reply(frame + b"!")
    delivery.settle()
    assert line.receive(PATIENCE) == frame + b"!"


@contextlib.contextmanager
def answering(inbox: Inbox) -> Iterator[None]:
    """A thread that sends each frame back, until the inbox is closed."""

    def run() -> None:
        with contextlib.suppress(ClosedError):
            while True:
                delivery = inbox.receive(PATIENCE)
                if delivery is not None:
                    delivery.reply(delivery.frame)
                    delivery.settle()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        inbox.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()


# Addresses and settings


@pytest.mark.parametrize(
    "url",
    [
        "zmq+tcp://127.0.0.1",
        "zmq+tcp://:5555",
        "zmq+tcp://h:70000",
        "zmq+tcp://h:1/path",
        "zmq+ipc://relative",
        "zmq+ipc:///",
        "zmq+inproc://",
        "zmq+udp://h:1",
        "tcp://h:1",
        "",
    ],
)
def test_a_malformed_url_says_what_to_write(url: str) -> None:
    with pytest.raises(InvalidURL, match=r"write .*zmq\+"):
        connect(url)


def test_a_path_that_no_socket_can_have_is_refused() -> None:
    assert parse("zmq+ipc:///" + "x" * 106).scheme == "ipc"
    with pytest.raises(InvalidURL, match=r"108 bytes.*107"):
        connect("zmq+ipc:///" + "x" * 107)


@pytest.mark.parametrize("options", [{"lingr": 1}, {"linger": -1}, {"linger": "1"}, {"queue": 0}, {"max_frame": 1.5}])
def test_a_wrong_option_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        connect(TCP, **options)


def test_a_wildcard_port_shows_in_the_url_and_is_kept() -> None:
    with connect(TCP) as transport:
        with pytest.raises(InvalidURL, match="served, not dialled"):
            transport.dial()
        transport.serve("svc").close()
        url = transport.url
        assert url.startswith("zmq+tcp://127.0.0.1:")
        with transport.serve("svc") as inbox, connect(url) as other, other.dial() as line:
            assert transport.url == url
            answer(inbox, line, b"x")


def test_a_host_name_can_be_served() -> None:
    with (
        connect("zmq+tcp://localhost:0") as transport,
        transport.serve("svc") as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        answer(inbox, line, b"x")


def test_an_address_of_another_machine_is_unavailable() -> None:
    with connect("zmq+tcp://192.0.2.1:5555") as transport, pytest.raises(Unavailable, match="cannot bind"):
        transport.serve("svc")


# One endpoint, several services


def test_services_of_one_transport_object_share_the_endpoint(url: str) -> None:
    with (
        connect(url) as transport,
        transport.serve("one") as one,
        transport.serve("two") as two,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        answer(two, line, b"b", "two")
        answer(one, line, b"a", "one")
        line.send("one", b"1", PATIENCE)
        line.send("two", b"2", PATIENCE)
        assert must(two).frame == b"2"
        assert must(one).frame == b"1"


def test_each_of_several_waiting_threads_gets_its_own(url: str) -> None:
    with connect(url) as transport:
        names = ["a", "b", "c", "d"]
        with contextlib.ExitStack() as stack:
            for name in names:
                stack.enter_context(answering(transport.serve(name, capacity=10)))
            line = stack.enter_context(stack.enter_context(connect(transport.url)).dial())
            for turn in range(100):
                for name in names:
                    line.send(name, f"{name}{turn}".encode(), PATIENCE)
                got = {line.receive(PATIENCE) for _ in names}
                assert got == {f"{name}{turn}".encode() for name in names}


def test_a_service_that_is_not_there_is_noticed_while_the_only_thread_is_busy(url: str) -> None:
    with (
        connect(url) as transport,
        transport.serve("svc") as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        line.send("svc", b"long work", PATIENCE)
        must(inbox)  # and from here on nobody is in receive
        for service in ("other", "another"):
            line.send(service, b"x" * 500, PATIENCE)
            with pytest.raises(Unavailable) as caught:
                line.receive(PATIENCE)
            assert caught.value.frame == b"x" * 128


def test_the_same_service_twice_is_in_use(url: str) -> None:
    with (
        connect(url) as transport,
        transport.serve("svc"),
        pytest.raises(AddressInUse, match="already"),
    ):
        transport.serve("svc")


def test_another_transport_object_cannot_take_the_endpoint(url: str) -> None:
    with connect(url) as first, first.serve("svc") as inbox, connect(first.url) as second:
        for _ in range(3):
            with pytest.raises(AddressInUse):
                second.serve("other")
        with second.dial() as line:
            answer(inbox, line, b"undisturbed")


def test_requests_that_wait_in_a_closing_inbox_are_refused(url: str) -> None:
    with connect(url) as transport, transport.serve("stays"), connect(transport.url) as other, other.dial() as line:
        inbox = transport.serve("goes")
        line.send("goes", b"first", PATIENCE)
        line.send("goes", b"second", PATIENCE)
        must(inbox)
        inbox.close()
        with pytest.raises(Unavailable) as caught:
            line.receive(PATIENCE)
        assert caught.value.frame == b"second"


def test_an_inbox_takes_no_more_than_its_capacity_and_refuses_more_than_its_backlog(url: str) -> None:
    with (
        connect(url, backlog=8) as transport,  # a quarter of it for each peer
        transport.serve("svc", capacity=1) as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        line.send("svc", b"0", PATIENCE)
        first = must(inbox)
        for number in (b"1", b"2", b"3"):
            line.send("svc", number, PATIENCE)
        with pytest.raises(Unavailable, match="full") as caught:
            line.receive(PATIENCE)
        assert caught.value.frame == b"3"
        assert inbox.receive(0) is None
        first.settle()
        first.settle()
        assert must(inbox).frame == b"1"
        assert inbox.receive(0) is None


# Absence


def test_nobody_there_is_noticed_and_nothing_arrives_later(url: str) -> None:
    with connect(url) as probe:
        probe.serve("svc").close()
        real = probe.url
    with connect(real, connect_timeout=0.05) as client, client.dial() as line:
        for timeout in (0, PATIENCE):
            with pytest.raises(Unavailable):
                line.send("svc", b"never", timeout)
        with connect(real) as transport, transport.serve("svc") as inbox:
            assert eventually(lambda: sent(line, b"fence"))
            assert must(inbox).frame == b"fence"


def sent(line: Line, frame: bytes) -> bool:
    try:
        line.send("svc", frame, 0)
    except Unavailable:
        return False
    return True


def test_a_restarted_service_is_found_by_the_same_line(url: str) -> None:
    with connect(url) as transport:
        inbox = transport.serve("svc")
        with connect(transport.url, connect_timeout=PATIENCE) as other, other.dial() as line:
            for turn in range(3):
                answer(inbox, line, b"%d" % turn)
                inbox.close()
                assert eventually(lambda: not sent(line, b"into the void"))
                inbox = transport.serve("svc")
        inbox.close()


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_a_caller_that_waits_learns_once_that_the_connection_broke(scheme: str, place: Path) -> None:
    url = TCP if scheme == "tcp" else f"zmq+ipc://{place}/s"
    with connect(url) as transport, connect_after(transport) as other, other.dial() as line:
        inbox = transport.serve("svc")
        answer(inbox, line, b"x")
        closer = threading.Timer(0.02, inbox.close)
        closer.start()
        with pytest.raises(ConnectionLost):
            line.receive(PATIENCE)
        closer.join()
        assert line.receive(0) is None
        with transport.serve("svc") as again:
            answer(again, line, b"y")


def test_a_caller_that_does_not_wait_is_not_told_of_what_it_did_not_lose(url: str) -> None:
    with connect(url) as transport, connect_after(transport) as other, other.dial() as line:
        for _ in range(5):
            with transport.serve("svc") as inbox:
                assert eventually(lambda: sent(line, b"fence"))
                must(inbox).settle()
                answer(inbox, line, b"x")


def test_who_begins_to_receive_is_told_of_a_loss_before_anything_goes_out_on_another_connection() -> None:
    with connect("zmq+inproc://told") as transport, connect(transport.url) as other, other.dial() as line:
        inbox = transport.serve("svc")
        line.send("svc", b"never answered", PATIENCE)
        must(inbox)
        inbox.close()
        link, told = line._link, list[ConnectionLost]()  # type: ignore[attr-defined]
        notice = link._notice

        def receive() -> None:
            with pytest.raises(ConnectionLost) as caught:
                line.receive(PATIENCE)
            told.append(caught.value)

        reader = threading.Thread(target=receive)

        def notice_as_somebody_comes() -> bool:
            if not reader.ident:
                reader.start()
                assert eventually(link._turn.locked)
            return bool(notice())

        with transport.serve("svc") as again:
            link._notice = notice_as_somebody_comes
            with pytest.raises(Unavailable):
                line.send("svc", b"too early", 0)
            reader.join(PATIENCE)
            assert len(told) == 1
            line.send("svc", b"next", PATIENCE)
            delivery = must(again)
            assert delivery.frame == b"next"
            delivery.reply(b"answer")
            assert line.receive(PATIENCE) == b"answer"


def test_subscribing_where_nobody_is_says_so() -> None:
    before = resources()
    with connect("zmq+inproc://nobody", connect_timeout=0.05) as transport, pytest.raises(Unavailable):
        transport.subscribe("news")
    assert resources() == before


# ipc


def test_a_live_ipc_endpoint_is_not_stolen_by_another_process(place: Path) -> None:
    url = f"zmq+ipc://{place}/s"
    with connect(url) as transport, transport.serve("svc") as inbox:
        script = f"import treaty_zmq\ntreaty_zmq.connect({url!r}).serve('svc')"
        thief = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True)
        assert "AddressInUse" in thief.stderr
        with connect(url) as other, other.dial() as line:
            answer(inbox, line, b"mine")


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_killed_owner_does_not_block_the_next_one(place: Path) -> None:
    url = f"zmq+ipc://{place}/s"
    script = f"import sys, treaty_zmq\ninbox = treaty_zmq.connect({url!r}).serve('svc')\nprint(flush=True)\ninbox.receive(60)"
    with subprocess.Popen([sys.executable, "-c", script], env=environment(), stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        owner.send_signal(signal.SIGKILL)
    assert sorted(entry.name for entry in place.iterdir()) == ["s", "s.lock"]
    with connect(url) as transport, transport.serve("svc") as inbox, connect(url) as other, other.dial() as line:
        answer(inbox, line, b"next")


def test_a_file_that_is_no_socket_is_left_alone(place: Path) -> None:
    precious = place / "s"
    precious.write_text("precious")
    with connect(f"zmq+ipc://{precious}") as transport, pytest.raises(AddressInUse, match="no socket"):
        transport.serve("svc")
    assert precious.read_text() == "precious"
    precious.unlink()


def test_a_directory_that_is_not_there_is_unavailable(place: Path) -> None:
    with connect(f"zmq+ipc://{place}/missing/s") as transport, pytest.raises(Unavailable, match="cannot lock"):
        transport.serve("svc")


# inproc


def test_inproc_may_be_dialled_before_it_is_served() -> None:
    with connect("zmq+inproc://early") as client, client.dial() as line, connect("zmq+inproc://early") as transport:
        with pytest.raises(Unavailable):
            line.send("svc", b"too early", 0)
        with transport.serve("svc") as inbox:
            answer(inbox, line, b"now")


def test_inproc_names_are_free_again_at_once() -> None:
    with connect("zmq+inproc://again") as one, connect("zmq+inproc://again") as two:
        for _ in range(50):
            one.serve("svc").close()
            two.serve("svc").close()


# Threads and the edge-triggered descriptor


@pytest.mark.parametrize("services", [1, 2])
def test_no_wake_up_is_lost_between_eight_senders_and_one_reader(url: str, services: int) -> None:
    rounds, waits, lost = 250, dict[bytes, threading.Event](), list[bytes]()
    with connect(url) as transport, contextlib.ExitStack() as stack:
        for number in range(services):
            stack.enter_context(answering(transport.serve(f"svc{number}", capacity=100)))
        line = stack.enter_context(stack.enter_context(connect(transport.url)).dial())

        def read() -> None:
            with contextlib.suppress(ClosedError):
                while True:
                    frame = line.receive(PATIENCE)
                    if frame is not None:
                        waits[frame].set()

        def call(thread: int) -> None:
            for turn in range(rounds):
                frame = b"%d %d" % (thread, turn)
                waits[frame] = threading.Event()
                line.send(f"svc{turn % services}", frame, PATIENCE)
                if not waits[frame].wait(PATIENCE):
                    lost.append(frame)
                    return

        reader = threading.Thread(target=read)
        callers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
        for thread in (reader, *callers):
            thread.start()
        for thread in callers:
            thread.join()
        line.close()
        reader.join(PATIENCE)
        assert not reader.is_alive()
    assert lost == []


def test_close_from_another_thread_ends_every_kind_of_receive(url: str) -> None:
    before = resources()
    with connect(url) as transport:
        inboxes: list[Inbox | Line] = [transport.serve("one"), transport.serve("two")]
        other = connect(transport.url)
        inboxes += [other.subscribe("news"), other.dial()]
        ended: list[type[BaseException]] = []

        def wait(end: Inbox | Line) -> None:
            try:
                end.receive(60)
            except ClosedError as error:
                ended.append(type(error))

        threads = [threading.Thread(target=wait, args=(end,)) for end in inboxes]
        for thread in threads:
            thread.start()
        other.close()
        transport.close()
        transport.close()
        for thread in threads:
            thread.join(PATIENCE)
        assert ended == [ClosedError] * 4
    assert resources() == before


def test_replies_that_were_handed_over_go_out_when_the_endpoint_closes(url: str) -> None:
    with connect(url) as transport, connect_after(transport) as other, other.dial() as line:
        inbox = transport.serve("svc")
        line.send("svc", b"x", PATIENCE)
        delivery = must(inbox)
        for number in range(200):
            delivery.reply(b"%d" % number)
        inbox.close()
        with pytest.raises(ClosedError):
            delivery.reply(b"late")
        assert [line.receive(PATIENCE) for _ in range(200)] == [b"%d" % number for number in range(200)]


def connect_after(transport: ZmqTransport) -> ZmqTransport:
    """A client of a transport whose port may have to be found out first."""
    transport.serve("svc").close()
    return connect(transport.url, connect_timeout=PATIENCE)


def test_closing_leaves_nothing_and_an_idle_transport_holds_nothing(url: str) -> None:
    before = resources()
    with connect(url) as transport, connect_after(transport) as other:
        assert resources() == before
        for _ in range(3):
            with transport.serve("svc") as inbox, other.dial() as line, other.subscribe("news") as subscription:
                answer(inbox, line, b"x")
                transport.publish("news", b"n")
                assert must(subscription).frame == b"n"
            assert resources() == before
        other.publish  # noqa: B018 - never used, so it holds nothing either
    assert resources() == before


# Notifications


def test_whoever_publishes_it_reaches_all_subscribers_once(url: str) -> None:
    with connect(url) as owner, owner.serve("svc"), connect(owner.url) as one, connect(owner.url) as two:
        subscriptions = [one.subscribe("news"), two.subscribe("news"), owner.subscribe("news"), one.subscribe("other")]
        owner.publish("news", b"1")
        assert [must(s).frame for s in subscriptions[:3]] == [b"1"] * 3
        two.publish("news", b"2")
        assert [must(s).frame for s in subscriptions[:3]] == [b"2"] * 3
        two.publish("other", b"fence")
        assert must(subscriptions[3]).frame == b"fence"


def test_who_publishes_first_owns_a_free_endpoint_but_a_client_never_does(url: str) -> None:
    with connect(url) as publisher:
        publisher.publish("news", b"nobody listens")
        with connect(publisher.url, connect_timeout=0.05) as client, client.subscribe("news") as subscription:
            publisher.publish("news", b"1")
            assert must(subscription).frame == b"1"
            publisher.close()
            assert eventually(lambda: refuses(client))
            with connect(client.url) as service, service.serve("svc"):
                pass


def refuses(client: ZmqTransport) -> bool:
    try:
        client.publish("news", b"x")
    except Unavailable:
        return True
    return False


def test_a_subscriber_notices_a_restart_once_and_is_subscribed_again(url: str) -> None:
    with connect(url) as owner:
        inbox = owner.serve("svc")
        with connect(owner.url) as other, other.subscribe("news") as subscription:
            owner.publish("news", b"before")
            assert must(subscription).frame == b"before"
            for turn in range(2):
                inbox.close()
                inbox = owner.serve("svc")
                with pytest.raises(ConnectionLost):
                    subscription.receive(PATIENCE)
                owner.publish("news", b"%d" % turn)
                assert must(subscription).frame == b"%d" % turn
        inbox.close()


def test_a_slow_subscriber_learns_of_the_gap_and_delays_nobody(url: str) -> None:
    with (
        connect(url, queue=10) as owner,
        owner.serve("svc"),
        connect(owner.url, queue=10) as other,
        other.subscribe("news") as slow,
        other.subscribe("news") as quick,
    ):
        for number in range(200):
            owner.publish("news", b"%03d" % number + b"x" * 50_000)
            assert must(quick).frame[:3] == b"%03d" % number
        got = list[bytes]()
        with pytest.raises(ConnectionLost, match="keep up"):
            got.extend(must(slow).frame[:3] for _ in range(200))
        assert 0 < len(got) < 200
        assert got == [b"%03d" % number for number in range(len(got))]
        owner.publish("news", b"after")
        assert must(quick).frame == b"after"
        assert last_of(slow) == b"after"


def last_of(inbox: Inbox) -> bytes:
    """What comes after any number of gaps."""
    while True:
        with contextlib.suppress(ConnectionLost):
            frame = must(inbox).frame
            if len(frame) < 1_000:
                return frame


def test_an_endpoint_holds_a_bounded_number_of_subscriptions_and_forgets_the_dead() -> None:
    with connect(TCP, max_subscriptions=2) as owner, owner.serve("svc"), connect(owner.url) as other:
        first, _second = other.subscribe("a"), other.subscribe("b")
        with pytest.raises(Unavailable, match="as many"):
            other.subscribe("c")
        first.close()

        def again() -> bool:
            try:
                other.subscribe("c")
            except Unavailable:
                return False
            return True

        assert eventually(again)


# Strangers


def test_garbage_and_idle_connections_do_not_hurt() -> None:
    with connect(TCP) as transport, transport.serve("svc") as inbox, connect(transport.url) as other:
        host, port = transport.url.removeprefix("zmq+tcp://").split(":")
        strangers = [socket.create_connection((host, int(port))) for _ in range(200)]
        for number, stranger in enumerate(strangers):
            stranger.sendall((b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, os.urandom(300), b"\0")[number % 4])
        with other.dial() as line:
            for number in range(20):
                answer(inbox, line, b"%d" % number)
        for stranger in strangers:
            stranger.close()


def test_messages_that_make_no_sense_are_dropped() -> None:
    nonsense: list[list[bytes]] = [
        [b""],
        [b"", b""],
        [b"\0"],
        [b"no zero byte"],
        [b"x" * 100_000],
        [b"subscribe", b"\xff not a name"],
        [b"subscribe", b"x" * 1_000],
        [b"subscribe"],
        [b"unsubscribe", b"never"],
        [b"publish", b"nobody"],
        [b"publish", b"\xff", b"x"],
        [b"unknown", b"1", b"2"],
        [b"part"] * 1_000,
        *[[b"subscribe", b"channel%d" % number] for number in range(50)],
    ]
    with (
        connect(TCP) as transport,
        transport.serve("svc", capacity=99) as inbox,
        connect(transport.url) as other,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as stranger,
        other.dial() as line,
    ):
        stranger.linger = 0
        stranger.connect(transport.url.removeprefix("zmq+"))
        for parts in nonsense * 3:
            stranger.send_multipart(parts)
        stranger.send(b"svc\0fence")
        assert must(inbox).frame == b"fence"
        answer(inbox, line, b"x")


def test_an_oversize_frame_disconnects_its_sender_only() -> None:
    with (
        connect(TCP, max_frame=1_000) as transport,
        transport.serve("svc") as inbox,
        connect(transport.url) as other,
        zmq.Context() as context,
        context.socket(zmq.DEALER) as stranger,
        other.dial() as line,
    ):
        stranger.linger = 0
        stranger.connect(transport.url.removeprefix("zmq+"))
        stranger.send(b"svc\0" + b"x" * 100_000)
        answer(inbox, line, b"x")


def test_frames_up_to_the_limit_travel_both_ways_and_none_above(url: str) -> None:
    with (
        connect(url, max_frame=1_000) as transport,
        transport.serve("s" * 64) as inbox,
        connect(transport.url, max_frame=1_000) as other,
        other.dial() as line,
        other.subscribe("c") as channel,
    ):
        line.send("s" * 64, b"x" * 1_000, PATIENCE)
        delivery = must(inbox)
        with pytest.raises(FrameTooLarge):
            delivery.reply(b"x" * 1_001)
        delivery.reply(b"y" * 1_000)
        assert line.receive(PATIENCE) == b"y" * 1_000
        with pytest.raises(FrameTooLarge):
            line.send("svc", b"x" * 1_001, PATIENCE)
        with pytest.raises(FrameTooLarge):
            other.publish("c", b"x" * 1_001)
        transport.publish("c", b"z" * 1_000)
        assert must(channel).frame == b"z" * 1_000


def test_a_caller_that_does_not_read_holds_a_reply_up_once() -> None:
    with (
        connect(TCP, queue=5, linger=0.05) as transport,
        transport.serve("svc") as inbox,
        connect(transport.url, queue=5) as other,
        other.dial() as line,
    ):
        line.send("svc", b"x", PATIENCE)
        delivery = must(inbox)
        with pytest.raises(ConnectionLost):
            for _ in range(1_000):
                delivery.reply(b"x" * 100_000)
        with other.dial() as reading:
            delivery.settle()
            answer(inbox, reading, b"y")


# Fork


def test_a_forked_child_is_refused_and_does_not_disturb_its_parent(url: str) -> None:
    with connect(url) as transport, transport.serve("svc") as inbox, connect(transport.url) as other:
        line, subscription = other.dial(), other.subscribe("news")
        answer(inbox, line, b"before")
        fork = multiprocessing.get_context("fork")
        ours, theirs = fork.Pipe()

        def child() -> None:
            uses: list[Callable[[], object]] = [
                lambda: line.send("svc", b"x", 0),
                lambda: line.receive(0),
                lambda: inbox.receive(0),
                lambda: subscription.receive(0),
                lambda: transport.publish("news", b"x"),
                transport.dial,
            ]
            refused = 0
            for use in uses:
                with contextlib.suppress(ForkedError):
                    use()
                    continue
                refused += 1
            for resource in (line, inbox, subscription, transport, other):
                resource.close()
            with connect("zmq+inproc://child") as own, own.serve("svc") as mine, own.dial() as mine_too:
                answer(mine, mine_too, b"of its own")
            theirs.send(refused)

        process = fork.Process(target=child)
        process.start()
        assert ours.poll(PATIENCE)
        assert ours.recv() == 6
        process.join(PATIENCE)
        assert process.exitcode == 0
        for number in range(20):
            answer(inbox, line, b"%d" % number)
        transport.publish("news", b"after")
        assert must(subscription).frame == b"after"
        for pipe in (ours, theirs):
            pipe.close()
        process.close()


def test_who_waits_for_one_thing_looks_again_and_who_waits_for_many_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr("treaty_zmq.port.os.sched_yield", lambda: looks.append(1))
    waker, sleeper = Waker(), Sleeper(spin=PATIENCE)
    sleeper.watch(waker.fd)
    waker.wake()
    assert sleeper.wait(0)  # it came within the time, so the next wait is an eager one
    waker.clear()
    monkeypatch.setattr(sleeper, "_spin", 0.001)
    sleeper.calm()
    assert not sleeper.wait(0.002) and not looks
    monkeypatch.setattr(sleeper, "_calm", 0)
    monkeypatch.setattr(sleeper, "_eager", True)
    assert not sleeper.wait(0.002) and looks
    waker.close()


def test_answers_that_come_together_are_waited_for_asleep() -> None:
    with (
        connect(TCP) as transport,
        transport.serve("svc") as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        sleeper = line._link._sleep  # type: ignore[attr-defined]

        def comes_together() -> bool:
            line.send("svc", b"question", PATIENCE)
            delivery = must(inbox)
            for _ in range(10):
                delivery.reply(b"answer")
            delivery.settle()
            for _ in range(10):
                assert line.receive(PATIENCE) == b"answer"
            return bool(sleeper._calm)

        assert eventually(comes_together)


@pytest.fixture
def two_contexts() -> Iterator[tuple[Contexts, Contexts]]:
    """Two that have a socket each, once their threads bear the names by which they are found."""
    both = Contexts(), Contexts()
    with contextlib.ExitStack() as stack:
        for contexts in both:
            stack.callback(contexts.drop)
            stack.enter_context(contexts.take().socket(zmq.PAIR))
            assert eventually(lambda contexts=contexts: bool(policies(contexts)))  # type: ignore[misc]
        yield both


def policies(contexts: Contexts) -> set[int]:
    """How the scheduler treats the threads of a context."""
    return {os.sched_getscheduler(thread) for thread in contexts.pace._find()}


def test_threads_of_libzmq_wait_for_their_turn_only_while_much_is_under_way(
    two_contexts: tuple[Contexts, Contexts],
) -> None:
    busy, other = two_contexts
    for _ in range(MANY - 1):
        busy.pace.took()
    assert policies(busy) == {os.SCHED_OTHER}
    busy.pace.took()
    assert policies(busy) == {os.SCHED_BATCH}
    assert policies(other) == {os.SCHED_OTHER}
    busy.pace.waits()  # after a long row: the next one may be as long
    assert policies(busy) == {os.SCHED_BATCH}
    busy.pace.took()
    busy.pace.waits()  # after a short one
    assert policies(busy) == {os.SCHED_OTHER}


def test_who_may_not_ask_the_scheduler_goes_on_without(
    two_contexts: tuple[Contexts, Contexts], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def forbidden(*what: object) -> None:
        asked.append(what)
        raise PermissionError

    monkeypatch.setattr("treaty_zmq.pace.os.sched_setscheduler", forbidden)
    pace = two_contexts[0].pace
    for _ in range(MANY):
        pace.took()
    pace.waits()
    assert asked


def test_a_row_of_messages_makes_both_ends_let_libzmq_wait() -> None:
    with (
        connect(TCP) as transport,
        transport.serve("svc", 10 * MANY) as inbox,
        connect(transport.url) as other,
        other.dial() as line,
    ):
        contexts = line._link._contexts, inbox.endpoint._contexts  # type: ignore[attr-defined]

        def comes_in_rows() -> bool:
            for _ in range(2 * MANY):
                line.send("svc", b"question", PATIENCE)
            for _ in range(2 * MANY):
                delivery = must(inbox)
                delivery.reply(b"answer")
                delivery.settle()
            for _ in range(2 * MANY):
                assert line.receive(PATIENCE) == b"answer"
            return all(one.pace.yields for one in contexts)

        def comes_alone() -> bool:
            answer(inbox, line, b"one")
            return not any(one.pace.yields for one in contexts)

        assert eventually(comes_in_rows)
        assert eventually(comes_alone)


def test_who_subscribes_where_nobody_is_hears_where_that_was() -> None:
    with (
        connect("zmq+tcp://127.0.0.1:1", connect_timeout=0.05) as transport,
        pytest.raises(Unavailable, match=r"to subscribe to 'news' at zmq\+tcp://127\.0\.0\.1:1"),
    ):
        transport.subscribe("news")


FORGETS = """
import gc, sys
from treaty_zmq import connect

def use():
    transport = connect(sys.argv[1])
    line = transport.dial()
    line.send("svc", b"question", 5)
    line.receive(5)

use()
gc.collect()
print("goes on")
"""


def test_a_transport_that_nobody_closed_does_not_stop_the_collector() -> None:
    with connect(TCP) as transport, transport.serve("svc") as inbox, answering(inbox):
        done = subprocess.run(
            [sys.executable, "-c", FORGETS, transport.url], capture_output=True, text=True, timeout=30, check=False
        )
    assert (done.returncode, done.stdout) == (0, "goes on\n"), done.stderr
