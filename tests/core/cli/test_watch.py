from __future__ import annotations

import json
import re
import signal
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import pytest
from typer.testing import Result

from treaty import Key, Notification, connect
from treaty.cli import screen, watch
from treaty.storage import StorageClient, StorageService, StoreConfig, model

from .conftest import Kitchen

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]
Mine = Callable[[], list[psutil.Process]]
When = Callable[[Callable[[], object]], None]


@pytest.fixture
def when_it_listens(monkeypatch: pytest.MonkeyPatch) -> When:
    """Has something done as soon as the command in this process says that it listens."""

    def register(work: Callable[[], object]) -> None:
        say = screen.show_note

        def note(text: str) -> None:
            say(text)
            work()

        monkeypatch.setattr(watch, "show_note", note)

    return register


def _publishing(kitchen: Kitchen, *news: tuple[str, object]) -> Callable[[], None]:
    def publish() -> None:
        for topic, data in news:
            kitchen.publish(topic, data)

    return publish


def _until_it_listens(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("listening to "), line + process.stderr.read()


def test_a_line_for_each(kitchen: Kitchen, run: Run, when_it_listens: When) -> None:
    hot = {"cups": 2, "note": "hot\n\x9b31m"}
    when_it_listens(_publishing(kitchen, ("Tea.ready", hot), ("Coffee.ready", 1), ("Tea.gone", None)))
    result = run("watch", "kitchen.Tea.*", "--count", "2")
    assert (result.exit_code, result.stderr) == (0, "listening to kitchen.Tea.* (Ctrl-C stops)\n")
    first, second = result.stdout.splitlines()
    assert re.fullmatch(
        r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} kitchen\.Tea\.ready \{"cups": 2, "note": "hot\\n\\u009b31m"\}', first
    )
    assert second.endswith(" kitchen.Tea.gone null")


def test_json_is_one_object_a_line(kitchen: Kitchen, run: Run, when_it_listens: When) -> None:
    data = {"text": "a\nb \u2028 é", "list": [1, None]}
    when_it_listens(_publishing(kitchen, ("A", data), ("B", 1)))
    result = run("watch", "kitchen.#", "--json", "-c", "2")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["topic"], first["data"]) == ("kitchen.A", data)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["time"])
    assert second.keys() == {"time", "topic", "data"}


@pytest.mark.parametrize(
    ("arguments", "topics"),
    [
        (["kitchen.#"], ["kitchen.Tea"]),
        (["kitchen.#", "--all"], ["kitchen.$beat", "kitchen.Tea"]),
        (["kitchen.$beat"], ["kitchen.$beat"]),
    ],
)
def test_what_is_internal_is_left_out_unless_asked_for(
    kitchen: Kitchen, run: Run, when_it_listens: When, arguments: list[str], topics: list[str]
) -> None:
    when_it_listens(_publishing(kitchen, ("$beat", 1), ("Tea", 2)))
    result = run("watch", *arguments, "--json", "-c", str(len(topics)))
    assert [json.loads(line)["topic"] for line in result.stdout.splitlines()] == topics


def test_it_ends_when_the_time_is_up(kitchen: Kitchen, run: Run, when_it_listens: When) -> None:
    assert run("watch", "kitchen.#", "--timeout", "0.01").exit_code == 0
    when_it_listens(lambda: kitchen.publish("Tea", 1))
    result = run("watch", "kitchen.#", "--timeout", "0.5", "--count", "2")
    assert result.exit_code == 4
    assert result.stderr.endswith("DeadlineExceeded: 1 of 2 notifications came within 0.5 s\n")
    assert result.stdout.count("\n") == 1


def test_what_could_not_be_read_is_told(
    kitchen: Kitchen, run: Run, monkeypatch: pytest.MonkeyPatch, when_it_listens: When
) -> None:
    when_it_listens(_publishing(kitchen, *[("Tea", number) for number in range(3)]))
    monkeypatch.setenv("TREATY_SECRET", "another secret, which is long enough")
    result = run("watch", "kitchen.#", "--timeout", "0.2")
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.search(r"^warning: 3 not shown: [\w ]+$", result.stderr, re.MULTILINE), result.stderr


def test_a_slow_terminal_costs_no_more_than_some_memory(
    kitchen: Kitchen, run: Run, when_it_listens: When, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_taken = threading.Event()
    take = watch._Desk.take

    def taking(desk: watch._Desk, notification: Notification) -> None:
        take(desk, notification)
        if notification.data == 4:
            all_taken.set()

    def publish() -> None:
        for number in range(5):
            kitchen.publish("Tea", number)
        assert all_taken.wait(10)

    monkeypatch.setattr(watch._Desk, "take", taking)
    monkeypatch.setattr(watch, "_ROOM", 2)
    when_it_listens(publish)
    result = run("watch", "kitchen.#", "--json", "--timeout", "0.2")
    assert [json.loads(line)["data"] for line in result.stdout.splitlines()] == [0, 1]
    assert "warning: 3 not shown: the terminal is too slow\n" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["kitchen"], 2), (["kitchen.#", "--count", "0"], 2), (["No Name.#"], 2), (["kitchen.#", "--timeout", "0"], 2)],
)
def test_wrong_usage(kitchen: Kitchen, run: Run, arguments: list[str], code: int) -> None:
    result = run("watch", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.count("\n") == 1


def test_nobody_to_listen_to(secret: object, run: Run) -> None:
    pytest.importorskip("zmq")
    result = run("watch", "kitchen.#", "--url", "zmq+ipc:///nowhere/at/all")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("Unavailable: ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_interrupted_it_leaves_nothing(far_kitchen: Kitchen, start: Start, mine: Mine, number: int, code: int) -> None:
    process = start("watch", "kitchen.#", "--json")
    _until_it_listens(process)
    far_kitchen.publish("Tea", 1)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["data"] == 1
    process.send_signal(number)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (code, "")
    assert err == ("interrupted\n" if number == signal.SIGINT else "")
    assert mine() == []


def test_who_reads_may_leave(far_kitchen: Kitchen, start: Start, mine: Mine) -> None:
    process = start("watch", "kitchen.#")
    _until_it_listens(process)
    assert process.stdout is not None
    process.stdout.close()
    far_kitchen.publish("Tea", 1)
    assert process.wait(15) == 141
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert mine() == []


def test_a_gap_that_the_transport_reports_is_told(secret: Key, start: Start) -> None:
    pytest.importorskip("zmq")
    with tempfile.TemporaryDirectory(prefix="tw", dir="/tmp") as place:  # the path of a socket has 107 bytes
        url = f"zmq+ipc://{place}/k"
        with Kitchen(url, secret=secret):
            process = start("watch", "kitchen.#", "--url", url)
            _until_it_listens(process)
        with Kitchen(url, secret=secret):
            assert process.stderr is not None
            assert "notifications may be missing" in process.stderr.readline()


@model(key="name", hidden=["recipe"])
@dataclass
class Pot:
    name: str
    recipe: str = ""


def test_storage_needs_no_model_here(secret: Key, run: Run, when_it_listens: When) -> None:
    url = f"memory://{uuid.uuid4().hex}"
    stores = [StoreConfig(url="memory:", models=[Pot])]
    with (
        connect(url) as transport,
        StorageService(transport, secret=secret, stores=stores, beat=0.01),
        StorageClient(transport, secret=secret) as storage,
    ):

        def change() -> None:
            storage.save(Pot("a", "secret leaves"))
            storage.delete(Pot, "a")

        when_it_listens(change)
        result = run("watch", "storage.Pot.*", "--json", "-c", "2", "--url", url)
    first, second = map(json.loads, result.stdout.splitlines())
    assert [first["topic"], second["topic"]] == ["storage.Pot.created", "storage.Pot.deleted"]
    assert (first["data"]["sequence"], first["data"]["data"]) == (1, {"name": "a"})
    assert "leaves" not in result.stdout
