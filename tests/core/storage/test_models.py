"""What can be stored, what must be declared, and what is never shown."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from typing import Any, ClassVar
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treaty import ConfigurationError
from treaty.storage import ValidationFailed, model, model_of
from treaty_contracts.alphabet import CHARACTERS

from .things import Cluster, Colour, Host, Paper


@pytest.mark.parametrize(
    ("instance", "key", "document"),
    [
        (Host(address="10.0.0.1", password="s3cret", revision=7), "10.0.0.1", {"password": "s3cret", "port": 22}),
        (Cluster("one", 3), "one", {"size": 3}),
        (Paper(12, colour=Colour.BLUE), "12", {"token": "none", "colour": "blue"}),
    ],
    ids=["struct", "dataclass", "attrs"],
)
def test_any_kind_of_class_goes_there_and_back(instance: Any, key: str, document: dict[str, Any]) -> None:
    spec = model_of(type(instance))
    written = spec.write(instance)
    assert spec.key_of(instance) == key
    assert document.items() <= written.items()
    assert spec.read(written, 7) == instance
    assert spec.accept(written) == (key, written)


@given(st.text(CHARACTERS, min_size=1, max_size=40), st.integers(0, 2**53), st.integers(1, 2**53))
def test_what_is_written_is_read_with_its_version(address: str, port: int, version: int) -> None:
    spec = model_of(Host)
    document = spec.write(Host(address=address, port=port, revision=3))
    assert "revision" not in document and "password" not in document
    read = spec.read(document, version)
    assert (read.address, read.port, read.revision) == (address, port, version)


@pytest.mark.parametrize("slots", [False, True])
def test_what_is_written_has_all_fields_also_those_that_were_not_given(slots: bool) -> None:
    @model(key="name")
    @dataclass(slots=slots)  # type: ignore[literal-required]  # either will do
    class Thing:
        name: str
        size: int = 1

    assert model_of(Thing).accept({"name": "a"}) == ("a", {"name": "a", "size": 1})


def test_a_renamed_field_is_hidden_under_its_name_in_documents() -> None:
    @model(key="user_name", hidden=["pass_word"])
    class User(msgspec.Struct, rename="camel"):
        user_name: str
        pass_word: str = ""

    spec = model_of(User)
    assert spec.hidden == ("passWord",)
    assert spec.write(User("ada", "secret")) == {"userName": "ada", "passWord": "secret"}


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda one: "".join(map(str, one.__rich_repr__()))])
def test_hidden_fields_stand_in_no_repr(show: Callable[[Any], str]) -> None:
    shown = show(Host(address="a", password="s3cret")) + show(Paper(1, token="s3cret"))
    assert "s3cret" not in shown and "password" not in shown and "address" in shown


def test_hidden_fields_stand_in_no_error() -> None:
    @model(key="name", hidden=["token", "more"])
    @dataclass
    class Guarded:
        name: str
        token: Colour = Colour.RED
        more: dict[str, str] = field(default_factory=dict)

        def __post_init__(self) -> None:
            if self.more:
                raise ValueError(f"not with {self.more}")

    spec = model_of(Guarded)
    for document in ({"name": "a", "token": "s3cret"}, {"name": "a", "more": {"x": "s3cret"}}):
        with pytest.raises(ValidationFailed) as caught:
            spec.accept(document)
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))
        assert "s3cret" not in repr(caught.value.__context__)


@pytest.mark.parametrize(
    ("document", "field", "reason"),
    [
        ({"address": "a", "port": "22"}, "port", "Expected `int`, got `str`"),
        ({"port": 22}, "", "missing required field `address`"),
        ({"address": ""}, "address", "a key has 1 to 255 characters, not 0"),
        ({"address": "x" * 256}, "address", "256"),
        ({"address": "a\0b"}, "address", "NUL"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(document: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(ValidationFailed, match=reason) as caught:
        model_of(Host).accept(document)
    assert (caught.value.model, caught.value.field) == ("Host", field)


def test_an_instance_is_validated_before_it_is_sent() -> None:
    with pytest.raises(ValidationFailed, match=r"Cluster\.size: Expected `int`, got `str`"):
        model_of(Cluster).write(Cluster("one", "many"))  # type: ignore[arg-type]
    with pytest.raises(ValidationFailed, match="this is a Host, not a Cluster"):
        model_of(Cluster).write(Host(address="a"))


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("a", "a"),
        (5, "5"),
        (Colour.RED, "red"),
        (date(2026, 5, 1), "2026-05-01"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_a_key_is_text_or_becomes_text(value: object, key: str) -> None:
    assert model_of(Cluster).key(value) == key


@pytest.mark.parametrize("value", [None, 1.5, True, ["a"], object(), "\ud800"])
def test_anything_else_is_no_key(value: object) -> None:
    with pytest.raises(ValidationFailed, match=r"Cluster\.name"):
        model_of(Cluster).key(value)


def test_a_declaration_that_makes_no_sense_is_refused() -> None:
    class Thing(msgspec.Struct):
        name: str
        secret: str
        size: int = 0

    @attrs.define
    class Other:
        name: str
        secret: str

    for cls in (Thing, Other, dataclass(type("Plain", (), {"__annotations__": {"name": str, "secret": str}}))):
        with pytest.raises(ConfigurationError, match="secret needs a default"):
            model(key="name", hidden=["secret"])(cls)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("no field 'colour', which is declared as key", {"key": "colour"}),
        ("no field 'x', which is declared as hidden", {"key": "name", "hidden": "x"}),
        ("different fields", {"key": "name", "hidden": ["name"]}),
        ("different fields", {"key": "name", "version": "name"}),
        ("no name for a model", {"key": "name", "name": "a.b"}),
    ]
    for text, declared in wrong:
        with pytest.raises(ConfigurationError, match=text):
            model(**declared)(Thing)
    with pytest.raises(ConfigurationError, match="array-like"):
        model(key="name")(msgspec.defstruct("Row", [("name", str)], array_like=True))
    with pytest.raises(ConfigurationError, match="no msgspec struct, dataclass or attrs class"):
        model(key="name")(logging.Logger)
    with pytest.raises(ConfigurationError, match=r"write @model\(key"):
        model_of(Thing)


def test_a_version_of_another_kind_is_refused() -> None:
    @model(key="name", version="revision")
    class Numbered(msgspec.Struct):
        name: str
        revision: int = 0

    for wrong in ("1", 1.9, True, None):
        with pytest.raises(ValidationFailed, match="revision"):
            model_of(Numbered).expected(Numbered("a", wrong))  # type: ignore[arg-type]  # that is the mistake


@model(key="name", hidden=["secret"])
class Inner(msgspec.Struct):
    name: str
    secret: str = ""


@model(key="name")
class Outer(msgspec.Struct):
    name: str
    inner: list[Inner] = []


def test_what_hides_something_is_not_stored_inside_of_something_else() -> None:
    assert model_of(Outer).write(Outer("a")) == {"name": "a", "inner": []}
    with pytest.raises(ValidationFailed, match="inner"):
        model_of(Outer).write(Outer("a", [Inner("b", "hush")]))


@attrs.define
class Box:
    inner: Inner


@model(key="name")
class Crate(msgspec.Struct):
    name: str
    boxes: list[Box] = []


def test_nor_inside_of_an_attrs_class_inside_of_it() -> None:
    with pytest.raises(ValidationFailed, match=r"Crate\.boxes: holds a Inner.*\(key 'a'\)"):
        model_of(Crate).write(Crate("a", [Box(Inner("b", "hush"))]))


@model(key="name")
class Loose(msgspec.Struct):
    name: str
    value: Any = None
    share: float = 0.0


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


def _deep(levels: int) -> Any:
    return [_deep(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    ("instance", "field", "reason"),
    [
        (Loose("a", share=float("nan")), "share", "NaN and the infinities have no place in JSON"),
        (Loose("a", {"x": [float("-inf")]}), "value", "NaN and the infinities"),
        (Loose("a", "b\ud800c"), "value", "text with lone surrogates is no Unicode"),
        (Loose("a", {"\udfff": 1}), "value", "text with lone surrogates"),
        (Loose("a", object()), "value", "objects of type object"),
        (Loose("a", _circle()), "value", "it contains itself"),
        (Loose("a", _deep(49)), "value", "nested deeper than 48 levels"),
        (Loose("a", _deep(400)), "value", "nested deeper than 48 levels"),
        (Loose("a", share="x"), "share", "Expected `float`"),  # type: ignore[arg-type]
    ],
    ids=["nan", "inf", "surrogate", "key", "object", "circle", "deep", "deeper", "type"],
)
def test_what_cannot_be_stored_is_named_before_it_is_sent(instance: Loose, field: str, reason: str) -> None:
    with pytest.raises(ValidationFailed, match=reason) as caught:
        model_of(Loose).write(instance)
    assert (caught.value.model, caught.value.field, caught.value.key) == ("Loose", field, "a")
    assert "Loose." in str(caught.value) and "(key 'a')" in str(caught.value)


def test_a_number_that_a_class_spoils_by_itself_is_not_stored_as_null() -> None:
    @model(key="name")
    @dataclass
    class Spoiling:
        name: str
        share: float = 0.0

        def __post_init__(self) -> None:
            self.share = float("inf")

    with pytest.raises(ValidationFailed, match=r"Spoiling\.share: NaN and the infinities.*\(key 'a'\)"):
        model_of(Spoiling).accept({"name": "a"})


def test_the_largest_depth_is_allowed() -> None:
    assert model_of(Loose).write(Loose("a", _deep(48)))["value"] == _deep(48)


def test_what_belongs_to_the_class_is_not_stored() -> None:
    @model(key="name")
    @dataclass
    class Counted:
        name: str
        made: ClassVar[int] = 7

    assert model_of(Counted).accept({"name": "a"}) == ("a", {"name": "a"})
    assert model_of(Counted).write(Counted("a")) == {"name": "a"}
    with pytest.raises(ConfigurationError, match="no field 'made', which is declared as hidden"):
        model(key="name", hidden=["made"])(Counted)


@model(key="name", hidden=["pin"])
@dataclass
class Card:
    name: str
    limit: int = 0
    pin: str = ""
    colour: Colour = Colour.RED

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError("a limit is at least zero, as always")
        if self.pin == "0000":
            raise ValueError(f"{self.name} has the pin {self.pin} - at `$.0000`")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        # A short secret is betrayed by what is blotted out, if it is blotted out inside of words.
        ({"name": "n", "limit": -1, "pin": "a"}, "Card: a limit is at least zero, as always (key 'n')"),
        ({"name": "n", "limit": "x", "pin": "int"}, "Card.limit: Expected `int`, got `str` (key 'n')"),
        ({"name": "n", "colour": "green", "pin": "e"}, "Card.colour: Invalid enum value 'green' (key 'n')"),
        ({"name": "n", "pin": 5}, "Card.pin: the value of a hidden field does not fit (key 'n')"),
        ({"name": "n", "pin": "0000"}, "Card: the value of a hidden field does not fit (key 'n')"),
    ],
)
def test_an_error_says_the_same_whatever_is_hidden(document: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        model_of(Card).accept(document)
    assert str(caught.value) == said
    assert "0000" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)


class Talking(tzinfo):
    """Repeats what it should keep to itself."""

    def utcoffset(self, _: object) -> timedelta:
        raise ValueError("0000")

    def dst(self, _: object) -> None: ...

    def tzname(self, _: object) -> None: ...


def test_a_hidden_field_that_cannot_be_written_is_named_and_not_quoted() -> None:
    @model(key="name", hidden=["token"])
    class Guarding(msgspec.Struct):
        name: str
        token: Any = None

    with pytest.raises(
        ValidationFailed, match=r"Guarding\.token: cannot be written as JSON: ValueError \(key 'a'\)"
    ) as caught:
        model_of(Guarding).write(Guarding("a", datetime(2026, 5, 1, tzinfo=Talking())))
    assert "0000" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)


@pytest.mark.parametrize("tags", [{1: "a", "1": "b"}, [{"x": {"2020-01-01": 1, date(2020, 1, 1): 2}}]])
def test_keys_of_a_dict_that_are_one_text_in_json_are_refused(tags: Any) -> None:
    @model(key="name", hidden=["secret"])
    class Tagged(msgspec.Struct):
        name: str
        tags: Any = None
        secret: Any = None

    spec = model_of(Tagged)
    text = "1|2020-01-01"
    with pytest.raises(ValidationFailed, match=rf"Tagged\.tags: two keys .* '({text})' \(key 'a'\)"):
        spec.write(Tagged("a", tags))
    with pytest.raises(ValidationFailed, match=r"Tagged\.secret: two keys of a dict are the same text in JSON \("):
        spec.write(Tagged("a", secret=tags))
    assert spec.write(Tagged("a", {1: "a", "2": "b"}))["tags"] == {"1": "a", "2": "b"}


@pytest.mark.parametrize("kind", ["float", "bool", "list[str]"])
def test_a_key_that_could_never_be_saved_is_refused_when_it_is_declared(kind: str) -> None:
    class Thing(msgspec.Struct):
        __annotations__ = {"name": kind}

    with pytest.raises(ConfigurationError, match=r"Thing\.name is no key: a key is text, a whole number, or"):
        model(key="name")(Thing)


def test_a_version_that_is_no_whole_number_is_refused_when_it_is_declared() -> None:
    class Thing(msgspec.Struct):
        name: str
        revision: str = ""

    with pytest.raises(
        ConfigurationError, match=r"Thing\.revision holds no version: that is a whole number, of type int"
    ):
        model(key="name", version="revision")(Thing)


def test_a_subclass_hides_what_its_model_hides() -> None:
    @model(key="name", hidden=["word"])
    @dataclass
    class Plain:
        name: str
        word: str = "s3cret"

    @dataclass
    class PlainMore(Plain):
        size: int = 1

    @model(key="name", hidden=["word"])
    @attrs.define
    class Attrs:
        name: str
        word: str = "s3cret"

    @attrs.define
    class AttrsMore(Attrs):
        size: int = 1

    @model(key="name", hidden=["word"])
    class Struct(msgspec.Struct):
        name: str
        word: str = "s3cret"

    class StructMore(Struct):
        size: int = 1

    for thing in (PlainMore("a"), AttrsMore("a"), StructMore("a")):
        assert "s3cret" not in repr(thing)
        assert "name='a'" in repr(thing) and "size=1" in repr(thing)


@model(key="id", hidden=["word"])
class Hiding(msgspec.Struct):
    id: str
    word: str = ""


class Undeclared(Hiding):
    more: str = "x"


def test_a_model_hides_what_its_bases_hide() -> None:
    @model(key="id", hidden=["token"])
    class More(Hiding):
        token: str = ""

    @model(key="id")
    class Same(Hiding):
        pass

    assert model_of(More).hidden == ("token", "word")
    assert model_of(Same).hidden == ("word",)
    for shown in (repr(More("1", "s3cret", "s3cret")), repr(Same("1", "s3cret"))):
        assert "s3cret" not in shown


def test_what_a_subclass_of_a_hiding_model_holds_is_not_stored_inside_another() -> None:
    @model(key="id")
    class Box(msgspec.Struct):
        id: str
        inside: Any = None

    for inside in (Undeclared("1"), [Undeclared("1")], {"a": (Undeclared("1"),)}):
        with pytest.raises(ValidationFailed, match=r"Box.inside: holds a Hiding, whose hidden fields"):
            model_of(Box).write(Box("1", inside))


def test_the_field_that_cannot_be_written_is_named_also_behind_one_that_is_not_set() -> None:
    @model(key="address", hidden=["password"])
    class Thing(msgspec.Struct):
        address: str
        password: str | msgspec.UnsetType = msgspec.UNSET
        extra: Any = None

    with pytest.raises(ValidationFailed, match=r"Thing\.extra: cannot be written as JSON"):
        model_of(Thing).write(Thing("a", extra=object()))
    with pytest.raises(ValidationFailed, match=r"Thing\.extra: Exceeds the limit"):
        model_of(Thing).write(Thing("a", extra=10**5000))


def test_a_version_is_not_higher_than_json_can_say() -> None:
    spec = model_of(Host)
    assert spec.version(2**53) == 2**53
    with pytest.raises(ValidationFailed, match="a version is 0 or more, and at most"):
        spec.version(10**5000)
