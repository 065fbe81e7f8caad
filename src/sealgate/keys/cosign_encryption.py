"""The encryption of private keys that cosign makes: PKCS#8 in a NaCl secretbox, its key derived with scrypt.

See `encrypted/encrypted.go` of secure-systems-lab/go-securesystemslib, which cosign uses. Any PKCS#8 key fits, also
those that cosign itself cannot read, such as SM2's.
"""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from sealgate.errors import InvalidKeyError
from sealgate.parsing import strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The label of the PEM block that cosign writes; older versions wrote `ENCRYPTED COSIGN PRIVATE KEY`.
LABEL = "ENCRYPTED SIGSTORE PRIVATE KEY"
_LABELS = (LABEL, "ENCRYPTED COSIGN PRIVATE KEY")
_WHAT = "the encrypted key"
_N, _R, _P = 1 << 16, 8, 1
#: The most work that a key file may ask for; N = 2^17 takes 128 MiB.
_MAX_N, _MAX_P = 1 << 17, 10
_SALT = 32


def is_cosign_key(label: str) -> bool:
    """Return whether a PEM block with this label holds a private key that cosign encrypted."""
    return label in _LABELS


def encrypt_cosign_key(pkcs8: bytes, passphrase: bytes) -> bytes:
    """Encrypt a private key as cosign does.

    Args:
        pkcs8: the key, DER.
        passphrase: may be empty, as cosign permits.

    Returns:
        The content of the PEM block: JSON.
    """
    salt = os.urandom(_SALT)
    sealed = SecretBox(_derive(passphrase, salt, _N, _R, _P)).encrypt(pkcs8)
    document = {
        "kdf": {"name": "scrypt", "params": {"N": _N, "r": _R, "p": _P}, "salt": _text(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": _text(sealed.nonce)},
        "ciphertext": _text(sealed.ciphertext),
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decrypt_cosign_key(data: bytes, passphrase: bytes) -> bytes:
    """Return the key, PKCS#8 DER, inside a PEM block that cosign encrypted.

    Args:
        data: the content of the PEM block.
        passphrase: may be empty.

    Raises:
        InvalidKeyError: the passphrase is wrong, or the block is not what cosign writes.
    """
    try:
        document = strict_json.parse_object(data, _WHAT)
        kdf, cipher = (strict_json.object_member(document, name, _WHAT) for name in ("kdf", "cipher"))
        parameters = strict_json.object_member(kdf, "params", _WHAT)
        names = (strict_json.text_member(kdf, "name", _WHAT), strict_json.text_member(cipher, "name", _WHAT))
        salt, nonce = _bytes(kdf, "salt"), _bytes(cipher, "nonce")
        ciphertext = _bytes(document, "ciphertext")
        n, r, p = (parameters.get(name) for name in ("N", "r", "p"))
    except (strict_json.MalformedError, ValueError) as error:
        raise InvalidKeyError("the encrypted key is damaged; export it from cosign again") from error
    if names != ("scrypt", "nacl/secretbox") or not _bounded(n, r, p) or len(nonce) != SecretBox.NONCE_SIZE:
        raise InvalidKeyError("the key is encrypted in a way that cosign does not write; export it from cosign again")
    assert isinstance(n, int)  # noqa: S101 - for the type checker: _bounded has checked it
    assert isinstance(p, int)  # noqa: S101 - as above
    try:
        return SecretBox(_derive(passphrase, salt, n, _R, p)).decrypt(ciphertext, nonce)
    except CryptoError as error:
        raise InvalidKeyError("the key cannot be decrypted: the passphrase is wrong, or the file is damaged") from error


def _bounded(n: object, r: object, p: object) -> bool:
    if not all(type(number) is int for number in (n, r, p)):
        return False
    assert isinstance(n, int)  # noqa: S101 - for the type checker
    assert isinstance(p, int)  # noqa: S101 - for the type checker
    return 1 < n <= _MAX_N and n & (n - 1) == 0 and r == _R and 1 <= p <= _MAX_P


def _derive(passphrase: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=SecretBox.KEY_SIZE, n=n, r=r, p=p).derive(passphrase)


def _bytes(parent: Mapping[str, object], name: str) -> bytes:
    return base64.b64decode(strict_json.text_member(parent, name, _WHAT), validate=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
