"""The envelope: keys, the keyring, seal and open. The one function through which every frame comes in is here.

A frame is a prefix of 44 bytes and a body; ``docs/wire.md`` draws it. This room must not know what a body says. The
secret itself is in no frame, repr, log or error. HKDF is RFC 5869, HMAC is RFC 2104, both over SHA-256.
"""

from __future__ import annotations

import hmac
import re
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import scrypt, sha256
from typing import Final, TypeAlias

from msgspec import Struct

from treaty.errors import FrameRefused, FrameTooLarge, InvalidSecret, WeakSecretWarning
from treaty.messages import REFUSAL

MAGIC: Final = b"TY"
VERSION: Final = b"\x01"
#: Bytes before the body: magic 2, version 1, kind 1, key id 8, tag 32.
PREFIX: Final = 44
#: The default limit of a frame, in bytes: the largest that is sealed or opened.
MAX_FRAME: Final = 8 * 1024 * 1024
#: Why a frame is refused, in the order of the checks.
REASONS: Final = ("size", "magic", "version", "key", "tag", "kind")

_LABEL: Final = b"treaty frame v1\x00"
_HEAD: Final = 12
_DIRECTIONS: Final = {
    b"q": b"request",
    b"c": b"request",
    b"r": b"response",
    b"s": b"response",
    b"n": b"notification",
}
_NO_ID: Final = bytes(8)
_TEXT_KEY: Final = re.compile(r"ty1\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})")
_SHORTEST: Final = 32

#: What may stand for a secret: a key as :meth:`Key.generate` writes it, 32 bytes or more of any kind, a passphrase
#: (stretched, with a warning), a key, or a whole keyring.
Secret: TypeAlias = "str | bytes | Key | Keyring"  # noqa: S105 - a type


class _Stamp:
    """Makes the tags of one key and kind: HMAC (RFC 2104) with all that stays the same hashed beforehand, which takes
    less than half the time of ``hmac.digest`` for frames of the usual size.
    """

    __slots__ = ("_inner", "_outer", "head")

    def __init__(self, key: bytes, head: bytes) -> None:
        self.head = head
        block = key.ljust(64, b"\x00")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block) + _LABEL + head)
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def tag(self, body: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(body)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class Key:
    """One secret with its id, and the keys for each direction that are derived from it."""

    __slots__ = ("_root", "id", "stamps")

    def __init__(self, root: bytes, *, id: bytes = _NO_ID) -> None:  # noqa: A002 - the field's term, keyword only
        if len(root) < _SHORTEST or len(id) != len(_NO_ID):
            raise InvalidSecret("a key needs at least 32 bytes of secret and an id of 8 bytes")
        self.id = id
        self._root = root
        self.stamps = {
            kind: _Stamp(_hkdf(root, info=_LABEL + id + b"\x00" + direction), MAGIC + VERSION + kind + id)
            for kind, direction in _DIRECTIONS.items()
        }

    @classmethod
    def generate(cls, random: Callable[[int], bytes]) -> Key:
        """Make a key from ``random(n)``, which returns n bytes fit for secrets, such as ``os.urandom``."""
        return cls(random(32), id=random(8))

    @classmethod
    def read(cls, secret: str | bytes) -> Key:
        """Read a key from text or bytes.

        Raises:
            InvalidSecret: empty, or a damaged key.

        Warns:
            WeakSecretWarning: fewer than 32 bytes: taken for a passphrase and stretched with scrypt (RFC 7914).
        """
        if not isinstance(secret, str | bytes):
            raise InvalidSecret(f"a secret is text or bytes, not {type(secret).__name__}")
        text = secret.strip() if isinstance(secret, str) else secret.strip().decode("ascii", "replace")
        if match := _TEXT_KEY.fullmatch(text):
            return cls(_unbase64(match[2]), id=bytes.fromhex(match[1]))
        if text.startswith("ty1."):
            raise InvalidSecret("this begins like a key made by 'treaty keygen', but is damaged")
        raw = text.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
        if not raw.strip():
            raise InvalidSecret("the secret is empty")
        if len(raw) >= _SHORTEST:
            return cls(raw)
        warnings.warn(
            "a secret of fewer than 32 bytes is stretched, but can still be guessed from a recorded frame: "
            "use one made by 'treaty keygen'",
            WeakSecretWarning,
            stacklevel=2,
        )
        return cls(_stretch(raw))

    def text(self) -> str:
        """Write the key as text: this *is* the secret; keep it in a file that only its users can read.

        Raises:
            InvalidSecret: its secret has more than 32 bytes, so it was not generated here.
        """
        if len(self._root) != _SHORTEST:
            raise InvalidSecret("only a key of exactly 32 bytes can be written as text")
        return f"ty1.{self.id.hex()}.{urlsafe_b64encode(self._root).decode().rstrip('=')}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.id == other.id and hmac.compare_digest(self._root, other._root)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Key {self.id.hex()}>"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")


class Opened(Struct, frozen=True):
    """A frame that passed the check."""

    kind: bytes
    key: Key
    tag: bytes
    body: bytes


class Keyring:
    """The keys of one end: it seals with the active one, and opens what any active or accepted one has sealed.

    To rotate without a stop: first every end accepts the new key, then every end makes it active and accepts the old
    one, and when the longest deadline has passed every end retires the old one.

    Args:
        active: the key that seals.
        accepted: keys that still, or already, open.
        retired: keys that must not come back: it is an error to list one of them as active or accepted as well.
    """

    __slots__ = ("_keys", "active")

    def __init__(
        self,
        active: Key | str | bytes,
        *,
        accepted: Iterable[Key | str | bytes] = (),
        retired: Iterable[Key | str | bytes] = (),
    ) -> None:
        self.active = _key(active)
        keys = [self.active, *map(_key, accepted)]
        self._keys: dict[bytes, list[Key]] = {}
        for key in keys:
            self._keys.setdefault(key.id, []).append(key)
        if any(key == gone for key in keys for gone in map(_key, retired)):
            raise InvalidSecret("a key of this keyring is listed as retired, and cannot be active or accepted as well")

    def seal(self, kind: bytes, body: bytes, *, key: Key | None = None, limit: int = MAX_FRAME) -> bytes:
        """Make a frame, sealed with the active key or with the one given.

        Raises:
            FrameTooLarge: the frame would have more than ``limit`` bytes.
        """
        if PREFIX + len(body) > limit:
            raise FrameTooLarge(f"a frame of {PREFIX + len(body):,} bytes is over the limit of {limit:,}")
        stamp = (key or self.active).stamps[kind]
        return stamp.head + stamp.tag(body) + body

    def open(self, frame: bytes, kinds: bytes, *, limit: int = MAX_FRAME) -> Opened:
        """Check a frame; there is no other way in.

        Args:
            frame: as it came.
            kinds: the kinds that are expected at this end, one byte each.
            limit: the largest frame, in bytes.

        Raises:
            FrameRefused: at the first of the checks that fails, with its name as ``reason``.
        """
        if not PREFIX < len(frame) <= limit:
            raise FrameRefused("size")
        if frame[:2] != MAGIC:
            raise FrameRefused("magic")
        if frame[2:3] != VERSION:
            raise FrameRefused("version")
        kind, tag, body = frame[3:4], frame[_HEAD:PREFIX], frame[PREFIX:]
        keys = self._keys.get(frame[4:_HEAD])
        known = kind in _DIRECTIONS
        # An unknown key costs as much time as a wrong tag, so that the time tells nobody which ids exist.
        for key in keys or (self.active,):
            if hmac.compare_digest(key.stamps[kind if known else b"q"].tag(body), tag) and keys:
                break
        else:
            raise FrameRefused("tag" if keys else "key")
        if not known or kind not in kinds:
            raise FrameRefused("kind")
        return Opened(kind, key, tag, body)

    def __repr__(self) -> str:
        return f"<Keyring active={self.active.id.hex()} keys={len(self._keys)}>"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is not pickled")


def keyring(secret: Secret) -> Keyring:
    """Return the keyring that a secret stands for.

    Raises:
        InvalidSecret: empty, damaged, or of another type.
    """
    return secret if isinstance(secret, Keyring) else Keyring(secret)


def refusal(frame: bytes) -> bytes | None:
    """Return the fixed answer to a frame that failed the check, or ``None`` for what is no frame of any version."""
    if len(frame) < PREFIX or frame[:2] != MAGIC or frame[3:4] == REFUSAL:
        return None
    return MAGIC + VERSION + REFUSAL + _NO_ID + frame[_HEAD:PREFIX]


def refused_tag(frame: bytes) -> bytes | None:
    """Return the tag that a refusal names, or ``None`` when the frame is no refusal. A refusal is not sealed."""
    is_refusal = len(frame) == PREFIX and frame[:4] == MAGIC + VERSION + REFUSAL
    return frame[_HEAD:] if is_refusal else None


def tag_of(frame: bytes) -> bytes:
    """Return the tag of a frame, or of the first bytes of one, without any check."""
    return frame[_HEAD:PREFIX]


def _key(secret: Key | str | bytes) -> Key:
    return secret if isinstance(secret, Key) else Key.read(secret)


def _hkdf(root: bytes, *, info: bytes) -> bytes:
    pseudorandom = hmac.digest(bytes(32), root, "sha256")
    return hmac.digest(pseudorandom, info + b"\x01", "sha256")


@lru_cache(maxsize=8)
def _stretch(passphrase: bytes) -> bytes:
    return scrypt(passphrase, salt=b"treaty passphrase v1", n=2**14, r=8, p=1, dklen=32)


def _unbase64(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=")
    except (Base64Error, ValueError):
        raise InvalidSecret("this begins like a key made by 'treaty keygen', but is damaged") from None
