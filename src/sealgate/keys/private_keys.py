"""Private keys in files: read strictly, signing with the one algorithm of their public half.

A private key is accepted by the rules of public keys: what no policy accepts must not sign either. PEM is read as
openssl writes it (PKCS#8, encrypted or not, SEC1, PKCS#1) and as cosign encrypts it. Neither a key nor a passphrase is
in any message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from sealgate.errors import InvalidKeyError
from sealgate.keys.algorithms import Algorithm, hash_of, rsa_padding_of
from sealgate.keys.cosign_encryption import decrypt_cosign_key, is_cosign_key
from sealgate.keys.ed25519ph import sign_ed25519ph
from sealgate.keys.encrypted_keys import load_pem
from sealgate.keys.pem import MAX_PEM_BYTES, read_private_key_pem
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.sm2_signing import SM2PrivateKey, read_sm2_private_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from sealgate.clocks import Deadline
    from sealgate.keys.public_keys import PublicKey

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
#: A private key that can sign.
AnyPrivateKey = _Key | SM2PrivateKey


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key at hand; see `sealgate.keys.signing_keys.SigningKey`. Immutable, thread-safe.

    Attributes:
        public: the public half.
        name: the key for a person.
    """

    public: PublicKey
    name: str
    # Message in, signature out.
    _sign: Callable[[bytes], bytes] = field(repr=False, compare=False)

    def sign(self, message: bytes, deadline: Deadline) -> bytes:
        """See `SigningKey.sign`; never waits."""
        del deadline
        return self._sign(message)


def load_private_key(
    pem: bytes,
    name: str,
    passphrase: Callable[[], bytes],
    algorithm: str | None = None,
    distinguishing_id: str | None = None,
) -> PrivateKey:
    """Load a private key.

    Args:
        pem: one PEM block with a private key.
        name: the key for a person ("the key file release.pem").
        passphrase: returns the passphrase; called once, and only if the key is encrypted.
        algorithm: the name of the algorithm to sign with; None for the default of the key's type.
        distinguishing_id: of an SM2 key, 1 to 128 bytes; None for the usual one. No other key has one.

    Raises:
        InvalidKeyError: it is not such a key, is too weak, does not fit the algorithm, or the passphrase is wrong.
    """
    if len(pem) > MAX_PEM_BYTES:
        raise InvalidKeyError(f"a private key has no more than {MAX_PEM_BYTES} bytes")
    key = _load(pem, passphrase)
    public = load_public_key(public_pem_of(key), algorithm, distinguishing_id)
    if isinstance(key, SM2PrivateKey):
        return PrivateKey(public, name, key.signer(public.distinguishing_id or ""))
    return PrivateKey(public, name, _signer(key, public.algorithm))


def public_pem_of(key: AnyPrivateKey) -> bytes:
    """Return the public half of a private key in PEM (`PUBLIC KEY`)."""
    if isinstance(key, SM2PrivateKey):
        return key.public_pem
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _load(pem: bytes, passphrase: Callable[[], bytes]) -> AnyPrivateKey:
    block = read_private_key_pem(pem)
    if is_cosign_key(block.label):
        return _load_der(decrypt_cosign_key(block.data, passphrase()))
    if block.encrypted:
        return _supported(_decrypt(pem, passphrase()))
    return _load_der(block.data, pem)


def _load_der(der: bytes, pem: bytes | None = None) -> AnyPrivateKey:
    """Load a key that is not encrypted; its PEM is given where DER alone does not say which encoding it is."""
    sm2 = read_sm2_private_key(der)
    if sm2 is not None:
        return sm2
    try:
        return _supported(load_der_private_key(der, None) if pem is None else load_pem_private_key(pem, None))
    except (ValueError, TypeError) as error:
        raise InvalidKeyError(
            "the PEM block does not hold a private key that is sound; export the key again"
        ) from error
    except UnsupportedAlgorithm as error:
        raise InvalidKeyError(f"the key is of a kind that cannot sign here; {_SUPPORTED}") from error


def _decrypt(pem: bytes, passphrase: bytes) -> PrivateKeyTypes:
    if not passphrase:
        raise InvalidKeyError("the key is encrypted, and its passphrase is empty; give the passphrase of the key")
    try:
        return load_pem(pem, passphrase)
    except ValueError as error:
        raise InvalidKeyError("the key cannot be decrypted: the passphrase is wrong, or the file is damaged") from error
    except UnsupportedAlgorithm as error:
        msg = (
            "the key is encrypted, or of a kind, that is not supported; decrypt it (openssl pkey -in key.pem) and "
            f"protect it otherwise, or {_SUPPORTED}"
        )
        raise InvalidKeyError(msg) from error


_SUPPORTED = "use an ECDSA key on P-256, P-384 or P-521, an RSA key of 2048 bits or more, an Ed25519 or an SM2 key"


def _supported(key: PrivateKeyTypes) -> _Key:
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        return key
    raise InvalidKeyError(
        f"a {type(key).__name__.lstrip('_').removesuffix('PrivateKey')} key cannot sign; {_SUPPORTED}"
    )


def _signer(key: _Key, algorithm: Algorithm) -> Callable[[bytes], bytes]:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        ecdsa = ec.ECDSA(hash_of(algorithm))
        return lambda message: key.sign(message, ecdsa)
    if isinstance(key, rsa.RSAPrivateKey):
        digest, scheme = hash_of(algorithm), rsa_padding_of(algorithm)
        if isinstance(scheme, padding.PSS):
            scheme = padding.PSS(mgf=padding.MGF1(digest), salt_length=padding.PSS.DIGEST_LENGTH)
        return lambda message: key.sign(message, scheme, digest)
    if algorithm is Algorithm.ED25519_PH:
        seed = key.private_bytes_raw()
        return lambda message: sign_ed25519ph(seed, message)
    return key.sign
