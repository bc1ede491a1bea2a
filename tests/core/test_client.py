"""The client as an application sees it: one object, three styles, the same semantics."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import sys
import threading
import warnings
from queue import SimpleQueue
from typing import Any

import pytest
from msgspec import Raw

from treaty import (
    AuthenticationError,
    Client,
    ClosedError,
    ConfigurationError,
    ConnectionLost,
    DeadlineExceeded,
    EncodingError,
    FrameTooLarge,
    InvalidParams,
    InvalidResult,
    InvalidTarget,
    RemoteError,
    Reply,
    TransportError,
    TreatyError,
    Unavailable,
    UnknownMethod,
)
from treaty_memory.transport import MemoryLine

from .conftest import SECRET, Room
from .services import LIMIT, Relay, Slow, TooSlow

ANSWER = {"RETURN_DATA": "hi"}


def test_one_call_in_three_styles(either_room: Room) -> None:
    either_room.serve(Slow)
    client = either_room.client()
    for method in ("slow.echo", "slow.later"):
        for params in ({"text": "hi"}, ["hi"]):
            assert client.call(method, params) == ANSWER
            assert client.request(method, params).result == ANSWER
            assert client.send(method, params).result() == ANSWER
            assert asyncio.run(awaited(client.send(method, params))) == ANSWER


async def awaited(pending: Any) -> Any:
    return await pending


def test_a_method_may_be_called_without_parameters(room: Room) -> None:
    room.serve(Slow)
    assert room.client().call("slow.echo") == {"RETURN_DATA": "NO DATA"}


def test_a_reply_says_what_came_with_the_result(room: Room) -> None:
    service = room.serve(Slow)
    reply = room.client().request("slow.report")
    assert (reply.ok, reply.result, reply.target, reply.sender) == (True, "reported", "slow.report", service.instance)
    assert (reply.status.code, reply.status.reason) == (201, "Took a while, but I am back.")
    assert reply.headers == {"tide": "high"}
    assert 0 <= reply.took <= reply.elapsed < LIMIT


def test_headers_reach_the_handler(room: Room) -> None:
    room.serve(Slow)
    headers = {"user": "Zoë", "": "empty"}
    assert room.client().call("slow.headers", headers=headers) == headers


def test_a_one_way_call_is_run_and_returns_nothing(either_room: Room) -> None:
    service = either_room.serve(Slow)
    client = either_room.client()
    client.notify("slow.wait")
    service.gate.await_arrival()
    service.gate.open()
    assert client.open_calls == 0


def test_the_proxy_spells_calls_as_methods(room: Room) -> None:
    room.serve(Slow)
    slow = room.client().service("slow")
    assert slow.echo(text="hi") == slow.echo("hi") == ANSWER
    with pytest.raises(TypeError, match="not both"):
        slow.echo("hi", text="hi")
    with pytest.raises(UnknownMethod):
        slow.nothing()
    with pytest.raises(InvalidTarget):
        room.client().service("No name")


def test_the_proxy_answers_to_no_magic_name(room: Room) -> None:
    proxy = room.client().service("slow")
    assert not hasattr(proxy, "__len__")
    assert not hasattr(proxy, "__fspath__")


@pytest.mark.parametrize(
    ("target", "params", "error"),
    [
        ("slow.nothing", {}, UnknownMethod),
        ("slow.__init__", {}, UnknownMethod),
        ("slow.stop", {}, UnknownMethod),
        ("slow.echo", {"texts": "hi"}, InvalidParams),
        ("slow.echo", {"text": 1}, InvalidParams),
        ("slow.fail", {}, RemoteError),
        ("slow.fail_later", {}, RemoteError),
        ("slow.exit", {}, RemoteError),
        ("slow.exit_later", {}, RemoteError),
        ("slow.fail_by_plan", [7], TooSlow),
        ("slow.unsendable", {}, InvalidResult),
        ("slow.truncated", {}, InvalidResult),
        ("slow.large", [9 * 1024 * 1024], FrameTooLarge),
        ("nobody.echo", {}, Unavailable),
        ("slow", {}, InvalidTarget),
        ("slow.echo", {"text": math.nan}, EncodingError),
        ("slow.echo", {"text": Raw(b"nul")}, EncodingError),
        ("slow.echo", {"text": "x" * 9 * 1024 * 1024}, FrameTooLarge),
        ("slow.echo", "text", EncodingError),
    ],
)
def test_each_failure_is_one_typed_error_in_every_style_and_the_service_goes_on(
    either_room: Room, target: str, params: Any, error: type[Exception]
) -> None:
    either_room.serve(Slow)
    client = either_room.client()
    for call in (client.call, lambda t, p: client.send(t, p).result(), lambda t, p: asyncio.run(later(client, t, p))):
        with pytest.raises(error) as caught:
            call(target, params)
        assert type(caught.value) is error
        assert client.call("slow.echo", {"text": "hi"}) == ANSWER
    assert client.open_calls == 0


async def later(client: Any, target: str, params: Any) -> Any:
    return await client.send(target, params)


def test_an_error_keeps_its_fields_and_a_mishap_gets_an_id(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.serve(Slow)
    client = room.client()
    with pytest.raises(TooSlow) as planned:
        client.call("slow.fail_by_plan", [7])
    assert planned.value.speed == 7
    assert not caplog.records
    reply = client.request("slow.fail")
    assert isinstance(reply.error, RemoteError) and not reply.ok
    assert (reply.error.type, reply.error.text) == ("NotImplementedError", "I was never created")
    assert reply.status.code == 500
    assert reply.error.error_id in caplog.text and "Traceback" in caplog.text


def test_a_call_ends_at_its_deadline(either_room: Room) -> None:
    service = either_room.serve(Slow)
    client = either_room.client()
    try:
        with pytest.raises(DeadlineExceeded):
            client.call("slow.wait", timeout=0.05)
        with pytest.raises(DeadlineExceeded):
            client.send("slow.wait", timeout=0.05).result()
        assert client.open_calls == 0
    finally:
        service.gate.open()


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan, "1", True])
def test_a_timeout_is_a_number_of_seconds(room: Room, timeout: Any) -> None:
    client = room.client()
    for call in (client.call, client.request, client.send, client.notify):
        with pytest.raises(ValueError, match="timeout"):
            call("slow.echo", timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        room.client(timeout=timeout)


@pytest.mark.parametrize("number", [0, -1, 1.5, "x", None, True])
def test_how_many_calls_may_be_open_is_a_whole_number(number: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_open is a whole number from 1 on"):
        Client("pigeon://never-opened", secret=SECRET, max_open=number)


# Secrets


@pytest.mark.parametrize("secret", [None, "", "   ", "ty1.damaged"])
def test_without_a_usable_secret_nothing_is_sent(room: Room, secret: str | None) -> None:
    service = room.serve(Slow)
    client = room.client(secret=secret)
    for call in (client.call, client.request, client.send, client.notify, client.subscribe):
        with pytest.raises(AuthenticationError):
            call("slow.echo")
    assert service.counters == {}


def test_a_wrong_secret_is_refused_at_once_and_the_handler_does_not_run(either_room: Room) -> None:
    service = either_room.serve(Slow)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = either_room.client(secret="wrong")
    with pytest.raises(AuthenticationError):
        wrong.call("slow.echo")
    with pytest.raises(AuthenticationError):
        asyncio.run(later(wrong, "slow.echo", {}))
    assert service.seen == []
    assert either_room.client().call("slow.echo", ["hi"]) == ANSWER


def test_no_secret_is_logged_or_shown(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    secret = "canary" * 8
    with caplog.at_level(logging.DEBUG):
        service = room.serve(Slow, secret=secret)
        client = room.client(secret=secret)
        with pytest.raises(RemoteError) as caught:
            client.call("slow.fail")
        with pytest.raises(AuthenticationError) as refused:
            room.client().call("slow.echo")
    shown = [caplog.text, repr(client), repr(service), str(caught.value), str(refused.value), repr(client.counters)]
    assert not [text for text in shown if "canary" in text]


# Response handlers


def test_a_response_handler_makes_something_of_a_blocking_calls_answer(room: Room) -> None:
    room.serve(Slow)
    client = room.client()
    client.on_response("slow.*", lambda reply: reply.result["RETURN_DATA"].upper())
    reply = client.request("slow.echo", ["hi"])
    assert (reply.handled, reply.result) == ("HI", ANSWER)
    assert client.call("slow.echo", ["hi"]) == ANSWER


def test_a_deferred_answer_is_handed_to_the_handler_in_another_thread(room: Room) -> None:
    room.serve(Slow)
    client = room.client()
    handed: list[tuple[Reply, str]] = []
    over = threading.Event()

    def handle(reply: Reply) -> None:
        handed.append((reply, threading.current_thread().name))
        if len(handed) == 3:
            over.set()

    client.on_response("slow.echo", handle)
    for text in "abc":
        client.send("slow.echo", [text])
    assert over.wait(LIMIT)
    assert {reply.result["RETURN_DATA"] for reply, _ in handed} == set("abc")
    assert {thread for _, thread in handed} == {"treaty-client-handlers"}


def test_a_handler_also_gets_errors_and_may_fail_itself(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.serve(Slow)
    client = room.client()
    errors: list[Exception | None] = []
    over = threading.Event()

    def broken(_: Reply) -> None:
        raise ValueError("the handler is broken")

    def handle(reply: Reply) -> None:
        errors.append(reply.error)
        over.set()

    client.on_response("slow.*", broken)
    client.on_response("slow.*", handle)
    client.send("slow.fail_by_plan", [7])
    assert over.wait(LIMIT)
    assert [type(error) for error in errors] == [TooSlow]
    assert "the handler is broken" in caplog.text


@pytest.mark.parametrize("deferred", [SystemExit("the handler exits"), KeyboardInterrupt("the handler exits")])
def test_a_handler_that_exits_ends_neither_the_call_nor_the_thread_that_hands_over(
    room: Room, caplog: pytest.LogCaptureFixture, deferred: BaseException
) -> None:
    room.serve(Slow)
    client, handed = room.client(), SimpleQueue[str]()

    def handle(reply: Reply) -> None:
        handed.put(reply.result["RETURN_DATA"])
        if threading.current_thread() is threading.main_thread():
            sys.exit("the handler exits")
        raise deferred

    client.on_response("slow.*", handle)
    assert client.request("slow.echo", ["blocking"]).handled is None
    for text in ("one", "two"):
        client.send("slow.echo", [text])
    assert [handed.get(timeout=LIMIT) for _ in range(3)] == ["blocking", "one", "two"]
    assert "the handler exits" in caplog.text


def test_a_handler_may_close_its_client_and_leaves_no_thread(room: Room) -> None:
    room.serve(Slow)
    client, sent, closed = room.client(), threading.Event(), threading.Event()

    def close(_: Reply) -> None:
        sent.wait(LIMIT)
        client.close()
        closed.set()

    client.on_response("slow.*", close)
    for pending in [client.send("slow.echo") for _ in range(3)]:
        pending.result()
    sent.set()
    assert closed.wait(LIMIT)  # the room sees to the rest


def test_a_handler_is_called_for_its_pattern_until_it_is_unregistered(room: Room) -> None:
    room.serve(Slow)
    client = room.client()
    others = client.on_response("slow.later", lambda _: "other")
    unregister = client.on_response("#", lambda _: "mine")
    assert client.request("slow.echo").handled == "mine"
    unregister()
    unregister()
    assert client.request("slow.echo").handled is None
    assert client.request("slow.later").handled == "other"
    others()
    with pytest.raises(TypeError):
        client.on_response("slow.*", "no function")  # type: ignore[arg-type]


def test_a_call_that_ends_without_an_answer_is_not_handed_over(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    client = room.client()
    client.on_response("#", lambda _: pytest.fail("there was no answer"))
    with pytest.raises(Unavailable):
        client.request("nobody.echo")
    with pytest.raises(Unavailable):
        client.send("nobody.echo").result()


def test_one_call_too_many_ends_as_every_other_that_was_sent(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client(max_open=2)
    pending = [client.send("slow.wait") for _ in range(3)]
    service.gate.await_arrival()
    with pytest.raises(Unavailable, match="2 calls of this client are open already"):
        client.send("slow.wait").result()
    service.gate.open()
    assert [one.result() for one in pending[:2]] == ["waited"] * 2


@pytest.mark.parametrize("headers", ["x", 5, [], {"a": 1}, {1: "a"}])
def test_headers_are_a_dict_of_text(room: Room, headers: Any) -> None:
    with pytest.raises(EncodingError, match="header"):
        room.client().call("slow.echo", headers=headers)


def test_a_call_that_is_interrupted_is_given_up(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def when_it_runs() -> None:
        service.gate.await_arrival()
        signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    thread = threading.Thread(target=when_it_runs)
    try:
        with pytest.raises(KeyboardInterrupt):
            thread.start()
            client.call("slow.until_cancelled", timeout=3)
        assert client.open_calls == 0
        assert client.counters["requests"] == 1
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert client.call("slow.echo", ["hi"]) == ANSWER


def test_a_call_that_is_interrupted_while_it_is_sent_is_given_up(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.serve(Slow)
    client = room.client()
    assert client.call("slow.echo", ["hi"]) == ANSWER

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MemoryLine, "send", interrupt)
        with pytest.raises(KeyboardInterrupt):
            client.call("slow.echo")
    assert client.open_calls == 0


def test_what_a_signals_handler_raises_reaches_the_program_and_ends_no_other_call(room: Room) -> None:
    service = room.serve(Slow, concurrency=2)
    client = room.client()
    other = client.send("slow.wait")
    service.gate.await_arrival()

    class TimeIsUp(Exception):
        pass

    def time_is_up(*_: object) -> None:
        raise TimeIsUp

    def when_it_runs() -> None:
        service.gate.await_arrival()
        signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, time_is_up)
    thread = threading.Thread(target=when_it_runs)
    try:
        with pytest.raises(TimeIsUp):
            thread.start()
            client.call("slow.until_cancelled", timeout=3)
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    service.gate.open()
    assert other.result() == "waited"


@pytest.mark.parametrize("method", ["send", "receive"])
@pytest.mark.parametrize("wrapped", [ConnectionLost, TransportError])
def test_what_a_signals_handler_raises_reaches_the_program_though_the_transport_took_it_for_its_own(
    room: Room, monkeypatch: pytest.MonkeyPatch, method: str, wrapped: type[TransportError]
) -> None:
    room.serve(Slow)
    client = room.client()
    client.call("slow.echo")

    class TimeIsUp(Exception):
        pass

    def time_is_up(*_: object) -> None:
        raise TimeIsUp

    def interrupted(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGUSR1)
        except Exception as error:
            raise wrapped("the connection broke") from error

    before = signal.signal(signal.SIGUSR1, time_is_up)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(MemoryLine, method, interrupted)
            with pytest.raises(TimeIsUp):
                client.call("slow.echo")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert client.open_calls == 0
    assert client.call("slow.echo", ["hi"]) == ANSWER


# Life


def test_a_closed_client_says_so(room: Room) -> None:
    room.serve(Slow)
    client = room.client()
    client.call("slow.echo")
    client.close()
    client.close()
    for call in (client.call, client.request, client.send, client.notify, client.subscribe):
        with pytest.raises(ClosedError):
            call("slow.echo")
    with pytest.raises(ClosedError):
        client.on_response("slow.*", print)
    assert "closed" in repr(client)


def test_closing_ends_the_calls_that_are_open(either_room: Room) -> None:
    service = either_room.serve(Slow, concurrency=3)
    client = either_room.client()
    deferred = client.send("slow.wait")
    ended: list[BaseException] = []

    def block() -> None:
        with pytest.raises(TreatyError) as caught:
            client.call("slow.wait")
        ended.append(caught.value)

    async def wait() -> None:
        with pytest.raises(TreatyError) as caught:
            await client.send("slow.wait")
        ended.append(caught.value)

    threads = [threading.Thread(target=block), threading.Thread(target=lambda: asyncio.run(wait()))]
    for thread in threads:
        thread.start()
    service.gate.await_arrival(3)
    client.close()
    for thread in threads:
        thread.join(LIMIT)
    service.gate.open()
    with pytest.raises(ClosedError):
        deferred.result()
    assert [type(error) for error in ended] == [ClosedError, ClosedError]


def test_a_client_made_with_a_url_closes_its_transport(room: Room) -> None:
    room.serve(Slow)
    with Client(f"memory://{room.transport.name}", secret="s" * 32) as client, pytest.raises(AuthenticationError):
        client.call("slow.echo")
    assert client._transport.closed


def test_a_nested_call_that_fails_is_not_an_answer_to_the_outer_one(either_room: Room) -> None:
    either_room.serve(Slow)
    either_room.serve(Relay)
    client = either_room.client()
    with pytest.raises(RemoteError) as caught:
        client.call("relay.ask_wrongly")
    assert type(caught.value) is RemoteError and caught.value.type == "InvalidParams"
    with pytest.raises(TooSlow):
        client.call("relay.fail_by_plan")


def test_what_was_lost_may_have_been_executed(room: Room) -> None:
    service = room.serve(Slow)
    client = room.client()
    pending = client.send("slow.wait")
    service.gate.await_arrival()
    service.stop(drain=0)
    service.gate.open()
    with pytest.raises(ConnectionLost):
        pending.result()


async def heard_later(what: object) -> None: ...


def test_a_coroutine_function_is_no_response_handler_and_no_callback(room: Room) -> None:
    client = room.client()
    with pytest.raises(TypeError, match="a response handler is called in a thread, where nobody awaits it"):
        client.on_response("slow.*", heard_later)
    with pytest.raises(TypeError, match="a callback is called in a thread, where nobody awaits it"):
        client.subscribe("slow.#", heard_later)
