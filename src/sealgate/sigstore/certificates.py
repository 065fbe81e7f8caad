"""What Fulcio certifies about a signer (Fulcio, `docs/oid-info.md`).

A certificate has exactly one subject alternative name: an e-mail address, a URI, or a user name. Its extensions say who
vouched for it (the issuer), and for builds where the code and the workflow come from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.certificate_chains import UNREADABLE
from sealgate.keys.pem import write_pem
from sealgate.keys.public_keys import load_public_key
from sealgate.keys.spki import read_certificate_key
from sealgate.parsing.der import UTF8_STRING, MalformedDERError, read_element
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.keys.public_keys import PublicKey

#: Limit for a subject, an issuer and each fact, in bytes.
MAX_TEXT = 4096

_ARC = "1.3.6.1.4.1.57264.1."
_OLD_ISSUER, _ISSUER, _USER_NAME = f"{_ARC}1", f"{_ARC}8", f"{_ARC}7"
#: Extensions whose value is the text itself, from before texts were DER.
_RAW = frozenset(f"{_ARC}{number}" for number in range(1, 7))
#: The facts that a certificate can state, by their field in identities.
FACTS: Mapping[str, str] = {
    "github_workflow_trigger": f"{_ARC}2",
    "github_workflow_sha": f"{_ARC}3",
    "github_workflow_name": f"{_ARC}4",
    "github_workflow_repository": f"{_ARC}5",
    "github_workflow_ref": f"{_ARC}6",
    "build_signer_uri": f"{_ARC}9",
    "build_signer_digest": f"{_ARC}10",
    "runner_environment": f"{_ARC}11",
    "source_repository_uri": f"{_ARC}12",
    "source_repository_digest": f"{_ARC}13",
    "source_repository_ref": f"{_ARC}14",
    "source_repository_identifier": f"{_ARC}15",
    "source_repository_owner_uri": f"{_ARC}16",
    "source_repository_owner_identifier": f"{_ARC}17",
    "build_config_uri": f"{_ARC}18",
    "build_config_digest": f"{_ARC}19",
    "build_trigger": f"{_ARC}20",
    "run_invocation_uri": f"{_ARC}21",
    "source_repository_visibility": f"{_ARC}22",
}


@dataclass(frozen=True, slots=True)
class Signer:
    """Who a certificate was issued to.

    Attributes:
        subject: the e-mail address, URI or user name.
        issuer: URL of the identity provider that vouched for it.
        facts: what else the certificate states, by the fields in `FACTS`.
    """

    subject: str
    issuer: str
    facts: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """`sha256:<hex>` of subject and issuer: the same for every certificate of one identity.

        Keys of these certificates are made anew for each signature, so they cannot tell one signer from two.
        """
        return signer_fingerprint(self.issuer, self.subject)


def signer_fingerprint(issuer: str, subject: str) -> str:
    """Return the fingerprint of an identity; see `Signer.fingerprint`."""
    return f"sha256:{hashlib.sha256(json.dumps([issuer, subject]).encode()).hexdigest()}"


def read_certificate(der: bytes) -> x509.Certificate:
    """Read a certificate.

    Raises:
        VerificationError: it is malformed.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        # These are parsed when they are asked for.
        _ = certificate.issuer, certificate.subject, certificate.extensions
    except UNREADABLE as error:
        raise _malformed("it cannot be read") from error
    return certificate


def read_key(certificate: x509.Certificate) -> PublicKey:
    """Return the key of a certificate, with the default algorithm of its type.

    Raises:
        VerificationError: it is of a kind that is not supported, or too weak.
    """
    try:
        der = read_certificate_key(certificate).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return load_public_key(write_pem("PUBLIC KEY", der))
    except (InvalidKeyError, *UNREADABLE) as error:
        raise _malformed("its key is of a kind that is not supported") from error


def read_signer(certificate: x509.Certificate) -> Signer:
    """Return who a certificate was issued to.

    Raises:
        VerificationError: it does not say so, or not clearly.
    """
    texts = {
        extension.oid.dotted_string: _text(extension.oid.dotted_string, extension.value.value)
        for extension in certificate.extensions
        if isinstance(extension.value, x509.UnrecognizedExtension) and _is_fact(extension.oid.dotted_string)
    }
    # Certificates of before 2023 have the old extension alone; where both are there, they must agree.
    issuer = texts.get(_ISSUER, texts.get(_OLD_ISSUER))
    if not issuer or texts.get(_OLD_ISSUER, issuer) != issuer:
        raise _malformed("it does not name one issuer")
    return Signer(_subject(certificate), issuer, {name: texts[oid] for name, oid in FACTS.items() if oid in texts})


def _is_fact(oid: str) -> bool:
    return oid in (_OLD_ISSUER, _ISSUER) or oid in FACTS.values()


def _subject(certificate: x509.Certificate) -> str:
    try:
        names = list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    if len(names) != 1:
        raise _malformed("it does not have exactly one subject alternative name")
    name = names[0]
    if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier):
        text = name.value
    elif isinstance(name, x509.OtherName) and name.type_id.dotted_string == _USER_NAME:
        text = _utf8_string(name.value)
    else:
        raise _malformed("its subject alternative name is of a kind that signers do not have")
    if not text or len(text) > MAX_TEXT:
        raise _malformed("its subject is empty or too long")
    return text


def _text(oid: str, value: bytes) -> str:
    if len(value) > MAX_TEXT:
        raise _malformed("an extension is too long")
    if oid not in _RAW:
        return _utf8_string(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed("an extension is not text") from error


def _utf8_string(der: bytes) -> str:
    try:
        return read_element(der).require(UTF8_STRING).content.decode("utf-8")
    except (MalformedDERError, UnicodeDecodeError) as error:
        raise _malformed("an extension is not text") from error


def _malformed(why: str) -> VerificationError:
    return VerificationError(f"the signer's certificate is malformed: {why}", reason=Reason.MALFORMED_EVIDENCE)
