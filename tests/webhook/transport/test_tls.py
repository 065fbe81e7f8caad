"""The serving certificate is rotated without a restart; an invalid pair never replaces a good one."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from sealgate.errors import ConfigError
from sealgate_webhook.transport.tls import CertificateFiles, make_self_signed
from tests.support.clocks import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate_webhook.transport.tls import SelfSigned


class Pair:
    """Certificate and key of a server, in files."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.authority = trustme.CA()
        self.renew()

    def renew(self) -> None:
        self.write(self.authority.issue_cert("127.0.0.1", "localhost"))

    def write(self, leaf: trustme.LeafCert, *, key: bytes | None = None) -> None:
        certificate = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        for file, content in ((self.certificate, certificate), (self.key, key or leaf.private_key_pem.bytes())):
            scratch = file.with_suffix(".scratch")
            scratch.write_bytes(content)
            scratch.rename(file)

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()).serial_number


@dataclass
class Seen:
    """Properties of a connection on the client's side."""

    serial: int
    version: str | None
    cipher: tuple[str, str, int] | None


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
def certificates(pair: Pair, errors: list[str]) -> CertificateFiles:
    return CertificateFiles(pair.certificate, pair.key, errors.append)


def handshake(certificates: CertificateFiles, configure: Callable[[ssl.SSLContext], object] = lambda _: None) -> Seen:
    """Shake hands with a client that checks nothing, over a real connection; return the client's end."""
    client_end, server_end = socket.socketpair()
    served: list[BaseException] = []

    def serve() -> None:
        try:
            with certificates.context().wrap_socket(server_end, server_side=True) as server:
                server.recv(1)
        except OSError as error:
            served.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    configure(context)
    try:
        with context.wrap_socket(client_end) as client:
            certificate = client.getpeercert(binary_form=True)
            assert certificate is not None
            peer = x509.load_der_x509_certificate(certificate)
            return Seen(peer.serial_number, client.version(), client.cipher())
    finally:
        client_end.close()
        thread.join(100)


def test_a_new_pair_is_served_to_the_next_connection(pair: Pair, certificates: CertificateFiles) -> None:
    first = pair.serial
    assert handshake(certificates).serial == first
    pair.renew()
    assert pair.serial != first
    assert handshake(certificates).serial == pair.serial


def test_context_is_created_once_per_pair(pair: Pair, certificates: CertificateFiles) -> None:
    context = certificates.context()
    assert certificates.context() is context
    pair.renew()
    assert certificates.context() is not context
    assert certificates.context() is certificates.context()


@pytest.mark.parametrize("spoil", ["other key", "half a certificate", "encrypted key", "empty"])
def test_a_bad_pair_leaves_the_last_good_one_in_use(
    pair: Pair, certificates: CertificateFiles, errors: list[str], spoil: str
) -> None:
    good = pair.serial
    if spoil == "other key":
        pair.write(pair.authority.issue_cert("localhost"), key=pair.authority.issue_cert("x").private_key_pem.bytes())
    elif spoil == "half a certificate":
        pair.certificate.write_bytes(pair.certificate.read_bytes()[:300])
    elif spoil == "encrypted key":
        secret = ec.generate_private_key(ec.SECP256R1())
        encryption = BestAvailableEncryption(b"password")
        pair.key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    else:
        pair.key.write_bytes(b"")
    for _ in range(3):
        assert handshake(certificates).serial == good
    assert len(errors) == 1
    assert "tls.crt" in errors[0]
    pair.renew()
    assert handshake(certificates).serial == pair.serial


def test_missing_pair_leaves_the_last_good_one_in_use(
    pair: Pair, certificates: CertificateFiles, errors: list[str]
) -> None:
    good = pair.serial
    pair.key.unlink()
    assert handshake(certificates).serial == good
    assert not errors
    pair.renew()
    assert handshake(certificates).serial == pair.serial


def test_unreadable_pair_is_loaded_at_the_next_connection(
    pair: Pair, certificates: CertificateFiles, errors: list[str]
) -> None:
    first = certificates.context()
    pair.renew()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        found = certificates.context(), certificates.context()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found == (first, first)
    assert len(errors) == 1
    assert handshake(certificates).serial == pair.serial


def test_unloadable_first_pair_is_a_configuration_error(pair: Pair) -> None:
    pair.key.write_text("nonsense")
    with pytest.raises(ConfigError, match=r"tls\.crt with the key .*tls\.key cannot be used"):
        CertificateFiles(pair.certificate, pair.key, lambda _: None)
    pair.key.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        CertificateFiles(pair.certificate, pair.key, lambda _: None)


def test_old_protocols_and_weak_ciphers_are_refused(certificates: CertificateFiles) -> None:
    def weak(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-SHA256:AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256")

    with pytest.raises(ssl.SSLError):
        handshake(certificates, weak)
    assert certificates.context().minimum_version is ssl.TLSVersion.TLSv1_2


def test_tls_1_2_with_forward_secrecy_is_served(certificates: CertificateFiles) -> None:
    def older(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    seen = handshake(certificates, older)
    assert seen.version == "TLSv1.2"
    assert seen.cipher is not None
    assert seen.cipher[0].startswith("ECDHE-")


def test_generated_certificate_is_valid_for_its_names() -> None:
    made = make_self_signed(["webhook.example.com", "127.0.0.1", "::1"], NOW)
    certificate = x509.load_pem_x509_certificate(made.pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["webhook.example.com"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc < NOW + timedelta(days=398)
    assert made.fingerprint.replace(":", "").lower() == certificate.fingerprint(SHA256()).hex()
    assert handshake(served(made)).serial == certificate.serial_number


def test_generated_certificate_can_be_verified_by_clients() -> None:
    made = make_self_signed(["127.0.0.1"], datetime.now(UTC))

    def trusting(context: ssl.SSLContext) -> None:
        context.load_verify_locations(cadata=made.pem)
        context.verify_mode = ssl.CERT_REQUIRED

    assert handshake(served(made), trusting).version == "TLSv1.3"


def test_key_of_a_generated_certificate_is_never_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    made = make_self_signed(["localhost"], NOW)
    assert not list(tmp_path.iterdir())
    assert str(made.pair.readlink()).startswith("/memfd:")
    # Other tests of this process may have files of the same name open.
    file = identity(made.pair)
    assert file in open_files()
    del made
    assert file not in open_files()


def served(made: SelfSigned) -> CertificateFiles:
    return CertificateFiles(made.pair, made.pair, pytest.fail)


def open_files() -> set[tuple[int, int]]:
    """Return the open files of this process; other threads may close some of them meanwhile."""
    files = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            files.add(identity(descriptor))
    return files


def identity(file: Path) -> tuple[int, int]:
    """Return device and inode of a file, which no other open file has."""
    status = file.stat()
    return status.st_dev, status.st_ino
