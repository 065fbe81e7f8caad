"""The one algorithm of each signer's key, and signatures by it ("Signature Algorithm Requirements").

The key decides: 2048, 3072 or 4096 bits of RSA with PSS, P-256, P-384 or P-521 with ECDSA, each with one hash. What the
envelope says must be the same, and chooses nothing.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealgate.errors import VerificationError
from sealgate.formats.notation.certificates import UNREADABLE, name_of
from sealgate.keys.algorithms import Algorithm, hash_of
from sealgate.keys.spki import read_certificate_key
from sealgate.messages import quote
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography import x509

# By the bits of an RSA modulus, and the name of a curve: name in JWS, and the algorithm.
_OF_RSA: Mapping[int, tuple[str, Algorithm]] = {
    2048: ("PS256", Algorithm.RSA_PSS_SHA_256),
    3072: ("PS384", Algorithm.RSA_PSS_SHA_384),
    4096: ("PS512", Algorithm.RSA_PSS_SHA_512),
}
_OF_CURVE: Mapping[str, tuple[str, Algorithm]] = {
    "secp256r1": ("ES256", Algorithm.ECDSA_SHA_256),
    "secp384r1": ("ES384", Algorithm.ECDSA_SHA_384),
    "secp521r1": ("ES512", Algorithm.ECDSA_SHA_512),
}


@dataclass(frozen=True, slots=True)
class SignerKey:
    """The key of a signer's certificate, with its one algorithm.

    Attributes:
        fingerprint: `sha256:<hex>` of the DER SubjectPublicKeyInfo, as other formats have it.
        name: name of the algorithm in JWS ("PS256").
        algorithm: the algorithm.
        key: the key.
    """

    fingerprint: str
    name: str
    algorithm: Algorithm
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey

    def verify(self, signature: bytes, signed: bytes) -> None:
        """Verify a signature as envelopes have it.

        Args:
            signature: of ECDSA r and s, one after the other, each as long as the curve's order.
            signed: the exact bytes that it is over.

        Raises:
            VerificationError: the key did not make it.
        """
        digest = hash_of(self.algorithm)
        try:
            if isinstance(self.key, rsa.RSAPublicKey):
                scheme = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
                self.key.verify(signature, signed, scheme, digest)
            else:
                self.key.verify(_to_der(signature, self.key), signed, ec.ECDSA(digest))
        except (InvalidSignature, ValueError) as error:
            msg = "its signature was not made by the key of its certificate, or it was changed afterwards"
            raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE) from error

    def from_key(self, signature: bytes) -> bytes:
        """Return a signature as envelopes have it, from one as keys make them (ECDSA in DER)."""
        if isinstance(self.key, rsa.RSAPublicKey):
            return signature
        size = _size(self.key)
        return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))


def signer_key(certificate: x509.Certificate) -> SignerKey:
    """Return the key of a signer's certificate.

    Raises:
        VerificationError: its kind or size is not one that signs images.
    """
    found: tuple[str, Algorithm] | None = None
    key: object = None
    with suppress(*UNREADABLE):  # refused below, as any other key that cannot sign
        key = read_certificate_key(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        found = _OF_RSA.get(key.key_size)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        found = _OF_CURVE.get(key.curve.name)
    if found is None or not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        msg = (
            f"{name_of(certificate)} has a key that does not sign images: use RSA of 2048, 3072 or 4096 bits, or "
            "ECDSA on P-256, P-384 or P-521"
        )
        raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE)
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return SignerKey("sha256:" + hashlib.sha256(der).hexdigest(), *found, key)


def check_algorithm(stated: str, key: SignerKey) -> None:
    """Check that an envelope states the algorithm of its key.

    Raises:
        VerificationError: it states another one.
    """
    if stated != key.name:
        msg = f"it says that it is signed with {quote(stated, 40)}, and its certificate's key signs with {key.name}"
        raise VerificationError(msg, reason=Reason.INVALID_SIGNATURE)


def _size(key: ec.EllipticCurvePublicKey) -> int:
    return (key.curve.key_size + 7) // 8


def _to_der(signature: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    size = _size(key)
    if len(signature) != 2 * size:
        raise InvalidSignature
    return encode_dss_signature(int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))
