"""The accepted keys of an authenticator, by the ids that attestations give them.

An id selects among the keys that the policy accepts; it never adds one, and the key's own type says how its
signatures are read, not the attestation.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sealgate.errors import InvalidKeyError, NoKeyError, VerificationError, in_field
from sealgate.formats.other_hashes import StrangerError
from sealgate.formats.signers import each_once, openpgp_check_keys, public_check_keys
from sealgate.keys.openpgp.keyring import describe, load_keyring
from sealgate.messages import name_accepted, quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sealgate.api.v1alpha1.grafeas import GrafeasKey
    from sealgate.formats.grafeas.wire import AttestedSignature
    from sealgate.formats.interface import CheckKey
    from sealgate.keys.openpgp.keyring import Keyring
    from sealgate.keys.public_keys import PublicKey
    from sealgate.keys.resolvers import KeyResolver

_FINGERPRINT_SCHEME = "ni:///sha-256;"


class Attested(NamedTuple):
    """A signature that an accepted key made.

    Attributes:
        signer: the key's fingerprint.
        how: how it was made, for a person.
        payload: the exact bytes that were signed.
        valid_until: when it, or its OpenPGP key, expires; None if neither does.
    """

    signer: str
    how: str
    payload: bytes
    valid_until: datetime | None


@dataclass(frozen=True, slots=True)
class AttestationKeys:
    """Every accepted key by its id. Immutable, thread-safe.

    Attributes:
        public_keys: keys of detached signatures, by id.
        keyrings: OpenPGP keys, whose signatures include what they sign, by id.
        identity: ids and content of all keys as text, for hashes; equal for equal keys.
    """

    public_keys: Mapping[str, tuple[PublicKey, ...]]
    keyrings: Mapping[str, tuple[Keyring, ...]]
    identity: tuple[tuple[str, ...], ...]

    @property
    def fingerprints(self) -> frozenset[str] | None:
        """The fingerprints of all keys; None where OpenPGP certificates are, each with any number of keys."""
        if self.keyrings:
            return None
        return frozenset(key.fingerprint for keys in self.public_keys.values() for key in keys)

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...]:
        """Return all keys, each once; of OpenPGP certificates those that can sign, each with its state."""
        openpgp = (
            key
            for keyrings in self.keyrings.values()
            for keyring in keyrings
            for key in openpgp_check_keys(keyring, now)
        )
        public = (key for keys in self.public_keys.values() for key in public_check_keys(keys))
        return each_once((*public, *openpgp))

    def _named_fingerprints(self) -> Iterator[str]:
        """Yield the fingerprints of all keys, of OpenPGP certificates those of their primary keys."""
        yield from (key.fingerprint for keys in self.public_keys.values() for key in keys)
        yield from (
            found for keyrings in self.keyrings.values() for keyring in keyrings for found in keyring.fingerprints
        )

    def verify(self, signature: AttestedSignature, now: datetime) -> Attested:
        """Verify a signature by the keys of its id.

        Args:
            signature: a signature of an occurrence.
            now: the time at which OpenPGP keys must be valid.

        Raises:
            VerificationError: no key has that id, or none of those made it.
        """
        name = signature.key_id
        shown = quote(name, 128)
        if name in self.keyrings:
            return _verify_attached(self.keyrings[name], signature.signature(), now)
        if name not in self.public_keys:
            msg = f"made with the key {shown}, which is not accepted" if name else "it names no key"
            msg += name_accepted(self._named_fingerprints())
            raise VerificationError(msg, reason=Reason.UNKNOWN_KEY)
        if signature.attached:
            msg = f"it is an OpenPGP attestation, and the key {shown} is not an OpenPGP key"
            raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE)
        return _verify_detached(self.public_keys[name], signature, shown)


def load_attestation_keys(entries: Sequence[GrafeasKey], resolver: KeyResolver) -> AttestationKeys:
    """Load the keys of an authenticator.

    Raises:
        InvalidKeyError: a key cannot be accepted, or an id is given to an OpenPGP key and to another key.
        NoKeyError: there is no key.
    """
    public_keys: dict[str, list[PublicKey]] = {}
    keyrings: dict[str, list[Keyring]] = {}
    identity: set[tuple[str, ...]] = set()
    for number, entry in enumerate(entries):
        with in_field(f"grafeas.keys[{number}]"):
            if entry.pgp is not None:
                for name, keyring in _keyrings(entry, entry.pgp):
                    keyrings.setdefault(name, []).append(keyring)
                    identity.add(("pgp", name, entry.pgp))
                continue
            for key in resolver.public_keys(entry):
                name = entry.id or default_id(key)
                known = public_keys.setdefault(name, [])
                if key not in known:
                    known.append(key)
                identity.add(("key", name, *key.content))
    if not identity:
        with in_field("grafeas.keys"):
            raise NoKeyError("it is empty: without a key no attestation can count; add one")
    if both := sorted(public_keys.keys() & keyrings.keys()):
        with in_field("grafeas.keys"):
            raise InvalidKeyError(f"the id {quote(both[0], 128)} is given to an OpenPGP key and to another")
    return AttestationKeys(
        {name: tuple(found) for name, found in public_keys.items()},
        {name: tuple(found) for name, found in keyrings.items()},
        tuple(sorted(identity)),
    )


def one_public_key(key: PublicKey, key_id: str) -> AttestationKeys:
    """Return the accepted keys that are one key under one id: those of a signer, to read back what it stored."""
    return AttestationKeys({key_id: (key,)}, {}, (("key", key_id, *key.content),))


def one_keyring(keyring: Keyring, key_id: str) -> AttestationKeys:
    """Return the accepted keys that are one OpenPGP certificate under one id; see `one_public_key`."""
    return AttestationKeys({}, {key_id: (keyring,)}, (("pgp", key_id, *keyring.fingerprints),))


def default_id(key: PublicKey) -> str:
    """Return the id that kritis gives a key without one: its fingerprint as a named-information URI (RFC 6920)."""
    digest = bytes.fromhex(key.fingerprint.removeprefix("sha256:"))
    return _FINGERPRINT_SCHEME + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _keyrings(entry: GrafeasKey, armored: str) -> Iterator[tuple[str, Keyring]]:
    keyring = load_keyring(armored)
    if entry.id is not None:
        yield entry.id, keyring
        return
    for fingerprint in keyring.fingerprints:
        yield fingerprint, keyring.only([fingerprint])


def _verify_detached(keys: Sequence[PublicKey], signature: AttestedSignature, shown: str) -> Attested:
    content, payload = signature.signature(), signature.payload()
    for key in keys:
        with suppress(VerificationError):
            key.verify(content, payload)
            how = f"made by the {key.kind} key {key.fingerprint} with {key.algorithm}"
            return Attested(key.fingerprint, how, payload, None)
    accepted = name_accepted(key.fingerprint for key in keys)
    msg = f"the signature was not made by the key {shown}{accepted} over the payload beside it"
    raise StrangerError(msg, keys, content, payload)


def _verify_attached(keyrings: Sequence[Keyring], message: bytes, now: datetime) -> Attested:
    refusal: VerificationError | None = None
    for keyring in keyrings:
        try:
            signed = keyring.verify_armored(message, now)
        except VerificationError as error:
            refusal = refusal or error
            continue
        return Attested(signed.signing_fingerprint, describe(signed), signed.payload, signed.valid_until)
    assert refusal is not None  # noqa: S101 - for the type checker: there is at least one keyring
    raise refusal
