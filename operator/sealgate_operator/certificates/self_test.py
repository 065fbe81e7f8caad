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

from sealgate.errors import UnavailableError
from sealgate.kubernetes.secrets import secret_data, write_secret_data
from sealgate_operator.certificates.rotation import certificate_builder, common_name, is_due, write_key

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.kubernetes.lease import Fence
    from sealgate_operator.metrics import Metrics

CERTIFICATE, KEY, TRUSTED = "tls.crt", "tls.key", "trusted.crt"
LIFETIME: Final = timedelta(days=365)
#: Seconds between two reconciliations.
RESYNC_SECONDS: Final = 10.0


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


class SelfTestCertificateReconciler:
    """Reconciles the Secret.

    Args:
        api: the API server.
        path: of the Secret. The chart creates it; it is only changed here.
        clock: for validity periods.
        fence: whether this replica may still write.
        metrics: counts successes and failures.
        log: gets a line for every write and failure.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - five of them are what every task of the operator is given
        self,
        api: KubernetesAPI,
        path: str,
        clock: Clock,
        fence: Fence,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._path = path
        self._clock = clock
        self._fence = fence
        self._metrics = metrics
        self._log = log

    def run(self, stop: threading.Event) -> None:
        """Reconcile periodically until `stop` is set."""
        while not stop.is_set():
            try:
                self.reconcile()
                self._metrics.worked("self-test-certificate")
            except UnavailableError as error:
                self._metrics.failed("self-test-certificate")
                self._log.warning("self-test certificate not reconciled; will retry", error=error.message)
            stop.wait(RESYNC_SECONDS)

    def reconcile(self) -> None:
        """Write a certificate if there is none that is good.

        Raises:
            UnavailableError: the Secret cannot be read or written.
        """
        found = self._api.get(self._path)
        data = next_data(secret_data(found), self._clock.now())
        if data is None:
            return
        self._fence.check()
        write_secret_data(self._api, self._path, found, data)
        self._log.info("self-test certificate written")


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
