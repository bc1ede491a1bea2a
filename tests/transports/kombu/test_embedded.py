"""The embedded broker."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import treaty_kombu.embedded
from treaty import MissingExtra, Unavailable
from treaty_kombu.embedded import _ends, _Waiters, embedded_redis, make_server
from treaty_kombu.redis_wire import Broker
from treaty_kombu.settings import read_url

from .outside import eventually, reachable


def test_the_embedded_broker_dies_with_its_parent() -> None:
    code = (
        "import os, signal; from treaty_kombu.embedded import embedded_redis\n"
        "with embedded_redis() as url:\n    print(url, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, text=True, timeout=30)
    settings = read_url(out.stdout.strip())
    assert settings.host == "127.0.0.1"
    eventually(lambda: not reachable(f"redis://127.0.0.1:{settings.port}/0"))


def test_the_embedded_broker_stays_connected_after_a_refusal() -> None:
    with embedded_redis() as url:
        broker = Broker(read_url(url), 5)
        wire = broker.wire(5)
        for _ in range(2):
            with pytest.raises(Unavailable, match="refused"):
                wire.ask(5, ("NO-SUCH-COMMAND",))
        assert wire.ask(5, ("EXISTS", "key")) == [0]
        broker.close()


def test_the_embedded_broker_stops_with_its_block() -> None:
    with embedded_redis() as url:
        assert reachable(url.removeprefix("kombu+"))
    assert not reachable(url.removeprefix("kombu+"))


def test_the_embedded_broker_forgets_who_has_gone_and_waits_for_ever_no_longer() -> None:
    others = psutil.Process().children()
    with embedded_redis() as url:
        (process,) = set(psutil.Process().children()) - set(others)
        address = ("127.0.0.1", read_url(url).port)
        before = process.num_threads()
        with socket.create_connection(address) as waiting:
            with ExitStack() as some:
                for _ in range(3):
                    gone = some.enter_context(socket.create_connection(address))
                    gone.sendall(_command(b"GET", b"key") + _command(b"BRPOP", b"key", b"0"))
                    assert gone.recv(10)  # so its thread has begun
            waiting.sendall(_command(b"BRPOP", b"key", b"30"))
            eventually(lambda: process.num_threads() <= before + 1, within=10)
            with socket.create_connection(address) as other:
                other.sendall(_command(b"LPUSH", b"key", b"for who is there"))
                assert b"for who is there" in waiting.recv(1000)


def test_without_fakeredis_the_embedded_broker_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treaty_kombu.embedded, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"treaty\[fake\]"), embedded_redis():
        pass


def test_the_embedded_broker_takes_commands_that_come_together_in_pieces_and_large() -> None:
    large = b"\r\n*1\r\n" * 50_000
    sent = b"".join(_command(*words) for words in ((b"SET", b"key", large), (b"SET", b"", b"x"), (b"GET", b"key")))
    with embedded_redis() as url, _connected(url) as connection, connection.makefile("rb") as answers:
        connection.sendall(sent[:3])
        assert not select.select([connection], [], [], 0)[0]
        connection.sendall(sent[3:70_000])
        connection.sendall(sent[70_000:])
        assert [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+OK\r\n"]
        assert int(answers.readline()[1:]) == len(large)
        assert answers.read(len(large) + 2) == large + b"\r\n"


def test_the_embedded_broker_answers_what_is_before_a_command_that_waits() -> None:
    with embedded_redis() as url, _connected(url) as connection, connection.makefile("rb") as answers:
        connection.sendall(_command(b"SET", b"key", b"x") + _command(b"BRPOP", b"list", b"0"))
        assert answers.readline() == b"+OK\r\n"


def test_the_embedded_broker_gives_nothing_to_who_waited_and_has_gone() -> None:
    server = make_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"kombu+redis://127.0.0.1:{server.server_address[1]}/0"

    def waits() -> bool:
        return any(client.get_socket()._blocked for client in list(server.clients.values()))

    try:
        with _connected(url) as gone:
            gone.sendall(_command(b"BRPOP", b"list", b"0"))
            eventually(waits)
        with _connected(url) as other, other.makefile("rb") as answers:
            other.sendall(_command(b"LPUSH", b"list", b"given") + _command(b"LLEN", b"list"))
            assert [answers.readline(), answers.readline()] == [b":1\r\n", b":1\r\n"]
            eventually(lambda: not waits())
            other.sendall(_command(b"LLEN", b"list"))
            assert answers.readline() == b":1\r\n"
    finally:
        server.shutdown()
        server.server_close()


def test_the_embedded_broker_tells_a_subscriber_that_has_nothing_else_to_do() -> None:
    with embedded_redis() as url, _connected(url) as connection, connection.makefile("rb") as answers:
        connection.sendall(_command(b"SUBSCRIBE", b"channel"))
        assert b"".join(answers.readline() for _ in range(6)).endswith(b"channel\r\n:1\r\n")
        with _connected(url) as other:
            other.sendall(_command(b"PUBLISH", b"channel", b"told"))
            assert b"".join(answers.readline() for _ in range(7)).endswith(b"$4\r\ntold\r\n")


def test_a_change_wakes_those_who_wait_for_its_key_or_for_nobody_knows_what() -> None:
    lock = threading.Lock()
    database: Any = SimpleNamespace(notify_watch=lambda _key: database.condition.notify_all())
    waiters, woken = _Waiters(database, lock), []

    def wait(keys: list[bytes] | None) -> None:
        with lock, waiters.for_keys(keys):
            waiters.wait()
            woken.append(keys)

    threads = [threading.Thread(target=wait, args=(keys,)) for keys in ([b"a", b"b"], [b"c"], None)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(waiters._waiting) == 3)
    with lock:
        database.notify_watch(b"b")
    threads[0].join()
    threads[2].join()
    assert [b"c"] not in woken
    with lock:
        waiters.notify_all()  # somebody is to be unblocked, and nobody says who
    threads[1].join()
    assert [b"c"] in woken


def test_a_field_shorter_than_nothing_leads_nowhere_back() -> None:
    """It would be looked at for ever."""
    nonsense = bytearray(b"*999999999\r\n$-13\r\n")
    assert _ends(nonsense) == [len(nonsense)]


@pytest.mark.parametrize("nonsense", [b"GET / HTTP/1.1\r\n\r\n", b"*1\r\n+x\r\n", b"*x\r\n"])
def test_the_embedded_broker_hangs_up_on_who_speaks_something_else(nonsense: bytes) -> None:
    with embedded_redis() as url:
        with _connected(url) as connection, connection.makefile("rb") as answers:
            connection.sendall(nonsense)
            answers.read()  # to its end
        assert reachable(url.removeprefix("kombu+"))


def _connected(url: str) -> socket.socket:
    settings = read_url(url)
    return socket.create_connection((settings.host, settings.port), timeout=10)


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
