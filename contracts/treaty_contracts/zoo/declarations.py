"""Animals whose declaration is not true: each lies about one guarantee.

It must not know rules.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from treaty import Guarantees, Transport
from treaty_contracts.wrapping import WrappedTransport
from treaty_contracts.zoo.animals import broken


class _Lying(WrappedTransport):
    lies: ClassVar[dict[str, Any]]

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.guarantees: Guarantees = msgspec.structs.replace(inner.guarantees, **self.lies)


@broken("declares-nonsense")
class DeclaresNonsense(_Lying):
    """An answer of the declaration is text."""

    lies: ClassVar = {"ordered": "mostly"}


@broken("lies-about-processes")
class LiesAboutProcesses(_Lying):
    """It declares that it crosses processes, and does not."""

    lies: ClassVar = {"crosses_processes": True}


@broken("lies-about-survives")
class LiesAboutSurvives(_Lying):
    """It declares that queued requests survive, and they do not."""

    lies: ClassVar = {"survives_restart": True}


@broken("loses-unsettled")
class LosesUnsettled(_Lying):
    """It declares that unsettled deliveries are given to others, and they are lost."""

    lies: ClassVar = {"redelivers": True}


@broken("lies-about-max-frame")
class LiesAboutMaxFrame(_Lying):
    """It declares a limit that is one byte too high."""

    lies: ClassVar = {"max_frame": 8 * 1024 * 1024 + 1}


@broken("pretends-to-publish")
class PretendsToPublish(_Lying):
    """It declares that it has no notifications, and takes them all the same."""

    lies: ClassVar = {"notifications": False}


@broken("competes-undeclared")
class CompetesUndeclared(_Lying):
    """It declares that workers cannot compete, and lets them."""

    lies: ClassVar = {"competing_workers": False}
