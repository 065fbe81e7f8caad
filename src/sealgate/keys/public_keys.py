"""Accepted public keys: loaded once, strictly, each with its one algorithm.

A key is refused while it is read, not when a signature arrives: private keys, certificates, several keys in one
text, short RSA keys, curves other than P-256, P-384, P-521 and SM2's. `PublicKey.verify` raises; it returns nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SM3, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealgate.errors import InvalidKeyError, SigningError, VerificationError
from sealgate.keys.algorithms import (
    CURVES,
    ED25519_ALGORITHMS,
    RSA_ALGORITHMS,
    SM2_ALGORITHMS,
    Algorithm,
    hash_of,
    rsa_padding_of,
)
from sealgate.keys.ed25519ph import Ed25519phKey, check_point
from sealgate.keys.pem import read_public_key_pem
from sealgate.keys.sm2 import CURVE_OID, DEFAULT_ID, SM2Key
from sealgate.keys.spki import read_spki
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 16384
_MAX_RSA_EXPONENT = 2**32 - 1

# The algorithm comes first in a SubjectPublicKeyInfo, its point or modulus later.
_ALGORITHM_BYTES = 48

_Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One accepted key with its one algorithm. Immutable, thread-safe; equal keys have equal fields.

    Attributes:
        fingerprint: `sha256:<hex>` of the DER SubjectPublicKeyInfo: the key's identity, however it was written.
        algorithm: the only algorithm that a signature of this key may have.
        kind: type and size for people: "ECDSA P-256", "RSA 3072", "Ed25519", "SM2".
        distinguishing_id: of an SM2 key: the id that is signed with every message; None for all others.
        version: the version of a KMS's key that it is, where it came from one; empty otherwise.
    """

    fingerprint: str
    algorithm: Algorithm
    kind: str
    # Signature and message in, InvalidSignature out if they do not fit.
    _check: Callable[[bytes, bytes], None] = field(repr=False, compare=False)
    distinguishing_id: str | None = None
    version: str = field(default="", compare=False)
    # What other algorithms are made from; None where there is no other.
    _key: _Key | None = field(default=None, repr=False, compare=False)
    # Hashed before every message: Z of an SM2 key, nothing of all others.
    _prefix: bytes = field(default=b"", repr=False, compare=False)

    @property
    def content(self) -> tuple[str, ...]:
        """Everything that decides which signatures verify; keys that differ in it are to be kept apart."""
        known = (self.fingerprint, self.algorithm.value)
        return known if self.distinguishing_id is None else (*known, self.distinguishing_id)

    def of_version(self, version: str) -> PublicKey:
        """Return the same key as a version of a KMS's key."""
        return replace(self, version=version)

    @property
    def other_algorithms(self) -> tuple[Algorithm, ...]:
        """The algorithms that the key could have been given instead of its own."""
        allowed = () if self._key is None else _describe(self._key)[1]
        return tuple(algorithm for algorithm in allowed if algorithm is not self.algorithm)

    def with_algorithm(self, algorithm: str) -> PublicKey:
        """Return the same key with another algorithm, for formats whose policies accept several of one key.

        Raises:
            InvalidKeyError: it does not fit the key.
        """
        if self._key is None:
            return replace(self, algorithm=_choose(algorithm, self.kind, (self.algorithm,)))
        chosen = _choose(algorithm, self.kind, _describe(self._key)[1])
        return replace(self, algorithm=chosen, _check=_checker(self._key, chosen))

    def digest(self, message: bytes) -> bytes:
        """Return the digest that the key's algorithm signs, for services that are sent digests instead of messages.

        Args:
            message: the exact bytes.

        Returns:
            The message's hash; of an SM2 key SM3(Z || message).

        Raises:
            SigningError: the algorithm signs whole messages (Ed25519).
        """
        if self.algorithm in ED25519_ALGORITHMS:
            raise SigningError(f"{self.algorithm} signs whole messages, not digests; use a key of another type")
        hashed = Hash(SM3() if self.algorithm is Algorithm.SM2 else hash_of(self.algorithm))
        hashed.update(self._prefix + message)
        return hashed.finalize()

    def verify(self, signature: bytes, message: bytes) -> None:
        """Verify a signature over a message.

        ECDSA signatures are DER, nothing but the one shortest spelling of it, with r and s in range; both the low
        and the high s verify.

        Args:
            signature: as it was made, decoded.
            message: the exact bytes that were signed, before any hash.

        Raises:
            VerificationError: this key, with its algorithm, did not make that signature over that message.
        """
        try:
            self._check(signature, message)
        except InvalidSignature as error:
            msg = f"the signature was not made by the {self.kind} key {self.fingerprint} with {self.algorithm}"
            raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE) from error


def load_public_key(pem: str | bytes, algorithm: str | None = None, distinguishing_id: str | None = None) -> PublicKey:
    """Load a public key.

    Args:
        pem: one PEM block, `-----BEGIN PUBLIC KEY-----`, and nothing else.
        algorithm: the name of the only algorithm to accept; None for the default of the key's type.
        distinguishing_id: of an SM2 key, 1 to 128 bytes; None for the usual one. No other key has one.

    Raises:
        InvalidKeyError: it is not such a key, is too weak, of an unsupported kind, or does not fit the algorithm.
    """
    spki = read_public_key_pem(pem)
    if _is_sm2(spki):
        return _load_sm2(spki, algorithm, DEFAULT_ID if distinguishing_id is None else distinguishing_id)
    key = _load(spki)
    kind, algorithms = _describe(key)
    if distinguishing_id is not None:
        raise InvalidKeyError(f"only SM2 keys have a distinguishing id, not this {kind} key; leave it out")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    fingerprint = "sha256:" + hashlib.sha256(der).hexdigest()
    chosen = algorithms[0] if algorithm is None else _choose(algorithm, kind, algorithms)
    return PublicKey(fingerprint, chosen, kind, _checker(key, chosen), _key=key)


def allowed_algorithms(pem: str | bytes) -> tuple[Algorithm, ...]:
    """Return the algorithms that a key may be given, its default first.

    Raises:
        InvalidKeyError: see `load_public_key`.
    """
    spki = read_public_key_pem(pem)
    return SM2_ALGORITHMS if _is_sm2(spki) else _describe(_load(spki))[1]


def _is_sm2(der: bytes) -> bool:
    return CURVE_OID in der[:_ALGORITHM_BYTES]


def _load_sm2(der: bytes, algorithm: str | None, distinguishing_id: str) -> PublicKey:
    try:
        key = SM2Key(der, distinguishing_id)
    except ValueError as error:
        msg = f"the SM2 key cannot be used: {error}; export it uncompressed (openssl pkey -in key.pem -pubout)"
        raise InvalidKeyError(msg) from error
    chosen = SM2_ALGORITHMS[0] if algorithm is None else _choose(algorithm, "SM2", SM2_ALGORITHMS)
    fingerprint = "sha256:" + hashlib.sha256(der).hexdigest()
    return PublicKey(fingerprint, chosen, "SM2", key.verify, distinguishing_id, _prefix=key.z)


def _load(der: bytes) -> _Key:
    try:
        key = read_spki(der)
    except UnsupportedAlgorithm as error:
        msg = f"the key is of a kind that is not supported ({quote(error, 120)}); {_SUPPORTED}"
        raise InvalidKeyError(msg) from error
    except ValueError as error:
        msg = "the PEM block does not hold a public key, or its point is not on its curve; export the key again"
        raise InvalidKeyError(msg) from error
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        msg = f"a {type(key).__name__.removesuffix('PublicKey')} key is not supported; {_SUPPORTED}"
        raise InvalidKeyError(msg)
    return key


_SUPPORTED = "use an ECDSA key on P-256, P-384 or P-521, an RSA key of 2048 bits or more, an Ed25519 or an SM2 key"


def _describe(key: _Key) -> tuple[str, tuple[Algorithm, ...]]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in CURVES:
            msg = f"keys on the curve {quote(key.curve.name, 40)} are not supported; {_SUPPORTED}"
            raise InvalidKeyError(msg)
        curve, algorithms = CURVES[key.curve.name]
        return f"ECDSA {curve}", algorithms
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa(key)
        return f"RSA {key.key_size}", RSA_ALGORITHMS
    _check_ed25519(key)
    return "Ed25519", ED25519_ALGORITHMS


def _check_ed25519(key: ed25519.Ed25519PublicKey) -> None:
    # Loading accepts any 32 bytes; for points of small order, signatures can be forged without a private key.
    try:
        check_point(key.public_bytes_raw())
    except ValueError as error:
        raise InvalidKeyError(f"the Ed25519 key cannot be one: {error}; export the key again") from error


def _check_rsa(key: rsa.RSAPublicKey) -> None:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        msg = f"an RSA key of {key.key_size} bits is refused; make one of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
        raise InvalidKeyError(msg)
    numbers = key.public_numbers()
    # 1 would make every message its own signature, an even one is no RSA, and a huge one only costs time.
    if not (numbers.e & 1 and 1 < numbers.e <= _MAX_RSA_EXPONENT and numbers.n & 1):
        msg = "the RSA key's exponent or modulus is not one that an RSA key can have; make a new key"
        raise InvalidKeyError(msg)


def _choose(algorithm: str, kind: str, algorithms: tuple[Algorithm, ...]) -> Algorithm:
    for candidate in algorithms:
        if candidate.value == algorithm:
            return candidate
    msg = f"algorithm {quote(algorithm, 40)} does not fit this {kind} key; it can have {', '.join(algorithms)}"
    raise InvalidKeyError(msg)


def _checker(key: _Key, algorithm: Algorithm) -> Callable[[bytes, bytes], None]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        ecdsa = ec.ECDSA(hash_of(algorithm))
        return lambda signature, message: key.verify(signature, message, ecdsa)
    if isinstance(key, rsa.RSAPublicKey):
        padding, digest = rsa_padding_of(algorithm), hash_of(algorithm)
        return lambda signature, message: key.verify(signature, message, padding, digest)
    return Ed25519phKey(key.public_bytes_raw()).verify if algorithm is Algorithm.ED25519_PH else key.verify
