"""Builds an authenticator's check from the format of its spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.errors import NoKeyError, PolicyError
from sealgate.formats.cosign import verify as cosign
from sealgate.formats.grafeas import verify as grafeas
from sealgate.formats.incomplete import IncompleteCheck
from sealgate.formats.notary import verify as notary
from sealgate.formats.oracle import verify as oracle
from sealgate.formats.simple_signing import verify as simple_signing
from sealgate.keys.resolvers import UsableKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.api.v1alpha1.notation import NotationSpec
    from sealgate.formats.interface import Check
    from sealgate.keys.resolvers import KeyResolver


def _build_notation(spec: NotationSpec, keys: KeyResolver) -> Check:
    """Import the format only where an authenticator has it: certificates and OCSP take a megabyte of each process."""
    from sealgate.formats.notation import verify

    return verify.build(spec, keys)


#: Every format: the attribute of its field in `AuthenticatorSpec`, and the function that makes a check of that field.
FORMATS: Mapping[str, Callable[[Any, KeyResolver], Check]] = {
    "cosign": cosign.build,
    "simple_signing": simple_signing.build,
    "notary": notary.build,
    "notation": _build_notation,
    "grafeas": grafeas.build,
    "oracle": oracle.build,
}


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
        check = FORMATS[chosen[0]](getattr(spec, chosen[0]), usable)
    except NoKeyError as error:
        raise (usable.missing[0] if usable.missing else error) from None
    return IncompleteCheck(check, tuple(usable.missing)) if usable.missing else check
