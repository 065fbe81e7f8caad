"""The trusted root of sigstore (protobuf-specs, `sigstore_trustroot.proto`): logs, CAs and TSAs, each for a period.

A root is read strictly and as a whole: unknown members are refused. A key of a kind that is not supported is left out,
which trusts less, so that a root with a log of the future still verifies what other logs have.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509

from sealgate.errors import InvalidKeyError, VerificationError
from sealgate.keys.certificate_chains import UNREADABLE
from sealgate.keys.pem import write_pem
from sealgate.keys.public_keys import load_public_key
from sealgate.messages import quote
from sealgate.parsing import strict_json
from sealgate.parsing.strict_json import MalformedError
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sealgate.keys.public_keys import PublicKey

#: Limit for a trusted root in bytes; that of the public instance has less than 16 KiB.
MAX_ROOT_BYTES = 65536
_MAX_PER_KIND = 32
# Members of a log or an authority that decide nothing.
_IGNORED = ("operator", "checkpointKeyId")
_MAX_CHAIN = 8
_KEY_ID_BYTES = (4, 32)

_MEDIA_TYPES = (
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
)
_ALGORITHMS: Mapping[str, str] = {
    "PKIX_ECDSA_P256_SHA_256": "ECDSA_SHA_256",
    "PKIX_ECDSA_P384_SHA_384": "ECDSA_SHA_384",
    "PKIX_ECDSA_P521_SHA_512": "ECDSA_SHA_512",
    "PKIX_RSA_PKCS1V15_2048_SHA256": "RSA_PKCS1_SHA_256",
    "PKIX_RSA_PKCS1V15_3072_SHA256": "RSA_PKCS1_SHA_256",
    "PKIX_RSA_PKCS1V15_4096_SHA256": "RSA_PKCS1_SHA_256",
    "PKIX_ED25519": "ED25519",
}


@dataclass(frozen=True, slots=True)
class Period:
    """A time during which something may be used.

    Attributes:
        start: its first moment.
        end: its last moment; None while there is none.
    """

    start: datetime
    end: datetime | None

    def holds(self, at: datetime) -> bool:
        """Return whether a moment is inside."""
        return self.start <= at and (self.end is None or at <= self.end)

    def check(self, at: datetime, what: str) -> None:
        """Accept the use of something at a moment.

        Args:
            at: the moment, UTC.
            what: name of the thing for a person ("the key of the log rekor.example.org").

        Raises:
            VerificationError: the moment is not inside.
        """
        if not self.holds(at):
            start = f"{self.start:%Y-%m-%d %H:%M:%S}"
            end = "now" if self.end is None else f"{self.end:%Y-%m-%d %H:%M:%S}"
            msg = f"the trusted root trusts {what} from {start} to {end}, and it was used at {at:%Y-%m-%d %H:%M:%S} UTC"
            raise VerificationError(msg, reason=Reason.EXPIRED)


@dataclass(frozen=True, slots=True)
class LogKey:
    """A log that is trusted.

    Attributes:
        key_id: its ID, 4 to 32 bytes.
        key: its public key, with its one algorithm.
        host: host of its URL; the origin of the checkpoints of a Rekor v2 log.
        period: when the key may be used.
    """

    key_id: bytes
    key: PublicKey
    host: str
    period: Period

    @property
    def name(self) -> str:
        """What a person knows it by."""
        return f"the log {quote(self.host, 100)}"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that is trusted: of signers (Fulcio), or of timestamps.

    Attributes:
        root: the certificate at the end of its chain.
        others: the certificates before it.
        period: when it may be used.
        name: what a person knows it by.
    """

    root: x509.Certificate
    others: tuple[x509.Certificate, ...]
    period: Period
    name: str


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """A trusted root.

    Attributes:
        logs: transparency logs (Rekor).
        ct_logs: certificate transparency logs.
        authorities: certificate authorities of signers.
        timestamp_authorities: timestamp authorities.
        document: the members that were read, as canonical JSON: everything that decides, and nothing else.
    """

    logs: tuple[LogKey, ...]
    ct_logs: tuple[LogKey, ...]
    authorities: tuple[Authority, ...]
    timestamp_authorities: tuple[Authority, ...]
    document: str

    @property
    def content(self) -> str:
        """A hash (hex) of everything that decides."""
        return hashlib.sha256(self.document.encode()).hexdigest()


def parse_trusted_root(data: bytes) -> TrustedRoot:
    """Read a trusted root.

    Args:
        data: JSON, at most `MAX_ROOT_BYTES`.

    Raises:
        InvalidKeyError: it is not a trusted root, or a part of it cannot be read.
    """
    try:
        members = strict_json.parse_object(data, "the trusted root", limit=MAX_ROOT_BYTES)
        return _read(members)
    except MalformedError as error:
        raise InvalidKeyError(f"{error}; copy the whole trusted root again") from error


def _read(members: Mapping[str, object]) -> TrustedRoot:
    what = "the trusted root"
    kinds = ("tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities")
    strict_json.only_members(members, ("mediaType", *kinds), what)
    media_type = strict_json.text_member(members, "mediaType", what)
    if media_type not in _MEDIA_TYPES:
        raise strict_json.malformed(what, f"its media type is {quote(media_type, 100)}, not {_MEDIA_TYPES[0]}")
    lists = {kind: list(_objects(members, kind)) for kind in kinds}
    read = TrustedRoot(
        logs=tuple(log for item in lists["tlogs"] if (log := _log(item, "a log (tlogs)")) is not None),
        ct_logs=tuple(log for item in lists["ctlogs"] if (log := _log(item, "a CT log (ctlogs)")) is not None),
        authorities=tuple(
            _authority(item, "a CA (certificateAuthorities)") for item in lists["certificateAuthorities"]
        ),
        timestamp_authorities=tuple(
            _authority(item, "a TSA (timestampAuthorities)") for item in lists["timestampAuthorities"]
        ),
        document=json.dumps({"mediaType": media_type, **lists}, sort_keys=True, separators=(",", ":")),
    )
    if not (read.logs or read.ct_logs or read.authorities or read.timestamp_authorities):
        raise strict_json.malformed(what, "nothing in it can be used")
    return read


def _objects(members: Mapping[str, object], name: str) -> Iterator[Mapping[str, object]]:
    found = strict_json.list_member(members, name, "the trusted root") if name in members else []
    if len(found) > _MAX_PER_KIND:
        raise strict_json.malformed("the trusted root", f"it has more than {_MAX_PER_KIND} {name}")
    read = (strict_json.as_object(item, f"a member of {name}") for item in found)
    return ({member: value for member, value in item.items() if member not in _IGNORED} for item in read)


def _log(members: Mapping[str, object], what: str) -> LogKey | None:
    strict_json.only_members(members, ("baseUrl", "hashAlgorithm", "publicKey", "logId"), what)
    url = strict_json.text_member(members, "baseUrl", what)
    key = strict_json.object_member(members, "publicKey", what)
    strict_json.only_members(key, ("rawBytes", "keyDetails", "validFor"), f"the key of {what}")
    identifier = strict_json.object_member(members, "logId", what)
    strict_json.only_members(identifier, ("keyId",), f"logId of {what}")
    key_id = strict_json.base64_member(identifier, "keyId", what)
    if not _KEY_ID_BYTES[0] <= len(key_id) <= _KEY_ID_BYTES[1]:
        raise strict_json.malformed(what, "its ID does not have 4 to 32 bytes")
    period = _period(key, what)
    der = strict_json.base64_member(key, "rawBytes", what)
    algorithm = _ALGORITHMS.get(strict_json.text_member(key, "keyDetails", what))
    if algorithm is None or strict_json.text_member(members, "hashAlgorithm", what) != "SHA2_256":
        return None
    try:
        public = load_public_key(write_pem("PUBLIC KEY", der), algorithm)
        host = urlsplit(url).hostname
    except (InvalidKeyError, ValueError) as error:
        raise strict_json.malformed(what, f"its key or its URL cannot be used: {quote(error, 120)}") from error
    if not host:
        raise strict_json.malformed(what, "its URL has no host")
    return LogKey(key_id, public, host, period)


def _authority(members: Mapping[str, object], what: str) -> Authority:
    strict_json.only_members(members, ("subject", "uri", "certChain", "validFor"), what)
    subject = strict_json.object_member(members, "subject", what) if "subject" in members else {}
    strict_json.only_members(subject, ("organization", "commonName"), f"the subject of {what}")
    uri = strict_json.optional_text(members, "uri", what) or ""
    chain = strict_json.object_member(members, "certChain", what)
    strict_json.only_members(chain, ("certificates",), f"the chain of {what}")
    encoded = strict_json.list_member(chain, "certificates", f"the chain of {what}")
    if not 1 <= len(encoded) <= _MAX_CHAIN:
        raise strict_json.malformed(what, f"its chain does not have 1 to {_MAX_CHAIN} certificates")
    certificates = [_certificate(strict_json.as_object(item, f"a certificate of {what}"), what) for item in encoded]
    return Authority(certificates[-1], tuple(certificates[:-1]), _period(members, what), quote(uri, 100) or what)


def _certificate(members: Mapping[str, object], what: str) -> x509.Certificate:
    strict_json.only_members(members, ("rawBytes",), f"a certificate of {what}")
    der = strict_json.base64_member(members, "rawBytes", what)
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.issuer, certificate.subject, certificate.extensions
    except UNREADABLE as error:
        raise strict_json.malformed(what, "a certificate of its chain cannot be read") from error
    return certificate


def _period(parent: Mapping[str, object], what: str) -> Period:
    members = strict_json.object_member(parent, "validFor", what)
    strict_json.only_members(members, ("start", "end"), f"validFor of {what}")
    # A period without a start is malformed, and not one since ever; the end is open until there is one.
    end = None if members.get("end") is None else _time(members, "end", what)
    return Period(_time(members, "start", what), end)


def _time(members: Mapping[str, object], name: str, what: str) -> datetime:
    text = strict_json.text_member(members, name, f"validFor of {what}")
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise strict_json.malformed(what, f"{name} of its period is not a time") from error
    if time.tzinfo is None:
        raise strict_json.malformed(what, f"{name} of its period has no time zone")
    return time
