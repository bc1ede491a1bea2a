"""The store interface: what a place to keep objects must do. The only thing that a third party implements.

This room must not know models, services or transports: documents go in and come out as plain values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from treaty.storage.planning import Outcome
from treaty.storage.records import PAGE, Batch, Entry, Page, Position, Standing


class Store(ABC):
    """Keeps objects, and a log of the changes to them. The law, each line of which can be tested:

    - ``write`` does each batch wholly or not at all, in the order given, and returns only when it is done for good.
    - Each change gets the next sequence in the transaction that makes it. Sequences start at 1, have no holes, and
      whoever reads the log sees no sequence before those that are smaller.
    - :func:`treaty.storage.planning.plan` decides what a batch does; a store reads, plans, and writes the plan.
    - What is given and returned is never shared: nobody can alter the store by altering a document.
    - An opened store has an epoch of its own, which begins where the log ends: see :class:`~treaty.storage.Position`.
    - Every foreign exception is chained to a :class:`~treaty.storage.StoreUnavailable`, and nothing has changed then,
      unless its text says that it may have.
    - What is there and cannot be read is :class:`~treaty.storage.Unreadable`, which names the object; a batch that is
      about something else is done all the same.
    - Any number of threads may use one store at once; where ``shared`` is set, so may any number of processes.
    - ``close`` is idempotent. A durable store has everything again when it is opened anew.
    """

    #: Whether what was written is there after ``close``, or the end of the process, and ``open``.
    durable: ClassVar[bool]
    #: Whether several processes may have it open at once.
    shared: ClassVar[bool]

    @abstractmethod
    def open(self) -> None:
        """Make ready, create what is missing, and begin a new epoch.

        Raises:
            StoreUnavailable: it cannot be reached or written.
            IncompatibleSchema: it was made by a newer version; it is as it was.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. Idempotent."""

    @abstractmethod
    def standing(self) -> Standing:
        """Return where the log ends, and how far it is published."""

    @abstractmethod
    def get(self, model: str, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the objects of one model that there are, by key."""

    @abstractmethod
    def list(self, model: str, *, after: str = "", limit: int = PAGE) -> Sequence[Entry]:
        """Return up to ``limit`` objects of one model whose keys come after ``after``, in the order of the keys, which
        is that of their code points.
        """

    @abstractmethod
    def write(self, batches: Sequence[Batch], *, reached: Callable[[int], int] = int) -> Sequence[Outcome]:
        """Do several batches in one transaction, and write what they change into the log.

        Args:
            batches: each is done wholly or not at all; one that fails does not keep the others from being done.
            reached: is given up to where the log is published, and says up to where it is by now; that is kept.

        Returns:
            For each batch its changes, or the error that kept it from being done.
        """

    @abstractmethod
    def note_published(self, reached: Callable[[int], int]) -> Standing:
        """Keep up to where the log is published, as :meth:`write` does, and return where the store stands."""

    @abstractmethod
    def changes_since(self, position: Position, *, limit: int = PAGE) -> Page:
        """Return up to ``limit`` changes after a position, or why there is no way on from there."""

    @abstractmethod
    def changes_after(self, sequence: int, *, limit: int = PAGE) -> Page:
        """Return up to ``limit`` changes after a sequence that are still in the log, whatever their epoch."""
