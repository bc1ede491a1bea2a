"""Turns what a rule called on the interface into a short program that does the same without the suite.

The program does it in order, in one thread, and compares what comes with what was sent. It is written only where the
log itself shows something wrong by that measure, and ends there: what is a matter of time or of threads has none. This
room is a function of records, and must not run anything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from treaty_contracts.ledger import Account, Doubt, Expected
from treaty_contracts.operations import Operation

#: More than this is no short program.
LIMIT: Final = 60
_LITERAL: Final = 400
_HEAD: Final = 64
_CHUNK: Final = 24
_UNADDRESSED: Final = "from my_package import target  # replace this line by the import of yours"
_NAMESPACE: Final = re.compile(r"c[0-9a-f]{12}(?=-|$)")
_TIMEOUT: Final = "PATIENCE"
_FRAME: Final = re.compile(r"FRAME_[0-9]+")
_DELIVERY: Final = re.compile(r"delivery_[0-9]+")
_MADE: Final = re.compile(r"^(delivery_[0-9]+) =")
#: How close to the largest frame a frame is made for the sake of that limit.
_EDGE: Final = 64

_TOP: Final = '''\
"""{title}: what the rule did on the interface of the transport, without the suite.

Prints OK or WRONG for each thing that was expected, and ends with 1 at the first that is wrong.
"""

{imports}

import treaty
from treaty_contracts import Context

{address}

PATIENCE = 5.0 * max(target.time_scale, 0.2)
NAMESPACE = "c" + os.urandom(6).hex()
SECRET = treaty.Key.generate(os.urandom).text()


def opened(role):
    return target.open(Context(namespace=NAMESPACE, role=role, secret=SECRET, time_scale=target.time_scale))


def verdict(right, text):
    print("OK   " if right else "WRONG", text, flush=True)
    if not right:
        os._exit(1)  # whatever hangs now is no news


'''
#: What a program may need besides.
_HELPERS: Final = {
    "arrives": """\
kept = []


def arrives(where, wanted, *ends, among=()):
    # What comes before it and is expected as well is kept for later.
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for end in ends:
            got = next((one for at, one in kept if at is end and frame_of(one) == wanted), None)
            if got is not None:
                kept.remove((end, got))
                return got
            got = end.receive(0.02)
            if got is not None and frame_of(got) != wanted and frame_of(got) in among:
                kept.append((end, got))
            elif got is not None:
                verdict(frame_of(got) == wanted, f"{where}: {shown(frame_of(got))} came, due was {shown(wanted)}")
                return got
    verdict(False, f"{where}: nothing came in {PATIENCE:g} s, due was {shown(wanted)}")
""",
    "nothing": """\
def nothing(where, *ends):
    for end in ends:
        got = end.receive(PATIENCE / 10)
        verdict(got is None, f"{where}: {shown(frame_of(got)) if got else 'nothing'} came, due was nothing")
""",
    "raises": """\
def raises(kind, what, action):
    try:
        action()
    except Exception as error:
        verdict(isinstance(error, kind), f"{what} must raise {kind.__name__}, and raised {error!r}")
    else:
        verdict(False, f"{what} must raise {kind.__name__}, and raised nothing")
""",
    "allowed": """\
def allowed(what, action):
    try:
        return action()
    except treaty.TreatyError as error:
        print("     ", f"{what} raised {error!r}", flush=True)
    except Exception as error:
        verdict(False, f"{what} must raise nothing but errors of treaty, and raised {error!r}")
""",
    "silent": """\
def silent(what, action):
    try:
        action()
    except Exception as error:
        verdict(False, f"{what} must raise nothing, and raised {error!r}")
""",
    "frame_of": """\
def frame_of(got):
    return got if isinstance(got, bytes) else got.frame
""",
    "shown": """\
def shown(frame):
    return f"{len(frame):,} bytes {frame[:24]!r}{'...' * (len(frame) > 24)}"
""",
    "long": """\
def long(head, size, number):
    return head + b"\\x00\\xff\\n" + random.Random(number).randbytes(size - len(head) - 3)
""",
}
_STEPS: Final = "# What was done, and what had to come of it\n\n"
_BOTTOM: Final = 'print("OK    this is all that was done", flush=True)\nos._exit(0)\n'


def program(operations: Sequence[Operation], title: str) -> str:
    """Return the text of a program, or nothing where there can be no short one.

    Args:
        operations: what was called.
        title: the rule and the target.
    """
    writer = _Writer()
    try:
        lines = _shortened(writer.written(operations))
    except Doubt:
        return ""
    if not lines:
        return ""
    used = set(_FRAME.findall("\n".join(line.text for line in lines)))
    left_out = lines[0].left_out * ["# What went well before, and left nothing behind, is left out."]
    body = _STEPS + "\n".join([*writer.literals(used), "", *left_out, *(line.text for line in lines), ""]) + _BOTTOM
    helpers = ""
    for name, helper in _HELPERS.items():
        if f"{name}(" in helpers + body:
            helpers += f"{helper}\n\n"
    imports = ["os", *(name for name in ("random", "time") if f"{name}." in helpers)]
    plain = title.replace("\\", "").replace('"""', "'")
    top = _TOP.format(title=plain, address=_UNADDRESSED, imports="\n".join(f"import {name}" for name in imports))
    return top + helpers + body


def _shortened(lines: list[_Line]) -> list[_Line]:
    """Leave out what went well and left nothing behind, as much of it as must be; return nothing if that is too little."""
    rests = [0, *(number for number, line in enumerate(lines) if line.at_rest)]
    for rest in rests:
        kept = [line for number, line in enumerate(lines) if number >= rest or line.lasting]
        made = {name for line in kept for name in _MADE.findall(line.text)}
        used = {name for line in kept for name in _DELIVERY.findall(line.text)}
        if len(kept) <= LIMIT and used <= made:
            kept[:1] = [replace(one, left_out=rest > 0) for one in kept[:1]]
            return kept
    return []


def addressed(text: str, lines: Sequence[str]) -> str:
    """Return a program that imports its target by these lines."""
    return text.replace(_UNADDRESSED, "\n".join(lines), 1)


def steps(text: str) -> str:
    """Return the part of a program that is no preparation."""
    return text.partition(_STEPS)[2].removesuffix(_BOTTOM)


def _literal(frame: bytes, number: int, limit: int) -> str:
    """Return a frame as source. One that is about as large as can be is so for every transport."""
    size, over = str(len(frame)), len(frame) - limit
    if abs(over) <= _EDGE:
        size = f"MAX_FRAME{f' {over:+d}'.replace('+', '+ ').replace('-', '- ') * bool(over)}"
    if len(set(frame)) == 1 and len(frame) > 1:
        return f"{frame[:1]!r} * {size if ' ' not in size else f'({size})'}"
    return _chunks(frame) if len(frame) <= _LITERAL else f"long({_chunks(frame[:_HEAD])}, {size}, {number})"


def _chunks(frame: bytes) -> str:
    if len(frame) <= _CHUNK:
        return repr(frame)
    parts = [repr(frame[at : at + _CHUNK]) for at in range(0, len(frame), _CHUNK)]
    return "(\n" + "".join(f"    {part}\n" for part in parts) + ")"


@dataclass(frozen=True)
class _Line:
    text: str
    #: Whether it opens or closes something.
    lasting: bool
    #: Whether before it nothing was under way.
    at_rest: bool
    left_out: bool = False


class _Writer:
    """Writes one line for each operation, as long as the account finds nothing wrong."""

    def __init__(self) -> None:
        self._account = Account()
        self._frames: dict[bytes, str] = {}
        self._deliveries: dict[str, str] = {}
        self._count = 0

    def written(self, operations: Sequence[Operation]) -> list[_Line]:
        """Return the lines up to the first that goes wrong; none if all went well."""
        lines: list[_Line] = []
        for operation in operations:
            missing = self._account.missing(operation)
            if missing is not None:
                self._account.mark(missing.ends, (len(lines), missing))
            rest = self._account.at_rest()
            expected = self._account.enter(operation)
            text = self._line(operation, expected)
            if text:
                lines.append(_Line(text, bool(operation.made) or operation.verb == "close", rest))
            if expected.wrong:
                return lines
        overdue = self._account.overdue()
        if overdue is None:
            return []
        at, missing = overdue
        return [*lines[:at], _Line(self._arrival(missing, ""), lasting=False, at_rest=False)]

    def literals(self, used: Collection[str]) -> list[str]:
        """Return the lines that define the frames."""
        wanted = [(frame, name) for frame, name in self._frames.items() if name in used]
        limit = self._account.max_frame
        lines = [f"{name} = {_literal(frame, number, limit)}" for number, (frame, name) in enumerate(wanted, 1)]
        if any("MAX_FRAME" in line for line in lines):
            lines[:0] = ['with opened("client") as probe:', "    MAX_FRAME = probe.guarantees.max_frame"]
        return lines

    def _line(self, operation: Operation, expected: Expected) -> str:
        verb, subject = operation.verb, _variable(operation.subject)
        if verb == "open":
            return f'{_variable(operation.made)} = opened("{operation.arguments[0]}")'
        if verb == "receive":
            return self._received(operation, expected)
        if expected.skip:
            return ""
        call = f"{self._called(operation, subject)}"
        made = _variable(operation.made) if operation.made else ""
        what = f"{subject}.{verb}"
        if expected.error is not None:
            return f'raises(treaty.{expected.error.__name__}, "{what}", lambda: {call})'
        if expected.wrong and expected.silent:
            return f'silent("{what}", lambda: {call})'
        if expected.wrong or operation.raised is not None:
            return f'{f"{made} = " * bool(made)}allowed("{what}", lambda: {call})'
        return f"{made} = {call}" if made else call

    def _called(self, operation: Operation, subject: str) -> str:
        verb, arguments = operation.verb, operation.arguments
        if verb == "send":
            return f"{subject}.send({_name(arguments[0])}, {self._frame(arguments[1])}, {_TIMEOUT})"
        if verb == "publish":
            return f"{subject}.publish({_name(arguments[0])}, {self._frame(arguments[1])})"
        if verb == "serve":
            return f"{subject}.serve({_name(arguments[0])}, {arguments[1]!r})"
        if verb == "subscribe":
            return f"{subject}.subscribe({_name(arguments[0])})"
        if verb in ("reply", "settle"):
            delivery = self._deliveries.get(arguments[0])
            if delivery is None:
                raise Doubt
            if verb == "reply":
                return f"{delivery}.reply({self._frame(arguments[1])})"
            return f"{delivery}.settle({'' if arguments[1] else 'accepted=False'})"
        return f"{subject}.{verb}()"

    def _received(self, operation: Operation, expected: Expected) -> str:
        what = f"{_variable(operation.subject)}.receive"
        if expected.error is not None:
            return f'raises(treaty.{expected.error.__name__}, "{what}", lambda: {what}(0.1))'
        if operation.raised is not None:
            return f'allowed("{what}", lambda: {what}({operation.arguments[0]!r}))'
        if expected.skip:
            return ""
        if expected.nothing:
            return f'nothing("{_variable(operation.subject)}", {self._ends(expected.ends)})'
        made = ""
        if not operation.subject.startswith("line"):
            self._count += 1
            made = f"delivery_{self._count}"
            self._deliveries[operation.delivery] = made
        return self._arrival(expected, made)

    def _arrival(self, expected: Expected, made: str) -> str:
        wanted, *others = [self._frame(one) for one in dict.fromkeys(expected.frames)]
        among = f", among=({', '.join(others)}{',' * (len(others) == 1)})" if others else ""
        where = ", ".join(map(_variable, expected.ends))
        return f'{f"{made} = " * bool(made)}arrives("{where}", {wanted}, {self._ends(expected.ends)}{among})'

    def _ends(self, ends: Sequence[str]) -> str:
        return ", ".join(map(_variable, ends))

    def _frame(self, frame: bytes) -> str:
        return self._frames.setdefault(bytes(frame), f"FRAME_{len(self._frames) + 1}")


def _variable(name: str) -> str:
    return name.replace("-", "_")


def _name(name: Any) -> str:
    """Return the name of a service or channel as source: each run has names of its own."""
    found = _NAMESPACE.match(name) if isinstance(name, str) else None
    if found is None:
        return repr(name)
    return f'NAMESPACE + "{name[found.end() :]}"' if name[found.end() :] else "NAMESPACE"
