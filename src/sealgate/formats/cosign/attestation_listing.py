"""Listing an image's attestations, read by the search that verifies them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.cosign.attestations import AttestationSearch, FoundAttestation, Requirement
from sealgate.formats.cosign.claims import Claims
from sealgate.formats.cosign.deleting import LayerRemoval
from sealgate.formats.cosign.wire import SIGN_PREDICATE
from sealgate.formats.referrer_removal import ReferrerRemoval
from sealgate.formats.stored import StoredSignature
from sealgate.parsing.evidence import parse_object, text_member
from sealgate.reasons import Reason
from sealgate.references import Digest

if TYPE_CHECKING:
    from sealgate.findings import SeenSignature
    from sealgate.formats.cosign.verify import CosignCheck
    from sealgate.formats.cosign.wire import Envelope
    from sealgate.formats.interface import Image, Sources
    from sealgate.references import Repository

#: Stands for the type of an attestation whose statement cannot be read.
UNKNOWN_TYPE = "unknown"


@dataclass(frozen=True, slots=True)
class _AnyAttestation(Requirement):
    """Any attestation of the image by an accepted signer, with any predicate."""

    def concerns(self, stated: str | None) -> bool:
        """Return whether it is not stated to be a signature."""
        return stated != SIGN_PREDICATE

    def check(self, envelope: Envelope, claims: Claims) -> None:
        """Check that the statement attests something about the image."""
        stated = _type_of(envelope)
        if stated == SIGN_PREDICATE:
            raise VerificationError("it is a signature, not an attestation", reason=Reason.TYPE_MISMATCH)
        claims.attested(envelope, stated)


def list_attestations(check: CosignCheck, image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    """Return the stored attestations of an image; each is judged by who has signed it, not by conditions.

    What could not be read is returned too, with the reason.

    Args:
        check: the authenticator.
        image: the image.
        sources: where attestations are.
    """
    found: dict[str, FoundAttestation] = {}
    repository = check.repository_of(image)
    search = AttestationSearch(
        (_AnyAttestation(""),),
        Claims(image, {}, check.match_repository),
        repository,
        sources,
        check.signers,
        all_signers=True,
        found=found,
    )
    stored = (_stored(each, found.get(each.source), repository) for each in search.see())
    return tuple(each for each in stored if each.attests != SIGN_PREDICATE)


def _stored(seen: SeenSignature, found: FoundAttestation | None, repository: Repository) -> StoredSignature:
    if found is None:
        return StoredSignature(seen.source, seen, attests=UNKNOWN_TYPE)
    manifest = found.holder.startswith("sha256:")
    return StoredSignature(
        seen.source,
        seen,
        location=f"{repository.name}{'@' if manifest else ':'}{found.holder}",
        digest=found.layer.digest,
        size=found.layer.size,
        time=found.created,
        content=found.content,
        removal=_removal(found, repository),
        part=f"{found.layer.digest} {found.signature.hex()}",
        attests=UNKNOWN_TYPE if found.envelope is None else _stated_type(found.envelope),
    )


def _removal(found: FoundAttestation, repository: Repository) -> LayerRemoval | ReferrerRemoval:
    if found.holder.startswith("sha256:"):
        return ReferrerRemoval(repository, Digest(found.holder))
    return LayerRemoval.of(repository, found.holder, found.layer)


def _type_of(envelope: Envelope) -> str:
    return text_member(parse_object(envelope.payload, "the statement"), "predicateType", "the statement")


def _stated_type(envelope: Envelope) -> str:
    with suppress(VerificationError):  # `judged` says what is wrong
        return _type_of(envelope)
    return UNKNOWN_TYPE
