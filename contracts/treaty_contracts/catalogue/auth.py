"""AUTH: who does not hold the secret is refused, at once, and everywhere; and the secret stays where it is.

It must not know how seals work, beyond the public keyring.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

import logging
import os
import queue

from treaty import AuthenticationError, Key, Keyring, Notification
from treaty_contracts import forge
from treaty_contracts.bench import Bench
from treaty_contracts.catalogue.channels import next_heard
from treaty_contracts.expect import until
from treaty_contracts.registry import BOTH, Level, Strength, rule


@rule(
    "AUTH-001",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A client with a secret that the service accepts is served, also while secrets are rotated.",
    intent="A check that refuses everybody protects nothing that anybody uses.",
    causes=("frames change on the way", "the transport adds something to a frame"),
    mutants=("accepts-the-active-key-only",),
)
def right_secret_works(bench: Bench) -> None:
    new = Key.generate(os.urandom)
    subject = bench.subject(secret=Keyring(bench.key, accepted=[new]))
    for ring in (bench.secret, Keyring(bench.key), Keyring(new), Keyring(new, accepted=[bench.key])):
        client = bench.client(secret=ring)
        bench.expect.equal(bench.result(client, f"{subject.name}.echo", [1]), 1, "the result with an accepted key")


@rule(
    "AUTH-002",
    level=Level.MUST,
    surfaces=BOTH,
    sentence="A wrong, empty or missing secret is AuthenticationError, in one round trip and not at the deadline.",
    intent="A wrong setting should say so, and not look like a network that is down.",
    causes=(
        "the refusal is dropped on the way back, as nobody expects an unsealed frame",
        "the transport looks into frames",
    ),
    mutants=("accepts-any-request", "drops-refusals", "refuses-in-silence"),
    requires=("LINE-004",),
)
def wrong_secret_is_refused(bench: Bench) -> None:
    subject = bench.subject()
    target = f"{subject.name}.echo"
    secrets = _wrong_secrets(bench)

    def once() -> float:
        tickets = [bench.start(bench.client(secret=secret), target, [1]) for secret in secrets.values()]
        ends = [bench.end(ticket) for ticket in tickets]
        for what, ended in zip(secrets, ends, strict=True):
            fits = isinstance(ended.error, AuthenticationError)
            bench.expect.that(fits, f"AuthenticationError for {what}", repr(ended.error))
        return max(ended.seconds for ended in ends)

    bench.expect.promptly(once, bench.times.slack, "the refusals of wrong secrets")


@rule(
    "AUTH-003",
    level=Level.MUST,
    sentence="For a request that is refused no handler runs, and the service serves on.",
    intent="A check after the fact is no check.",
    causes=("a refused delivery is not settled, and its place is lost",),
    mutants=("runs-before-it-checks",),
    requires=("AUTH-002",),
)
def refused_requests_do_not_run(bench: Bench) -> None:
    subject, good = bench.subject(), bench.client()
    bad = bench.client(secret=Key.generate(os.urandom).text())
    for number in range(bench.profile.rounds + 5):
        bench.expect.raises(
            AuthenticationError, lambda: bad.call(f"{subject.name}.echo", ["intruder"]), "a call with a wrong secret"
        )
        bench.expect.equal(good.call(f"{subject.name}.echo", [number]), number, "the result of a good call after it")
    bench.expect.that(("echo", "intruder") not in subject.seen, "no handler for a refused request", subject.seen)


@rule(
    "AUTH-004",
    level=Level.MUST,
    needs=("notifications",),
    sentence="Notifications and status messages with another seal are not heard.",
    intent="A forged event is an order to everybody who listens.",
    causes=("only calls are checked",),
    mutants=("accepts-any-answer", "accepts-any-notification", "accepts-any-status", "duplicates-notifications"),
    requires=("SETUP-003", "LINE-003", "LINE-004", "LINE-007", "NOTE-001"),
)
def forged_news_are_not_heard(bench: Bench) -> None:
    stranger = Keyring(Key.generate(os.urandom))
    subject, client = bench.subject(), bench.client()
    heard: queue.Queue[Notification] = queue.Queue()
    subscription = client.subscribe(f"{subject.name}.#", heard.put)
    bench.did("published a forged notification and then a good one")
    forged = forge.sealed(stranger, forge.notification(f"{subject.name}.event", "forged"))
    bench.transport("service").publish(subject.name, forged)
    subject.publish("event", "good")
    bench.expect.equal(next_heard(bench, heard).data, "good", "the first notification that is heard")
    ignored = until(lambda: sum(subscription.counters.values()) == 1, bench.times.arrive)
    bench.expect.that(ignored, "one frame that the subscription ignored", subscription.counters)
    bench.did("answered a call, with a forged status and a forged answer before the good ones")
    service = bench.name()
    inbox = bench.inbox(service)
    pending = client.send(f"{service}.echo")
    asked = bench.arrives(inbox)
    for ring, word in ((stranger, "forged"), (bench.keyring, "good")):
        asked.reply(forge.sealed(ring, forge.news(asked.frame, word, bench.keyring)))
        if word == "good":
            # Where order is not kept the answer must not overtake the status.
            first = next(iter(pending.statuses()), None)
            bench.expect.equal(first and first.reason, "good", "the first status that is heard")
        asked.reply(forge.sealed(ring, forge.answer(asked.frame, word, bench.keyring)))
    bench.expect.equal(pending.result(bench.times.arrive), "good", "the result")
    bench.expect.equal([status.reason for status in pending.statuses()], ["good"], "the statuses that are heard")


@rule(
    "AUTH-005",
    level=Level.MUST,
    sentence="The secret is in no log, repr, error or frame.",
    intent="Logs and error reports are read by more people than may call services.",
    causes=("the transport logs its settings or its context",),
    mutants=("logs-its-secret", "shows-its-secret"),
)
def secret_stays_secret(bench: Bench) -> None:
    listener = _Listener()
    root = logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        subject, client = bench.subject(), bench.client()
        wrong = bench.client(secret=Key.generate(os.urandom).text())
        texts = [repr(one) for one in (subject, client, bench.transport("client"), bench.line(), bench.keyring)]
        for caller, method in ((client, "echo"), (client, "fail"), (client, "nothing"), (wrong, "echo")):
            error = bench.call(caller, f"{subject.name}.{method}").error
            texts.append(f"{error!r} {error}")
    finally:
        root.removeHandler(listener)
        root.setLevel(level)
    held = bench.secret.rpartition(".")[2]
    for text in (*texts, *listener.texts):
        bench.expect.that(held not in text, "no secret in a repr, an error or a log", text.replace(held, "<SECRET>"))
    for crossing in bench.trace.snapshot():
        bench.expect.that(held.encode() not in crossing.frame, "no secret in a frame", crossing.verb)


@rule(
    "AUTH-006",
    level=Level.MUST,
    sentence="Tags are compared in a time that does not depend on where they differ.",
    intent="A comparison that stops early tells an attacker the tag, byte by byte.",
    causes=("== instead of hmac.compare_digest",),
    mutants=(),
    strength=Strength.REVIEW,
)
def constant_time(bench: Bench) -> None:
    raise NotImplementedError("no test can tell")


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def _wrong_secrets(bench: Bench) -> dict[str, str | bytes | None]:
    other = Key.generate(os.urandom).text()
    same_id = ".".join((*bench.secret.split(".")[:2], other.split(".")[2]))
    return {
        "another key": other,
        "another key with the same id": same_id,
        "bytes": os.urandom(32),
        "an empty secret": "",
        "no secret": None,
    }
