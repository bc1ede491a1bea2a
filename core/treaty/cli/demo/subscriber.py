"""A process that shares the pantry: it knows what it was told, and says so when it is asked.

It must not know where the teas are kept, nor who else listens.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from treaty.cli.demo.pantry import Tea
from treaty.storage import Event, Notice

#: Seconds to wait for what was announced.
_PATIENCE: Final = 10.0


class Subscriber:
    """Remembers what a callback is told, and nothing else."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._teas: dict[str, Tea] = {}
        self._sequences: list[int] = []

    def __call__(self, event: str, tea: Tea, message: Notice) -> None:
        """Take what happened to a tea."""
        with self._changed:
            self._sequences.append(message.sequence)
            if event == Event.DELETED:
                self._teas.pop(message.key, None)
            else:
                self._teas[message.key] = tea
            self._changed.notify_all()

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Say what is known as soon as a tea is known in this revision, or the time is up."""

        def is_known() -> bool:
            tea = self._teas.get(question["tea"])
            return tea is not None and tea.revision == question["revision"]

        with self._changed:
            self._changed.wait_for(is_known, _PATIENCE)
            heard = self._sequences
            return {
                "teas": [[tea.name, tea.cups, tea.revision] for tea in self._teas.values()],
                "heard": len(heard),
                # Every change has the next sequence, so that nothing was missed, repeated or out of order then.
                "without_gap": heard == list(range(1, len(heard) + 1)),
            }
