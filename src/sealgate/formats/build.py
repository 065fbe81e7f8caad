"""Builds an authenticator's check from the format of its spec."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from sealgate.errors import NoKeyError, PolicyError
from sealgate.formats.incomplete import IncompleteCheck
from sealgate.keys.resolvers import UsableKeys

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.formats.interface import Check
    from sealgate.keys.resolvers import KeyResolver


#: Every format: the attribute of its field in `AuthenticatorSpec`, and the name of its package.
FORMATS: Final = (
    "cosign",
    "simple_signing",
    "notary",
    "notation",
    "grafeas",
    "oracle",
)


def build_check(authenticator: Authenticator, keys: KeyResolver) -> Check:
    """Make an authenticator ready to verify images: its keys loaded, its options compiled.

    Args:
        authenticator: the object.
        keys: where the keys behind its entries come from.

    Raises:
        PolicyError: it has no format, or several.
        InvalidKeyError: one of its keys cannot be accepted, or it has none.
        InvalidReferenceError: it names a repository that cannot be one.
        UnavailableError: none of its keys can be used (now); those that cannot are left out otherwise.
    """
    spec = authenticator.spec
    chosen = [name for name in FORMATS if getattr(spec, name) is not None]
    if len(chosen) != 1:
        what = f"{' and '.join(chosen)} are both there" if chosen else f"write one of: {', '.join(FORMATS)}"
        msg = f"Authenticator {authenticator.metadata.name} must have exactly one format; {what}"
        raise PolicyError(msg)
    usable = UsableKeys(keys)
    try:
        check = _build(chosen[0])(getattr(spec, chosen[0]), usable)
    except NoKeyError as error:
        raise (usable.missing[0] if usable.missing else error) from None
    return IncompleteCheck(check, tuple(usable.missing)) if usable.missing else check


def _build(name: str) -> Callable[[object, KeyResolver], Check]:
    """Return the function that makes a check of a format.

    A format is imported once an authenticator has it: together they take several megabytes of each process.
    """
    build: Callable[[object, KeyResolver], Check] = import_module(f"sealgate.formats.{name}.verify").build
    return build
