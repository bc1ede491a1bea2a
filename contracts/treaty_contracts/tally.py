"""Makes a report of the events of a session, line by line, and at the end the verdict.

This room must not know where events come from, nor how anything is shown.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

import treaty
from treaty import Guarantees
from treaty_contracts.baseline import Known
from treaty_contracts.profile import PROFILES
from treaty_contracts.registry import REQUIREMENT_SETS, TRANSPORT, Level, find, required, rules
from treaty_contracts.report import SCHEMA, Footer, Header, Record, Report, counts
from treaty_contracts.session import Began, Declared, Event, Judged, Noted, Order, Refused
from treaty_contracts.store_target import Promises
from treaty_contracts.summary import Summary, Word, summarise
from treaty_contracts.verdict import Outcome


class Tally:
    """What is known about one target so far.

    Args:
        order: what was asked for.
        known: the entries of the baseline that are good, by rule.
        stale: what is wrong with the others.
        write: gets each line of the report as soon as it is certain.
    """

    def __init__(
        self, order: Order, known: Mapping[str, Known], stale: Sequence[str], write: Callable[[Any], None]
    ) -> None:
        self.target = order.spec
        self.planned: tuple[str, ...] = ()
        self.outcomes: dict[str, Outcome] = {}
        self.known = known
        self.error = ""
        self._ours = False
        self.notes: list[str] = []
        self._order = order
        self._stale = stale
        self._write = write
        self._hooks: tuple[str, ...] = ()
        self._kind = TRANSPORT
        self._scale = order.time_scale
        self._header: Header | None = None
        self._records: list[Record] = []
        self._started = datetime.now(UTC)
        self._clock = time.monotonic()

    def enter(self, event: Event) -> None:
        """Account for an event of this target."""
        if isinstance(event, Began):
            self.target, self.planned, self._hooks = event.target, event.planned, event.hooks
            self._scale, self._kind = event.time_scale, event.kind
        elif isinstance(event, Declared):
            self.planned += event.besides
            self._begin(event.guarantees, event.promises)
        elif isinstance(event, Judged):
            self.outcomes[event.outcome.rule] = event.outcome
            if not event.open:
                self._keep(event.outcome)
        elif isinstance(event, Noted):
            self.notes.append(event.text)
        elif isinstance(event, Refused):
            self.target, self.error, self._ours = event.target, event.text, event.ours

    @property
    def summary(self) -> Summary:
        """The verdict on what is known so far."""
        made = summarise(rules(self._kind), self._required, self.outcomes, self.known, self._stale)
        if self.error:
            made = msgspec.structs.replace(made, word=Word.ERROR if self._ours else Word.SETUP)
        return msgspec.structs.replace(made, warnings=(*self.notes, *made.warnings))

    @property
    def seconds(self) -> float:
        """How long it took until now."""
        return time.monotonic() - self._clock

    def end(self) -> Report:
        """Write the footer and return the whole report."""
        header = self._begin(None)
        written = {record.outcome.rule for record in self._records}
        for outcome in self.outcomes.values():
            if outcome.rule not in written:  # it was to be run again, and the session ended before
                self._keep(outcome)
        summary = self.summary
        footer = Footer(
            summary=summary,
            exit_code=summary.exit_code,
            seconds=self.seconds,
            counts=counts(self.outcomes.values(), header.catalogue),
            error=self.error,
        )
        self._write(footer)
        return Report(header, tuple(self._records), footer)

    @property
    def _required(self) -> dict[str, Level]:
        return required(REQUIREMENT_SETS[self._kind])

    def _begin(self, guarantees: Guarantees | None, promises: Promises | None = None) -> Header:
        if self._header is None:
            self._header = Header(
                schema=SCHEMA,
                suite=treaty.__version__,
                requirements=REQUIREMENT_SETS[self._kind],
                catalogue=len(rules(self._kind)),
                target=self.target,
                source=self._order.spec,
                guarantees=guarantees,
                promises=promises,
                hooks=self._hooks,
                python=f"{platform.python_implementation()} {platform.python_version()}",
                platform=platform.platform(),
                profile=self._order.profile,
                examples=PROFILES[self._order.profile].examples,
                seed=self._order.seed,
                time_scale=self._scale,
                only=self._order.only,
                started=self._started,
            )
            self._write(self._header)
        return self._header

    def _keep(self, outcome: Outcome) -> None:
        rule, demanded = find(outcome.rule), self._required
        record = Record(
            outcome=outcome,
            level=demanded.get(rule.id, rule.level),
            sentence=rule.sentence,
            provisional=rule.id not in demanded,
            known=self.known.get(rule.id),
        )
        self._records.append(record)
        self._write(record)
