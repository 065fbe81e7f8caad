"""Revocation: by OCSP and by lists, asked for only where the policy says so, and never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate.errors import InvalidKeyError
from sealgate.reasons import Reason
from tests.support.environments.notation import NotationEnvironment, notation_check
from tests.support.signers.notation import NOW, SIGNER_USAGE, Authority, ca_extensions, key_usage, new_key
from tests.support.signers.timestamps import make_tsa
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.revocation import DAY, LIST_PATH, OCSP_PATH, RevocationSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from types import TracebackType

NO_CHECK = (x509.OCSPNoCheck(), False)
OCSP_SIGNING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
UNKNOWN = Reason.REVOCATION_UNKNOWN


class RevocationEnvironment(NotationEnvironment):
    """A signer whose certificate names where its status can be asked for."""

    def __init__(self, *, responder: bool = True, lists: bool = True) -> None:
        authority = Authority("root")
        self.server = RevocationSimulator(authority, NOW)
        super().__init__(self.server)
        self.authority = authority
        self.key, self.chain = authority.issue(more=self.server.names(responder=responder, lists=lists))
        self.push()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        self.server.close()

    @property
    def asked(self) -> dict[str, Any]:
        """The `revocation` of a policy that allows to ask the CA."""
        return {"hosts": [self.server.host]}

    def revoke(self) -> None:
        self.server.revoked.add(self.chain[0].serial_number)


@pytest.fixture
def environment() -> Iterator[RevocationEnvironment]:
    with RevocationEnvironment() as made:
        yield made


@pytest.fixture
def with_responder() -> Iterator[RevocationEnvironment]:
    with RevocationEnvironment(lists=False) as made:
        yield made


@pytest.fixture
def with_list() -> Iterator[RevocationEnvironment]:
    with RevocationEnvironment(responder=False) as made:
        yield made


def test_nothing_is_asked_without_hosts(environment: RevocationEnvironment) -> None:
    refusal = environment.refused(UNKNOWN)
    assert "revocation.hosts" in refusal.message
    environment.verify(revocation={"acceptUnknown": True})
    environment.refused(UNKNOWN, revocation={"hosts": ["127.0.0.1", "127.0.0.1:1"]})
    assert not environment.server.requests


def test_responder_is_asked_first(environment: RevocationEnvironment) -> None:
    environment.verify(revocation=environment.asked)
    assert environment.server.paths == [OCSP_PATH]
    environment.revoke()
    environment.refused(Reason.REVOKED, revocation=environment.asked)
    environment.refused(Reason.REVOKED, revocation={**environment.asked, "acceptUnknown": True})


def test_list_is_asked_where_the_responder_does_not_know(environment: RevocationEnvironment) -> None:
    environment.server.faults.status(OCSP_PATH, 503)
    environment.verify(revocation=environment.asked)
    assert environment.server.paths == [OCSP_PATH, LIST_PATH]
    environment.revoke()
    environment.refused(Reason.REVOKED, revocation=environment.asked)


def test_ca_that_does_not_answer_makes_the_image_unavailable(environment: RevocationEnvironment) -> None:
    environment.server.faults.status(OCSP_PATH, 500)
    environment.server.documents[LIST_PATH] = Answer(404)
    environment.server.faults.status(LIST_PATH, 500)
    environment.unavailable(revocation=environment.asked)
    environment.verify(revocation={**environment.asked, "acceptUnknown": True})


@pytest.mark.parametrize(
    "changes",
    [
        {"status": ocsp.OCSPResponseStatus.UNAUTHORIZED},
        {"good": ocsp.OCSPCertStatus.UNKNOWN},
        {"serial": 1},
        {"issuer": Authority("root").certificate},
        {"forged": True},
    ],
    ids=["unauthorized", "unknown", "of another certificate", "of another CA", "changed"],
)
def test_response_that_proves_nothing_leaves_the_status_unknown(
    with_responder: RevocationEnvironment, changes: dict[str, Any]
) -> None:
    with_responder.server.changes = changes
    with_responder.refused(UNKNOWN, revocation=with_responder.asked)
    with_responder.verify(revocation={**with_responder.asked, "acceptUnknown": True})


@pytest.mark.parametrize("status", [ocsp.OCSPResponseStatus.TRY_LATER, ocsp.OCSPResponseStatus.INTERNAL_ERROR])
def test_responder_that_asks_to_try_later_makes_the_image_unavailable(
    with_responder: RevocationEnvironment, status: ocsp.OCSPResponseStatus
) -> None:
    """A refusal would be cached, and say that the policy has to be changed."""
    with_responder.server.changes = {"status": status}
    with_responder.unavailable(revocation=with_responder.asked)
    with_responder.verify(revocation={**with_responder.asked, "acceptUnknown": True})


@pytest.mark.parametrize(
    ("begins", "ends"), [(NOW - 2 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY), (NOW - DAY, None)]
)
def test_response_that_is_not_valid_now_proves_nothing(
    with_responder: RevocationEnvironment, begins: Any, ends: Any
) -> None:
    with_responder.server.begins, with_responder.server.ends = begins, ends
    with_responder.refused(UNKNOWN, revocation=with_responder.asked)


@pytest.mark.parametrize(
    ("extensions", "lifetime", "counts"),
    [
        ((SIGNER_USAGE, OCSP_SIGNING, NO_CHECK), 2 * DAY, True),
        ((SIGNER_USAGE, OCSP_SIGNING), 2 * DAY, False),
        ((SIGNER_USAGE, NO_CHECK), 2 * DAY, False),
        ((SIGNER_USAGE, OCSP_SIGNING, NO_CHECK), DAY, False),
    ],
    ids=["delegated", "could be revoked itself", "for another purpose", "expired"],
)
def test_responder_may_be_delegated(
    with_responder: RevocationEnvironment,
    extensions: Any,
    lifetime: timedelta,
    counts: bool,  # noqa: FBT001
) -> None:
    key, chain = with_responder.authority.issue(
        subject={"CN": "responder"}, extensions=extensions, begins=NOW - 1.5 * DAY, lifetime=lifetime
    )
    with_responder.server.responder = (key, chain[0])
    if counts:
        with_responder.verify(revocation=with_responder.asked)
    else:
        with_responder.refused(UNKNOWN, revocation=with_responder.asked)


def test_responder_of_another_ca_proves_nothing(with_responder: RevocationEnvironment) -> None:
    key, chain = Authority("root").issue(extensions=(SIGNER_USAGE, OCSP_SIGNING, NO_CHECK))
    with_responder.server.responder = (key, chain[0])
    with_responder.refused(UNKNOWN, revocation=with_responder.asked)


def test_list_revokes(with_list: RevocationEnvironment) -> None:
    with_list.verify(revocation=with_list.asked)
    with_list.revoke()
    with_list.refused(Reason.REVOKED, revocation=with_list.asked)
    assert with_list.server.paths == [LIST_PATH, LIST_PATH]


def point(url: str) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(url)]


def scope(**members: Any) -> tuple[x509.ExtensionType, bool]:
    default = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False, "only_contains_ca_certs": False,
        "only_some_reasons": None, "indirect_crl": False, "only_contains_attribute_certs": False,
    }  # fmt: skip
    return x509.IssuingDistributionPoint(**{**default, **members}), True


@pytest.mark.parametrize(
    "extensions",
    [
        [scope(only_contains_ca_certs=True)],
        [scope(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise}))],
        [scope(indirect_crl=True)],
        [scope(full_name=point("http://elsewhere.example.org/root.crl"))],
        [(x509.DeltaCRLIndicator(1), True)],
        [(x509.FreshestCRL([x509.DistributionPoint(point("http://a.example.org/"), None, None, None)]), False)],
        [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True)],
    ],
    ids=["of CAs", "of some reasons", "indirect", "of another address", "delta", "with a delta", "unknown"],
)
def test_list_that_is_not_understood_only_revokes(with_list: RevocationEnvironment, extensions: Any) -> None:
    with_list.server.extensions = extensions
    with_list.refused(UNKNOWN, revocation=with_list.asked)
    with_list.revoke()
    with_list.refused(Reason.REVOKED, revocation=with_list.asked)


@pytest.mark.parametrize("extensions", [[scope(only_contains_user_certs=True)], [(x509.CRLNumber(7), False)]])
def test_list_about_signers_proves_that_one_is_not_revoked(with_list: RevocationEnvironment, extensions: Any) -> None:
    with_list.server.extensions = extensions
    with_list.verify(revocation=with_list.asked)


@pytest.mark.parametrize("served", [b"", b"<html>", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_list_that_cannot_be_read_proves_nothing(with_list: RevocationEnvironment, served: bytes) -> None:
    with_list.server.faults.answer(LIST_PATH, 200, {}, served)
    with_list.refused(UNKNOWN, revocation=with_list.asked)


def test_list_by_a_stranger_proves_nothing(with_list: RevocationEnvironment) -> None:
    with_list.server.changes = {"key": new_key()}
    with_list.refused(UNKNOWN, revocation=with_list.asked)


def test_list_of_an_issuer_that_may_not_sign_lists_only_revokes() -> None:
    with RevocationEnvironment(responder=False) as environment:
        usage = (key_usage(key_cert_sign=True), True)
        issuer = Authority("root", extensions=(ca_extensions()[0], usage))
        environment.authority = environment.server.authority = issuer
        environment.key, environment.chain = issuer.issue(more=environment.server.names(responder=False))
        environment.push()
        environment.refused(UNKNOWN, revocation=environment.asked)
        environment.revoke()
        environment.refused(Reason.REVOKED, revocation=environment.asked)


def test_expired_list_only_revokes(with_list: RevocationEnvironment) -> None:
    with_list.server.begins, with_list.server.ends = NOW - 2 * DAY, NOW - DAY
    with_list.refused(UNKNOWN, revocation=with_list.asked)
    with_list.revoke()
    with_list.refused(Reason.REVOKED, revocation=with_list.asked)


def test_list_at_hand_needs_no_network(environment: RevocationEnvironment) -> None:
    known = {"lists": [{"pem": environment.server.list().decode()}]}
    environment.verify(revocation=known)
    environment.verify(revocation={**known, **environment.asked})
    environment.revoke()
    newer = {"lists": [*known["lists"], {"pem": environment.server.list().decode()}]}
    environment.refused(Reason.REVOKED, revocation=newer)
    assert not environment.server.requests


def test_list_at_hand_counts_for_certificates_that_name_none(environment: RevocationEnvironment) -> None:
    key, chain = environment.authority.issue()
    environment.registry.repositories.clear()
    environment.registry.push_image("team/app", "v1")
    environment.push(environment.envelope(key=key, chain=chain))
    environment.verify()
    environment.server.revoked.add(chain[0].serial_number)
    environment.refused(Reason.REVOKED, revocation={"lists": [{"pem": environment.server.list().decode()}]})


def test_expired_list_at_hand_is_refreshed_where_that_is_allowed(environment: RevocationEnvironment) -> None:
    known = {"lists": [{"pem": environment.server.list().decode()}]}
    environment.clock.advance(2 * DAY.total_seconds())
    environment.refused(UNKNOWN, revocation=known)
    environment.server.begins, environment.server.ends = NOW + DAY, NOW + 3 * DAY
    environment.verify(revocation={**known, **environment.asked})


def test_issuers_are_checked_too(environment: RevocationEnvironment) -> None:
    middle = Authority("middle", parent=environment.authority, more=environment.server.names())
    key, chain = middle.issue()
    environment.registry.repositories.clear()
    environment.registry.push_image("team/app", "v1")
    environment.push(environment.envelope(key=key, chain=chain))
    environment.verify(revocation=environment.asked)
    environment.server.revoked.add(middle.certificate.serial_number)
    assert "middle" in environment.refused(Reason.REVOKED, revocation=environment.asked).message


def test_tsa_is_checked_too(environment: RevocationEnvironment) -> None:
    tsa = make_tsa()
    issuer = tsa.embedded[1]
    entry = x509.RevokedCertificateBuilder().serial_number(issuer.serial_number).revocation_date(NOW - DAY).build()
    revoked = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(tsa.root.certificate.subject)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_revoked_certificate(entry)
        .sign(tsa.root.key, SHA256())
    )
    key, chain = environment.authority.issue()
    environment.registry.repositories.clear()
    environment.registry.push_image("team/app", "v1")
    environment.push(environment.envelope(key=key, chain=chain, timestamp=lambda made: tsa.token(made, NOW - DAY / 2)))
    root = tsa.root.certificate.public_bytes(Encoding.PEM).decode()
    trusted = {"ca": [{"pem": environment.authority.pem}], "tsa": [{"pem": root}]}
    environment.verify(trustStores=trusted)
    lists = {"lists": [{"pem": revoked.public_bytes(Encoding.PEM).decode()}]}
    environment.refused(Reason.REVOKED, trustStores=trusted, revocation=lists)


def test_lists_of_a_policy_that_cannot_be_read_are_named(environment: RevocationEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match=r"revocation\.lists\[0\]"):
        notation_check(environment.spec(revocation={"lists": [{"pem": environment.authority.pem}]}))
