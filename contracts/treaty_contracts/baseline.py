"""Failures that are known: a TOML file in the author's own repository, strict in both directions.

::

    [[known]]
    rule = "CALL-003"
    reason = "answers swap when two calls are open on one socket"
    link = "https://example.org/issues/17"
    expires = 2030-01-31

An entry names one rule, never a pattern. It must not know how rules are run.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from datetime import date
from pathlib import Path

import msgspec

from treaty_contracts.target import SetupError


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule that is known to fail, why, where that is discussed, and until when it may go on."""

    rule: str
    reason: str
    link: str
    expires: date


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    known: tuple[Known, ...] = ()


def read(path: str | Path) -> tuple[Known, ...]:
    """Read a baseline.

    Raises:
        SetupError: it is not there, is no TOML, lacks a field, or names a rule twice. The text says which.
    """
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"the baseline {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        entries = msgspec.convert(tomllib.loads(text), _File).known
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise SetupError(
            f"the baseline {path} is not one: {error}; each entry is [[known]] with rule, reason, link and expires"
        ) from error
    ids = [entry.rule for entry in entries]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise SetupError(f"the baseline {path} names {', '.join(twice)} more than once")
    for entry in entries:
        if not (entry.reason.strip() and entry.link.strip()):
            raise SetupError(f"the baseline {path}: {entry.rule} needs a reason and a link")
    return entries


def sort_out(entries: Collection[Known], ids: Collection[str], today: date) -> tuple[dict[str, Known], dict[str, str]]:
    """Return the entries that are good, by rule, and what is wrong with the others, by rule too.

    Args:
        entries: the baseline.
        ids: the ids of all rules.
        today: entries that expire before this day are stale.
    """
    good, stale = {}, {}
    for entry in entries:
        if entry.rule not in ids:
            stale[entry.rule] = f"{entry.rule} is in the baseline, and there is no such rule"
        elif entry.expires < today:
            stale[entry.rule] = f"{entry.rule} was to be known until {entry.expires}: mend it, or decide anew"
        else:
            good[entry.rule] = entry
    return good, stale
