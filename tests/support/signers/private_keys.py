"""Private keys for tests, and signatures by them."""

from __future__ import annotations

import functools
import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.signers.kept_keys import kept_rsa_key

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_CURVES: dict[str, ec.EllipticCurve] = {
    "P-224": ec.SECP224R1(),
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "secp256k1": ec.SECP256K1(),
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA_1": hashes.SHA1(),  # noqa: S303 - to show that it is refused
    "SHA_224": hashes.SHA224(),
    "SHA_256": hashes.SHA256(),
    "SHA_384": hashes.SHA384(),
    "SHA_512": hashes.SHA512(),
}


@functools.cache
def new_key(kind: str, name: str = "") -> PrivateKey:
    """Return a private key, cached by kind and name: "ECDSA P-256", "RSA 2048", "Ed25519"."""
    family, _, size = kind.partition(" ")
    if family == "RSA":
        return kept_rsa_key(int(size), name)
    return ec.generate_private_key(_CURVES[size]) if family == "ECDSA" else ed25519.Ed25519PrivateKey.generate()


def public_pem(key: PrivateKey) -> str:
    """Return the public half as policies hold it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def fingerprint(key: PrivateKey) -> str:
    """Return the fingerprint that findings name."""
    return "sha256:" + spki_hash(key).hex()


def default_algorithm(key: PrivateKey) -> str:
    """Return the algorithm that cosign would sign with, but for Ed25519, where it is the plain one."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {256: "ECDSA_SHA_256", 384: "ECDSA_SHA_384", 521: "ECDSA_SHA_512"}[key.curve.key_size]
    return "RSA_PKCS1_SHA_256" if isinstance(key, rsa.RSAPrivateKey) else "ED25519"


def sign(key: PrivateKey, message: bytes, algorithm: str | None = None, salt_length: int | None = None) -> bytes:
    """Return a signature.

    Args:
        key: the private key.
        message: the bytes, before any hash.
        algorithm: as policies name it (and "..._SHA_1"); None for the key's default.
        salt_length: of PSS, in bytes; None for as long as the hash.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    name = algorithm or default_algorithm(key)
    digest = _HASHES["SHA_" + name.rpartition("SHA_")[2]]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(digest))
    if name.startswith("RSA_PSS"):
        salt = digest.digest_size if salt_length is None else salt_length
        return key.sign(message, padding.PSS(padding.MGF1(digest), salt), digest)
    return key.sign(message, padding.PKCS1v15(), digest)


def spki_hash(key: PrivateKey) -> bytes:
    """Return the SHA-256 of the public half's SubjectPublicKeyInfo."""
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()
