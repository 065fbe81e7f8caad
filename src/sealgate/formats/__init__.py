"""Signature formats: one module each, behind the protocol in `sealgate.formats.interface`.

A further format is a module (or folder) with a builder, and one line in `_BUILDERS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.errors import NoKeyError, PolicyError
from sealgate.formats import cosign, grafeas, notary, oracle, simple_signing
from sealgate.formats.incomplete import IncompleteCheck
from sealgate.keys.resolvers import UsableKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.formats.interface import Check
    from sealgate.keys.resolvers import KeyResolver
