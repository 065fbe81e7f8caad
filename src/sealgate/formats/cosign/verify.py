"""A cosign authenticator, ready to verify images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.clocks import earliest
from sealgate.errors import VerificationError, in_field
from sealgate.findings import Verified
from sealgate.formats.cosign.attestations import AttestationSearch, Requirement
from sealgate.formats.cosign.claims import Claims
from sealgate.formats.cosign.conditions import compile_condition
from sealgate.formats.cosign.predicates import slsa_conditions
from sealgate.formats.cosign.search import Search
from sealgate.formats.cosign.signers import read_signers
from sealgate.formats.interface import hash_content
from sealgate.formats.signers import each_once, public_check_keys
from sealgate.references import parse_repository

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.api.v1alpha1.attestations import AttestationRequirement
    from sealgate.api.v1alpha1.cosign import CosignSpec
    from sealgate.findings import SeenSignature
    from sealgate.formats.cosign.signers import Signers
    from sealgate.formats.interface import CheckKey, Image, Sources
    from sealgate.keys.resolvers import KeyResolver
    from sealgate.references import Repository

# Part of `content`: raise it when the same keys and options come to mean something else.
_RULES_VERSION = 1


@dataclass(frozen=True, slots=True)
class CosignCheck:
    """One cosign authenticator's rules. Immutable, thread-safe.

    Attributes:
        signers: the accepted keys and identities, at least one.
        annotations: what the signed text must carry.
        match_repository: whether the signed text must name the image's repository.
        signature_repository: where the signatures are; None for the image's own repository.
        content: see `sealgate.formats.interface.Check`.
        requirements: attestations that the image must have; may be empty.
        signature_required: whether the image must have a signature; False only beside requirements.
        format: "cosign".
        depends_on_tag: False: the tag makes no difference.
    """

    signers: Signers
    annotations: Mapping[str, str]
    match_repository: bool
    signature_repository: Repository | None
    content: str
    requirements: tuple[Requirement, ...] = ()
    signature_required: bool = True
    format: str = "cosign"
    depends_on_tag: bool = False

    @property
    def named_hosts(self) -> frozenset[str]:
        """The registry of the signatures, where the authenticator names one."""
        return frozenset() if self.signature_repository is None else frozenset({self.signature_repository.registry})

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...] | None:
        """Return the accepted keys; None where identities are accepted, whose keys are made for one signature each."""
        del now
        return None if self.signers.keyless is not None else each_once(public_check_keys(self.signers.keys))

    def budget_host(self, image: Image) -> str:
        """Return the registry that holds the signatures."""
        return self.repository_of(image).registry

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the image's signatures; see `sealgate.formats.interface.Check`.

        An image that is signed classically by the only key costs two requests: the tag and the payload. The signers of
        the finding are those of the signature; where none is required, those of the first attestation.

        Raises:
            VerificationError: no signature counts, or an attestation is missing; carries every signature seen.
            UnavailableError: no signature counts, and one could not be fetched; or the same of an attestation.
        """
        claims = Claims(image, self.annotations, self.match_repository)
        signed = (
            Search(self.signers, claims, self.repository_of(image), sources).run() if self.signature_required else None
        )
        if not self.requirements:
            assert signed is not None  # noqa: S101 - without requirements a signature is required, see `build`
            return signed
        attested = self._attested(claims, sources, () if signed is None else signed.signatures)
        found = [*([] if signed is None else [signed]), *attested]
        seen = dict.fromkeys(each for one in found for each in one.signatures)
        return Verified(found[0].fingerprints, tuple(seen), earliest(*(one.valid_until for one in found)))

    def _attested(self, claims: Claims, sources: Sources, seen: tuple[SeenSignature, ...]) -> list[Verified]:
        """Return what met each requirement; errors carry the signatures that were seen before, too."""
        search = AttestationSearch(
            self.requirements,
            claims,
            self.repository_of(claims.image),
            sources,
            self.signers,
            all_signers=not self.signature_required,
        )
        try:
            return search.run()
        except VerificationError as error:
            signatures = (*seen, *error.signatures)
            raise VerificationError(error.message, reason=error.reason, signatures=signatures) from error

    def repository_of(self, image: Image) -> Repository:
        """Return the repository that holds the signatures of an image."""
        return self.signature_repository or image.reference.repository


def build(spec: CosignSpec, keys: KeyResolver) -> CosignCheck:
    """Turn the `cosign` field of an `Authenticator` into a check.

    Raises:
        InvalidKeyError: a key or the trusted root cannot be accepted.
        InvalidPatternError: a regular expression of an identity cannot be accepted.
        InvalidReferenceError: the signature repository is no repository.
        NoKeyError: no signer is left.
        PolicyError: a condition on an attestation does not compile.
        UnavailableError: the trusted root is not there (yet).
    """
    signers = read_signers(spec, keys)
    signatures_in = None
    if spec.signature_repository is not None:
        with in_field("cosign.signatureRepository"):
            signatures_in = parse_repository(spec.signature_repository)
    return CosignCheck(
        signers=signers,
        annotations=dict(spec.annotations),
        match_repository=spec.match_repository,
        signature_repository=signatures_in,
        content=_content(signers, spec, signatures_in),
        requirements=tuple(_requirement(number, each) for number, each in enumerate(spec.attestations)),
        signature_required=spec.signatures == "Required",
    )


def _requirement(number: int, entry: AttestationRequirement) -> Requirement:
    texts = {f"condition {index}": text for index, text in enumerate(entry.conditions, 1)}
    if entry.slsa is not None:
        texts = {**slsa_conditions(entry.slsa, entry.predicate_type), **texts}
    with in_field(f"cosign.attestations[{number}]"):
        conditions = tuple(compile_condition(name, text) for name, text in texts.items())
    return Requirement(entry.predicate_type, conditions)


def _content(signers: Signers, spec: CosignSpec, signatures_in: Repository | None) -> str:
    document: dict[str, Any] = {
        "format": "cosign",
        "rules": _RULES_VERSION,
        **signers.content(),
        "annotations": spec.annotations,
        "matchRepository": spec.match_repository,
        "signatureRepository": signatures_in.name if signatures_in else None,
    }
    if spec.attestations:
        document["attestations"] = [entry.model_dump() for entry in spec.attestations]
        document["signatures"] = spec.signatures
    return hash_content(document)
