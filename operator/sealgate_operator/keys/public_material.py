"""Public keys from Secrets: the only content of a Secret that may be copied to a status, which many users can read.

The author of an `Authenticator` chooses which Secret of sealgate's namespace it names. So nothing of a Secret is
copied, not even into a message, except what has been parsed as a public key, a certificate, an OpenPGP certificate, a
list of revoked certificates, or a trusted root of sigstore; and of these only the parsed parts, not the text around
them.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.keys.openpgp.packets import armored_blocks
from sealgate.keys.public_keys import PublicKey, load_public_key
from sealgate.keys.spki import read_certificate_key
from sealgate.sigstore.trusted_root import parse_trusted_root

#: The most characters of one entry in a status.
MAX_TEXT = 65536

_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,60})-----")
_BLOCK = re.compile(rb"-----BEGIN (CERTIFICATE|PUBLIC KEY|X509 CRL)-----[A-Za-z0-9+/=\s]*-----END \1-----")
_PACKET_MARK = 0x80
_LINE = 64


@dataclass(frozen=True, slots=True)
class PublicMaterial:
    """What may be copied.

    Attributes:
        text: PEM, armored OpenPGP, or a trusted root of sigstore (JSON).
        fingerprint: of the one key in it; None where it is not one.
        algorithm: the only algorithm that is accepted from it; None where that does not apply.
    """

    text: str
    fingerprint: str | None = None
    algorithm: str | None = None


def read_key(raw: bytes, algorithm: str | None, distinguishing_id: str | None = None) -> PublicMaterial:
    """Return the one public key that bytes must be.

    Args:
        raw: as in the Secret.
        algorithm: the only algorithm to accept; None for the key's default.
        distinguishing_id: of the signer, for SM2.

    Raises:
        InvalidKeyError: they are anything else.
    """
    key: PublicKey = load_public_key(raw, algorithm, distinguishing_id)
    # Loading takes one PEM block and nothing else, so the text is the key.
    return PublicMaterial(raw.decode("ascii").strip() + "\n", key.fingerprint, key.algorithm.value)


def read_public(raw: bytes) -> PublicMaterial:
    """Return certificates, public keys, revocation lists or a trusted root out of bytes that may hold anything.

    Raises:
        InvalidKeyError: they hold none, or something secret, or too much.
    """
    if b"PRIVATE KEY" in raw:
        raise InvalidKeyError(
            "it holds a private key, which nothing here needs; store only the public part, and if others can read "
            "this Secret, make a new key"
        )
    if raw.lstrip()[:1] == b"{":
        return read_trusted_root(raw)
    labels = {label.decode() for label in _LABEL.findall(raw)}
    if "PGP PUBLIC KEY BLOCK" in labels or (raw and raw[0] & _PACKET_MARK):
        return _bounded(_openpgp(raw))
    if labels and labels <= {"CERTIFICATE", "PUBLIC KEY", "X509 CRL"}:
        return _bounded(_pem(raw))
    raise InvalidKeyError(
        "it holds neither OpenPGP public keys, nor certificates, revocation lists or public keys in PEM, nor a trusted "
        "root in JSON; write what `gpg --armor --export` prints, PEM, or sigstore's trusted_root.json"
    )


def read_trusted_root(raw: bytes) -> PublicMaterial:
    """Return the trusted root of sigstore that bytes must be.

    Raises:
        InvalidKeyError: they are anything else, or too much.
    """
    try:
        # Written anew from what was read.
        return _bounded(PublicMaterial(parse_trusted_root(raw).document))
    except InvalidKeyError as error:
        # What is wrong would name members of the Secret.
        message = (
            "it holds JSON that is not a trusted root of sigstore; `sealgate policy check` says what is wrong with one"
        )
        raise InvalidKeyError(message) from error


def _openpgp(raw: bytes) -> PublicMaterial:
    keyring = load_keyring(raw)
    try:
        packets = raw if raw[0] & _PACKET_MARK else b"".join(content for _, content in armored_blocks(raw))
    except VerificationError as error:  # pragma: no cover - loading has read the same blocks
        raise InvalidKeyError(error.message) from error
    body = base64.b64encode(packets).decode()
    lines = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
    text = "\n".join(("-----BEGIN PGP PUBLIC KEY BLOCK-----", "", *lines, "-----END PGP PUBLIC KEY BLOCK-----", ""))
    return PublicMaterial(text, keyring.fingerprints[0] if len(keyring.fingerprints) == 1 else None)


def _pem(raw: bytes) -> PublicMaterial:
    found = [_pem_block(match[0], match[1].decode()) for match in _BLOCK.finditer(raw)]
    if not found or len(found) != len(_LABEL.findall(raw)):
        raise InvalidKeyError("it holds a PEM block that does not end; copy the whole of it again")
    if len(found) == 1:
        return found[0]
    return PublicMaterial("".join(one.text for one in found))


def _pem_block(block: bytes, label: str) -> PublicMaterial:
    if label == "PUBLIC KEY":
        return read_key(block, None)
    if label == "X509 CRL":
        return _revocation_list(block)
    try:
        certificate = x509.load_pem_x509_certificate(block)
        read_certificate_key(certificate)
        return PublicMaterial(certificate.public_bytes(Encoding.PEM).decode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidKeyError("it holds a certificate that cannot be read; copy the whole of it again") from error


def _revocation_list(block: bytes) -> PublicMaterial:
    try:
        return PublicMaterial(x509.load_pem_x509_crl(block).public_bytes(Encoding.PEM).decode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidKeyError("it holds a revocation list that cannot be read; copy the whole of it again") from error


def _bounded(material: PublicMaterial) -> PublicMaterial:
    if len(material.text) > MAX_TEXT:
        raise InvalidKeyError(f"it holds more than {MAX_TEXT} characters; remove keys that are not used")
    return material
