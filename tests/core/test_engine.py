"""Two engines back to back over a link that loses, doubles, delays and reorders, under a drawn schedule."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from treaty import AuthenticationError, Cancelled, ConnectionLost, DeadlineExceeded, Request, Response
from treaty.codec import decode
from treaty.engine import Answer, Ended, Exchange, Instant, Progressed, Run, Stop
from treaty.ledger import OpenCall

from .world import ADDRESS, KEYRING, NOW, answerer, caller

picks = st.integers(0, 2**16)


class Link(RuleBasedStateMachine):
    """What is on its way in either direction, which handlers run, and what has become of each call."""

    @initialize(ahead=st.integers(-30_000, 30_000), drift=st.floats(-1000, 1000))
    def begin(self, ahead: int, drift: float) -> None:
        self.caller, self.answerer = caller(), answerer()
        self.now = NOW
        #: The service's clocks show other times than the caller's.
        self.ahead, self.drift = ahead, drift
        self.asked: list[bytes] = []
        self.answered: list[bytes] = []
        self.calls: dict[str, OpenCall] = {}
        self.outcomes: dict[str, Ended] = {}
        self.running: list[Exchange] = []
        self.ran: set[str] = set()
        self.told_to_stop: set[str] = set()
        self.last_news: dict[str, int] = {}

    @property
    def there(self) -> Instant:
        """The present, by the service's clocks."""
        return Instant(self.now.wall + self.ahead, self.now.steady + self.drift)

    # The caller

    @rule(timeout=st.floats(0.001, 90))
    def call(self, timeout: float) -> None:
        number = str(len(self.calls))
        outgoing = self.caller.request("slow.echo", [number], timeout=timeout, now=self.now, reply=ADDRESS)
        assert outgoing.call is not None
        self.calls[outgoing.call.id] = outgoing.call
        self.asked.append(outgoing.frame)

    @precondition(lambda self: self.caller.open_calls)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        still_open = self.still_open
        call = still_open[pick % len(still_open)]
        ended = self.caller.give_up(call, Cancelled("enough"))
        assert ended is not None
        self.end(ended)
        self.asked.append(self.caller.cancel(call, self.now).frame)

    @precondition(lambda self: self.answered)
    @rule(pick=picks, again=st.booleans())
    def deliver_answer(self, pick: int, again: bool) -> None:
        happened = self.caller.receive(self.take(self.answered, pick, again))
        if isinstance(happened, Ended):
            self.end(happened)
        elif isinstance(happened, Progressed):
            identifier = happened.call.id
            assert happened.status.id == identifier not in self.outcomes
            assert happened.status.seq > self.last_news.get(identifier, 0), "news out of order"
            self.last_news[identifier] = happened.status.seq

    def end(self, ended: Ended) -> None:
        identifier = ended.call.id
        assert identifier not in self.outcomes, "a call ended twice"
        assert self.calls[identifier] is ended.call
        self.outcomes[identifier] = ended
        if isinstance(ended.outcome, Response):
            assert ended.outcome.id == identifier, "the answer to another call"
            assert self.now.steady < ended.call.deadline, "an answer after the deadline"
            if ended.outcome.error is None:
                assert ended.outcome.result == list(self.calls).index(identifier)

    # The service

    @precondition(lambda self: self.asked)
    @rule(pick=picks, again=st.booleans())
    def deliver_question(self, pick: int, again: bool) -> None:
        asked = self.answerer.receive(self.take(self.asked, pick, again), now=self.there, reply_to=ADDRESS)
        if isinstance(asked, Run):
            request = asked.exchange.request
            assert request.id not in self.ran, "ran twice"
            assert request.id not in self.told_to_stop, "ran after it was cancelled"
            assert self.there.wall < request.created + request.ttl, "ran when it had expired"
            assert asked.exchange.deadline <= self.there.steady + request.ttl / 1000
            self.ran.add(request.id)
            self.running.append(asked.exchange)
        elif isinstance(asked, Stop):
            self.told_to_stop.add(asked.id)
        elif isinstance(asked, Answer) and asked.frame is not None:
            self.answered.append(asked.frame)

    @precondition(lambda self: self.running)
    @rule(pick=picks)
    def report(self, pick: int) -> None:
        exchange = self.running[pick % len(self.running)]
        self.answered.append(self.answerer.status(exchange, 102, now=self.there))

    @precondition(lambda self: self.running)
    @rule(pick=picks)
    def finish(self, pick: int) -> None:
        exchange = self.running.pop(pick % len(self.running))
        assert isinstance(exchange.request.params, list)
        self.answered.append(self.answerer.result(exchange, int(exchange.request.params[0]), now=self.there))

    # The world

    @staticmethod
    def take(way: list[bytes], pick: int, again: bool) -> bytes:
        """Any frame on its way, which may come once more."""
        return way[pick % len(way)] if again else way.pop(pick % len(way))

    @precondition(lambda self: self.asked or self.answered)
    @rule(pick=picks)
    def lose(self, pick: int) -> None:
        self.take(self.asked or self.answered, pick, again=False)

    @precondition(lambda self: self.asked or self.answered)
    @rule(pick=picks, bit=picks)
    def damage(self, pick: int, bit: int) -> None:
        way = self.answered if self.answered and pick % 2 else self.asked or self.answered
        at = pick % len(way)
        frame = bytearray(way[at])
        frame[bit // 8 % len(frame)] ^= 1 << bit % 8
        way[at] = bytes(frame)

    @precondition(lambda self: self.caller.open_calls)
    @rule(pick=picks)
    def say_that_it_was_sent(self, pick: int) -> None:
        still_open = self.still_open
        call = still_open[pick % len(still_open)]
        call.sent = True
        if call.loss is not None:
            self.caller.sent_beside_loss(call, self.now)

    @rule()
    def tell_of_a_loss(self) -> None:
        sent = {call.id for call in self.still_open if call.sent}
        ended = self.caller.lost(ConnectionLost("cut"), self.now)
        assert {one.call.id for one in ended} == sent
        for one in ended:
            self.end(one)

    @rule(seconds=st.floats(0.001, 1) | st.floats(1, 60))
    def wait(self, seconds: float) -> None:
        self.now = Instant(self.now.wall + round(seconds * 1000), self.now.steady + seconds)
        for ended in self.caller.expire(self.now):
            if isinstance(ended.outcome, ConnectionLost):
                assert ended.call.sent and ended.call.told + 1 <= self.now.steady
            else:
                assert isinstance(ended.outcome, DeadlineExceeded) and ended.call.deadline <= self.now.steady
            self.end(ended)

    @property
    def still_open(self) -> list[OpenCall]:
        return [call for call in self.calls.values() if call.id not in self.outcomes]

    @invariant()
    def nobody_waits_past_a_deadline(self) -> None:
        still_open = [call.due for call in self.still_open]
        assert all(due > self.now.steady for due in still_open)
        assert self.caller.open_calls == len(still_open)
        next_look = self.caller.next_deadline()
        assert (next_look is None) == (not still_open)
        assert next_look is None or next_look <= min(still_open)

    def teardown(self) -> None:
        if hasattr(self, "calls"):
            self.wait(86_400)
            assert self.caller.open_calls == 0
            assert self.outcomes.keys() == self.calls.keys(), "a call never ended"


TestLink = Link.TestCase
TestLink.settings = settings(deadline=None)


def test_over_a_good_link_every_call_is_answered() -> None:
    here, there = caller(), answerer()
    for number in range(100):
        outgoing = here.request("slow.echo", [str(number)], timeout=1, now=NOW, reply=ADDRESS)
        asked = there.receive(outgoing.frame, now=NOW, reply_to=ADDRESS)
        assert isinstance(asked, Run)
        happened = here.receive(there.result(asked.exchange, asked.bound.args[0], now=NOW))
        assert isinstance(happened, Ended) and isinstance(happened.outcome, Response)
        assert (happened.call, happened.outcome.result) == (outgoing.call, str(number))
    assert here.open_calls == 0


def test_every_frame_offered_to_every_end_in_every_role_is_taken_once() -> None:
    """Captured traffic, given to both ends again: nothing runs and nothing ends a second time."""
    here, there = caller(), answerer()
    outgoing = here.request("slow.echo", [], timeout=1, now=NOW, reply=ADDRESS)
    asked = there.receive(outgoing.frame, now=NOW, reply_to=ADDRESS)
    assert isinstance(asked, Run) and outgoing.call is not None
    captured = [
        outgoing.frame,
        there.status(asked.exchange, 102, now=NOW),
        there.result(asked.exchange, 1, now=NOW),
        here.cancel(outgoing.call, NOW).frame,
    ]
    ends = [here.receive(frame) for frame in captured * 2]
    assert sum(isinstance(happened, Ended) for happened in ends) == 1
    strangers = (there, answerer(service="other"))
    runs = [end.receive(frame, now=NOW, reply_to=ADDRESS) for end in strangers for frame in captured]
    assert not [what for what in runs if isinstance(what, Run)]


def test_an_answer_to_a_request_that_was_altered_says_so_to_its_caller() -> None:
    here, there = caller(), answerer()
    outgoing = here.request("slow.echo", [], timeout=1, now=NOW, reply=ADDRESS)
    asked = there.receive(outgoing.frame[:-1] + b"!", now=NOW, reply_to=ADDRESS)
    assert isinstance(asked, Answer) and asked.frame is not None
    happened = here.receive(asked.frame)
    assert isinstance(happened, Ended) and isinstance(happened.outcome, AuthenticationError)


def test_what_travels_is_what_was_asked() -> None:
    outgoing = caller().request("slow.echo", {"text": "hi"}, timeout=1, now=NOW)
    message = decode(b"q", KEYRING.open(outgoing.frame, b"q").body)
    assert isinstance(message, Request)
    assert (message.service, message.name, message.params) == ("slow", "echo", {"text": "hi"})
