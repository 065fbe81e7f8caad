"""Whose signatures a cosign authenticator accepts: keys, identities, or both."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sealgate.errors import InvalidKeyError, NoKeyError, VerificationError, in_field
from sealgate.formats.evidence import verify_detached
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from sealgate.api.v1alpha1.cosign import CosignSpec
    from sealgate.api.v1alpha1.keyless import TrustedRootSource
    from sealgate.formats.cosign.wire import Bundle, Envelope
    from sealgate.keys.public_keys import PublicKey
    from sealgate.keys.resolvers import KeyResolver
    from sealgate.sigstore.identities import Identity
    from sealgate.sigstore.material import Material
    from sealgate.sigstore.trusted_root import TrustedRoot
    from sealgate.sigstore.verify import Keyless, LoggedKeys


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signature to verify.

    Attributes:
        signature: decoded.
        message: the exact bytes that it is over.
        payload: the payload of the DSSE envelope that it is in; None if it is in none.
        material: reads what is beside it; raises `VerificationError` if that is malformed.
        stranger: the refusal if no accepted signer made it.
    """

    signature: bytes
    message: bytes
    payload: bytes | None
    material: Callable[[], Material]
    stranger: VerificationError


@dataclass(frozen=True, slots=True)
class Signers:
    """The accepted signers. Immutable, thread-safe.

    Attributes:
        keys: the accepted keys, each once; none where only identities are accepted.
        keyless: the rules for identities; None where only keys are accepted.
        logged: the rule that signatures by keys are in a transparency log; None where they need not be.
    """

    keys: tuple[PublicKey, ...]
    keyless: Keyless | None = None
    logged: LoggedKeys | None = None

    @property
    def fingerprints(self) -> frozenset[str] | None:
        """Fingerprints of all accepted signers; None where a regular expression accepts any number of them."""
        keys = frozenset(key.fingerprint for key in self.keys)
        if self.keyless is None:
            return keys
        identities = [identity.fingerprint for identity in self.keyless.identities]
        known = frozenset(fingerprint for fingerprint in identities if fingerprint is not None)
        return keys | known if None not in identities else None

    def verify(self, attempt: Attempt) -> tuple[str, str, bytes]:
        """Verify a signature, as `Evidence.judge` wants it.

        Raises:
            VerificationError: no accepted signer made it, or what must be beside it does not prove it.
        """
        if self.keyless is None:
            return self._verify_by_key(attempt)
        # A signature by a key may have a certificate beside it too.
        if self.keys:
            with suppress(VerificationError):
                return self._verify_by_key(attempt)
        material = attempt.material()
        if material.certificate is not None:
            signer, how = self.keyless.verify(material, attempt.signature, attempt.message, attempt.payload)
            return signer.fingerprint, how, attempt.message
        if self.keys:
            return self._verify_by_key(attempt)
        msg = "it was made with a key; this authenticator accepts only identities (keyless)"
        raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)

    def _verify_by_key(self, attempt: Attempt) -> tuple[str, str, bytes]:
        found = verify_detached(self.keys, attempt.signature, attempt.message, attempt.stranger)
        if self.logged is not None:
            self.logged.check(attempt.material(), attempt.signature, attempt.message, attempt.payload, found[0])
        return found

    def content(self) -> Mapping[str, Any]:
        """Return everything that decides, as JSON has it."""
        decides: dict[str, Any] = {"keys": sorted(key.content for key in self.keys)}
        if self.keyless is not None:
            identities = sorted((identity.content for identity in self.keyless.identities), key=str)
            decides["keyless"] = [self.keyless.root.content, identities, self.keyless.require_log]
        if self.logged is not None:
            decides["logged"] = self.logged.root.content
        return decides


def classic_attempt(
    signature: bytes, payload: bytes, annotations: Mapping[str, str], stranger: VerificationError
) -> Attempt:
    """Return the attempt for a classic layer, whose annotations have what is beside the signature."""

    def read() -> Material:
        from sealgate.sigstore.material import read_classic_material

        return read_classic_material(annotations)

    return Attempt(signature, payload, None, read, stranger)


def envelope_attempt(
    envelope: Envelope, signature: bytes, annotations: Mapping[str, str], stranger: VerificationError
) -> Attempt:
    """Return the attempt for one signature of an envelope that is a layer; see `classic_attempt`."""
    classic = classic_attempt(signature, envelope.signed, annotations, stranger)
    return replace(classic, payload=envelope.payload)


def bundle_attempt(bundle: Bundle, signature: bytes, stranger: VerificationError) -> Attempt:
    """Return the attempt for one signature of a bundle's envelope."""

    def read() -> Material:
        from sealgate.sigstore.material import read_bundle_material

        return read_bundle_material(bundle.material, bundle.version)

    return Attempt(signature, bundle.envelope.signed, bundle.envelope.payload, read, stranger)


def read_signers(spec: CosignSpec, keys: KeyResolver) -> Signers:
    """Return the signers that an authenticator accepts.

    Raises:
        InvalidKeyError: a key, the trusted root or a regular expression cannot be accepted.
        NoKeyError: no signer is left.
        UnavailableError: the trusted root is not there (yet).
    """
    accepted = _read_keys(spec, keys)
    if not accepted and spec.keyless is None:
        with in_field("cosign.keys"):
            raise NoKeyError("it is empty: without a key no signature can count; add one")
    if spec.trusted_root is None:
        return Signers(accepted)
    # Not before it is needed: a webhook whose authenticators have keys alone does without this code.
    from sealgate.sigstore.verify import Keyless, LoggedKeys

    root = _read_root(spec, keys)
    required = spec.require_transparency_log
    keyless = None
    if spec.keyless is not None:
        keyless = Keyless(root, _read_identities(spec), require_log=required is not False)
    return Signers(accepted, keyless, LoggedKeys(root) if required and accepted else None)


def _read_keys(spec: CosignSpec, keys: KeyResolver) -> tuple[PublicKey, ...]:
    accepted: dict[tuple[str, ...], PublicKey] = {}
    for number, entry in enumerate(spec.keys):
        with in_field(f"cosign.keys[{number}]"):
            for key in keys.public_keys(entry):
                accepted.setdefault(key.content, key)
    return tuple(accepted.values())


def _read_root(spec: CosignSpec, keys: KeyResolver) -> TrustedRoot:
    from sealgate.sigstore.trusted_root import parse_trusted_root

    source = spec.trusted_root
    assert source is not None  # noqa: S101 - asked for only if it is there
    with in_field("cosign.trustedRoot"):
        root = parse_trusted_root(_root_text(source, keys))
        if spec.keyless is not None and not (root.authorities and root.ct_logs):
            raise InvalidKeyError("it has no CA of signers or no CT log, and keyless needs both")
        if not root.logs and (spec.require_transparency_log is not False):
            raise InvalidKeyError("it has no log that can be used, and signatures must be in one")
        return root


def _root_text(source: TrustedRootSource, keys: KeyResolver) -> bytes:
    if source.source == "PublicGood":
        from sealgate.sigstore.public_good import read_public_good_root

        return read_public_good_root()
    return keys.trusted_root(source) if source.inline is None else source.inline.encode()


def _read_identities(spec: CosignSpec) -> tuple[Identity, ...]:
    from sealgate.sigstore.certificates import FACTS
    from sealgate.sigstore.identities import Identity, read_texts

    assert spec.keyless is not None  # noqa: S101 - asked for only if it is there
    found = []
    for number, entry in enumerate(spec.keyless.identities):
        with in_field(f"cosign.keyless.identities[{number}]"):
            issuer = read_texts(entry.issuer, entry.issuer_reg_exp)
            subject = read_texts(entry.subject, entry.subject_reg_exp)
        facts = tuple((name, value) for name in FACTS if (value := getattr(entry, name)) is not None)
        found.append(Identity(issuer, subject, facts))
    return tuple(dict.fromkeys(found))
