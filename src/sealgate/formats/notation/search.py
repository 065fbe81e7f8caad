"""Finding an image's signatures: manifests that refer to it, each with one envelope.

A list of referrers only says what to fetch. What counts is decided by the bytes that were fetched.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, UnavailableError, VerificationError
from sealgate.formats.evidence import Evidence
from sealgate.formats.interface import MAX_SIGNATURE_BYTES
from sealgate.formats.notation.envelopes import PARSERS, describe
from sealgate.formats.notation.revocation import RevocationChecks
from sealgate.formats.notation.wire.envelope import ARTIFACT_TYPE
from sealgate.formats.referrers import EMPTY_TYPE, MAX_REFERRERS
from sealgate.parsing.evidence import malformed
from sealgate.reasons import Reason
from sealgate.registry.interface import DOCKER_MANIFEST, OCI_MANIFEST
from sealgate.registry.manifests import is_image_manifest, parse_artifact_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sealgate.findings import Verified
    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.notation.envelopes import Authenticated, EnvelopeRules
    from sealgate.references import Digest
    from sealgate.registry.interface import Descriptor, Manifest
    from sealgate.registry.manifests import Layer

# Artifact types that a signature's descriptor may have: the right one, none, and those of its config that some
# registries state instead.
_LIKELY_TYPES = frozenset({ARTIFACT_TYPE, None, "", EMPTY_TYPE, "application/vnd.oci.image.config.v1+json"})


class Search:
    """The search for one image's signatures, once.

    Args:
        rules: what an envelope must be, and say.
        image: the image.
        sources: the outside world.
    """

    def __init__(self, rules: EnvelopeRules, image: Image, sources: Sources) -> None:
        self._rules = rules
        self._image = image
        self._repository = image.reference.repository
        self._sources = sources
        self._evidence = Evidence(sources.deadline, None)
        self._revocation = RevocationChecks(rules.revocation, sources)

    def run(self) -> Verified:
        """Search until everything was seen.

        Raises:
            VerificationError: no signature counts.
            UnavailableError: none counts, and something could not be fetched.
        """
        with self._evidence.search("all candidates"):
            listed: Sequence[Descriptor] = ()
            with self._evidence.source(f"referrers of {self._image.digest}"):
                listed = self._sources.registry.referrers(self._repository, self._image.digest, MAX_REFERRERS)
            likely = [descriptor for descriptor in listed if is_likely_signature(descriptor)]
            self._evidence.count(len(likely))
            for descriptor in likely:
                source = f"referrer {descriptor.digest}"
                with self._evidence.source(source):
                    self._check_referrer(self._listed_manifest(descriptor.digest), source)
        name = self._repository.name
        nothing = f"{name} holds no Notation signature of {self._image.digest}; sign it, or copy its signature there"
        return self._evidence.conclude(nothing)

    def _check_referrer(self, manifest: Manifest, source: str) -> None:
        if not is_image_manifest(manifest):
            return
        artifact = parse_artifact_manifest(manifest, "the manifest")
        if artifact.artifact_type != ARTIFACT_TYPE:
            return  # an SBOM, a signature of another system: nothing to judge
        if artifact.subject != self._image.digest:
            msg = f"its subject is {artifact.subject}, not {self._image.digest}: it belongs to another image"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        if len(artifact.layers) != 1 or artifact.layers[0].media_type not in PARSERS:
            raise malformed("the manifest", "a signature has exactly one layer, a JWS or COSE envelope")
        self._check_envelope(artifact.layers[0], source)

    def _check_envelope(self, layer: Layer, source: str) -> None:
        data = self._blob(layer)
        authenticated: list[Authenticated] = []

        def verify() -> tuple[str, str, bytes]:
            found = self._rules.authenticate(layer.media_type, data)
            authenticated.append(found)
            return found.key.fingerprint, describe(found), found.envelope.payload

        def check(_: bytes) -> datetime | None:
            now, digest = self._sources.clock.now(), self._image.digest
            return self._rules.check(authenticated[0], digest, lambda: self._manifest, now, self._revocation)

        self._evidence.judge(source, verify, check)

    @cached_property
    def _manifest(self) -> Manifest:
        """The image's manifest: what is signed is also its type and size."""
        return self._sources.registry.manifest(self._repository, self._image.digest)

    def _listed_manifest(self, digest: Digest) -> Manifest:
        try:
            return self._sources.registry.manifest(self._repository, digest)
        except NotFoundError as error:
            raise _missing("manifest", digest) from error

    def _blob(self, layer: Layer) -> bytes:
        if layer.size > MAX_SIGNATURE_BYTES:
            msg = f"the envelope of {layer.size} bytes is larger than the {MAX_SIGNATURE_BYTES} that are read"
            raise VerificationError(msg, reason=Reason.EVIDENCE_TOO_LARGE)
        try:
            return self._sources.registry.blob(self._repository, layer.digest, MAX_SIGNATURE_BYTES)
        except NotFoundError as error:
            raise _missing("blob", layer.digest) from error


def is_likely_signature(descriptor: Descriptor) -> bool:
    """Return whether a referrer's descriptor may be that of a signature."""
    return descriptor.media_type in (OCI_MANIFEST, DOCKER_MANIFEST) and descriptor.artifact_type in _LIKELY_TYPES


def _missing(what: str, digest: Digest) -> UnavailableError:
    # Plain "not found" would mean that there is no signature; here one is listed and then withheld.
    msg = f"the registry lists the {what} {digest} and does not have it; push the signature again, or remove it"
    return UnavailableError(msg, reason=Reason.NOT_FOUND)
