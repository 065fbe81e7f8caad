"""Signature algorithms by name, and which of them fit which key.

A key has exactly one algorithm, fixed by the policy or by the key's type: nothing a signature says chooses it, and
no second one is ever tried. SHA-1 and MD5 have no names here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

if TYPE_CHECKING:
    from collections.abc import Mapping


class Algorithm(StrEnum):
    """A signature algorithm, as policies write it."""

    ECDSA_SHA_256 = "ECDSA_SHA_256"
    ECDSA_SHA_384 = "ECDSA_SHA_384"
    ECDSA_SHA_512 = "ECDSA_SHA_512"
    RSA_PKCS1_SHA_224 = "RSA_PKCS1_SHA_224"
    RSA_PKCS1_SHA_256 = "RSA_PKCS1_SHA_256"
    RSA_PKCS1_SHA_384 = "RSA_PKCS1_SHA_384"
    RSA_PKCS1_SHA_512 = "RSA_PKCS1_SHA_512"
    RSA_PSS_SHA_224 = "RSA_PSS_SHA_224"
    RSA_PSS_SHA_256 = "RSA_PSS_SHA_256"
    RSA_PSS_SHA_384 = "RSA_PSS_SHA_384"
    RSA_PSS_SHA_512 = "RSA_PSS_SHA_512"
    ED25519 = "ED25519"
    ED25519_PH = "ED25519_PH"
    SM2 = "SM2"


# The first of each is the default of its key type.
_ECDSA = (Algorithm.ECDSA_SHA_256, Algorithm.ECDSA_SHA_384, Algorithm.ECDSA_SHA_512)

#: Accepted curves, by the name that `cryptography` gives them: what people call it, and its algorithms. Any hash
#: fits any curve (older signers used SHA-256 with P-384); the default is the hash as long as the curve.
CURVES: Mapping[str, tuple[str, tuple[Algorithm, ...]]] = {
    "secp256r1": ("P-256", _ECDSA),
    "secp384r1": ("P-384", (Algorithm.ECDSA_SHA_384, Algorithm.ECDSA_SHA_256, Algorithm.ECDSA_SHA_512)),
    "secp521r1": ("P-521", (Algorithm.ECDSA_SHA_512, Algorithm.ECDSA_SHA_256, Algorithm.ECDSA_SHA_384)),
}
RSA_ALGORITHMS = (
    Algorithm.RSA_PKCS1_SHA_256,
    Algorithm.RSA_PKCS1_SHA_224,
    Algorithm.RSA_PKCS1_SHA_384,
    Algorithm.RSA_PKCS1_SHA_512,
    Algorithm.RSA_PSS_SHA_224,
    Algorithm.RSA_PSS_SHA_256,
    Algorithm.RSA_PSS_SHA_384,
    Algorithm.RSA_PSS_SHA_512,
)
ED25519_ALGORITHMS = (Algorithm.ED25519, Algorithm.ED25519_PH)
SM2_ALGORITHMS = (Algorithm.SM2,)

_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "SHA_224": hashes.SHA224(),
    "SHA_256": hashes.SHA256(),
    "SHA_384": hashes.SHA384(),
    "SHA_512": hashes.SHA512(),
}


def hash_of(algorithm: Algorithm) -> hashes.HashAlgorithm:
    """Return the hash that an algorithm with a hash in its name uses."""
    return _HASHES[algorithm.value[-len("SHA_nnn") :]]


def rsa_padding_of(algorithm: Algorithm) -> padding.AsymmetricPadding:
    """Return the padding of an RSA algorithm.

    PSS masks with the hash of the algorithm and takes any length of salt, since signers differ in it.
    """
    if algorithm.value.startswith("RSA_PSS"):
        return padding.PSS(mgf=padding.MGF1(hash_of(algorithm)), salt_length=padding.PSS.AUTO)
    return padding.PKCS1v15()
