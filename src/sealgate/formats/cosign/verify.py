"""A cosign authenticator, ready to verify images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import InvalidKeyError, NoKeyError
from sealgate.formats.cosign.claims import Claims
from sealgate.formats.cosign.search import Search
from sealgate.formats.interface import hash_content
from sealgate.formats.signers import each_once, public_check_keys
from sealgate.references import parse_repository

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.api.v1alpha1.cosign import CosignSpec
    from sealgate.findings import Verified
    from sealgate.formats.interface import CheckKey, Image, Sources
    from sealgate.keys.public_keys import PublicKey
    from sealgate.keys.resolvers import KeyResolver
    from sealgate.references import Repository

# Part of `content`: raise it when the same keys and options come to mean something else.
_RULES_VERSION = 1


@dataclass(frozen=True, slots=True)
class CosignCheck:
    """One cosign authenticator's rules. Immutable, thread-safe.

    Attributes:
        keys: the accepted keys, at least one, each once.
        annotations: what the signed text must carry.
        match_repository: whether the signed text must name the image's repository.
        signature_repository: where the signatures are; None for the image's own repository.
        content: see `sealgate.formats.interface.Check`.
        format: "cosign".
        depends_on_tag: False: the tag makes no difference.
    """

    keys: tuple[PublicKey, ...]
    annotations: Mapping[str, str]
    match_repository: bool
    signature_repository: Repository | None
    content: str
    format: str = "cosign"
    depends_on_tag: bool = False

    @property
    def named_hosts(self) -> frozenset[str]:
        """The registry of the signatures, where the authenticator names one."""
        return frozenset() if self.signature_repository is None else frozenset({self.signature_repository.registry})

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...]:
        """Return the accepted keys."""
        del now
        return each_once(public_check_keys(self.keys))

    def budget_host(self, image: Image) -> str:
        """Return the registry that holds the signatures."""
        return self.repository_of(image).registry

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the image's signatures; see `sealgate.formats.interface.Check`.

        An image that is signed classically by the only key costs two requests: the tag and the payload.

        Raises:
            VerificationError: no signature counts; carries every signature seen.
            UnavailableError: no signature counts, and one could not be fetched.
        """
        claims = Claims(image, self.annotations, self.match_repository)
        return Search(self.keys, claims, self.repository_of(image), sources).run()

    def repository_of(self, image: Image) -> Repository:
        """Return the repository that holds the signatures of an image."""
        return self.signature_repository or image.reference.repository


def build(spec: CosignSpec, keys: KeyResolver) -> CosignCheck:
    """Turn the `cosign` field of an `Authenticator` into a check.

    Raises:
        InvalidKeyError: a key cannot be accepted.
        InvalidReferenceError: the signature repository is no repository.
        NoKeyError: there is no key.
    """
    accepted = _resolve(spec, keys)
    signatures_in = None if spec.signature_repository is None else parse_repository(spec.signature_repository)
    return CosignCheck(
        keys=accepted,
        annotations=dict(spec.annotations),
        match_repository=spec.match_repository,
        signature_repository=signatures_in,
        content=_content(accepted, spec, signatures_in),
    )


def _resolve(spec: CosignSpec, keys: KeyResolver) -> tuple[PublicKey, ...]:
    accepted: dict[tuple[str, ...], PublicKey] = {}
    for number, entry in enumerate(spec.keys):
        try:
            for key in keys.public_keys(entry):
                accepted.setdefault(key.content, key)
        except InvalidKeyError as error:
            raise InvalidKeyError(f"cosign.keys[{number}]: {error.message}") from error
    if not accepted:
        raise NoKeyError("cosign.keys is empty: without a key no signature can count; add one")
    return tuple(accepted.values())


def _content(keys: tuple[PublicKey, ...], spec: CosignSpec, signatures_in: Repository | None) -> str:
    document = {
        "format": "cosign",
        "rules": _RULES_VERSION,
        "keys": sorted(key.content for key in keys),
        "annotations": spec.annotations,
        "matchRepository": spec.match_repository,
        "signatureRepository": signatures_in.name if signatures_in else None,
    }
    return hash_content(document)
