"""Finds the service class that ``pkg.module:Service`` names, importing as ``python -m`` does: from here first.

It must not know how a service is run. Every way to fail says what to write instead.
"""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from typing import Any, Final

from treaty.errors import ConfigurationError
from treaty.service import Service

_LOG: Final = logging.getLogger("treaty.cli")


def load_service(spec: str) -> type[Service]:
    """Import the module and return the class.

    Raises:
        ConfigurationError: malformed, not there, does not import, or no service.
    """
    module_name, colon, attribute = spec.partition(":")
    if not (colon and attribute and all(part.isidentifier() for part in module_name.split("."))):
        raise ConfigurationError(f"{spec!r} names no service: write 'package.module:Service'")
    found = _import(module_name)
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            offered = ", ".join(_services(sys.modules[module_name])) or "none"
            raise ConfigurationError(
                f"the module {module_name!r} has no {attribute!r}; services in it: {offered}"
            ) from None
    if not (isinstance(found, type) and issubclass(found, Service)):
        raise ConfigurationError(f"{spec!r} is no subclass of treaty.Service, but {found!r:.80}")
    return found


def _import(name: str) -> Any:
    try:
        here = str(Path.cwd())
    except OSError as error:
        raise ConfigurationError(
            f"the current directory, where {name!r} is looked for first, cannot be read: {error.strerror}"
        ) from None
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(f"there is no module {name!r}, looked for in {here} and on sys.path") from None
        raise ConfigurationError(f"the module {name!r} does not import: {error}") from error
    except Exception as error:
        # The code of somebody else may raise anything.
        _LOG.debug("%s does not import", name, exc_info=True)
        raise ConfigurationError(f"the module {name!r} does not import: {type(error).__name__}: {error}") from error


def _services(module: Any) -> list[str]:
    return sorted(
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Service) and value is not Service
    )
