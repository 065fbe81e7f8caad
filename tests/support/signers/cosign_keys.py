"""Private keys as cosign's early versions encrypted them, which every version reads: with half of today's work.

Each signature by cosign decrypts its key anew, and that is most of its CPU time.
"""

from __future__ import annotations

import base64
import functools
import json
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from nacl.secret import SecretBox

if TYPE_CHECKING:
    from tests.support.signers.private_keys import PrivateKey

#: The parameters of scrypt called "legacy" in `encrypted/encrypted.go` of secure-systems-lab/go-securesystemslib.
_N, _R, _P = 1 << 15, 8, 1
_SALT: Final = b"the salt of all keys of tests..."


def cosign_key(key: PrivateKey) -> bytes:
    """Return a private key in PEM, encrypted with an empty passphrase."""
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    sealed = _box().encrypt(pkcs8)
    document = {
        "kdf": {"name": "scrypt", "params": {"N": _N, "r": _R, "p": _P}, "salt": _text(_SALT)},
        "cipher": {"name": "nacl/secretbox", "nonce": _text(sealed.nonce)},
        "ciphertext": _text(sealed.ciphertext),
    }
    label = "ENCRYPTED SIGSTORE PRIVATE KEY"
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        label.encode(),
        base64.encodebytes(json.dumps(document).encode()),
        label.encode(),
    )


@functools.cache
def _box() -> SecretBox:
    return SecretBox(Scrypt(salt=_SALT, length=SecretBox.KEY_SIZE, n=_N, r=_R, p=_P).derive(b""))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
