"""What can be wrong with an object, a request or a store: errors that keep their type on the way to the caller.

This room must not know stores or messages. Each error names the culprit and never holds what was to be stored.
"""

from __future__ import annotations

from treaty import ConfigurationError, TreatyError, error


class StorageError(TreatyError):
    """Storage did not do what it was asked to. The store is as it was before."""


@error("storage.not-found", status=404)
class NotFound(StorageError):
    """There is no such object. ``model`` and ``key`` name it."""

    status = 404

    def __init__(self, model: str, key: str) -> None:
        super().__init__(f"there is no {model} with the key {key!r}")
        self.model, self.key = model, key


@error("storage.conflict", status=409)
class Conflict(StorageError):
    """Somebody else was faster: the object is not of the version that was expected; 0 stands for no object."""

    status = 409

    def __init__(self, model: str, key: str, expected: int, actual: int) -> None:
        found = f"it has version {actual}" if actual else "there is none"
        wanted = f"version {expected} was expected" if expected else "none was expected"
        super().__init__(f"{model} {key!r}: {wanted}, {found}")
        self.model, self.key, self.expected, self.actual = model, key, expected, actual


@error("storage.validation-failed", status=422)
class ValidationFailed(StorageError, ValueError):
    """A value that is none of its type, or an argument that makes no sense. ``field`` names it, ``reason`` says why,
    ``key`` says in which object: ``""`` where that cannot be said.
    """

    status = 422

    def __init__(self, model: str, field: str, reason: str, key: str = "") -> None:
        place = f"{model}{'.' if model and field and not field.startswith('[') else ''}{field}"
        text = ": ".join(filter(None, (place, reason)))
        super().__init__(f"{text} (key {key!r})" if key else text)
        self.model, self.field, self.reason, self.key = model, field, reason, key


@error("storage.unknown-model", status=404)
class UnknownModel(ValidationFailed):
    """The service keeps no objects of this type."""

    status = 404

    def __init__(self, model: str, known: list[str]) -> None:
        super().__init__("", "", f"no store keeps {model!r}; known: {', '.join(sorted(known)) or 'none'}")
        self.model, self.known = model, known


@error("storage.unreadable", status=500)
class Unreadable(StorageError):
    """An object is there, but cannot be read: what is stored is damaged, or does not fit its class any more.
    ``model`` and ``key`` name it, ``reason`` never repeats what is stored.
    """

    status = 500

    def __init__(self, model: str, key: str, reason: str) -> None:
        super().__init__(f"{model} {key!r} is stored, but cannot be read: {reason}")
        self.model, self.key, self.reason = model, key, reason


@error("storage.unavailable", status=503)
class StoreUnavailable(StorageError):
    """The store cannot be read or written: read-only, full, locked, gone. ``store`` names it."""

    status = 503

    def __init__(self, store: str, reason: str) -> None:
        super().__init__(f"{store}: {reason}")
        self.store, self.reason = store, reason


class IncompatibleSchema(ConfigurationError):
    """The database was made by a newer version of Treaty, or has a table of one of our names that is none of ours. It
    was not touched.
    """
