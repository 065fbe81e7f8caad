"""Certificates: lifetimes, names, and the CA."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sealgate.diagnosis.certificates import check_ca_bundle, check_serving_certificate
from sealgate.diagnosis.checks import Outcome

NOW = datetime(2026, 11, 21, tzinfo=UTC)
HOST = "sealgate-webhook.sealgate-system.svc"


class Issuer:
    """A CA, or an intermediate one of another."""

    def __init__(self, name: str, above: Issuer | None = None, days: float = 365) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = above or self
        self.certificate = make(self.name, self.key, issuer, days)

    def issue(self, *names: str, days: float = 30) -> x509.Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        return make(x509.Name([]), key, self, days, names)


def make(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: Issuer, days: float, names: tuple[str, ...] = ()
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=10))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
    return builder.sign(issuer.key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def bundle(*certificates: x509.Certificate) -> str:
    return base64.b64encode(pem(*certificates)).decode()


CA, OTHER = Issuer("ca"), Issuer("other")
MIDDLE = Issuer("middle", CA)


@pytest.mark.parametrize(
    ("text", "outcome", "words"),
    [
        (bundle(CA.certificate), Outcome.OK, "1 of 1 certificates valid, until 2027-11-21"),
        (bundle(Issuer("old", days=-1).certificate, CA.certificate), Outcome.OK, "1 of 2 certificates valid"),
        (bundle(Issuer("soon", days=1).certificate), Outcome.WARNING, "until 2026-11-22"),
        (bundle(Issuer("old", days=-1).certificate), Outcome.PROBLEM, "none of its 1 certificates is valid"),
        ("", Outcome.PROBLEM, "no certificate that can be read"),
        ("%", Outcome.PROBLEM, "no certificate that can be read"),
        (base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode(), Outcome.PROBLEM, "no certificate"),
    ],
)
def test_ca_bundle(text: str, outcome: Outcome, words: str) -> None:
    check = check_ca_bundle(text, NOW)
    assert check.outcome is outcome
    assert words in check.message
    assert bool(check.remedy) is (outcome is not Outcome.OK)


@pytest.mark.parametrize(
    ("chain", "outcome", "words"),
    [
        (pem(CA.issue(HOST)), Outcome.OK, "valid until 2026-12-21"),
        (pem(CA.issue("*.sealgate-system.svc")), Outcome.OK, "valid until"),
        (pem(MIDDLE.issue(HOST), MIDDLE.certificate), Outcome.OK, "issued by a CA of caBundle"),
        (pem(MIDDLE.issue(HOST)), Outcome.PROBLEM, "no CA of caBundle has issued it"),
        (pem(OTHER.issue(HOST)), Outcome.PROBLEM, "no CA of caBundle has issued it"),
        # A CA that is only named in the chain has issued nothing.
        (pem(OTHER.issue(HOST), MIDDLE.certificate), Outcome.PROBLEM, "no CA of caBundle has issued it"),
        (pem(CA.issue("elsewhere.svc")), Outcome.PROBLEM, "its names: elsewhere.svc"),
        (pem(CA.certificate), Outcome.PROBLEM, "its names: none"),
        (pem(CA.issue(HOST, days=-1)), Outcome.PROBLEM, "not valid now"),
        (pem(CA.issue(HOST, days=1)), Outcome.WARNING, "valid until 2026-11-22"),
        (b"", Outcome.PROBLEM, "has no certificate"),
        (b"nothing", Outcome.PROBLEM, "has no certificate"),
    ],
)
def test_serving_certificate(chain: bytes, outcome: Outcome, words: str) -> None:
    check = check_serving_certificate(chain, bundle(CA.certificate), HOST, NOW)
    assert check.outcome is outcome, check
    assert words in check.message


def test_a_ca_with_a_key_of_an_unknown_kind_has_issued_nothing() -> None:
    """A certificate that this program does not understand must not end the examination."""
    known, unknown = (b"\x06\x07\x2a\x86\x48\xce\x3d\x02" + last for last in (b"\x01", b"\x0f"))
    strange = CA.certificate.public_bytes(Encoding.DER).replace(known, unknown)
    text = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(strange).decode()}-----END CERTIFICATE-----\n"
    encoded = base64.b64encode(text.encode()).decode()
    assert check_ca_bundle(encoded, NOW).outcome is Outcome.OK
    check = check_serving_certificate(pem(CA.issue(HOST)), encoded, HOST, NOW)
    assert (check.outcome, "no CA of caBundle has issued it" in check.message) == (Outcome.PROBLEM, True)
