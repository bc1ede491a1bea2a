"""The envelope: what was sealed is opened, and nothing else is, whatever was done to it on the way."""

from __future__ import annotations

import hashlib
import logging
import pickle
import traceback
import warnings
from copy import copy, deepcopy

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from treaty import FrameRefused, FrameTooLarge, InvalidSecret, Key, Keyring, WeakSecretWarning
from treaty.codec import encode
from treaty.messages import REFUSAL, Message
from treaty.sealing import PREFIX, REASONS, Opened, keyring, refusal, refused_tag, tag_of

from .strategies import damaged, messages
from .world import KEY, KEYRING, OTHER_KEY, ROOT, tagged

KINDS = b"qrsnc"
FRAME = KEYRING.seal(b"q", b'{"a": "body", "of": ["some", "length"]}')
CANARY = "canary-canary-canary-canary-canary"
kinds = st.sampled_from([bytes([kind]) for kind in KINDS])
bodies = st.binary(min_size=1, max_size=200)


def reason(ring: Keyring, frame: bytes, expected: bytes = KINDS, limit: int = 1000) -> str:
    """Why a frame is refused, or ``""`` when it is not."""
    try:
        ring.open(frame, expected, limit=limit)
    except FrameRefused as refused:
        return refused.reason
    return ""


@settings(deadline=None)
@given(kinds, bodies)
def test_what_was_sealed_is_opened(kind: bytes, body: bytes) -> None:
    frame = KEYRING.seal(kind, body)
    assert KEYRING.open(frame, kind) == Opened(kind, KEY, tag_of(frame), body)


@settings(deadline=None)
@given(messages, st.data())
def test_a_damaged_frame_is_refused(message: Message, data: st.DataObject) -> None:
    frame = KEYRING.seal(message.kind, encode(message))
    other = data.draw(damaged(frame))
    assume(other != frame)
    assert reason(KEYRING, other, limit=10_000) in REASONS


@pytest.mark.parametrize("at", range(len(FRAME)))
def test_no_byte_of_a_frame_can_be_changed(at: int) -> None:
    for mask in (1, 128, 255):
        assert reason(KEYRING, FRAME[:at] + bytes([FRAME[at] ^ mask]) + FRAME[at + 1 :])


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_are_refused(noise: bytes, dressed: bool) -> None:
    assert reason(KEYRING, FRAME[:12] + noise if dressed else noise)


@settings(deadline=None)
@given(kinds, kinds, bodies)
def test_a_frame_is_not_opened_as_another_kind(kind: bytes, other: bytes, body: bytes) -> None:
    assume(kind != other)
    frame = KEYRING.seal(kind, body)
    assert reason(KEYRING, frame, other) == "kind"
    assert reason(KEYRING, frame[:3] + other + frame[4:], other) == "tag"


@settings(deadline=None)
@given(kinds, bodies)
def test_the_tag_is_what_the_standards_say(kind: bytes, body: bytes) -> None:
    assert KEYRING.seal(kind, body) == tagged(ROOT, b"TY\x01" + kind + KEY.id, body)


@pytest.mark.parametrize(
    ("kind", "others"), [(b"q", b"rsn"), (b"c", b"rsn"), (b"r", b"qcn"), (b"s", b"qcn"), (b"n", b"qcrs")]
)
def test_each_direction_has_a_key_of_its_own(kind: bytes, others: bytes) -> None:
    head = b"TY\x01" + kind + KEY.id
    assert not reason(KEYRING, tagged(ROOT, head, b"body"))
    for other in others:
        assert reason(KEYRING, tagged(ROOT, head, b"body", bytes([other]))) == "tag"


def test_the_checks_come_in_their_order() -> None:
    wrong_in_all_ways = b"XX\x09z" + b"\x09" * 8 + bytes(32)
    stages = [
        wrong_in_all_ways,
        wrong_in_all_ways + b"body",
        b"TY" + wrong_in_all_ways[2:] + b"body",
        b"TY\x01" + wrong_in_all_ways[3:] + b"body",
        b"TY\x01z" + KEY.id + bytes(32) + b"body",
        KEYRING.seal(b"q", b"body"),
    ]
    assert tuple(reason(KEYRING, frame, b"n") for frame in stages) == REASONS


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused_even_with_the_right_tag(version: int) -> None:
    assert reason(KEYRING, FRAME[:2] + bytes([version]) + FRAME[3:]) == "version"
    assert reason(KEYRING, tagged(ROOT, b"TY" + bytes([version]) + b"q" + KEY.id, b"body")) == "version"


def test_a_frame_over_the_limit_is_neither_sealed_nor_opened() -> None:
    largest = KEYRING.seal(b"q", bytes(1000 - PREFIX), limit=1000)
    assert not reason(KEYRING, largest, limit=1000)
    assert reason(KEYRING, largest, limit=999) == "size"
    with pytest.raises(FrameTooLarge):
        KEYRING.seal(b"q", bytes(1001 - PREFIX), limit=1000)


@pytest.mark.parametrize("length", [0, 1, 12, PREFIX - 1, PREFIX])
def test_a_frame_without_a_body_is_none(length: int) -> None:
    assert reason(KEYRING, FRAME[:length]) == "size"


def test_a_key_with_the_same_id_is_not_the_same_key() -> None:
    twin = Key(bytes(32), id=KEY.id)
    assert twin != KEY
    assert reason(Keyring(twin), FRAME) == "tag"
    assert not reason(Keyring(twin, accepted=[KEY]), FRAME)


def test_an_answer_is_sealed_with_the_key_of_its_question() -> None:
    both = Keyring(OTHER_KEY, accepted=[KEY])
    opened = both.open(FRAME, b"q")
    assert reason(KEYRING, both.seal(b"r", b"body", key=opened.key)) == ""
    assert reason(KEYRING, both.seal(b"r", b"body")) == "key"


# Refusals


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_only_what_looks_like_a_frame_gets_a_refusal(noise: bytes) -> None:
    assume(noise[:2] != b"TY" or len(noise) < PREFIX)
    assert refusal(noise) is None


@settings(deadline=None)
@given(st.binary(min_size=PREFIX - 2, max_size=100))
def test_a_refusal_names_the_tag_and_nothing_else(rest: bytes) -> None:
    frame = b"TY" + rest
    assume(frame[3:4] != REFUSAL)
    fixed = refusal(frame)
    assert fixed == b"TY\x01x" + bytes(8) + tag_of(frame)
    assert refused_tag(fixed) == tag_of(frame)


def test_a_refusal_is_not_refused_in_turn() -> None:
    fixed = refusal(FRAME)
    assert fixed is not None
    assert refusal(fixed) is None
    assert refused_tag(FRAME) is None


def test_a_refusal_is_no_message() -> None:
    assert reason(KEYRING, refusal(FRAME) or b"", KINDS + REFUSAL) == "size"
    assert reason(KEYRING, FRAME[:3] + REFUSAL + FRAME[4:], KINDS + REFUSAL) in ("tag", "kind")
    assert reason(KEYRING, tagged(ROOT, b"TY\x01x" + KEY.id, b"body"), KINDS + REFUSAL) in ("tag", "kind")


# Secrets


def test_a_generated_key_survives_its_text() -> None:
    key = Key.generate(lambda n: bytes(range(n)))
    assert Key.read(key.text()) == Key.read(f"  {key.text()}\n".encode()) == key
    assert key.id == bytes(range(8))


@pytest.mark.parametrize("secret", ["", "   ", "\n", b"", b" \n"])
def test_an_empty_secret_is_refused(secret: str | bytes) -> None:
    with pytest.raises(InvalidSecret, match="empty"):
        keyring(secret)


@pytest.mark.parametrize("secret", [None, 7, ["x" * 40], bytearray(40)], ids=lambda secret: type(secret).__name__)
def test_a_secret_of_another_type_is_refused(secret: object) -> None:
    with pytest.raises(InvalidSecret):
        keyring(secret)  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", [slice(0, -1), slice(0, 20), slice(0, 4)])
def test_a_damaged_key_is_refused_and_not_taken_for_a_passphrase(damage: slice) -> None:
    text = Key.generate(lambda n: bytes(range(n))).text()
    with pytest.raises(InvalidSecret, match="damaged"):
        Key.read(text[damage])


def test_a_short_passphrase_is_stretched_with_a_warning() -> None:
    with pytest.warns(WeakSecretWarning):
        key = Key.read("swordfish")
    with pytest.warns(WeakSecretWarning):
        assert Key.read(b"swordfish") == key
    stretched = hashlib.scrypt(b"swordfish", salt=b"treaty passphrase v1", n=2**14, r=8, p=1, dklen=32)
    assert key == Key(stretched)


def test_a_secret_of_32_bytes_is_taken_as_it_is_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Key.read("x" * 32) == Key(b"x" * 32)


@pytest.mark.parametrize(("root", "label"), [(b"x" * 31, bytes(8)), (b"x" * 32, bytes(7)), (b"", bytes(8))])
def test_a_key_needs_enough_of_everything(root: bytes, label: bytes) -> None:
    with pytest.raises(InvalidSecret):
        Key(root, id=label)


def test_a_secret_shows_in_no_repr_error_or_log(caplog: pytest.LogCaptureFixture) -> None:
    key = Key.read(CANARY)
    ring = Keyring(key, accepted=[OTHER_KEY])
    shown = [
        repr(key),
        str(key),
        repr(ring),
        str(ring),
        repr([key]),
        f"{ring}",
        repr(ring.open(ring.seal(b"q", b"x"), b"q")),
    ]
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").info("%s %r %s", key, ring, {"key": key})
    for wrong in ("ty1." + CANARY, CANARY[:8] + "\udcff", CANARY.encode()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                Keyring(wrong, retired=[wrong])
        except InvalidSecret as error:
            shown += [str(error), repr(error.args), repr(error.__cause__)]
    assert not [text for text in [*shown, caplog.text] if "canary" in text]


def test_a_secret_is_not_pickled() -> None:
    for secret in (KEY, KEYRING):
        for dump in (pickle.dumps, copy, deepcopy):
            with pytest.raises(TypeError, match="not pickled"):
                dump(secret)


def test_a_traceback_with_local_values_shows_no_secret() -> None:
    ring = Keyring(CANARY)
    try:
        ring.open(b"TY" + bytes(60), b"q")
    except FrameRefused as refused:
        report = traceback.TracebackException.from_exception(refused, capture_locals=True)
        assert "canary" not in "".join(report.format())


# Rotation


def test_a_retired_key_must_not_come_back() -> None:
    with pytest.raises(InvalidSecret, match="retired"):
        Keyring(KEY, retired=[OTHER_KEY, KEY])
    with pytest.raises(InvalidSecret, match="retired"):
        Keyring(KEY, accepted=[OTHER_KEY], retired=[OTHER_KEY])


class Rotation(RuleBasedStateMachine):
    """Keys become accepted, active and retired; a frame opens exactly while its key is one of the first two."""

    keys = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        first = self.make()
        self.active, self.accepted, self.retired = first, list[Key](), list[Key]()
        self.sealed: list[tuple[Key, bytes]] = []

    def make(self) -> Key:
        self.made += 1
        return Key(hashlib.sha256(bytes([self.made])).digest(), id=bytes(7) + bytes([self.made % 3]))

    @property
    def ring(self) -> Keyring:
        return Keyring(self.active, accepted=self.accepted, retired=self.retired)

    @rule(target=keys)
    def learn(self) -> Key:
        key = self.make()
        self.accepted.append(key)
        return key

    @rule(key=keys)
    def switch(self, key: Key) -> None:
        if key in self.accepted:
            self.accepted = [self.active, *(other for other in self.accepted if other != key)]
            self.active = key

    @rule(key=keys)
    def retire(self, key: Key) -> None:
        if key in self.accepted:
            self.accepted.remove(key)
            self.retired.append(key)

    @rule(kind=kinds)
    def seal(self, kind: bytes) -> None:
        frame = self.ring.seal(kind, b"body")
        assert Keyring(self.active).open(frame, kind).key == self.active
        self.sealed.append((self.active, frame))

    @invariant()
    def frames_open_while_their_key_is_good(self) -> None:
        for key, frame in self.sealed:
            assert (reason(self.ring, frame) == "") is (key == self.active or key in self.accepted)


TestRotation = Rotation.TestCase
TestRotation.settings = settings(deadline=None, stateful_step_count=20)


def test_only_what_can_be_read_again_is_written_as_text() -> None:
    key = Key(bytes(range(32)), id=b"12345678")
    assert Key.read(key.text()) == key

    with pytest.raises(InvalidSecret):
        Key(bytes(40)).text()
