"""The loggers of the drivers: what they write about an exception has a bound, whatever its text is.

It must not know what is logged, nor who reads it.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

#: How many characters of a traceback are logged: of its beginning, and of its end, where the exception is named.
HEAD: Final = 12_000
TAIL: Final = 4_000


def logger(name: str) -> logging.Logger:
    """Return the logger of this name. The exception stays with the record as it is, for handlers that look at it."""
    found = logging.getLogger(name)
    found.addFilter(_bound)
    return found


def tell(log: logging.Logger, level: int, text: str, *args: object, error: BaseException | None = None) -> None:
    """Log something in a thread that must live on: what is in the way (no memory is left, a filter of the program
    raises) costs the line, and not the thread.

    Args:
        log: the logger.
        level: of the line.
        text: of the line.
        *args: of the text.
        error: whose traceback is logged as well.
    """
    with suppress(Exception):
        log.log(level, text, *args, exc_info=error, stacklevel=2)


def _bound(record: logging.LogRecord) -> bool:
    if record.exc_info and not record.exc_text:
        text = logging.Formatter().formatException(record.exc_info)
        left_out = len(text) - HEAD - TAIL
        if left_out > 0:
            text = f"{text[:HEAD]}\n... {left_out} characters are left out ...\n{text[-TAIL:]}"
        record.exc_text = text
    return True
