"""Each check of what comes in is needed: without it, a frame that is made for this gets through.

A check is taken out of the source of its function; its probe is refused before, and accepted after.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, NamedTuple

import pytest

from treaty import FrameRefused
from treaty.codec import encode
from treaty.engine import Answerer, Run, Stop
from treaty.guard import Guard
from treaty.messages import Cancel, Request
from treaty.sealing import Keyring

from .world import ADDRESS, KEYRING, NOW, answerer, later

BODY = b'{"any": "body"}'


class Check(NamedTuple):
    """A check, where it stands, what stands there without it, and the frame that only it keeps out."""

    name: str
    where: Callable[..., Any]
    source: str
    without: str
    gets_through: Callable[[], bool]


def odd(at: int, other: bytes) -> bytes:
    """A good request with other bytes in its head, which the tag covers only as far as the checks insist on them."""
    frame = KEYRING.seal(b"q", BODY)
    return frame[:at] + other + frame[at + len(other) :]


def opens(frame: bytes, limit: int = 1000) -> bool:
    try:
        KEYRING.open(frame, b"qc", limit=limit)
    except FrameRefused:
        return False
    return True


def asks(**changed: Any) -> bytes:
    fields = {
        "id": "1",
        "method": "slow.echo",
        "params": [],
        "created": NOW.wall,
        "ttl": 1000,
        "sender": "me",
        "reply": ADDRESS,
    }
    return KEYRING.seal(b"q", encode(Request(**{**fields, **changed})))


def cancels(**changed: Any) -> bytes:
    fields = {"id": "1", "service": "slow", "created": NOW.wall, "ttl": 1000, "sender": "me"}
    return KEYRING.seal(b"c", encode(Cancel(**{**fields, **changed})))


def runs(frame: bytes, *, reply_to: str = ADDRESS, redelivered: bool = False, end: Answerer | None = None) -> bool:
    asked = (end or answerer()).receive(frame, now=NOW, reply_to=reply_to, redelivered=redelivered)
    return isinstance(asked, Run | Stop)


def runs_twice(frame: bytes) -> bool:
    end = answerer()
    return runs(frame, end=end) and runs(frame, end=end)


def runs_when_full() -> bool:
    end = answerer(guard=Guard(1))
    return runs(asks(), end=end) and runs(asks(id="2", created=NOW.wall - 1), end=end)


def runs_after_its_cancel() -> bool:
    end = answerer()
    end.receive(cancels(), now=NOW)
    return runs(asks(), end=end)


OPEN, CHECK, STALE, CANCEL = Keyring.open, Answerer._check, Answerer._stale, Answerer._cancel
CHECKS = [
    Check("size, too large", OPEN, "if not PREFIX < len(frame) <= limit:", "if not PREFIX < len(frame):",
          lambda: opens(KEYRING.seal(b"q", bytes(1000)))),
    Check("size, no body", OPEN, "if not PREFIX < len(frame) <= limit:", "if len(frame) > limit:",
          lambda: opens(KEYRING.seal(b"q", b""))),
    Check("magic", OPEN, "if frame[:2] != MAGIC:", "if False:", lambda: opens(odd(0, b"XX"))),
    Check("version", OPEN, "if frame[2:3] != VERSION:", "if False:", lambda: opens(odd(2, b"\x02"))),
    Check("key", OPEN, ", tag) and keys:", ", tag):", lambda: opens(odd(4, b"unknown!"))),
    Check("tag", OPEN, 'hmac.compare_digest(key.stamps[kind if known else b"q"].tag(body), tag)', "True",
          lambda: opens(asks()[:-1] + b"!")),
    Check("kind, of another end", OPEN, "or kind not in kinds", "", lambda: opens(KEYRING.seal(b"r", BODY))),
    Check("kind, of no end", OPEN, "if not known or kind not in kinds:", "if kind in b'rsn':",
          lambda: opens(odd(3, b"z"))),
    Check("audience", CHECK, "if service != self._service:", "if False:",
          lambda: runs(asks(method="other.echo"))),
    Check("freshness", CHECK, "if verdict := self._stale(message, now):", "if verdict := None:",
          lambda: runs(asks(created=NOW.wall - 1000))),
    Check("freshness, from the future", STALE, "if ahead > self._skew_ms:", "if False:",
          lambda: runs(asks(created=later(31).wall))),
    Check("freshness, expired", STALE, "if late >= 0:", "if late > 0:", lambda: runs(asks(created=NOW.wall - 1000))),
    Check("freshness, for ever", STALE, "if message.ttl > MAX_TTL * 1000:", "if False:", lambda: runs(asks(ttl=2**50))),
    Check("reply address", CHECK, "message.reply != reply_to and", "False and",
          lambda: runs(asks(), reply_to="another line")),
    Check("replay", CHECK, "if admission is Admission.SEEN and", "if False and", lambda: runs_twice(asks())),
    Check("memory full", CHECK, "if admission is Admission.FULL:", "if False:", runs_when_full),
    Check("redelivered", CHECK, "if redelivered:", "if False:", lambda: runs(asks(), redelivered=True)),
    Check("cancel, audience", CANCEL, "if message.service != self._service:", "if False:",
          lambda: runs(cancels(service="other"))),
    Check("cancel, freshness", CANCEL, "if not -self._skew_ms <=", "if False and not -self._skew_ms <=",
          lambda: runs(cancels(created=NOW.wall - 2000))),
    Check("cancel, first", CANCEL, "self._guard.admit(", "(lambda *_: None)(", runs_after_its_cancel),
]  # fmt: skip


def mutant(check: Check) -> FunctionType:
    """The function without its check."""
    assert isinstance(check.where, FunctionType)
    source = textwrap.dedent(inspect.getsource(check.where))
    assert source.count(check.source) == 1, f"the check of {check.name} has moved: find it in\n{source}"
    module = compile(
        "from __future__ import annotations\n" + source.replace(check.source, check.without), check.name, "exec"
    )
    code = next(const for const in module.co_consts if isinstance(const, CodeType))
    changed = FunctionType(code, check.where.__globals__, check.where.__name__, check.where.__defaults__)
    changed.__kwdefaults__ = check.where.__kwdefaults__
    return changed


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_check_is_needed(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not check.gets_through()
    owner = Keyring if check.where is OPEN else Answerer
    monkeypatch.setattr(owner, check.where.__name__, mutant(check))
    assert check.gets_through()


def test_no_check_stands_in_the_way_of_an_honest_frame() -> None:
    assert opens(asks()) and opens(cancels()) and runs(asks()) and runs(cancels())
