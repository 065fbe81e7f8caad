"""OpenPGP key packets and the arithmetic of version 4 signatures.

The OpenPGP library judges messages as of the moment they were signed. Two questions it does not answer: until when
a subkey is good *now*, and what a message is worth whose key had its self-signature renewed since (extending a
key's expiry does that). Both need single signatures checked, which is done here with `cryptography`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.openpgp.packets import SignatureFields, read_numbers
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

#: The least bits of an RSA modulus or a DSA prime.
LEAST_BITS = 2048

_RSA = frozenset({1, 3})
_DSA, _ECDSA, _EDDSA = 17, 19, 22
#: Algorithms, one byte each, that can only encrypt; such keys are ignored.
ENCRYPTION_ONLY = frozenset(bytes([number]) for number in (2, 16, 18, 25, 26))

_HASHES: dict[int, hashes.HashAlgorithm] = {
    8: hashes.SHA256(),
    9: hashes.SHA384(),
    10: hashes.SHA512(),
    11: hashes.SHA224(),
}
_CURVES: dict[bytes, ec.EllipticCurve] = {
    bytes.fromhex("2a8648ce3d030107"): ec.SECP256R1(),
    bytes.fromhex("2b81040022"): ec.SECP384R1(),
    bytes.fromhex("2b81040023"): ec.SECP521R1(),
}
_CURVE_NAMES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_ED25519_OID = bytes.fromhex("2b06010401da470f01")
_ED25519_BYTES = 32
_VERSION = 4


@dataclass(frozen=True, slots=True)
class KeyPacket:
    """A public key that can sign, as its packet has it.

    Attributes:
        body: the packet's body.
        fingerprint: 40 upper-case hex digits.
        algorithm: number of the public-key algorithm.
        kind: for people: "RSA 3072", "DSA 2048", "ECDSA P-256", "Ed25519".
        public: the key itself.
    """

    body: bytes
    fingerprint: str
    algorithm: int
    kind: str
    public: PublicKeyTypes

    @property
    def hashed(self) -> bytes:
        """What signatures over this key hash of it."""
        return _hashed_key(self.body)

    @property
    def created(self) -> int:
        """When the key was made, seconds since 1970."""
        return int.from_bytes(self.body[1:5], "big")

    def check(self, signature: SignatureFields, data: bytes) -> None:
        """Verify one signature by this key over data (what comes before the signature's own trailer).

        Raises:
            VerificationError: it is not by this key over this data, or of a weak or unknown algorithm.
        """
        algorithm = _HASHES.get(signature.hash_algorithm)
        if algorithm is None:
            raise _invalid("uses a hash algorithm that is not accepted")
        if signature.algorithm != self.algorithm:
            raise _invalid("is of another algorithm than the key")
        digest = hashlib.new(algorithm.name, data + signature.trailer).digest()
        try:
            self._check_digest(signature, digest, algorithm)
        except InvalidSignature as error:
            raise _invalid(f"is not by key {self.fingerprint} over this data") from error

    def endorses(self, signature: SignatureFields, data: bytes) -> bool:
        """Return whether a signature in a certificate is by this key over that part of the certificate."""
        try:
            self.check(signature, data)
        except VerificationError:
            return False
        return True

    def _check_digest(self, signature: SignatureFields, digest: bytes, algorithm: hashes.HashAlgorithm) -> None:
        public = self.public
        if isinstance(public, rsa.RSAPublicKey):
            (number,) = read_numbers(signature.numbers, 1)
            public.verify(_fixed(number, (public.key_size + 7) // 8), digest, padding.PKCS1v15(), Prehashed(algorithm))
        elif isinstance(public, ed25519.Ed25519PublicKey):
            r, s = read_numbers(signature.numbers, 2)
            public.verify(_fixed(r, _ED25519_BYTES) + _fixed(s, _ED25519_BYTES), digest)
        else:
            r, s = read_numbers(signature.numbers, 2)
            encoded = encode_dss_signature(r, s)
            if isinstance(public, ec.EllipticCurvePublicKey):
                public.verify(encoded, digest, ec.ECDSA(Prehashed(algorithm)))
            elif isinstance(public, dsa.DSAPublicKey):
                public.verify(encoded, digest, Prehashed(algorithm))
            else:  # pragma: no cover - `read_key` makes no others
                raise InvalidSignature


def read_key(body: bytes) -> KeyPacket:
    """Read the body of a public key packet, or public subkey packet, that can sign.

    Raises:
        InvalidKeyError: of another version than 4, too short, on a curve that is not accepted, or malformed.
    """
    if body[:1] != bytes([_VERSION]):
        raise InvalidKeyError("an OpenPGP key is not of version 4; only version 4 keys are supported")
    # Version 4 fingerprints are SHA-1 by definition; nothing is compared by them that was not chosen by full value.
    name = hashlib.sha1(_hashed_key(body), usedforsecurity=False).hexdigest().upper()
    algorithm, material = body[5:6], body[6:]
    try:
        public, kind = _read_public(algorithm[0], material)
    except (VerificationError, ValueError, IndexError, UnsupportedAlgorithm) as error:
        raise InvalidKeyError(f"OpenPGP key {name} is malformed") from error
    if public is None:
        raise InvalidKeyError(
            f"OpenPGP key {name} is {kind}, which is not accepted: use RSA or DSA of at least {LEAST_BITS} bits, "
            "ECDSA on P-256, P-384 or P-521, or Ed25519"
        )
    return KeyPacket(body, name, algorithm[0], kind, public)


def _hashed_key(body: bytes) -> bytes:
    return b"\x99" + len(body).to_bytes(2, "big") + body


def binding_data(primary: KeyPacket, subkey: KeyPacket) -> bytes:
    """Return what a subkey's binding (and its counter-signature) is over."""
    return primary.hashed + subkey.hashed


def certification_data(primary: KeyPacket, user_id: bytes) -> bytes:
    """Return what a self-signature over a user id is over."""
    return primary.hashed + b"\xb4" + len(user_id).to_bytes(4, "big") + user_id


def genuine(key: KeyPacket, signatures: Iterable[SignatureFields], data: bytes) -> list[SignatureFields]:
    """Return those of a certificate's signatures that really are by that key over that part of the certificate.

    Anyone can add packets to a certificate (key servers do), so packets that do not verify are ignored.
    """
    return [signature for signature in signatures if key.endorses(signature, data)]


def is_accepted_hash(signature: SignatureFields) -> bool:
    """Return whether a signature is over a hash that is accepted here, and can be verified."""
    return signature.hash_algorithm in _HASHES


def _read_public(algorithm: int, material: bytes) -> tuple[PublicKeyTypes | None, str]:
    """Return the key (None when it is not accepted) and what kind it is."""
    if algorithm in _RSA:
        modulus, exponent = read_numbers(material, 2)
        kind = f"RSA {modulus.bit_length()}"
        if modulus.bit_length() < LEAST_BITS:
            return None, kind
        return rsa.RSAPublicNumbers(exponent, modulus).public_key(), kind
    if algorithm == _DSA:
        return _read_dsa(material)
    if algorithm in {_ECDSA, _EDDSA}:
        return _read_curve(algorithm, material)
    return None, f"of algorithm {algorithm}"


def _read_dsa(material: bytes) -> tuple[PublicKeyTypes | None, str]:
    p, q, g, y = read_numbers(material, 4)
    kind = f"DSA {p.bit_length()}"
    if p.bit_length() < LEAST_BITS:
        return None, kind
    return dsa.DSAPublicNumbers(y, dsa.DSAParameterNumbers(p, q, g)).public_key(), kind


def _read_curve(algorithm: int, material: bytes) -> tuple[PublicKeyTypes | None, str]:
    size = material[0]
    oid, numbers = material[1 : 1 + size], material[1 + size :]
    (number,) = read_numbers(numbers, 1)
    point = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if algorithm == _EDDSA:
        if oid != _ED25519_OID:
            return None, "EdDSA on another curve than Ed25519"
        return ed25519.Ed25519PublicKey.from_public_bytes(point.removeprefix(b"\x40")), "Ed25519"
    curve = _CURVES.get(oid)
    if curve is None:
        return None, "ECDSA on another curve than P-256, P-384 and P-521"
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point), f"ECDSA {_CURVE_NAMES[curve.name]}"


def _fixed(number: int, size: int) -> bytes:
    """Return a number in exactly so many bytes; one that does not fit is not part of a signature."""
    if number.bit_length() > size * 8:
        raise InvalidSignature
    return number.to_bytes(size, "big")


def _invalid(what: str) -> VerificationError:
    return VerificationError(f"the OpenPGP signature {what}", reason=Reason.INVALID_SIGNATURE)
