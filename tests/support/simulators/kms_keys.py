"""Common parts of the KMS simulators: keys that really sign digests, and descriptions of keys."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from tests.support.signers.private_keys import PrivateKey, new_key, public_pem
from tests.support.signers.sm2 import SM2PrivateKey

KMSPrivateKey = PrivateKey | SM2PrivateKey


def new_kms_key(kind: str, name: str = "") -> KMSPrivateKey:
    """Return a new SM2 key, or a key of `new_key` (cached by kind and name)."""
    return SM2PrivateKey.generate() if kind == "SM2" else new_key(kind, name)


def pem_of_key(key: KMSPrivateKey) -> str:
    """Return the public half in PEM."""
    return key.public_pem if isinstance(key, SM2PrivateKey) else public_pem(key)


def sign_digest(key: KMSPrivateKey, digest: bytes, *, pss: bool = False) -> bytes:
    """Return a signature over a digest; its length determines the hash."""
    if isinstance(key, SM2PrivateKey):
        return key.sign_digest(digest)
    algorithm = {28: hashes.SHA224(), 32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}[len(digest)]
    hashed = utils.Prehashed(algorithm)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(digest, ec.ECDSA(hashed))
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.sign(digest, padding.PSS(padding.MGF1(algorithm), len(digest)) if pss else padding.PKCS1v15(), hashed)
