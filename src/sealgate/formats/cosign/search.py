"""Finding an image's signatures in a registry: the `.sig` tag first, then what refers to the image.

A list of signatures (a tag, an index, a descriptor's type) only says what to fetch. What counts is decided by
the bytes that were fetched, after their hash and their signature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.cosign.signers import bundle_attempt, classic_attempt
from sealgate.formats.cosign.store import SignatureStore
from sealgate.formats.cosign.strangers import stranger
from sealgate.formats.cosign.wire import (
    BUNDLE_VERSIONS,
    CLASSIC_REFERRER_TYPE,
    CREATED_ANNOTATION,
    PAYLOAD_TYPE,
    PREDICATE_ANNOTATION,
    SIGN_PREDICATE,
    SIGNATURE_ANNOTATION,
    parse_bundle,
    signature_tag,
)
from sealgate.formats.evidence import Evidence, once
from sealgate.messages import quote
from sealgate.parsing.evidence import decode_base64, malformed
from sealgate.reasons import Reason
from sealgate.registry.interface import DOCKER_MANIFEST, OCI_MANIFEST
from sealgate.registry.manifests import is_image_manifest, parse_artifact_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sealgate.findings import SeenSignature, Verified
    from sealgate.formats.cosign.claims import Claims
    from sealgate.formats.cosign.signers import Signers
    from sealgate.formats.interface import Sources
    from sealgate.references import Repository
    from sealgate.registry.interface import Descriptor, Manifest
    from sealgate.registry.manifests import ArtifactManifest, Layer

# Types that a descriptor of a signature may have: the right ones, none, and those that some tools write instead.
_LIKELY_TYPES = frozenset(
    {
        None,
        "",
        *BUNDLE_VERSIONS,
        CLASSIC_REFERRER_TYPE,
        "application/vnd.oci.empty.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
    }
)


@dataclass(frozen=True, slots=True)
class Found:
    """What the search read of one signature; nothing in it is verified.

    Attributes:
        holder: tag or digest of the manifest that has the layer.
        layer: descriptor of the payload or of the bundle.
        created: time that the manifest states (RFC 3339); empty if it states none.
        content: the payload or the bundle; empty if it could not be read.
        signature: decoded; empty as for `content`.
        signed: the exact bytes that the signature is over; empty as for `content`.
        hint: base64 of the SHA-256 of the signer's public key, as a bundle states it; empty if none is stated.
        check_claims: raises `VerificationError` unless the signed bytes make the claims that are required; None if
            the content could not be read.
        annotations: returns the annotations that the signed bytes carry; raises `VerificationError` if they are
            malformed; None as for `check_claims`.
    """

    holder: str
    layer: Layer
    created: str = ""
    content: bytes = b""
    signature: bytes = b""
    signed: bytes = b""
    hint: str = ""
    check_claims: Callable[[], None] | None = None
    annotations: Callable[[], Mapping[str, object]] | None = None


class Search:
    """The search for one image's signatures, once.

    Args:
        signers: whose signatures the authenticator accepts.
        claims: what a signed text must say.
        signature_repository: the repository that holds the signatures.
        sources: the outside world.
        found: filled with what was read of each signature, by the source that `SeenSignature` has; the search then
            does not end when every key has verified. None where only the outcome matters.
    """

    def __init__(
        self,
        signers: Signers,
        claims: Claims,
        signature_repository: Repository,
        sources: Sources,
        found: dict[str, Found] | None = None,
    ) -> None:
        self._signers = signers
        self._keys = signers.keys
        self._claims = claims
        self._digest = claims.image.digest
        self._signature_repository = signature_repository
        self._store = SignatureStore(sources.registry, signature_repository)
        self._found = found
        wanted = None if found is not None else signers.fingerprints
        self._evidence = Evidence(sources.deadline, wanted)

    def run(self) -> Verified:
        """Search until every key has verified or everything was seen.

        Raises:
            VerificationError: no signature counts.
            UnavailableError: none counts, and one could not be fetched.
        """
        self.see()
        name = self._signature_repository.name
        nothing = f"{name} holds no cosign signature of {self._digest}; sign it, or copy its signature there"
        return self._evidence.conclude(nothing)

    def see(self) -> tuple[SeenSignature, ...]:
        """Search as `run` does, and return every signature seen; what ended the search early is one of them."""
        with self._evidence.search("all candidates"):
            self._search_tag()
            if not self._evidence.complete:
                self._search_referrers()
        return self._evidence.seen

    def _search_tag(self) -> None:
        tag = signature_tag(self._digest)
        source = f"tag {tag}"
        with self._evidence.source(source):
            manifest = self._store.tagged_manifest(tag, self._digest)
            if manifest is None:
                return
            self._check_layers(parse_artifact_manifest(manifest, "the manifest"), tag, source)

    def _search_referrers(self) -> None:
        listed: Sequence[Descriptor] = ()
        with self._evidence.source(f"referrers of {self._digest}"):
            listed = self._store.referrers(self._digest)
        listed = [descriptor for descriptor in listed if _may_be_signature(descriptor)]
        likely = [descriptor for descriptor in listed if is_likely_signature(descriptor)]
        self._evidence.count(len(likely))
        self._check_referrers(likely)
        # Descriptors may carry a wrong type, so the others are fetched too, but last and within the limit.
        others = [descriptor for descriptor in listed if descriptor.artifact_type not in _LIKELY_TYPES]
        if not self._evidence.complete:
            self._check_referrers(others[: self._evidence.room])

    def _check_referrers(self, listed: Iterable[Descriptor]) -> None:
        for descriptor in listed:
            source = f"referrer {descriptor.digest}"
            with self._evidence.source(source):
                self._check_referrer(self._store.listed_manifest(descriptor.digest), source)

    def _check_referrer(self, manifest: Manifest, source: str) -> None:
        if not is_image_manifest(manifest):
            return
        artifact = parse_artifact_manifest(manifest, "the manifest")
        if artifact.artifact_type not in BUNDLE_VERSIONS and artifact.artifact_type != CLASSIC_REFERRER_TYPE:
            return  # an SBOM, a signature of another system: nothing to judge
        if artifact.subject != self._digest:
            msg = f"its subject is {artifact.subject}, not {self._digest}: it belongs to another image"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        if artifact.artifact_type in BUNDLE_VERSIONS:
            self._check_bundle(artifact, manifest.digest, source)
        else:
            self._check_layers(artifact, manifest.digest, source)

    def _check_layers(self, artifact: ArtifactManifest, holder: str, source: str) -> None:
        self._evidence.count(len(artifact.layers))
        for number, layer in enumerate(artifact.layers, 1):
            where = f"{source}, layer {number}"
            with self._evidence.source(where):
                self._check_layer(Found(holder, layer, _created(artifact)), where)

    def _check_layer(self, found: Found, source: str) -> None:
        self._note(source, found)
        layer = found.layer
        if layer.media_type != PAYLOAD_TYPE:
            msg = f"the layer is {quote(layer.media_type, 100)}, which is not an image signature"
            raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
        if SIGNATURE_ANNOTATION not in layer.annotations:
            raise malformed("the layer", f"the annotation {SIGNATURE_ANNOTATION} is missing")
        signature = decode_base64(layer.annotations[SIGNATURE_ANNOTATION], "the signature")
        payload = self._store.blob(layer)
        if self._found is not None:
            read = replace(
                found,
                content=payload,
                signature=signature,
                signed=payload,
                check_claims=partial(self._claims.check_payload, payload),
                annotations=partial(self._claims.payload_annotations, payload),
            )
            self._note(source, read)
        self._evidence.judge(
            source,
            lambda: self._signers.verify(classic_attempt(signature, payload, layer.annotations, stranger(self._keys))),
            self._claims.check_payload,
        )

    def _check_bundle(self, artifact: ArtifactManifest, holder: str, source: str) -> None:
        predicate = artifact.annotations.get(PREDICATE_ANNOTATION, SIGN_PREDICATE)
        if predicate != SIGN_PREDICATE:
            msg = f"it is an attestation ({quote(predicate, 100)}), which is not an image signature"
            raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
        if len(artifact.layers) != 1 or artifact.layers[0].media_type not in BUNDLE_VERSIONS:
            raise malformed("the manifest", "a bundle has exactly one layer, of the bundle's type")
        found = Found(holder, artifact.layers[0], _created(artifact))
        self._note(source, found)
        content = self._store.blob(found.layer)
        bundle = parse_bundle(content, "the bundle")
        envelope, signatures = bundle.envelope, bundle.envelope.signatures
        self._evidence.count(len(signatures) - 1)
        unknown = stranger(self._keys, bundle)
        read = replace(
            found,
            content=content,
            signed=envelope.signed,
            hint=bundle.hint,
            check_claims=partial(self._claims.check_envelope, envelope),
            annotations=partial(self._claims.envelope_annotations, envelope),
        )
        # Its writer may have repeated a signature, and a statement may have a megabyte.
        check_claims = once(partial(self._claims.check_envelope, envelope))
        for number, signature in enumerate(signatures, 1):
            where = source if len(signatures) == 1 else f"{source}, signature {number}"
            self._note(where, replace(read, signature=signature))
            self._evidence.judge(
                where,
                partial(self._signers.verify, bundle_attempt(bundle, signature, unknown)),
                lambda _: check_claims(),
            )

    def _note(self, source: str, found: Found) -> None:
        if self._found is not None:
            self._found[source] = found


def is_likely_signature(descriptor: Descriptor) -> bool:
    """Return whether a referrer's descriptor looks like that of a signature; some tools write wrong types."""
    return _may_be_signature(descriptor) and descriptor.artifact_type in _LIKELY_TYPES


def _created(artifact: ArtifactManifest) -> str:
    return artifact.annotations.get(CREATED_ANNOTATION, "")


def _may_be_signature(descriptor: Descriptor) -> bool:
    # A descriptor that says attestation, or a type other than a manifest, is believed: no good signature is lost.
    predicate = descriptor.annotations.get(PREDICATE_ANNOTATION, SIGN_PREDICATE)
    return predicate == SIGN_PREDICATE and descriptor.media_type in (OCI_MANIFEST, DOCKER_MANIFEST)
