"""Client certificates: which CAs they may lead to, and whose they are.

The TLS context requests a certificate and verifies it against the configured CA (OpenSSL, purpose "TLS client"); a
client without one is let through the handshake, since kubelets probe the port without certificates. A certificate that
does not verify ends the handshake. What a caller may do is decided for each request, see `callers`.

The CA file can be replaced while the webhook serves. A connection that was verified against earlier files keeps its
identity only if no CA of theirs was withdrawn or its certificate was issued directly by a CA of the new file, and is
closed after its next response.
"""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealgate.errors import ConfigError
from sealgate.messages import quote
from sealgate_webhook.transport.callers import Caller

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: The most bytes of a file of CA certificates.
MAX_CA_BYTES: Final = 1 << 20
#: The most certificates whose content is cached; a connection is asked for its certificate with every request.
MAX_REMEMBERED_CALLERS: Final = 256

_Signature = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class ClientTrust:
    """What a client certificate may lead to.

    Attributes:
        cas: DER of the CA certificates, at least one.
        self_test: DER of the certificates of the self-test. Each is trusted as itself; it is not a CA.
    """

    cas: tuple[bytes, ...]
    self_test: frozenset[bytes] = frozenset()

    @property
    def anchors(self) -> bytes:
        """All certificates that verification may end at, DER, one after the other."""
        return b"".join((*self.cas, *sorted(self.self_test)))


class ServerContext(ssl.SSLContext):
    """A server's TLS context, with what client certificates are verified against.

    Attributes:
        clients: None where no client certificate is requested.
    """

    clients: ClientTrust | None = None


class ClientTrustFiles:
    """Files with what client certificates may lead to, read again when they change.

    A CA file that cannot be used leaves the last good one in force. A self-test certificate that cannot be used leaves
    none in force: the self-test fails, reviews go on.

    Args:
        cas: PEM bundle of CA certificates, at most `MAX_CA_BYTES`.
        self_test: PEM file with the certificates of the self-test; it may be absent. None for no self-test.
        on_error: called once for each change with the reason why a file is not used.

    Raises:
        ConfigError: the CA file cannot be used.
    """

    def __init__(self, cas: Path, self_test: Path | None, on_error: Callable[[str], None]) -> None:
        self._cas = cas
        self._self_test = self_test
        self._on_error = on_error
        self._lock = threading.Lock()
        # The signature comes first: a change while the files are read is then noticed at the next call.
        self._signature = self._refused = self._file_signature()
        self._trust = self._read()

    def current(self) -> ClientTrust:
        """Return what is trusted now. Thread-safe."""
        with self._lock:
            signature = self._file_signature()
            # An absent CA file is being replaced; the next call checks it again.
            if signature != self._signature and signature[0] is not None:
                self._reload(signature)
            return self._trust

    def _reload(self, signature: _Signature) -> None:
        try:
            self._trust = self._read()
        except ConfigError as error:
            # Read again at every call: the reason may have been a lack of descriptors, not the file.
            if signature != self._refused:
                self._refused = signature
                self._on_error(error.message)
        else:
            self._signature = signature

    def _read(self) -> ClientTrust:
        return ClientTrust(_read_certificates(self._cas), self._read_self_test())

    def _read_self_test(self) -> frozenset[bytes]:
        if self._self_test is None or not self._self_test.exists():
            return frozenset()
        try:
            return frozenset(_read_certificates(self._self_test))
        except ConfigError as error:
            self._on_error(error.message)
            return frozenset()

    def _file_signature(self) -> _Signature:
        return tuple(map(_stat, (self._cas, *([self._self_test] if self._self_test else []))))


def identify(connection: ssl.SSLObject, trust: ClientTrust) -> tuple[Caller | None, bool]:
    """Return the caller of a connection, and whether the connection was verified against the trust of now.

    Args:
        connection: the connection, after the handshake.
        trust: what client certificates must lead to now.

    Returns:
        None for the caller if it presented no certificate, or one that does not count under this trust.
    """
    context = connection.context
    before = context.clients if isinstance(context, ServerContext) else None
    current = before == trust
    der = connection.getpeercert(binary_form=True)
    if der is None or not (current or is_still_trusted(der, trust, before)):
        return None, current
    caller = _read_caller(der)
    return (replace(caller, self_test=True) if caller and der in trust.self_test else caller), current


@lru_cache(MAX_REMEMBERED_CALLERS)
def _read_caller(der: bytes) -> Caller | None:
    """Return whose certificate it is; None for one that cannot be read, which is as good as none.

    A subject with several common names has none: implementations differ in which one they take.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        names = [str(common[0].value)] if len(common) == 1 else []
        for extension in certificate.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                for kind in (x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier):
                    names += extension.value.get_values_for_type(kind)
        return Caller(
            frozenset(names),
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            client_auth=any(
                ExtendedKeyUsageOID.CLIENT_AUTH in extension.value
                for extension in certificate.extensions
                if isinstance(extension.value, x509.ExtendedKeyUsage)
            ),
        )
    except Exception:  # noqa: BLE001 - foreign bytes; an identity that cannot be read is no identity
        return None


def is_still_trusted(der: bytes, trust: ClientTrust, before: ClientTrust | None) -> bool:
    """Return whether a certificate that an earlier trust verified may count under a new one.

    It does if every CA of the earlier trust is in the new one. Otherwise only certificates that a CA of the new trust
    issued directly do; the rest of a longer chain is not known any more.

    Args:
        der: the certificate.
        trust: the new one.
        before: the earlier one; None if it is not known.
    """
    if der in trust.self_test:
        return True
    if before is not None and der not in before.self_test and set(before.cas) <= set(trust.cas):
        return True
    certificate = x509.load_der_x509_certificate(der)
    return any(_issued_by(certificate, x509.load_der_x509_certificate(ca)) for ca in trust.cas)


def _issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _read_certificates(path: Path) -> tuple[bytes, ...]:
    """Return the DER of every certificate of a PEM file, each once.

    Raises:
        ConfigError: it cannot be read, is too large, or holds no certificate or one that is malformed.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CA_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the client CA {quote(path)} cannot be read: {quote(error.strerror or error)}") from error
    if len(text) > MAX_CA_BYTES:
        raise ConfigError(f"the client CA {quote(path)} is larger than the limit of {MAX_CA_BYTES} bytes")
    try:
        found = x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise ConfigError(f"the client CA {quote(path)} does not hold usable PEM certificates") from error
    return tuple(dict.fromkeys(certificate.public_bytes(Encoding.DER) for certificate in found))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
