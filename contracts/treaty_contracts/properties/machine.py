"""A walk over the whole surface, one drawn step after the other: after each step all is known, and checked.

What a step does and what must come of it stands in ``scene``; here is which steps there are, and when each can be
taken. It must not know adapters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from treaty_contracts.bench import Bench
from treaty_contracts.properties import model
from treaty_contracts.properties.cases import VALUES, Cases, affordable
from treaty_contracts.properties.faces import Face
from treaty_contracts.properties.keeping import EXPECTATIONS, KEYS
from treaty_contracts.properties.scene import STOPS, Held, Listener, Person, Scene
from treaty_contracts.properties.tour import tour

#: How many clients, and how many subscriptions, there are at most.
_CROWD: Final = 4
#: How many calls are open at most: fewer than the service has workers.
_HELD: Final = 3
#: How many callbacks are registered at most.
_CALLBACKS: Final = 2
#: How many steps a walk has at most.
STEPS: Final = 30
_PATTERNS: Final = ("#", "*", "Host.*", "Host.created", "*.created", "Host.#", "#.created")
_TOPICS: Final = ("Host", "Host.created", "Host.x.created", "created", "Hosts.created")
_ONE_WAY: Final = ("echo", "echo_later", "fail", "nothing", "misfit")


def walk(bench: Bench, face: Face) -> None:
    """Take a walk that leaves nothing out, and drawn ones, on a face of the client.

    Raises:
        Violated: the smallest walk that went wrong; what it did stands at the bench.
    """
    cases = Cases(bench, affordable(bench, trips=2 * STEPS))
    bench.keep(face)
    with suppress(Exception), cases.case():  # what goes wrong is kept: a drawn walk may be shorter
        scene = Scene(bench, cases.trace, face)
        try:
            tour(scene, notifies=bench.guarantees.notifications)
        finally:
            scene.close()
    cases.walk(lambda: Walk(bench, cases, face), STEPS)


class Walk(RuleBasedStateMachine):
    """One walk.

    Args:
        bench: of the rule.
        cases: keeps what goes wrong.
        face: how clients are used.
    """

    clients: Bundle[Person] = Bundle("clients")
    calls: Bundle[Held] = Bundle("calls")
    subscriptions: Bundle[Listener] = Bundle("subscriptions")

    def __init__(self, bench: Bench, cases: Cases, face: Face) -> None:
        super().__init__()
        cases.begin()
        self._cases = cases
        self._notifies = bench.guarantees.notifications
        # Each takes its time where a service looks up only now and then.
        self._restarts_left = max(1, bench.profile.rounds // 3)
        self._open: Callable[[], Scene] = lambda: Scene(bench, cases.trace, face)
        self._scene: Scene | None = None

    @property
    def scene(self) -> Scene:
        """The world of this walk, which is opened by its first step."""
        if self._scene is None:
            self._scene = self._open()
        return self._scene

    @initialize(target=clients)
    def begin(self) -> Person:
        return self.scene.make_client(wrong=False)

    @precondition(lambda self: len(self.scene.people) < _CROWD)
    @rule(target=clients, wrong=st.sampled_from([False, False, True]))
    def make_client(self, wrong: bool) -> Person:
        return self.scene.make_client(wrong=wrong)

    @precondition(lambda self: len(self.scene.people) > 1)
    @rule(person=consumes(clients))
    def close_client(self, person: Person) -> None:
        self.scene.close_client(person)

    @rule(person=clients, kind=st.sampled_from(model.ANSWERED), value=VALUES)
    def call(self, person: Person, kind: str, value: Any) -> None:
        self.scene.call(person, kind, value)

    @rule(person=clients, kind=st.sampled_from(model.IN_VAIN), value=VALUES)
    def call_in_vain(self, person: Person, kind: str, value: Any) -> None:
        self.scene.call(person, kind, value)

    @precondition(lambda self: len(self.scene.held()) < _HELD)
    @rule(target=calls, person=clients, kind=st.sampled_from(model.HELD), value=VALUES)
    def hold(self, person: Person, kind: str, value: Any) -> Held:
        return self.scene.hold(person, kind, value)

    @rule(held=calls)
    def release(self, held: Held) -> None:
        self.scene.release(held)

    @rule(held=calls)
    def cancel(self, held: Held) -> None:
        self.scene.cancel(held)

    @rule(person=clients, kind=st.sampled_from(_ONE_WAY))
    def notify(self, person: Person, kind: str) -> None:
        self.scene.notify(person, kind)

    @precondition(lambda self: self._notifies and self.scene.listening < _CROWD)
    @rule(target=subscriptions, person=clients, pattern=st.sampled_from(_PATTERNS))
    def subscribe(self, person: Person, pattern: str) -> Listener:
        return self.scene.subscribe(person, pattern)

    @rule(listener=consumes(subscriptions))
    def unsubscribe(self, listener: Listener) -> None:
        self.scene.unsubscribe(listener)

    @precondition(lambda self: self.scene.listening > 0)
    @rule(topic=st.sampled_from(_TOPICS), value=VALUES, forged=st.sampled_from([False, False, False, True]))
    def publish(self, topic: str, value: Any, forged: bool) -> None:
        self.scene.publish(topic, value, forged=forged)

    @precondition(lambda self: self._notifies)
    @rule(person=clients, key=st.sampled_from(KEYS), size=st.integers(0, 3), expects=st.sampled_from(EXPECTATIONS))
    def save(self, person: Person, key: str, size: int, expects: str) -> None:
        self.scene.keeping.save(person, key, size, expects)

    @precondition(lambda self: self._notifies)
    @rule(person=clients, key=st.sampled_from(KEYS), expects=st.sampled_from(EXPECTATIONS))
    def delete(self, person: Person, key: str, expects: str) -> None:
        self.scene.keeping.delete(person, key, expects)

    @precondition(lambda self: self._notifies)
    @rule(person=clients, key=st.sampled_from(KEYS))
    def read(self, person: Person, key: str) -> None:
        self.scene.keeping.read(person, key)

    @precondition(lambda self: self._notifies and self.scene.callbacks < _CALLBACKS)
    @rule(person=clients)
    def register(self, person: Person) -> None:
        self.scene.keeping.register(person)

    @precondition(lambda self: self._notifies and self.scene.callbacks > 0)
    @rule()
    def unregister(self) -> None:
        self.scene.keeping.unregister()

    @precondition(lambda self: self._restarts_left > 0)
    @rule(how=st.sampled_from(STOPS), callers=st.lists(clients, max_size=2), value=VALUES)
    def restart(self, how: str, callers: list[Person], value: Any) -> None:
        self._restarts_left -= 1
        self.scene.stop(how)
        for person in callers:
            self.scene.call(person, "echo", value)
        self.scene.start()

    @invariant()
    def nothing_else_happened(self) -> None:
        self.scene.check()

    def teardown(self) -> None:
        self._cases.end(sys.exception())
        if self._scene is not None:
            self._scene.close()
