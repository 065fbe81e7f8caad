"""Finding an image's signatures: manifests that refer to it, each with one envelope.

A list of referrers only says what to fetch. What counts is decided by the bytes that were fetched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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

    from sealgate.findings import SeenSignature, Verified
    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.notation.envelopes import Authenticated, EnvelopeRules
    from sealgate.references import Digest
    from sealgate.registry.interface import Descriptor, Manifest
    from sealgate.registry.manifests import Layer

#: Annotation of a manifest: when it was made.
CREATED_ANNOTATION = "org.opencontainers.image.created"
# Artifact types that a signature's descriptor may have: the right one, none, and those of its config that some
# registries state instead.
_LIKELY_TYPES = frozenset({ARTIFACT_TYPE, None, "", EMPTY_TYPE, "application/vnd.oci.image.config.v1+json"})


@dataclass(frozen=True, slots=True)
class Found:
    """What the search read of one signature; nothing in it is verified.

    Attributes:
        holder: digest of the manifest that has the envelope.
        layer: descriptor of the envelope.
        created: time that the manifest states (RFC 3339); empty if it states none.
        content: the envelope; empty if it could not be read.
    """

    holder: Digest
    layer: Layer
    created: str
    content: bytes = b""


class Search:
    """The search for one image's signatures, once.

    Args:
        rules: what an envelope must be, and say.
        image: the image.
        sources: the outside world.
        found: filled with what was read of each signature, by the source that `SeenSignature` has; None where only the
            outcome matters.
    """

    def __init__(
        self, rules: EnvelopeRules, image: Image, sources: Sources, found: dict[str, Found] | None = None
    ) -> None:
        self._rules = rules
        self._found = found
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
        self.see()
        name = self._repository.name
        nothing = f"{name} holds no Notation signature of {self._image.digest}; sign it, or copy its signature there"
        return self._evidence.conclude(nothing)

    def see(self) -> tuple[SeenSignature, ...]:
        """Search as `run` does, and return every signature seen; what ended the search early is one of them."""
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
        return self._evidence.seen

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
        created = artifact.annotations.get(CREATED_ANNOTATION, "")
        self._check_envelope(Found(manifest.digest, artifact.layers[0], created), source)

    def _check_envelope(self, found: Found, source: str) -> None:
        self._note(source, found)
        layer, data = found.layer, self._blob(found.layer)
        self._note(source, replace(found, content=data))
        authenticated: list[Authenticated] = []

        def verify() -> tuple[str, str, bytes]:
            made = self._rules.authenticate(layer.media_type, data)
            authenticated.append(made)
            return made.key.fingerprint, describe(made), made.envelope.payload

        def check(_: bytes) -> datetime | None:
            now, digest = self._sources.clock.now(), self._image.digest
            return self._rules.check(authenticated[0], digest, lambda: self._manifest, now, self._revocation)

        self._evidence.judge(source, verify, check)

    def _note(self, source: str, found: Found) -> None:
        if self._found is not None:
            self._found[source] = found

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
