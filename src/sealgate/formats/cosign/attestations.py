"""Attestations of an image: signed in-toto statements whose predicates meet what an authenticator requires.

They are found where cosign stores them: as layers of the tag `sha256-<hex>.att`, as layers of a manifest that refers to
the image, and as bundles. What a list, a layer or a manifest says of its predicate type only selects what is fetched.
What counts is decided by the bytes that were signed.

Who has signed is decided by `Signers`, before anything in an envelope is believed.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sealgate.api.v1alpha1.attestations import PREDICATE_TYPES
from sealgate.errors import UnavailableError, VerificationError
from sealgate.formats.cosign.signers import bundle_attempt, envelope_attempt
from sealgate.formats.cosign.store import SignatureStore
from sealgate.formats.cosign.strangers import stranger
from sealgate.formats.cosign.wire import (
    ATTESTATION_REFERRER_TYPE,
    BUNDLE_VERSIONS,
    CREATED_ANNOTATION,
    ENVELOPE_ANNOTATION,
    ENVELOPE_TYPE,
    PREDICATE_ANNOTATION,
    attestation_tag,
    parse_bundle,
    parse_envelope,
)
from sealgate.formats.evidence import Evidence, TooManyError, once
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.messages import quote
from sealgate.parsing.evidence import malformed, parse_object
from sealgate.reasons import Reason
from sealgate.registry.interface import DOCKER_MANIFEST, OCI_MANIFEST
from sealgate.registry.manifests import is_image_manifest, parse_artifact_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sealgate.findings import SeenSignature, Verified
    from sealgate.formats.cosign.claims import Claims
    from sealgate.formats.cosign.conditions import Condition
    from sealgate.formats.cosign.signers import Signers
    from sealgate.formats.cosign.wire import Bundle, Envelope
    from sealgate.formats.interface import Sources
    from sealgate.references import Repository
    from sealgate.registry.interface import Descriptor, Manifest
    from sealgate.registry.manifests import ArtifactManifest, Layer

# Types that a descriptor of an attestation may have: the right ones, none, and those that some tools write instead.
_LIKELY_TYPES = frozenset(
    {
        None,
        "",
        *BUNDLE_VERSIONS,
        ENVELOPE_TYPE,
        ATTESTATION_REFERRER_TYPE,
        "application/vnd.oci.empty.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
    }
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One attestation that an image must have. Immutable, thread-safe.

    Attributes:
        predicate_type: the type of its predicate, exactly.
        conditions: what the predicate must meet, all of them.
    """

    predicate_type: str
    conditions: tuple[Condition, ...] = ()

    def concerns(self, stated: str | None) -> bool:
        """Return whether an attestation may meet it.

        Args:
            stated: the type that something says its predicate has; None if it does not say.
        """
        return stated in (None, self.predicate_type)

    def check(self, envelope: Envelope, claims: Claims) -> None:
        """Check what an accepted signer has signed.

        Args:
            envelope: the envelope.
            claims: of which image it must be.

        Raises:
            VerificationError: it is malformed, of another image or type, too large for a condition or does not meet it.
        """
        predicate = claims.attested(envelope, self.predicate_type)
        for condition in self.conditions:
            condition.require_size(len(envelope.payload))
            condition.check(predicate)


@dataclass(frozen=True, slots=True)
class FoundAttestation:
    """What the search read of one attestation; nothing in it is verified.

    Attributes:
        holder: tag or digest of the manifest that has the layer.
        layer: descriptor of the envelope or of the bundle.
        created: time that the manifest states (RFC 3339); empty if it states none.
        content: the envelope or the bundle; empty if it could not be read.
        envelope: the same, parsed; None if it could not be.
        signature: decoded; empty as for `content`.
    """

    holder: str
    layer: Layer
    created: str
    content: bytes = b""
    envelope: Envelope | None = None
    signature: bytes = b""


class _Pursuit:
    """The search for what meets one requirement."""

    def __init__(self, requirement: Requirement, evidence: Evidence, *, every: bool) -> None:
        self.requirement = requirement
        self.evidence = evidence
        self._every = every
        # Message and reason alone: an exception would keep the statement in memory by its traceback.
        self._refused: dict[bytes, tuple[str, Reason] | None] = {}

    @property
    def done(self) -> bool:
        """Whether no further attestation can change the outcome."""
        return self.evidence.complete if self._every else self.evidence.verified

    def judge(
        self, source: str, verify: Callable[[], tuple[str, str, bytes]], envelope: Envelope, claims: Claims
    ) -> None:
        """Judge one signature over an envelope; see `Evidence.judge`.

        The same statement is checked once, since one that was signed can be stored many times, or with the same
        signature many times: it may have a megabyte, and conditions may have a lot to do with that.
        """

        def check(signed: bytes) -> None:
            if signed != envelope.signed:
                raise VerificationError("another envelope was signed", reason=Reason.INVALID_SIGNATURE)
            key = hashlib.sha256(signed).digest()
            if key not in self._refused:
                self._refused[key] = self._refusal(envelope, claims)
            refused = self._refused[key]
            if refused is not None:
                raise VerificationError(refused[0], reason=refused[1])

        self.evidence.judge(source, verify, check)

    def _refusal(self, envelope: Envelope, claims: Claims) -> tuple[str, Reason] | None:
        try:
            self.requirement.check(envelope, claims)
        except VerificationError as error:
            return error.message, error.reason
        return None

    def conclude(self, where: str) -> Verified:
        """Return the outcome; see `Evidence.conclude`."""
        kind = quote(self.requirement.predicate_type, 100)
        written = PREDICATE_TYPES.get(self.requirement.predicate_type)
        advice = f"write predicateType: {written}" if written else "make one, or copy it there"
        nothing = f"{where} has no attestation {kind}; {advice}"
        try:
            return self.evidence.conclude(nothing, Reason.NO_ATTESTATION)
        except VerificationError as error:
            if error.reason is Reason.NO_ATTESTATION:
                raise
            msg = f"attestation {kind}: {error.message}"
            raise type(error)(msg, reason=error.reason, signatures=error.signatures) from error


class AttestationSearch:
    """The search for one image's attestations, once.

    Args:
        requirements: what is searched for, at least one.
        claims: of which image they must be.
        repository: holds the attestations.
        sources: the outside world.
        signers: whose attestations count.
        all_signers: whether the signers of the first requirement are those of the finding, so that the search goes on
            until all of them are found.
        found: filled with what was read of each attestation, by the source that `SeenSignature` has; the search then
            does not end before everything was seen. None where only the outcome matters.
    """

    def __init__(  # noqa: PLR0913 - a search of these parts
        self,
        requirements: Sequence[Requirement],
        claims: Claims,
        repository: Repository,
        sources: Sources,
        signers: Signers,
        *,
        all_signers: bool,
        found: dict[str, FoundAttestation] | None = None,
    ) -> None:
        known = signers.fingerprints if found is None else None
        self._found = found
        self._pursuits = [
            _Pursuit(requirement, Evidence(sources.deadline, known), every=all_signers and number == 0)
            for number, requirement in enumerate(requirements)
        ]
        self._claims = claims
        self._repository = repository
        self._image = claims.image.digest
        self._store = SignatureStore(sources.registry, repository)
        self._signers = signers
        self._candidates = 0

    def run(self) -> list[Verified]:
        """Search until every requirement is met or everything was seen; return what met each of them.

        Raises:
            VerificationError: a requirement is not met.
            UnavailableError: a requirement is not met, and an attestation could not be fetched.
        """
        self._search()
        where = f"{self._image} in {self._repository.name}"
        return [each.conclude(where) for each in self._pursuits]

    def see(self) -> tuple[SeenSignature, ...]:
        """Search as `run` does, and return every attestation seen for the first requirement."""
        self._search()
        return self._pursuits[0].evidence.seen

    def _search(self) -> None:
        try:
            self._search_tag()
            if self._open():
                self._search_referrers()
        except TooManyError as error:
            for each in self._open():
                each.evidence.end(error, "all candidates")

    def _open(self, stated: str | None = None) -> list[_Pursuit]:
        """Return what is still searched for.

        Args:
            stated: the type that something says its predicate has; None if it does not say.
        """
        return [each for each in self._pursuits if not each.done and each.requirement.concerns(stated)]

    @contextmanager
    def _source(self, name: str, concerned: Sequence[_Pursuit]) -> Iterator[None]:
        """Read one source of several; record an error as its outcome for all whom it concerns, and go on."""
        try:
            yield
        except TooManyError:
            raise
        except (VerificationError, UnavailableError):
            for each in concerned:
                with each.evidence.source(name):
                    raise

    def _count(self, candidates: int) -> None:
        self._candidates += candidates
        if self._candidates > MAX_SIGNATURES:
            msg = f"there are more than {MAX_SIGNATURES} candidate attestations of this image; remove the useless ones"
            raise TooManyError(msg)

    def _search_tag(self) -> None:
        tag = attestation_tag(self._image)
        source = f"tag {tag}"
        with self._source(source, self._open()):
            manifest = self._store.tagged_manifest(tag, self._image)
            if manifest is not None:
                self._check_layers(parse_artifact_manifest(manifest, "the manifest"), tag, source)

    def _search_referrers(self) -> None:
        listed: Sequence[Descriptor] = ()
        with self._source(f"referrers of {self._image}", self._open()):
            listed = self._store.referrers(self._image)
        for descriptor in filter(is_likely_attestation, listed):
            wanted = self._open(descriptor.annotations.get(PREDICATE_ANNOTATION))
            if wanted:
                self._count(1)
                source = f"referrer {descriptor.digest}"
                with self._source(source, wanted):
                    self._check_referrer(self._store.listed_manifest(descriptor.digest), source)

    def _check_referrer(self, manifest: Manifest, source: str) -> None:
        if not is_image_manifest(manifest):
            return
        artifact = parse_artifact_manifest(manifest, "the manifest")
        if artifact.artifact_type not in (*BUNDLE_VERSIONS, ENVELOPE_TYPE, ATTESTATION_REFERRER_TYPE):
            return  # an SBOM without a signature, a signature of another system: nothing to judge
        if artifact.artifact_type in BUNDLE_VERSIONS and not self._open(artifact.annotations.get(PREDICATE_ANNOTATION)):
            return  # a signature of the image, or an attestation of another type
        if artifact.subject != self._image:
            msg = f"its subject is {artifact.subject}, not {self._image}: it belongs to another image"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        if artifact.artifact_type in BUNDLE_VERSIONS:
            self._check_bundle(artifact, manifest.digest, source)
        else:
            self._check_layers(artifact, manifest.digest, source)

    def _check_layers(self, artifact: ArtifactManifest, holder: str, source: str) -> None:
        created = artifact.annotations.get(CREATED_ANNOTATION, "")
        for number, layer in enumerate(artifact.layers, 1):
            wanted = self._open(layer.annotations.get(ENVELOPE_ANNOTATION))
            if wanted:
                self._count(1)
                where = f"{source}, layer {number}"
                with self._source(where, wanted):
                    self._check_layer(FoundAttestation(holder, layer, created), where, wanted)

    def _check_layer(self, found: FoundAttestation, source: str, wanted: Sequence[_Pursuit]) -> None:
        self._note(source, found)
        layer = found.layer
        if layer.media_type != ENVELOPE_TYPE:
            msg = f"the layer is {quote(layer.media_type, 100)}, which is not an attestation"
            raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
        content = self._store.blob(layer)
        envelope = parse_envelope(parse_object(content, "the envelope"), "the envelope")
        self._judge(replace(found, content=content, envelope=envelope), envelope, None, source, wanted)

    def _check_bundle(self, artifact: ArtifactManifest, holder: str, source: str) -> None:
        if len(artifact.layers) != 1 or artifact.layers[0].media_type not in BUNDLE_VERSIONS:
            raise malformed("the manifest", "a bundle has exactly one layer, of the bundle's type")
        found = FoundAttestation(holder, artifact.layers[0], artifact.annotations.get(CREATED_ANNOTATION, ""))
        self._note(source, found)
        content = self._store.blob(found.layer)
        bundle = parse_bundle(content, "the bundle")
        wanted = self._open(artifact.annotations.get(PREDICATE_ANNOTATION))
        read = replace(found, content=content, envelope=bundle.envelope)
        self._judge(read, bundle.envelope, bundle, source, wanted)

    def _judge(
        self,
        found: FoundAttestation,
        envelope: Envelope,
        bundle: Bundle | None,
        source: str,
        wanted: Sequence[_Pursuit],
    ) -> None:
        self._count(len(envelope.signatures) - 1)
        for number, signature in enumerate(envelope.signatures, 1):
            where = source if len(envelope.signatures) == 1 else f"{source}, signature {number}"
            self._note(where, replace(found, signature=signature))
            unknown = stranger(self._signers.keys, bundle)
            attempt = (
                envelope_attempt(envelope, signature, found.layer.annotations, unknown)
                if bundle is None
                else bundle_attempt(bundle, signature, unknown)
            )
            verify = once(partial(self._signers.verify, attempt))
            for each in wanted:
                each.judge(where, verify, envelope, self._claims)

    def _note(self, source: str, found: FoundAttestation) -> None:
        if self._found is not None:
            self._found[source] = found


def is_likely_attestation(descriptor: Descriptor) -> bool:
    """Return whether a referrer's descriptor may be that of an attestation; some tools write wrong types."""
    return descriptor.artifact_type in _LIKELY_TYPES and descriptor.media_type in (OCI_MANIFEST, DOCKER_MANIFEST)
