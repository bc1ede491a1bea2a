"""The loggers of the drivers: what they write about an exception has a bound, whatever its text is.

It must not know what is logged, nor who reads it.
"""

from __future__ import annotations

import logging
from typing import Final

#: How many characters of a traceback are logged: of its beginning, and of its end, where the exception is named.
HEAD: Final = 12_000
TAIL: Final = 4_000


def logger(name: str) -> logging.Logger:
    """Return the logger of this name. The exception stays with the record as it is, for handlers that look at it."""
    found = logging.getLogger(name)
    found.addFilter(_bound)
    return found


def _bound(record: logging.LogRecord) -> bool:
    if record.exc_info and not record.exc_text:
        text = logging.Formatter().formatException(record.exc_info)
        left_out = len(text) - HEAD - TAIL
        if left_out > 0:
            text = f"{text[:HEAD]}\n... {left_out} characters are left out ...\n{text[-TAIL:]}"
        record.exc_text = text
    return True
