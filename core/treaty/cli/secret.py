"""Where the secret comes from: the environment or a file, never an argument, which any user of the machine can read.

It must not know what the secret is used for, and never repeats it.
"""

from __future__ import annotations

import codecs
import os
import stat
import warnings
from pathlib import Path
from typing import Final

from treaty.cli.screen import show_warning
from treaty.errors import InvalidSecret
from treaty.sealing import Key

_VARIABLE: Final = "TREATY_SECRET"
_FILE_VARIABLE: Final = "TREATY_SECRET_FILE"
_MISSING: Final = (
    "there is no secret: make one with 'treaty keygen --out FILE', "
    f"then set {_FILE_VARIABLE} or give --secret-file FILE (or set {_VARIABLE} to the secret itself)"
)


def read_secret(file: Path | None) -> Key:
    """Read the secret from the file given, else from where the environment says.

    Raises:
        InvalidSecret: missing, unreadable, damaged, or named twice.
    """
    if file is not None:
        return _from_file(file)
    secret, named = os.environ.get(_VARIABLE), os.environ.get(_FILE_VARIABLE)
    if secret and named:
        raise InvalidSecret(f"{_VARIABLE} and {_FILE_VARIABLE} are both set: unset one of them")
    if named:
        return _from_file(Path(named))
    if secret:
        return _read(secret)
    raise InvalidSecret(_MISSING)


def _from_file(file: Path) -> Key:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(64 * 1024)
    except OSError as error:
        raise InvalidSecret(f"the secret file {str(file)!r} cannot be read: {error.strerror}") from error
    if stat.S_ISREG(mode) and mode & 0o077:
        show_warning(f"the secret file {str(file)!r} is open to other users: chmod 600 {file}")
    # Editors and `echo` end a file with a newline, and some begin it with a byte order mark: neither is of the secret.
    return _read(content.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n"))


def _read(secret: str | bytes) -> Key:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        key = Key.read(secret)
    for warning in caught:
        show_warning(str(warning.message))
    return key
