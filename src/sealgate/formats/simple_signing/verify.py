"""A simple-signing authenticator, ready to verify images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sealgate.errors import UnavailableError, VerificationError, in_field
from sealgate.formats.evidence import Evidence
from sealgate.formats.interface import hash_content
from sealgate.formats.signers import each_once, openpgp_check_keys
from sealgate.formats.simple_signing.identities import (
    ExactRepository,
    ExpectedIdentity,
    Identity,
    MatchExact,
    MatchRepoDigestOrExact,
    MatchRepository,
    parse_exact_reference,
    parse_expected_identity,
    parse_remap,
    parse_signed_reference,
)
from sealgate.formats.simple_signing.platforms import verify_platforms
from sealgate.formats.simple_signing.stores import OpenShiftStore, Store, read_location
from sealgate.formats.simple_signing.wire import parse_payload
from sealgate.keys.openpgp.keyring import Keyring, SignedMessage, describe, load_keyring
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.references import parse_repository

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.api.v1alpha1.simple_signing import SignatureStore, SignedIdentity, SimpleSigningSpec
    from sealgate.findings import SeenSignature, Verified
    from sealgate.formats.interface import CheckKey, Image, Sources
    from sealgate.formats.simple_signing.stores import Candidate
    from sealgate.formats.simple_signing.storing import WritableStore
    from sealgate.keys.resolvers import KeyResolver

# Part of `content`: raise it when the same keys and options come to mean something else.
_RULES_VERSION = 2


@dataclass(frozen=True, slots=True)
class SimpleSigningCheck:
    """One simple-signing authenticator's rules. Immutable, thread-safe.

    Attributes:
        keyring: the accepted certificates.
        store: where signatures are.
        identity: how the signed name must match the image's.
        content: see `sealgate.formats.interface.Check`.
        accept_platforms: whether signatures on every platform's manifest count instead of one on the index.
        format: "simpleSigning".
    """

    keyring: Keyring
    store: Store
    identity: Identity
    content: str
    accept_platforms: bool = False
    format: str = "simpleSigning"

    @property
    def depends_on_tag(self) -> bool:
        """Whether the identity rule depends on the tag."""
        return self.identity.depends_on_tag

    @property
    def named_hosts(self) -> frozenset[str]:
        """None: what it names is a server, not a registry."""
        return frozenset()

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...]:
        """Return the keys of the keyring that can sign, each with its state."""
        return each_once(openpgp_check_keys(self.keyring, now))

    def budget_host(self, image: Image) -> str:
        """Return the host that is asked for signatures."""
        return self.store.budget_host(image)

    def expecting(self, identity: str) -> SimpleSigningCheck:
        """Return the same check for one expected identity, instead of the policy's rule about it.

        Args:
            identity: the name that signatures must have, as `oc adm verify-image-signature` takes it.

        Raises:
            InvalidReferenceError: it is no image reference, or has both a tag and a digest.
        """
        expected = ExpectedIdentity(parse_expected_identity(identity))
        content = hashlib.sha256(f"{self.content} expecting {expected.reference}".encode()).hexdigest()
        return replace(self, identity=expected, content=content)

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the image's signatures; see `sealgate.formats.interface.Check`.

        Raises:
            VerificationError: no signature counts, or there are too many; carries every signature seen.
            UnavailableError: no signature counts, and one could not be fetched.
        """
        try:
            return self._verify(image, sources)
        except VerificationError as refusal:
            if not self.accept_platforms:
                raise
            return verify_platforms(image, sources, self._verify, refusal)

    def _verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the signatures on one digest and nothing else."""
        evidence = Evidence(sources.deadline, None)
        try:
            for candidate in self.store.candidates(image, sources):
                self._judge(candidate, image, sources, evidence)
        except UnavailableError as error:
            evidence.end(error, "the next signature")
        except VerificationError as error:
            # Unlike in other formats, too many signatures refuse an image even if one of them counts.
            raise VerificationError(error.message, reason=error.reason, signatures=evidence.seen) from error
        return evidence.conclude(f"there is no signature for {image.digest} of {quote(image.reference.name)}")

    def see(self, image: Image, sources: Sources, found: dict[str, Candidate]) -> tuple[SeenSignature, ...]:
        """Return every signature on the image's own digest, judged as `verify` does.

        Args:
            image: the image.
            sources: where signatures are.
            found: filled with the candidates, by the source that `SeenSignature` has.
        """
        evidence = Evidence(sources.deadline, None)
        with evidence.search("the next signature"):
            for candidate in self.store.candidates(image, sources):
                found[candidate.source] = candidate
                self._judge(candidate, image, sources, evidence)
        return evidence.seen

    def _judge(self, candidate: Candidate, image: Image, sources: Sources, evidence: Evidence) -> None:
        messages: list[SignedMessage] = []

        def verify() -> tuple[str, str, bytes]:
            signed = self.keyring.verify(candidate.message(), sources.clock.now())
            messages.append(signed)
            return signed.signing_fingerprint, describe(signed), signed.payload

        def claims(payload: bytes) -> datetime | None:
            self._require_claims(payload, image)
            return messages[0].valid_until

        evidence.judge(candidate.source, verify, claims)

    def signed_text(self, candidate: Candidate, now: datetime) -> bytes:
        """Return what a candidate signs, once it is verified with an accepted key.

        Raises:
            VerificationError: no accepted key made it.
        """
        return self.keyring.verify(candidate.message(), now).payload

    def _require_claims(self, signed: bytes, image: Image) -> None:
        payload = parse_payload(signed)
        if payload.digest != image.digest:
            msg = f"{quote(payload.digest, 80)} was signed, not {image.digest}"
            raise VerificationError(msg, reason=Reason.DIGEST_MISMATCH)
        self.identity.require(image.reference, parse_signed_reference(payload.reference))


def build(spec: SimpleSigningSpec, keys: KeyResolver) -> SimpleSigningCheck:
    """Turn the `simpleSigning` field of an `Authenticator` into a check.

    Raises:
        InvalidKeyError: the keyring cannot be accepted, or lacks a pinned key.
        InvalidReferenceError: an identity or the store's address is not what it should be.
        UnavailableError: the keyring is not there (yet).
    """
    source = spec.keyring
    raw = keys.secret(source.secret_ref) if source.secret_ref is not None else (source.inline or "").encode()
    with in_field("simpleSigning.keyring"):
        keyring = load_keyring(raw)
        if spec.fingerprints:
            keyring = keyring.only(spec.fingerprints)
    with in_field("simpleSigning.store"):
        store = open_store(spec.store)
    with in_field("simpleSigning.signedIdentity"):
        identity = _identity(spec.signed_identity)
    return SimpleSigningCheck(
        keyring=keyring,
        store=store,
        identity=identity,
        content=_content(spec, raw),
        accept_platforms=spec.accept_platform_signatures,
    )


def open_store(spec: SignatureStore) -> WritableStore:
    """Return the store that a spec names.

    Raises:
        InvalidReferenceError: its address is not what it should be.
    """
    if spec.lookaside is None:
        return OpenShiftStore()
    return read_location(spec.lookaside.url, None if spec.lookaside.ca is None else spec.lookaside.ca.pem)


def _identity(spec: SignedIdentity) -> Identity:
    if spec.exact_reference is not None:
        return parse_exact_reference(spec.exact_reference.reference)
    if spec.exact_repository is not None:
        return ExactRepository(parse_repository(spec.exact_repository.repository))
    if spec.remap_identity is not None:
        return parse_remap(spec.remap_identity.prefix, spec.remap_identity.signed_prefix)
    rules: dict[str, Identity] = {
        "MatchExact": MatchExact(),
        "MatchRepository": MatchRepository(),
        "MatchRepoDigestOrExact": MatchRepoDigestOrExact(),
    }
    return rules[spec.match_policy]


def _content(spec: SimpleSigningSpec, keyring: bytes) -> str:
    # An option that is off leaves the hash as it was before there was the option.
    left_out = {"keyring"} if spec.accept_platform_signatures else {"keyring", "accept_platform_signatures"}
    document = {
        "format": "simpleSigning",
        "rules": _RULES_VERSION,
        "keyring": hashlib.sha256(keyring).hexdigest(),
        "spec": spec.model_dump(mode="json", exclude=left_out),
    }
    return hash_content(document)
