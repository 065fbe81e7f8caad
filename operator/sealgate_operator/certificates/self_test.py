"""The self-test's client certificate, where the webhook requires client certificates.

The certificate is good for nothing but the self-test's endpoint, whose answer does not depend on the review: it signs
itself, is not a CA, has the extended key usage clientAuth, and the webhook trusts it as this one certificate, not by
any name in it. The operator makes it in cert-manager mode, too, so that no issuer of the cluster could make another.

One Secret holds the certificate with its key, and the certificates that the webhook trusts: the current one and its
predecessor. It is renewed after two thirds of its life, in one write.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate_operator.certificates.rotation import certificate_builder, common_name, is_due, write_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

CERTIFICATE, KEY, TRUSTED = "tls.crt", "tls.key", "trusted.crt"
LIFETIME: Final = timedelta(days=365)


def next_data(data: Mapping[str, bytes], now: datetime) -> dict[str, bytes] | None:
    """Return the data that the Secret should have instead; None if it is good as it is.

    Args:
        data: of the Secret, decoded.
        now: the time.
    """
    current = _read(data)
    if current is not None and current.not_valid_before_utc <= now and not is_due(current, now):
        pem = current.public_bytes(Encoding.PEM)
        return None if pem in data.get(TRUSTED, b"") else {TRUSTED: pem}
    made, key = _make(now)
    predecessor = current.public_bytes(Encoding.PEM) if current is not None else b""
    return {CERTIFICATE: made, KEY: key, TRUSTED: made + predecessor}


def _read(data: Mapping[str, bytes]) -> x509.Certificate | None:
    """Return the certificate; None if it or its key cannot be read, or they are not a pair."""
    try:
        certificate = x509.load_pem_x509_certificate(data.get(CERTIFICATE, b""))
        key = load_pem_private_key(data.get(KEY, b""), password=None)
    except (ValueError, TypeError):
        return None
    return certificate if key.public_key() == certificate.public_key() else None


def _make(now: datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = common_name("sealgate self-test")
    certificate = (
        certificate_builder(subject, subject, key, now, LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), write_key(key)
