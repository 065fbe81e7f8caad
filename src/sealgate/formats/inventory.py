"""What each format lists of an image: its stored signatures, each judged by one authenticator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import UnavailableError, VerificationError
from sealgate.findings import SeenSignature
from sealgate.formats.cosign import listing as cosign
from sealgate.formats.cosign.attestation_listing import list_attestations
from sealgate.formats.cosign.verify import CosignCheck
from sealgate.formats.grafeas import listing as grafeas
from sealgate.formats.grafeas.verify import GrafeasCheck
from sealgate.formats.incomplete import IncompleteCheck
from sealgate.formats.notary import listing as notary
from sealgate.formats.notary.verify import NotaryCheck
from sealgate.formats.notation import listing as notation
from sealgate.formats.notation.verify import NotationCheck
from sealgate.formats.oracle import listing as oracle
from sealgate.formats.oracle.verify import OracleCheck
from sealgate.formats.simple_signing import listing as simple_signing
from sealgate.formats.simple_signing.verify import SimpleSigningCheck
from sealgate.formats.stored import StoredSignature
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sealgate.errors import SealgateError
    from sealgate.formats.interface import Check, Image, Sources


def stored_signatures(check: Check, image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    """Return every signature of an image that an authenticator's format finds, each judged by the authenticator.

    What could not be read is one of them, with the reason. An image without signatures has none.

    Args:
        check: the authenticator.
        image: the image.
        sources: where signatures are.
    """
    if isinstance(check, IncompleteCheck):
        missing = (SeenSignature("a key of the authenticator", why.reason, why.message) for why in check.missing)
        unusable = tuple(StoredSignature(seen.source, seen) for seen in missing)
        return (*stored_signatures(check.check, image, sources), *unusable)
    try:
        return _list(check, image, sources)
    except (VerificationError, UnavailableError) as error:
        if error.reason is Reason.NO_SIGNATURE:
            return ()
        seen = SeenSignature(f"signatures of the format {check.format}", error.reason, error.message)
        return (StoredSignature(seen.source, seen),)


def unjudged_signatures(
    checks: Iterable[Check | SealgateError], image: Image, sources: Sources
) -> tuple[StoredSignature, ...]:
    """Return the cosign signatures in an image's own repository, unless one of the authenticators searches there.

    That repository needs no configuration, so its signatures are listed without an authenticator too.
    """
    for each in checks:
        check = each.check if isinstance(each, IncompleteCheck) else each
        if isinstance(check, CosignCheck) and check.repository_of(image) == image.reference.repository:
            return ()
    return cosign.list_unjudged(image, sources)


def _list(check: Check, image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    if isinstance(check, CosignCheck):
        return (*cosign.list_signatures(check, image, sources), *list_attestations(check, image, sources))
    if isinstance(check, SimpleSigningCheck):
        return simple_signing.list_signatures(check, image, sources)
    if isinstance(check, GrafeasCheck):
        return grafeas.list_signatures(check, image, sources)
    if isinstance(check, OracleCheck):
        return oracle.list_signatures(check, image, sources)
    if isinstance(check, NotaryCheck):
        return notary.list_signatures(check, image, sources)
    if isinstance(check, NotationCheck):
        return notation.list_signatures(check, image, sources)
    msg = f"signatures of the format {check.format} cannot be listed; verify the image instead"
    raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
