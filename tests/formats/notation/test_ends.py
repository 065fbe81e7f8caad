"""Until when a verified signature counts: the first end of everything that it depends on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.environments.notation import NotationEnvironment
from tests.support.signers.notation import NOW, SIGNER_USAGE, Authority
from tests.support.signers.timestamps import make_tsa
from tests.support.simulators.revocation import DAY, OCSP_PATH, RevocationSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

import pytest

HOUR = timedelta(hours=1)
TSA = make_tsa("root of ends")


@pytest.fixture
def revocation() -> Iterator[tuple[NotationEnvironment, RevocationSimulator]]:
    """A signature whose certificate names where its status can be asked for."""
    authority = Authority("root")
    server = RevocationSimulator(authority, NOW)
    with server, NotationEnvironment(server) as environment:
        environment.authority = authority
        environment.key, environment.chain = authority.issue(more=server.names())
        environment.push()
        yield environment, server


def first_to_end(environment: NotationEnvironment) -> Any:
    return min(certificate.not_valid_after_utc for certificate in environment.chain)


def test_certificate_that_is_judged_by_now_is_an_end(environment: NotationEnvironment) -> None:
    environment.push()
    assert environment.verify().valid_until == first_to_end(environment)
    # A timestamp takes the place of the certificate: it is asked for once that has expired.
    root = TSA.root.certificate.public_bytes(Encoding.PEM).decode()
    stores = {"ca": [{"pem": environment.authority.pem}], "tsa": [{"pem": root}]}
    later = environment.verify(trustStores=stores, verifyTimestamp="AfterCertExpiry")
    assert later.valid_until == first_to_end(environment)


def test_timestamped_signature_has_no_end(environment: NotationEnvironment) -> None:
    environment.push(environment.envelope(timestamp=lambda signature: TSA.token(signature, NOW - HOUR)))
    root = TSA.root.certificate.public_bytes(Encoding.PEM).decode()
    stores = {"ca": [{"pem": environment.authority.pem}], "tsa": [{"pem": root}]}
    assert environment.verify(trustStores=stores).valid_until is None


def test_expiry_of_the_envelope_is_an_end_unless_it_is_accepted(environment: NotationEnvironment) -> None:
    environment.push(environment.envelope(expiry=NOW + HOUR))
    assert environment.verify().valid_until == NOW + HOUR
    assert environment.verify(acceptExpired=True).valid_until == first_to_end(environment)


def test_first_end_of_several_signatures_counts(environment: NotationEnvironment) -> None:
    environment.push(environment.envelope(expiry=NOW + 2 * HOUR))
    environment.push(environment.envelope(expiry=NOW + HOUR))
    environment.push(environment.envelope(expiry=NOW - HOUR))
    assert environment.verify().valid_until == NOW + HOUR


def test_signing_time_of_an_authority_has_no_end(environment: NotationEnvironment) -> None:
    environment.push(environment.envelope(authority=True, time=NOW - HOUR))
    trusted = {"signingAuthority": [{"pem": environment.authority.pem}]}
    assert environment.verify(trustStores=trusted).valid_until is None


def test_answer_of_a_responder_is_an_end(revocation: tuple[NotationEnvironment, RevocationSimulator]) -> None:
    environment, server = revocation
    assert environment.verify(revocation={"hosts": [server.host]}).valid_until == NOW + DAY


def test_certificate_of_a_responder_is_an_end(revocation: tuple[NotationEnvironment, RevocationSimulator]) -> None:
    environment, server = revocation
    purpose = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
    key, chain = environment.authority.issue(
        subject={"CN": "responder"},
        extensions=(SIGNER_USAGE, purpose, (x509.OCSPNoCheck(), False)),
        begins=NOW - DAY,
        lifetime=DAY + HOUR,
    )
    server.responder = key, chain[0]
    assert environment.verify(revocation={"hosts": [server.host]}).valid_until == NOW + HOUR


def test_fetched_list_is_an_end(revocation: tuple[NotationEnvironment, RevocationSimulator]) -> None:
    environment, server = revocation
    server.faults.status(OCSP_PATH, 503)
    server.ends = NOW + HOUR
    assert environment.verify(revocation={"hosts": [server.host]}).valid_until == NOW + HOUR


def test_list_at_hand_is_an_end(revocation: tuple[NotationEnvironment, RevocationSimulator]) -> None:
    environment, server = revocation
    server.ends = NOW + HOUR
    assert environment.verify(revocation={"lists": [{"pem": server.list().decode()}]}).valid_until == NOW + HOUR
    server.ends = NOW - HOUR
    expired = {"lists": [{"pem": server.list().decode()}], "acceptUnknown": True}
    assert environment.verify(revocation=expired).valid_until == first_to_end(environment)
