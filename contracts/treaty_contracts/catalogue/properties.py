"""MODEL and PLAN: what Hypothesis draws over the whole surface, step by step on three faces, and all at once.

The rules before these look at one thing each; these look for what only happens when things come together. It must not
know adapters.
"""

# ruff: noqa: D103 - what a rule demands stands in its sentence

from __future__ import annotations

from treaty_contracts.bench import Bench
from treaty_contracts.properties import judges, plans
from treaty_contracts.properties.faces import AsyncioFace, BlockingFace, MixedFace
from treaty_contracts.properties.machine import walk
from treaty_contracts.registry import Level, Strength, rule

#: What single rules say about frames: whoever breaks one of these hears it from them, and not from a long story.
_FRAMES = ("SETUP-003", *(f"LINE-{number:03}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13)))
_REQUESTS = tuple(f"INBOX-{number:03}" for number in range(1, 6))
_ANSWERS = ("CALL-001", "CALL-003", "CALL-004", "CALL-006", "CALL-010", "ERR-001", "ERR-002")
#: What a walk or a plan does besides, step by step.
_STEPS = ("NOTE-001", "NOTE-002", "NOTE-003", "NOTE-004", "NOTE-005", "CALL-005", "AUTH-001", "AUTH-002", "AUTH-003",
          "AUTH-004", "LIFE-001", "LIFE-002", "LIFE-003", "LIFE-006", "LIFE-009")  # fmt: skip
_LOOPS = ("ASYNC-001", "ASYNC-002", "ASYNC-003", "ASYNC-004", "ASYNC-005")
#: What a walk saves, and who is told of it.
_KEEPING = ("STORAGE-001", "STORAGE-003", "STORAGE-004", "STORAGE-005", "STORAGE-009", "STORAGE-010")
_WALKING = (*_FRAMES, *_REQUESTS, *_ANSWERS, *_STEPS, *_LOOPS, *_KEEPING)
_CALLING = (*_FRAMES, *_REQUESTS, *_ANSWERS, "CALL-002", *_LOOPS)
_CAUSES = (
    "something is left over from an earlier step: a request, an answer, a subscription, a connection",
    "two things that work alone do not work together: the rules of each one pass",
)


@rule(
    "MODEL-001",
    level=Level.MUST,
    requires=_WALKING,
    sentence="Whatever steps are taken one after the other, each ends as the contract says: blocking.",
    intent="Programs do not call once: what they did before must not change what they get.",
    causes=_CAUSES,
    mutants=("merges-errors",),
    strength=Strength.STOCHASTIC,
)
def blocking_walks(bench: Bench) -> None:
    walk(bench, BlockingFace())


@rule(
    "MODEL-002",
    level=Level.MUST,
    requires=_WALKING,
    sentence="Whatever steps are taken one after the other, each ends as the contract says: with asyncio.",
    intent="The same program, written with await, is the same program.",
    causes=_CAUSES,
    mutants=("merges-errors",),
    strength=Strength.STOCHASTIC,
)
def asyncio_walks(bench: Bench) -> None:
    walk(bench, AsyncioFace())


@rule(
    "MODEL-003",
    level=Level.MUST,
    requires=_WALKING,
    sentence="What is begun through one face, blocking or asyncio, is seen through the other one as the contract says.",
    intent="One client serves both, and a program may use both.",
    causes=_CAUSES,
    mutants=("merges-errors",),
    strength=Strength.STOCHASTIC,
)
def mixed_walks(bench: Bench) -> None:
    walk(bench, MixedFace())


@rule(
    "PLAN-001",
    level=Level.MUST,
    requires=_CALLING,
    sentence="Calls of several clients in threads and loops, all at once, each end once, in time, as their own.",
    intent="This is what a program under load does all day.",
    causes=(
        "answers are matched by order, or by the connection",
        "a buffer is shared without a lock",
        "a busy end drops",
    ),
    mutants=("ends-calls-early", "ends-calls-late"),
    strength=Strength.STOCHASTIC,
)
def concurrent_calls(bench: Bench) -> None:
    plans.judge(bench, plans.CALLS, plans.of_calls(), judges.OF_CALLS)


@rule(
    "PLAN-002",
    level=Level.MUST,
    needs=("notifications",),
    requires=(*_FRAMES, *_REQUESTS, "NOTE-001", "NOTE-002", "NOTE-003", "NOTE-004", "NOTE-005"),
    sentence="Subscribers that come and go hear each publisher in order and without loss, while others publish and call.",
    intent="Subscribers keep a state up to date, and one notification that is missing makes it wrong for good.",
    causes=("subscribing and publishing meet in the middle", "one that leaves takes the others along"),
    mutants=("interleaves-notifications",),
    strength=Strength.STOCHASTIC,
)
def concurrent_notifications(bench: Bench) -> None:
    plans.judge(bench, plans.NEWS, plans.of_notifications(), judges.OF_NOTIFICATIONS)


@rule(
    "PLAN-003",
    level=Level.MUST,
    needs=("competing_workers",),
    requires=(*_CALLING, "LIFE-006"),
    sentence="Each call is run by one of the workers that share a name, also while one of them stops.",
    intent="More workers are to do the same work sooner, not twice, and not less of it.",
    causes=("a request is given to two workers", "what a leaving worker had taken is lost"),
    mutants=("ends-calls-early", "ends-calls-late"),
    strength=Strength.STOCHASTIC,
)
def concurrent_workers(bench: Bench) -> None:
    plans.judge(bench, plans.SHARED, plans.of_workers(), judges.OF_CALLS)
