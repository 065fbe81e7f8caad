"""The webhook's serving certificate: from files that are replaced while it serves, or self-signed at the start.

To rotate the certificate, cert-manager, sealgate's operator or a person replaces the files. The next connection uses
the new pair. If a pair does not load (half written, key and certificate do not match), the last valid one stays in use
and the error is reported.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import ssl
import threading
import weakref
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealgate.errors import ConfigError
from sealgate.messages import quote
from sealgate_webhook.transport.client_certificates import ServerContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sealgate_webhook.transport.client_certificates import ClientTrust, ClientTrustFiles

#: TLS 1.2 with forward secrecy and authenticated encryption only; TLS 1.3 has no others.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL"
SELF_SIGNED_DAYS: Final = 365

_Signature = tuple[tuple[int, int, int], ...]


def load_context(certificate: Path | str, key: Path | str, clients: ClientTrust | None = None) -> ServerContext:
    """Return a server's context for a pair of PEM files: TLS 1.2 or later, modern ciphers.

    Args:
        certificate: PEM file, the leaf first.
        key: PEM file, not encrypted.
        clients: what a client certificate must lead to, if the client presents one, over TLS 1.3 only; None requests
            none.

    Raises:
        OSError: a file cannot be read, or (its subclass `ssl.SSLError`) they are not a pair.
    """
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # An encrypted key is refused: a server cannot ask for a password.
    context.load_cert_chain(certificate, key, password=_no_password)
    if clients is not None:
        context.clients = clients
        context.verify_mode = ssl.CERT_OPTIONAL
        # The configured CA counts as it is, also where another CA issued it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=clients.anchors)
        # A resumed session takes over the identity of an earlier one without verifying it again. TLS 1.3 resumes by
        # tickets only; in TLS 1.2 resumption by session ID cannot be switched off here. API servers speak TLS 1.3.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
    return context


class CertificateFiles:
    """Source of the TLS context of new connections: a pair of files, reloaded when either changes.

    Args:
        certificate: PEM, the leaf first.
        key: PEM, not encrypted.
        on_error: called once for each change with the reason why a new pair is not used.
        clients: what client certificates must lead to; None requests none.

    Raises:
        ConfigError: the first pair does not load.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        on_error: Callable[[str], None],
        clients: ClientTrustFiles | None = None,
    ) -> None:
        self._files = (certificate, key)
        self._on_error = on_error
        self._clients = clients
        self._lock = threading.Lock()
        try:
            # The signature first: what changes while the files are read is then seen at the next connection.
            self._signature = self._refused = self._file_signature()
            self._context = load_context(certificate, key, self.clients())
        except OSError as error:
            raise ConfigError(_why(certificate, key, error)) from error

    def clients(self) -> ClientTrust | None:
        """Return what client certificates must lead to now; None where none is requested."""
        return None if self._clients is None else self._clients.current()

    def context(self) -> ServerContext:
        """Return the context of the newest pair that loaded. Thread-safe."""
        with self._lock:
            clients = self.clients()
            try:
                signature = self._file_signature()
            except OSError:
                # The files are being replaced; the next connection checks them again.
                return self._context
            if signature != self._signature or clients != self._context.clients:
                self._reload(signature, clients)
            return self._context

    def _reload(self, signature: _Signature, clients: ClientTrust | None) -> None:
        try:
            self._context = load_context(*self._files, clients)
        except OSError as error:
            # Retried for every connection: the cause may be a lack of file descriptors, not the files.
            if signature != self._refused:
                self._refused = signature
                self._on_error(_why(*self._files, error))
        else:
            self._signature = signature

    def _file_signature(self) -> _Signature:
        return tuple((status.st_mtime_ns, status.st_ino, status.st_size) for status in map(os.stat, self._files))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SelfSigned:
    """A self-signed certificate, for trials; its key is in memory only.

    Attributes:
        pem: the certificate, for clients that are to trust it.
        fingerprint: SHA-256 of the certificate, as openssl prints it.
        pair: file with certificate and key, for this process and those that it forks, as long as this object exists.
    """

    pem: str
    fingerprint: str
    pair: Path


def make_self_signed(names: Iterable[str], now: datetime) -> SelfSigned:
    """Make a certificate for these DNS names and IP addresses.

    Args:
        names: of the server, as clients will write them.
        now: when it begins to hold.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in dict.fromkeys(names)])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealgate (self-signed)")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest().upper()
    fingerprint = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
    # Python's ssl reads keys from files only. An anonymous file in memory never reaches a disk, and works where
    # nothing can be written.
    descriptor = os.memfd_create("sealgate-tls")
    os.write(descriptor, pem + private)
    made = SelfSigned(pem.decode(), fingerprint, Path(f"/proc/self/fd/{descriptor}"))
    weakref.finalize(made, os.close, descriptor)
    return made


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _no_password() -> str:
    raise ssl.SSLError("the key is encrypted; the webhook needs one that is not")


def _why(certificate: Path, key: Path, error: OSError) -> str:
    return (
        f"the certificate {quote(certificate)} with the key {quote(key)} cannot be used: "
        f"{quote(error.strerror or error)}"
    )
