"""Who gets an endpoint: ports, ipc files with and without an owner, names within a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from treaty import (
    AddressInUse,
    InvalidURL,
    Unavailable,
)
from treaty_zmq import connect

from .ends import TCP, answer


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


def test_another_transport_object_cannot_take_the_endpoint(url: str) -> None:
    with connect(url) as first, first.serve("svc") as inbox, connect(first.url) as second:
        for _ in range(3):
            with pytest.raises(AddressInUse):
                second.serve("other")
        with second.dial() as line:
            answer(inbox, line, b"undisturbed")


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
