"""RSA keys that are kept in a folder of the checkout: to make one takes 40 ms of CPU on average.

All processes of a run use them, and so do later runs.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

#: pytest's own folder of what it keeps between runs. Git ignores it.
FOLDER: Final = Path(__file__).parents[3] / ".pytest_cache" / "rsa-keys"


@functools.cache
def kept_rsa_key(bits: int, name: str = "") -> rsa.RSAPrivateKey:
    """Return the RSA key of a size and name; it is made when it is asked for the first time."""
    path = FOLDER / f"{bits}-{hashlib.sha256(name.encode()).hexdigest()[:16]}.der"
    if not path.exists():
        made = rsa.generate_private_key(65537, bits)
        _write_once(path, made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    # OpenSSL would search for prime factors again.
    key = load_der_private_key(path.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _write_once(path: Path, data: bytes) -> None:
    """Write a file with all its content at once, unless another process has been faster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent) as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(FileExistsError):
            os.link(file.name, path)
