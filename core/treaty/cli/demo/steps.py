"""What the demo does over each transport, and what must come back: a list of steps, each a short function.

What came back is put into words, and is right if these are the words expected. This room must not know which transport
is used, nor how a transcript looks.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

from treaty.cli.demo.teahouse import OutOfStock
from treaty.client import Client
from treaty.errors import AuthenticationError, DeadlineExceeded, InvalidParams, RemoteError, UnknownMethod
from treaty.messages import Notification
from treaty.pending import Reply
from treaty.sealing import Key

_S = TypeVar("_S")
#: Seconds that a call of the demo may take, unless the step is about that.
CALL: Final = 5.0
_TOO_SHORT: Final = 0.3
#: How much later than its deadline a call may end on a busy machine.
_LATE: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a step has to work with: the client, and the URL for those who want a client of their own."""

    client: Client
    url: str


@dataclass(frozen=True, kw_only=True)
class Step(Generic[_S]):
    """Something that is done on a stage, and the words for what must come back."""

    title: str
    code: str
    expected: str
    act: Callable[[_S], str]


def _blocking(stage: Stage) -> str:
    return repr(stage.client.call("teahouse.greet", {"guest": "Ada"}))


def _deferred(stage: Stage) -> str:
    answers: SimpleQueue[Reply] = SimpleQueue()
    unregister = stage.client.on_response("teahouse.greet", answers.put)
    try:
        pending = stage.client.send("teahouse.greet", {"guest": "Grace"})
        handled = answers.get(timeout=CALL)
    finally:
        unregister()
    return f"the handler got {handled.value!r}" if handled.value == pending.result() else "two different answers"


def _hundred(stage: Stage) -> str:
    async def add(number: int) -> bool:
        answer: int = await stage.client.send("teahouse.add", [number, number])
        return answer == 2 * number

    async def add_all() -> list[bool]:
        return await asyncio.gather(*map(add, range(100)))

    right = asyncio.run(add_all())
    return f"{sum(right)} right answers"


def _statuses(stage: Stage) -> str:
    pending = stage.client.send("teahouse.brew", {"tea": "oolong"})
    seen = [f"{status.reason} {status.progress:.0%}" for status in pending.statuses()]
    reply = pending.reply()
    return f"{', '.join(seen)}, then {reply.result!r} with {reply.status.code} {reply.status.reason!r}"


def _typed_error(stage: Stage) -> str:
    try:
        return f"no error, but {stage.client.call('teahouse.order', ['sencha', 5])!r}"
    except OutOfStock as error:
        return f"OutOfStock: {error} (error.left is {error.left})"


def _untyped_error(stage: Stage) -> str:
    try:
        return f"no error, but {stage.client.call('teahouse.split_bill', {'total': 12, 'guests': 0})!r}"
    except RemoteError as error:
        trace = "with an error id for the log" if error.error_id else "without an error id"
        return f"RemoteError: {error.type}: {error.text}, {trace}"


def _unknown_method(stage: Stage) -> str:
    try:
        return f"no error, but {stage.client.call('teahouse.coffee')!r}"
    except UnknownMethod as error:
        return f"UnknownMethod: {error.text}"


def _wrong_parameters(stage: Stage) -> str:
    try:
        return f"no error, but {stage.client.call('teahouse.order', {'tea': 'sencha', 'cups': 'many'})!r}"
    except InvalidParams as error:
        return "InvalidParams that names 'cups'" if "'cups'" in error.text else f"InvalidParams: {error.text}"


def _missed_deadline(stage: Stage) -> str:
    started = time.monotonic()
    try:
        return f"no error, but {stage.client.call('teahouse.doze', {'seconds': 60}, timeout=_TOO_SHORT)!r}"
    except DeadlineExceeded:
        late = time.monotonic() - started - _TOO_SHORT
        return "DeadlineExceeded, on time" if -0.05 < late < _LATE else f"DeadlineExceeded, {late:.2f} s off"


def _wrong_secret(stage: Stage) -> str:
    before = stage.client.call("teahouse.rung")
    with Client(stage.url, secret=Key.generate(os.urandom), timeout=CALL) as stranger:
        try:
            outcome = f"no error, but {stranger.call('teahouse.ring')!r}"
        except AuthenticationError:
            outcome = "AuthenticationError"
    rung = stage.client.call("teahouse.rung") - before
    return f"{outcome}; bells rung: {rung}"


def _one_way(stage: Stage) -> str:
    before = stage.client.call("teahouse.rung")
    stage.client.notify("teahouse.ring")
    after = stage.client.call("teahouse.rung", {"wait_for": before + 1})
    return f"bells rung: {after - before}"


def _notification(stage: Stage) -> str:
    heard: SimpleQueue[Notification] = SimpleQueue()
    with stage.client.subscribe("teahouse.Menu.*", heard.put):
        stage.client.call("teahouse.announce", {"tea": "gyokuro"})
        notification = heard.get(timeout=CALL)
    return f"{notification.topic}: {notification.data}"


STEPS: Final[tuple[Step[Stage], ...]] = (
    Step(
        title="A blocking call",
        code='client.call("teahouse.greet", {"guest": "Ada"})',
        expected="'Welcome, Ada.'",
        act=_blocking,
    ),
    Step(
        title="A deferred call with a response handler",
        code='client.on_response("teahouse.greet", handler); client.send("teahouse.greet", {"guest": "Grace"})',
        expected="the handler got 'Welcome, Grace.'",
        act=_deferred,
    ),
    Step(
        title="A hundred concurrent asyncio calls",
        code='await asyncio.gather(*(client.send("teahouse.add", [n, n]) for n in range(100)))',
        expected="100 right answers",
        act=_hundred,
    ),
    Step(
        title="A call that streams its status",
        code='for status in client.send("teahouse.brew", {"tea": "oolong"}).statuses(): ...',
        expected="warming the pot 25%, steeping 50%, pouring 75%, then 'a pot of oolong' with 200 'Mind, it is hot.'",
        act=_statuses,
    ),
    Step(
        title="A call that raises an error registered at both ends",
        code='client.call("teahouse.order", ["sencha", 5])',
        expected="OutOfStock: only 2 of sencha left (error.left is 2)",
        act=_typed_error,
    ),
    Step(
        title="A call that raises an error that nobody registered",
        code='client.call("teahouse.split_bill", {"total": 12, "guests": 0})',
        expected="RemoteError: ZeroDivisionError: float division by zero, with an error id for the log",
        act=_untyped_error,
    ),
    Step(
        title="A call to a method that is not there",
        code='client.call("teahouse.coffee")',
        expected="UnknownMethod: there is no method 'coffee' here",
        act=_unknown_method,
    ),
    Step(
        title="A call with wrong parameters",
        code='client.call("teahouse.order", {"tea": "sencha", "cups": "many"})',
        expected="InvalidParams that names 'cups'",
        act=_wrong_parameters,
    ),
    Step(
        title="A call that misses its deadline",
        code=f'client.call("teahouse.doze", {{"seconds": 60}}, timeout={_TOO_SHORT})',
        expected="DeadlineExceeded, on time",
        act=_missed_deadline,
    ),
    Step(
        title="A call with the wrong secret, whose handler must not run",
        code='Client(url, secret=another).call("teahouse.ring")',
        expected="AuthenticationError; bells rung: 0",
        act=_wrong_secret,
    ),
    Step(
        title="A one-way call",
        code='client.notify("teahouse.ring")',
        expected="bells rung: 1",
        act=_one_way,
    ),
    Step(
        title="A notification, published by the service",
        code='client.subscribe("teahouse.Menu.*", callback)',
        expected="teahouse.Menu.changed: {'new': 'gyokuro'}",
        act=_notification,
    ),
)
