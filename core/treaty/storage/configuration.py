"""Which store keeps which models: the configuration of a storage service, checked before anything is opened.

This room must not know services or databases, only where a store for a URL is to be found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from treaty import ConfigurationError
from treaty.storage.memory import RETAIN, MemoryStore
from treaty.storage.models import model_of
from treaty.storage.store import Store

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")
_PASSWORD: Final = re.compile(r"(?i)(password=)[^&\s]*")
_SETTINGS: Final = ("name", "url", "models", "retain")


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One store, and what it keeps.

    Args:
        url: ``memory:``, ``sqlite:///path`` or ``postgresql://…``.
        make: makes the store instead, for a store of your own.
        models: the classes whose instances it keeps.
        name: of its feed of changes; one for each store of a service.
        retain: how many changes its log holds: a subscriber that missed more reads everything anew. Not with ``make``.
    """

    models: tuple[type, ...] | list[type]
    url: str = ""
    make: Callable[[], Store] | None = None
    name: str = "main"
    retain: int = RETAIN

    def __repr__(self) -> str:
        models = ", ".join(getattr(cls, "__qualname__", repr(cls)) for cls in self.models)
        url = _PASSWORD.sub(r"\1***", _CREDENTIALS.sub("//***@", self.url))
        return f"<StoreConfig {self.name} {url} [{models}]>"

    def open(self) -> Store:
        """Make the store. It is not open yet.

        Raises:
            ConfigurationError: there is no store for this URL, or its library is not installed.
        """
        if self.make is not None:
            store = self.make()
            if not isinstance(store, Store):
                raise ConfigurationError(f"store {self.name!r}: make() gave no store, but {type(store).__name__}")
            return store
        scheme = self.url.partition(":")[0].partition("+")[0]
        if scheme == "memory":
            return MemoryStore(retain=self.retain)
        if scheme not in ("sqlite", "postgresql"):
            raise ConfigurationError(
                f"store {self.name!r}: nothing is known of {scheme!r}: use 'memory:', 'sqlite:///…' or 'postgresql://…'"
            )
        try:
            from treaty.storage.sql import SqlStore
        except ImportError as error:
            raise ConfigurationError(
                f"store {self.name!r} needs {error.name or error}: pip install 'treaty[sql]'"
            ) from error
        return SqlStore(self.url, retain=self.retain)


def read_config(settings: Iterable[Mapping[str, Any]], models: Iterable[type]) -> list[StoreConfig]:
    """Read the configuration from plain values, as a TOML file has them, where models stand by their names. ::

        [[stores]]
        url = "sqlite:////var/lib/app.db"
        models = ["Host", "Cluster"]

    Raises:
        ConfigurationError: an unknown setting or model, a missing one, or one of the wrong type.
    """
    known = {model_of(cls).name: cls for cls in models}
    return [_read_one(setting, known) for setting in settings]


def _read_one(setting: Mapping[str, Any], known: Mapping[str, type]) -> StoreConfig:
    if not isinstance(setting, Mapping):
        raise ConfigurationError(f"the settings of a store are a table, not {type(setting).__name__}")
    shown = f"store {setting.get('name', 'main')!r}"
    for name in setting:
        if name not in _SETTINGS:
            raise ConfigurationError(f"{shown}: unknown setting {name!r}; known: {', '.join(_SETTINGS)}")
    for name in ("url", "models"):
        if not setting.get(name):
            raise ConfigurationError(f"{shown}: the setting {name!r} is missing")
    names = setting["models"]
    if not isinstance(names, Sequence) or isinstance(names, str):
        raise ConfigurationError(f"{shown}: 'models' is a list of names, not {names!r}")
    for name in names:
        if name not in known:
            raise ConfigurationError(f"{shown}: unknown model {name!r}; known: {', '.join(sorted(known)) or 'none'}")
    return StoreConfig(**{**setting, "models": tuple(known[name] for name in names)})


def check(stores: Sequence[StoreConfig]) -> None:
    """Check what can be checked without opening anything.

    Raises:
        ConfigurationError: no store, a class that is no model, a model or a name that is there twice, a missing URL.
    """
    if not stores:
        raise ConfigurationError("a storage service needs a store: StoreConfig(url='sqlite:///app.db', models=[...])")
    names: set[str] = set()
    urls: dict[str, str] = {}
    keeps: dict[str, str] = {}
    for one in stores:
        if not isinstance(one, StoreConfig):
            raise ConfigurationError(f"{one!r} is no StoreConfig")
        _check_one(one)
        if one.name in names:
            raise ConfigurationError(f"two stores are called {one.name!r}: give each a name of its own")
        names.add(one.name)
        if one.url and one.url != "memory:" and one.url in urls:
            raise ConfigurationError(
                f"the stores {urls[one.url]!r} and {one.name!r} have one database: give all its models to one of them"
            )
        urls[one.url] = one.name
        for cls in one.models:
            model = model_of(cls).name
            if model in keeps:
                raise ConfigurationError(f"the model {model} is given to {keeps[model]!r} and to {one.name!r}")
            keeps[model] = one.name


def _check_one(one: StoreConfig) -> None:
    if not isinstance(one.name, str) or not _NAME.fullmatch(one.name):
        raise ConfigurationError(f"{one.name!r} is no name for a store: use up to 64 of a-z, 0-9, '_' and '-'")
    if not isinstance(one.url, str) or bool(one.url) is (one.make is not None):
        raise ConfigurationError(f"store {one.name!r}: give either a URL or a function that makes the store")
    if one.make is not None and not callable(one.make):
        raise ConfigurationError(f"store {one.name!r}: make is a function, not {type(one.make).__name__}")
    if one.make is not None and one.retain != RETAIN:
        raise ConfigurationError(f"store {one.name!r}: what make() makes decides how much it retains, not retain")
    if isinstance(one.models, str) or not isinstance(one.models, Sequence) or not one.models:
        raise ConfigurationError(f"store {one.name!r}: it keeps no models: write models=[...]")
    if isinstance(one.retain, bool) or not isinstance(one.retain, int) or one.retain < 1:
        raise ConfigurationError(f"store {one.name!r}: retain is a whole number from 1 on, not {one.retain!r}")
