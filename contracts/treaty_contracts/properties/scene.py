"""The steps of a walk, each with what must come of it: acts, waits until all is known, and checks it.

Nothing waits for silence: a step ends with a fence, a call or a notification behind which nothing older can be under
way. It must not know Hypothesis, nor who chooses the steps.
"""

from __future__ import annotations

import queue
from dataclasses import dataclass, field
from typing import Any, Final

from treaty import Client, ConnectionLost, Notification, Pending, Subscription, Transport, Unavailable
from treaty_contracts.aside import Aside
from treaty_contracts.bench import Bench
from treaty_contracts.expect import until
from treaty_contracts.properties import model
from treaty_contracts.properties.faces import Face
from treaty_contracts.properties.keeping import Keeping
from treaty_contracts.properties.model import End, Model
from treaty_contracts.properties.stage import Actor, Logbook, Stage, stranger
from treaty_contracts.recording import Trace
from treaty_contracts.surface import Ended
from treaty_contracts.workbench import quietly

#: The ways in which a service stops.
STOPS: Final = ("at once", "when its handlers are done", "and its transport is closed")
#: What the first call to another transport object may end with.
_BROKEN: Final = (ConnectionLost, Unavailable)


@dataclass(eq=False)
class Person:
    """A client, by the name that the steps give it."""

    label: str
    client: Client
    wrong: bool


@dataclass(eq=False)
class Held:
    """A call that stays open until something is done about it, and how it ended."""

    token: int
    person: Person
    pending: Pending
    natural: End
    ended: Ended | None = None


@dataclass(eq=False)
class Listener:
    """A subscription and what it hears."""

    label: str
    person: Person
    pattern: str
    subscription: Subscription
    heard: queue.SimpleQueue[Notification] = field(default_factory=queue.SimpleQueue)
    live: bool = True


class Scene:
    """The world of one walk: one service, some clients.

    Args:
        bench: of the rule.
        trace: where frames are written down.
        face: how clients are used.
    """

    def __init__(self, bench: Bench, trace: Trace, face: Face) -> None:
        self._bench, self._face, self._expect = bench, face, bench.expect
        self._model, self._book = Model(), Logbook()
        self._stage = Stage(bench, trace, self._book)
        self._ordered = bench.guarantees.ordered
        #: Longer than a walk, so that held calls end by what is done to them.
        self._long = bench.times.arrive * 3
        self._brief = bench.times.brief / 4
        self.people: list[Person] = []
        self.listeners: list[Listener] = []
        self._held: list[Held] = []
        self._made = 0
        self._near: Transport | None = None
        self._keeping: Keeping | None = None
        self._set_up()

    @property
    def serving(self) -> bool:
        """Whether the service runs."""
        return self._model.serving

    @property
    def listening(self) -> int:
        """How many subscriptions are open."""
        return sum(listener.live for listener in self.listeners)

    @property
    def callbacks(self) -> int:
        """How many callbacks are registered for what is saved."""
        return 0 if self._keeping is None else self._keeping.listening

    def held(self, person: Person | None = None) -> list[Held]:
        """Return the calls that are open."""
        return [one for one in self._held if one.ended is None and person in (None, one.person)]

    @property
    def keeping(self) -> Keeping:
        """The storage service of this walk, which is started by the first step that needs it."""
        if self._keeping is None:
            self._keeping = Keeping(self._bench, self._face, f"{self._actor.name}-storage", self._long)
            self._keeping.serve(self._far)
        return self._keeping

    # Clients

    def make_client(self, *, wrong: bool) -> Person:
        """Make a client."""
        label = self._label("client")
        self._did(f"{label} is made{', with another secret' * wrong}")
        if self._near is None:
            self._near = self._stage.transport("client")
        made = Person(label, self._stage.client(self._near, wrong=wrong), wrong)
        self.people.append(made)
        return made

    def close_client(self, person: Person) -> None:
        """Close a client: its open calls end, and its subscriptions with it."""
        self._did(f"{person.label} is closed")
        if self._keeping is not None:
            self._keeping.leave(person.client)
        self._face.do(person.client.close, self._long)
        self.people.remove(person)
        for held in self.held(person):
            self._ends(held, model.closed())
            self._book.open(held.token)
        for listener in self.listeners:
            listener.live = listener.live and listener.person is not person
        self._stand_still()

    # Calls

    def call(self, person: Person, kind: str, value: Any) -> None:
        """Make a call that ends by itself."""
        token = self._model.token()
        self._did(f"{person.label} makes call {token}: {kind}, with {value!r}")
        if not self.serving:
            self._call(person, kind, token, value, model.unanswered(gone=self._gone), self._brief)
        else:
            expected = model.REFUSED if person.wrong and kind != "absent" else model.end(kind, token, value)
            ends_soon = model.REFUSED is expected or kind not in ("late", "absent")
            self._call(person, kind, token, value, expected, self._bench.times.arrive if ends_soon else self._brief)
        self._book.open(token)
        self._stand_still()

    def hold(self, person: Person, kind: str, value: Any) -> Held:
        """Make a call that stays open."""
        token = self._model.token()
        self._did(f"{person.label} makes call {token}: {kind}, with {value!r}, which stays open")
        pending = self._face.send(person.client, self._target(kind), [token, value], self._long, self._long)
        held = Held(token, person, pending, model.end(kind, token, value))
        self._held.append(held)
        self._model.runs[token] = model.REFUSED.runs if person.wrong else held.natural.runs
        if person.wrong:
            self._ends(held, model.REFUSED)
        else:
            self._runs(token)
        return held

    def release(self, held: Held) -> None:
        """Let the handler of a call go."""
        self._did(f"the handler of call {held.token} is let go")
        self._book.open(held.token)
        if not self._is_over(held):
            self._ends(held, held.natural)
        self._stand_still()

    def cancel(self, held: Held) -> None:
        """Give a call up, and let its handler answer late."""
        self._did(f"call {held.token} is cancelled, and its handler let go")
        self._face.cancel(held.pending, self._long)
        if not self._is_over(held):
            self._ends(held, model.cancelled())
        self._book.open(held.token)
        self._stand_still()
        if self.serving and held.person in self.people:
            self._fence(held.person)

    def notify(self, person: Person, kind: str) -> None:
        """Make a call one way."""
        token = self._model.token()
        self._did(f"{person.label} makes call {token}: {kind}, one way")
        expected = model.REFUSED if person.wrong else model.end(kind, token, None)
        self._model.runs[token] = expected.runs
        self._face.do(lambda: person.client.notify(self._target(kind), model.params(kind, token, None)), self._long)
        if expected.runs == {1}:
            self._runs(token)
        self._stand_still()
        self._fence(person)

    # Notifications

    def subscribe(self, person: Person, pattern: str) -> Listener:
        """Listen to the service."""
        label = self._label("subscription")
        self._did(f"{label}: {person.label} subscribes to {pattern}")
        full = f"{self._actor.name}.{pattern}"
        listener = Listener(label, person, pattern, self._face.do(lambda: person.client.subscribe(full), self._long))
        self._face.listen(listener.subscription, listener.heard)
        self.listeners.append(listener)
        return listener

    def unsubscribe(self, listener: Listener) -> None:
        """Stop listening."""
        self._did(f"{listener.label} is closed")
        self._face.do(listener.subscription.close, self._long)
        listener.live = False

    def publish(self, topic: str, value: Any, *, forged: bool) -> None:
        """Publish, as the service or as somebody else, and then markers: each subscriber hears one at least."""
        self._did(f"{'somebody with another secret' if forged else 'the service'} publishes {value!r} as {topic}")
        publisher = self._forger if forged else self._actor
        self._face.do(lambda: publisher.publish(topic, value), self._long)
        said = [] if forged else [(topic, value)]
        for pattern in dict.fromkeys(listener.pattern for listener in self.listeners if listener.live):
            said.append((model.marker(pattern), pattern))
            self._actor.publish(*said[-1])
        for listener in self.listeners:
            if listener.live and not listener.person.wrong:
                self._hears(listener, [(topic, data) for topic, data in said if model.fits(listener.pattern, topic)])

    # The life of the service

    def stop(self, how: str) -> None:
        """Stop the service, in one of the ways in ``STOPS``."""
        self._did(f"the service stops {how}")
        self._gone, drained = how == STOPS[2], how == STOPS[1]
        if self._gone:
            # Whether a subscription outlives the endpoint is another question.
            for listener in self.listeners:
                listener.subscription.close()
                listener.live = False
        stopping = Aside(lambda: self._actor.stop(self._long if drained else 0))
        for held in self.held():
            if drained:
                self._book.open(held.token)
            self._ends(held, held.natural if drained else model.stopped())
            self._book.open(held.token)
        stopping.result(self._long)
        self._model.serving = False
        if self._gone:
            if self._keeping is not None:
                self._keeping.stop()
            self._far.close()
        self._stand_still()

    def start(self) -> None:
        """Start the service again: every client that stayed reaches it."""
        self._did("the service is started again")
        if gone := self._gone:
            self._set_up()
            if self._keeping is not None:
                self._keeping.serve(self._far)
        else:
            self._actor.start()
            self._model.serving = True
        for person in self.people:
            self._fence(person, may_fail=gone)

    # What holds after each step

    def check(self) -> None:
        """Check that nothing happened that nobody caused."""
        for person in self.people:
            open_calls = len(self.held(person))
            self._expect.equal(person.client.open_calls, open_calls, f"how many calls of {person.label} are open")
        for listener in self.listeners:
            nothing = listener.heard.empty()
            self._expect.that(nothing, f"{listener.label} hears only what was published for it", "something else, too")
        if self._keeping is not None:
            self._keeping.check()
        strays = self._model.strays(self._book.runs)
        self._expect.that(not strays, "each handler runs as often as it was called", "; ".join(strays))

    def close(self) -> None:
        """Put everything away."""
        if self._keeping is not None:
            quietly(self._keeping.stop)
        self._stage.close()

    # In common

    def _did(self, what: str) -> None:
        self._bench.did(what)

    def _label(self, kind: str) -> str:
        self._made += 1
        return f"{kind} {self._made}"

    def _set_up(self) -> None:
        """Start the service at a transport object of its own."""
        self._far = self._stage.transport("service")
        self._stage.keeper(self._far)
        self._actor: Actor = self._stage.actor(self._far)
        self._forger: Actor = self._stage.actor(self._far, secret=stranger())
        self._actor.start()
        self._gone = False
        self._model.serving = True

    def _target(self, kind: str) -> str:
        service = f"{self._actor.name}-absent" if kind == "absent" else self._actor.name
        return f"{service}.{model.METHODS.get(kind, kind)}"

    def _call(self, person: Person, kind: str, token: int, value: Any, expected: End, timeout: float) -> Ended:
        """Make a call, and compare its end. How late it ends is another question."""
        target, params = self._target(kind), model.params(kind, token, value)
        if expected.statuses:
            pending = self._face.send(person.client, target, params, timeout, self._long)
            ended = self._face.end(pending, timeout + self._bench.times.arrive)
        else:
            ended = self._face.call(person.client, target, params, timeout, timeout + self._bench.times.arrive)
        self._model.runs[token] = expected.settled(ended.error)
        self._compare(token, ended, expected)
        return ended

    def _ends(self, held: Held, expected: End) -> None:
        held.ended = self._face.end(held.pending, self._bench.times.arrive)
        self._compare(held.token, held.ended, expected)

    def _compare(self, token: int, ended: Ended, expected: End) -> None:
        seen = repr(ended.error) if ended.error else f"the result {ended.value!r}"
        self._expect.that(expected.fits(ended.value, ended.error), f"call {token} ends with {expected}", seen)
        reasons = tuple(status.reason for status in ended.statuses)
        fits = reasons == expected.statuses if self._ordered else reasons == tuple(sorted(set(reasons)))
        self._expect.that(fits, f"the status messages of call {token}: {expected.statuses}", reasons)

    def _is_over(self, held: Held) -> bool:
        """A call ends once: whoever asks again is told the same."""
        if held.ended is None:
            return False
        again = self._face.end(held.pending, self._bench.times.arrive)
        self._expect.that(again == held.ended, f"call {held.token} ends once, with {held.ended}", again)
        return True

    def _runs(self, token: int) -> None:
        ran = until(lambda: self._book.runs.get(token), self._bench.times.arrive)
        self._expect.that(ran, f"the handler of call {token} runs", "it does not")

    def _stand_still(self) -> None:
        """Wait until no handler runs but those of open calls."""
        still = until(lambda: len(self._book.running) <= len(self.held()), self._bench.times.arrive)
        self._expect.that(still, "handlers end when their gates are open", f"{sorted(self._book.running)} still run")

    def _fence(self, person: Person, *, may_fail: bool = False) -> None:
        """Make a call behind which nothing older of that client's can be under way."""
        token = self._model.token()
        expected = model.REFUSED if person.wrong else model.end("echo", token, "fence")
        if may_fail:
            target, params = self._target("echo"), model.params("echo", token, "fence")
            ended = self._face.call(person.client, target, params, self._bench.times.arrive, self._long * 2)
            self._model.runs[token] = expected.settled(ended.error)
            if isinstance(ended.error, _BROKEN):
                self._model.runs[token] = model.UNKNOWN
                return self._fence(person)
            return self._compare(token, ended, expected)
        self._call(person, "echo", token, "fence", expected, self._bench.times.arrive)
        return None

    def _hears(self, listener: Listener, expected: list[tuple[str, Any]]) -> None:
        heard: list[tuple[str, Any]] = []
        for _ in expected:
            try:
                notification = listener.heard.get(timeout=self._bench.times.arrive)
            except queue.Empty:
                break
            heard.append((notification.topic.partition(".")[2], notification.data))
        if not self._ordered:
            heard, expected = sorted(heard, key=repr), sorted(expected, key=repr)
        fits = len(heard) == len(expected) and all(
            topic == wanted and model.same(data, value)
            for (topic, data), (wanted, value) in zip(heard, expected, strict=True)
        )
        self._expect.that(fits, f"{listener.label} hears {expected}", heard)
