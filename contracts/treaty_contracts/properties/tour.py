"""One walk that takes every step at least once, in an order that has something to find.

Drawn walks find what nobody thought of; this one sees to it that nothing plain is left to chance. It must not know
Hypothesis, nor what must come of a step.
"""

from __future__ import annotations

from treaty_contracts.properties import model
from treaty_contracts.properties.keeping import EXPECTATIONS
from treaty_contracts.properties.scene import STOPS, Scene

#: What goes there and comes back in a tour.
_VALUE = {"k": [1, 1.0, True, None, "\u00e9"]}
_ONE_WAY = ("echo", "fail", "nothing", "misfit")


def tour(scene: Scene, *, notifies: bool) -> None:
    """Take every step.

    Args:
        scene: is at its beginning.
        notifies: whether the transport carries notifications.

    Raises:
        Violated: something did not end as it must.
    """
    right, wrong = scene.make_client(wrong=False), scene.make_client(wrong=True)
    for person in (right, wrong):
        for kind in (*model.ANSWERED, *model.IN_VAIN):
            scene.call(person, kind, _VALUE)
            scene.check()
        for kind in _ONE_WAY:
            scene.notify(person, kind)
            scene.check()
    if notifies:
        _news(scene)
        _storage(scene)
    for how in STOPS[1:]:
        released, open_until_then = (scene.hold(right, kind, how) for kind in model.HELD)
        scene.hold(wrong, "hold", how)
        scene.release(released)
        scene.stop(how)
        scene.call(right, "echo", how)
        scene.start()
        scene.release(open_until_then)
        scene.check()
    given_up, left_open = (scene.hold(right, kind, None) for kind in model.HELD)
    scene.cancel(given_up)
    scene.cancel(given_up)
    scene.check()
    scene.close_client(right)
    scene.release(left_open)
    scene.check()


def _news(scene: Scene) -> None:
    right, wrong = scene.people
    hosts, everything = scene.subscribe(right, "Host.*"), scene.subscribe(right, "#")
    scene.subscribe(wrong, "#")
    for topic in ("Host.created", "Host", "Hosts.created"):
        scene.publish(topic, topic, forged=False)
        scene.check()
    scene.publish("Host.created", "forged", forged=True)
    scene.check()
    scene.unsubscribe(everything)
    scene.publish("Host.changed", _VALUE, forged=False)
    scene.unsubscribe(hosts)
    scene.check()


def _storage(scene: Scene) -> None:
    (right, wrong), keeping = scene.people, scene.keeping
    for person in (right, wrong):
        keeping.register(person)
        for expects in EXPECTATIONS:
            keeping.save(person, "a", 1, expects)
            scene.check()
        keeping.read(person, "a")
        keeping.read(person, "b")
        keeping.delete(person, "a", "as it was")
        keeping.delete(person, "a", "as it is")
        keeping.delete(person, "a", "whatever")
        scene.check()
    keeping.unregister()
    keeping.save(right, "b", 2, "nothing")
    scene.check()
