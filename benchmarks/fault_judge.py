"""What is to be said of a fault run: the records of the subscribers beside the log of the store, change by change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from benchmarks.fault_models import Expected, GapTold, Told

#: How many findings are spelled out.
_SPELLED = 20
#: The objects of a store: version and value by model and key.
Objects: TypeAlias = dict[tuple[str, str], tuple[int, str]]


class Logged(NamedTuple):
    """A change, as the store has it."""

    sequence: int
    epoch: str
    event: str
    model: str
    key: str


class Life(NamedTuple):
    """What one life of a subscriber recorded."""

    name: str
    record: Path
    #: Whether it began with what was there, rather than with an empty store.
    snapshot: bool
    #: Whether it saw the end.
    last: bool
    told: Sequence[Told | GapTold]


class Verdict:
    """What was found."""

    def __init__(self) -> None:
        #: Changes that nobody told a subscriber of, final states that differ from the store.
        self.silent = 0
        self.duplicates = 0
        self.disorder = 0
        #: What a subscriber was told that was not so, or the store does not hold what was saved.
        self.wrong = 0
        self.gaps = 0
        self.resyncs = 0
        self.told = 0
        self.changes = 0
        self.repeated = 0
        self.seconds = 0.0
        self.faults: Counter[str] = Counter()
        self.findings: list[str] = []

    @property
    def good(self) -> bool:
        """Whether everything is as promised."""
        return not (self.silent or self.duplicates or self.disorder or self.wrong)

    def __str__(self) -> str:
        return (
            f"silent gaps {self.silent}, duplicates {self.duplicates}, out of order {self.disorder}, wrong {self.wrong}; "
            f"{self.gaps} gaps reported and healed, {self.resyncs} resyncs"
        )

    def find(self, what: str, where: str) -> None:
        """Count something that must not be."""
        setattr(self, what, getattr(self, what) + 1)
        if len(self.findings) < _SPELLED:
            self.findings.append(f"{what}: {where}")

    def judge(self, lives: Sequence[Life], log: Sequence[Logged], objects: Objects) -> None:
        """Judge what the subscribers were told."""
        for life in lives:
            gaps = [one for one in life.told if isinstance(one, GapTold)]
            self.gaps += len(gaps)
            self.resyncs += sum(gap.resync for gap in gaps)
            for registration in ("Host", "any"):
                mine = [one for one in life.told if isinstance(one, Told) and one.registration == registration]
                self.told += len(mine)
                about = [one for one in log if registration in ("any", one.model)]
                where = f"{life.record.name} {registration}"
                state = self._judge_one(where, mine, about, is_snapshot=life.snapshot, is_last=life.last)
                there = {which: found for which, found in objects.items() if registration in ("any", which[0])}
                if life.last and state != there:
                    differ = sorted(one for one in state.keys() | there.keys() if state.get(one) != there.get(one))
                    self.find("silent", f"{where} ends with {len(differ)} other objects than the store: {differ[:3]}")

    def judge_store(self, expected: Expected, found: dict[tuple[str, str], tuple[str, str]]) -> None:
        """Judge what is in the store: value and password of each object, beside what the writers saved."""
        self.repeated = expected.repeated
        for trouble in expected.troubles:
            self.find("wrong", trouble)
        wanted = {(model, key): (value, password) for model, key, value, password in expected.objects}
        for which in sorted(wanted.keys() | found.keys()):
            if wanted.get(which) != found.get(which):
                self.find("wrong", f"the store has {found.get(which)} for {which}, and {wanted.get(which)} was saved")

    def _judge_one(
        self, where: str, told: Sequence[Told], log: Sequence[Logged], *, is_snapshot: bool, is_last: bool
    ) -> Objects:
        """Judge one registration in one life. Return the state that whoever heard nothing else believes in."""
        state: Objects = {}
        listed = 0
        while is_snapshot and listed < len(told) and told[listed].source == "snapshot":
            self._fold(state, told[listed])
            listed += 1
        snapshot = {which: version for which, (version, _) in state.items()}
        rest = told[listed:]
        first = rest[0].sequence if is_snapshot and rest else 1
        if not rest:
            first = log[-1].sequence + 1 if log and (is_snapshot or not is_last) else 1
        seen: dict[int, Told] = {}
        before = 0
        for one in rest:
            if one.sequence in seen:
                self.find("duplicates", f"{where}: {one}")
                continue
            if one.sequence <= before:
                self.find("disorder", f"{where}: {one} after {before}")
            before = max(before, one.sequence)
            seen[one.sequence] = one
        end = (log[-1].sequence if log else 0) if is_last else before
        for change in log:
            heard = seen.pop(change.sequence, None)
            which = (change.model, change.key)
            if heard is not None:
                if (heard.epoch, heard.event, heard.model, heard.key) != (change.epoch, change.event, *which):
                    self.find("wrong", f"{where}: {heard} was {change}")
                self._fold(state, heard)
            elif first <= change.sequence <= end:
                known = snapshot.get(which, 0) >= change.sequence or (
                    is_snapshot and change.event == "deleted" and which not in state
                )
                if not known:
                    self.find("silent", f"{where} never heard of {change}")
        for one in seen.values():
            self.find("wrong", f"{where}: {one} is not in the log")
        return state

    @staticmethod
    def _fold(state: Objects, told: Told) -> None:
        if told.event == "deleted":
            state.pop((told.model, told.key), None)
        else:
            state[told.model, told.key] = (told.sequence, told.value)
