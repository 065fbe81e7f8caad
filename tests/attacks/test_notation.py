"""Attacks on signatures of the Notary Project, by a writer of the repository, a CA's customer, or the network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from sealgate.errors import UnavailableError
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.formats.notation.revocation import FAILURE_SECONDS, KEPT_SECONDS
from sealgate.formats.notation.wire.envelope import COSE_TYPE, JWS_TYPE
from sealgate.formats.service_answers import ServiceAnswers
from sealgate.parsing import cbor
from sealgate.policies.decisions import Verdict
from sealgate.reasons import Reason
from sealgate.verification.settings import VerifierSettings
from tests.support.builders.objects import authenticator_model, policy_model
from tests.support.clocks import FakeClock
from tests.support.environments.notation import REPOSITORY, NotationEnvironment, notation_check
from tests.support.environments.verifier import VerifierEnvironment, policy_set
from tests.support.signers.notation import (
    NOW,
    YEAR,
    Authority,
    Certificate,
    ca_extensions,
    key_usage,
    name_of,
    new_key,
    payload_for,
    push_envelope,
)
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.revocation import DAY, RevocationSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.simulators.http_messages import Answer


@pytest.fixture
def environment() -> Iterator[NotationEnvironment]:
    with NotationEnvironment() as made:
        yield made


@pytest.mark.parametrize("kind", [JWS_TYPE, COSE_TYPE])
def test_attack_148_signature_of_another_image(environment: NotationEnvironment, kind: str) -> None:
    """A true envelope is stored beside another image, with the subject of its manifest rewritten (CVE-2023-33959)."""
    other = environment.registry.push_image(REPOSITORY, "v2")
    body = environment.registry.manifest(REPOSITORY, other)[1]
    environment.push(environment.envelope(payload=payload_for(body, other)), kind)
    environment.refused(Reason.DIGEST_MISMATCH)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "PS256", "ES384"])
def test_attack_149_algorithm_chosen_by_the_envelope(environment: NotationEnvironment, algorithm: str) -> None:
    environment.push(environment.envelope(attributes={"alg": algorithm}))
    environment.refused(Reason.INVALID_SIGNATURE)


def test_attack_149_envelope_with_two_readings(environment: NotationEnvironment) -> None:
    """One parser takes the first of two members, another one the last."""
    envelope = environment.envelope().jws()
    environment.push(envelope.replace(b'"payload":', b'"payload":"e30","payload":', 1))
    protected = cbor.encode({2: ["a"]})
    doubled = bytes([protected[0] + 1]) + protected[1:] + protected[1:]
    environment.push(cbor.encode(cbor.Tagged(18, [doubled, {}, b"{}", b""])), COSE_TYPE)
    refusal = environment.refused(Reason.MALFORMED_EVIDENCE)
    assert {seen.reason for seen in refusal.signatures} == {Reason.MALFORMED_EVIDENCE}


def test_attack_150_chain_that_only_looks_trusted(environment: NotationEnvironment) -> None:
    """The names of the trusted CA and of its signer; the trusted root appended; another customer of the same CA."""
    fake = Authority("root")
    key, chain = fake.issue()
    environment.push(environment.envelope(key=key, chain=chain))
    environment.refused(Reason.UNKNOWN_KEY)
    environment.push(environment.envelope(key=key, chain=(chain[0], environment.authority.certificate)))
    environment.refused(Reason.INVALID_SIGNATURE)
    key, chain = environment.authority.issue(subject={"C": "US", "ST": "WA", "O": "acme ", "CN": "release"})
    environment.push(environment.envelope(key=key, chain=chain))
    environment.refused(Reason.IDENTITY_MISMATCH)


def test_attack_150_signer_that_plays_a_ca(environment: NotationEnvironment) -> None:
    key = new_key()
    forged = Certificate({"C": "US", "ST": "WA", "O": "acme"}, key).signed_by(
        name_of({"C": "US", "ST": "WA", "O": "acme", "CN": "release"}), environment.key
    )
    environment.push(environment.envelope(key=key, chain=(forged, *environment.chain)))
    environment.refused(Reason.INVALID_SIGNATURE, trustedIdentities=["*"])


def test_attack_151_critical_attribute_that_is_ignored(environment: NotationEnvironment) -> None:
    """The signer asks that a plugin decides; a verifier without it would leave the decision out."""
    name = "io.cncf.notary.verificationPlugin"
    critical = ["io.cncf.notary.signingScheme", name]
    environment.push(environment.envelope(attributes={"crit": critical, name: "com.example.plugin"}))
    assert name in environment.refused(Reason.MALFORMED_EVIDENCE).message


@pytest.fixture
def revocable() -> Iterator[tuple[NotationEnvironment, RevocationSimulator]]:
    authority = Authority("root")
    with RevocationSimulator(authority, NOW) as server, NotationEnvironment(server) as made:
        made.authority = authority
        made.key, made.chain = authority.issue(more=server.names())
        made.push()
        yield made, server


def test_attack_152_revoked_signer(revocable: tuple[NotationEnvironment, RevocationSimulator]) -> None:
    """Revoked, with the CA's answers blocked, delayed beyond their end, or swapped (CVE-2024-56138)."""
    environment, server = revocable
    asked: dict[str, Any] = {"hosts": [server.host]}
    old = server.ocsp_response(environment.chain[0].serial_number)
    server.revoked.add(environment.chain[0].serial_number)
    environment.refused(Reason.REVOKED, revocation=asked)
    server.faults.status("/ocsp", 503)
    environment.refused(Reason.REVOKED, revocation=asked)
    server.faults.status("/root.crl", 503)
    environment.unavailable(revocation=asked)
    server.faults.clear()
    server.faults.answer("/ocsp", 200, {}, old)
    server.faults.answer("/root.crl", 200, {}, b"")
    environment.clock.advance(2 * 86400)
    environment.refused(Reason.REVOCATION_UNKNOWN, revocation=asked)


@pytest.mark.parametrize("ends", [None, NOW - DAY / 2])
def test_attack_152_revocation_told_without_a_valid_end(
    revocable: tuple[NotationEnvironment, RevocationSimulator], ends: Any
) -> None:
    """OCSP responders may state no end (RFC 6960, 4.2.2.1): that makes good news doubtful, and bad news not."""
    environment, server = revocable
    server.revoked.add(environment.chain[0].serial_number)
    server.ends = ends
    server.faults.status("/root.crl", 503)
    environment.refused(Reason.REVOKED, revocation={"hosts": [server.host], "acceptUnknown": True})


def test_attack_152_issuer_certified_anew_without_the_right_to_revoke() -> None:
    """The trusted CA was revoked by its issuer; whoever has its key replaces the certificate of that issuer."""
    root = Authority("root")
    with RevocationSimulator(root, NOW) as server, NotationEnvironment() as environment:
        environment.authority = middle = Authority("middle", parent=root)
        key, (signer, *_) = middle.issue()
        server.revoked.add(middle.certificate.serial_number)
        revocation = {"lists": [{"pem": server.list().decode()}]}
        writer = Authority("writer")
        usage = (key_usage(key_cert_sign=True), True)
        anew = Certificate({"CN": "root"}, root.key, extensions=(ca_extensions()[0], usage))
        for above in ((root.certificate,), (anew.signed_by(name_of({"CN": "writer"}), writer.key), writer.certificate)):
            chain = (signer, middle.certificate, *above)
            environment.push(environment.envelope(key=key, chain=chain))
            environment.refused(Reason.REVOKED, revocation=revocation)


@pytest.mark.parametrize("outage", ["drop", "hang"])
def test_attack_152_ca_that_is_kept_from_answering_is_no_outage_of_the_registry(
    revocable: tuple[NotationEnvironment, RevocationSimulator], outage: str
) -> None:
    """A finding from before the revocation must not stand in for one that the CA's silence prevents."""
    source, server = revocable
    settings = VerifierSettings(stale_tag_seconds=3600, unresponsive_after=2.0 if outage == "hang" else 60.0)
    with VerifierEnvironment(settings, FakeClock(), insecure=frozenset({server.host})) as environment:
        digest = environment.registry.push_image(REPOSITORY, "v1")
        payload = payload_for(environment.registry.manifest(REPOSITORY, digest)[1], digest)
        push_envelope(environment.registry, REPOSITORY, digest, source.envelope(payload=payload).jws())
        spec = {"notation": source.spec(revocation={"hosts": [server.host]})}
        policies = policy_set([authenticator_model("release", spec=spec)], [policy_model("production")])

        def verdict() -> Verdict:
            (found,) = environment.verify(environment.image(), policies=policies)
            return found.verdict

        assert verdict() is Verdict.ADMIT
        environment.clock.sleep(settings.verified_seconds)
        server.revoked.add(source.chain[0].serial_number)
        for path in ("/ocsp", "/root.crl"):
            getattr(server.faults, outage)(path)
        assert verdict() is Verdict.UNAVAILABLE


@pytest.mark.parametrize(("copies", "expected"), [(8, Verdict.DENY), (40, Verdict.UNAVAILABLE)])
def test_attack_152_many_copies_of_a_revoked_signature_are_no_outage_of_the_registry(
    revocable: tuple[NotationEnvironment, RevocationSimulator], copies: int, expected: Verdict
) -> None:
    """A writer stores more than can be read in the time after which a registry counts as unreachable."""
    source, server = revocable
    settings = VerifierSettings(stale_tag_seconds=3600, unresponsive_after=60.0, verification_seconds=300.0)
    clock = FakeClock()
    with VerifierEnvironment(settings, clock, insecure=frozenset({server.host})) as environment:
        digest = environment.registry.push_image(REPOSITORY, "v1")
        envelope = source.envelope(payload=payload_for(environment.registry.manifest(REPOSITORY, digest)[1], digest))
        push_envelope(environment.registry, REPOSITORY, digest, envelope.jws())
        spec = {"notation": source.spec(revocation={"hosts": [server.host]})}
        policies = policy_set([authenticator_model("release", spec=spec)], [policy_model("production")])

        def verdict() -> Verdict:
            (found,) = environment.verify(environment.image(), policies=policies)
            return found.verdict

        def slowly(answer: Answer) -> Answer:
            clock.advance(5.0)
            return answer

        assert verdict() is Verdict.ADMIT
        clock.sleep(settings.verified_seconds)
        server.revoked.add(source.chain[0].serial_number)
        for number in range(copies):
            more = {"annotations": {"copy": str(number)}}
            push_envelope(environment.registry, REPOSITORY, digest, envelope.jws(), changes=more)
        environment.registry.faults.add(Fault("/(manifests|blobs)/", slowly))
        assert verdict() is expected


def test_attack_153_addresses_in_certificates(revocable: tuple[NotationEnvironment, RevocationSimulator]) -> None:
    """A signer has the webhook ask a server of its choice; also with settings that let that server be asked."""
    environment, server = revocable
    for hosts in ([], ["127.0.0.1"], [f"1{server.host}"], [f"{server.host[:-1]}"]):
        environment.refused(Reason.REVOCATION_UNKNOWN, revocation={"hosts": hosts})
    environment.verify(revocation={"acceptUnknown": True})
    assert not server.requests


def test_attack_153_nothing_is_asked_for_strangers(
    revocable: tuple[NotationEnvironment, RevocationSimulator],
) -> None:
    environment, server = revocable
    asked = {"hosts": [server.host]}
    other = {"ca": [{"pem": Authority("other").pem}]}
    environment.refused(Reason.UNKNOWN_KEY, revocation=asked, trustStores=other)
    environment.refused(Reason.IDENTITY_MISMATCH, revocation=asked, trustedIdentities=["x509.subject: C=A, ST=B, O=C"])
    assert not server.requests


def test_attack_153_certificates_above_the_trusted_one() -> None:
    """A writer certifies the key of the trusted CA's issuer anew, with addresses on a host that may be asked."""
    root = Authority("root")
    with RevocationSimulator(root, NOW) as server, NotationEnvironment(server) as environment:
        environment.authority = middle = Authority("middle", parent=root)
        key, (signer, *_) = middle.issue()
        writer = Authority("writer")
        anew = Certificate({"CN": "root"}, root.key, extensions=(*ca_extensions(), *server.names()))
        chain = (signer, middle.certificate, anew.signed_by(name_of({"CN": "writer"}), writer.key), writer.certificate)
        environment.push(environment.envelope(key=key, chain=chain))
        environment.verify(revocation={"hosts": [server.host]})
        assert not server.requests


@pytest.mark.parametrize("bad", ["name", "year"])
def test_attack_154_certificate_that_cannot_be_read_harms_no_neighbour(
    environment: NotationEnvironment, bad: str
) -> None:
    """A writer stores an envelope whose certificate the library cannot read, beside a good signature."""
    names = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3004a5023000"))
    key, chain = environment.authority.issue(lifetime=100 * YEAR, more=[(names, False)] if bad == "name" else ())
    if bad == "year":
        der = chain[0].public_bytes(Encoding.DER).replace(b"\x18\x0f2126", b"\x18\x0f0000")
        chain = (x509.load_der_x509_certificate(der), *chain[1:])
    environment.push(environment.envelope(key=key, chain=chain))
    environment.refused(Reason.MALFORMED_EVIDENCE)
    environment.push()
    environment.verify()


def test_attack_154_ca_is_asked_once_for_each_certificate(
    revocable: tuple[NotationEnvironment, RevocationSimulator],
) -> None:
    """A writer stores a true signature many times, so that one image costs its CA many requests."""
    environment, server = revocable
    for number in range(5):
        environment.push(changes={"annotations": {"copy": str(number)}})
    environment.verify(revocation={"hosts": [server.host]})
    assert server.paths == ["/ocsp"]
    server.faults.status("/", 503)
    environment.unavailable(revocation={"hosts": [server.host]})
    assert server.paths == ["/ocsp", "/ocsp", "/root.crl"]


@pytest.mark.long
def test_attack_154_silent_ca_holds_no_worker_until_the_deadline(
    revocable: tuple[NotationEnvironment, RevocationSimulator],
) -> None:
    """A responder behind a firewall: its list is asked next, and what the policy accepts of the unknown holds."""
    environment, server = revocable
    asked: dict[str, Any] = {"hosts": [server.host]}
    environment.push(changes={"annotations": {"copy": "1"}})
    server.faults.hang("/ocsp")
    environment.verify(revocation=asked)
    assert server.paths == ["/ocsp", "/root.crl"]
    server.faults.hang("/root.crl")
    environment.verify(revocation={**asked, "acceptUnknown": True})


def test_attack_154_many_images_of_one_signer_cost_its_ca_one_request(
    revocable: tuple[NotationEnvironment, RevocationSimulator],
) -> None:
    """Also where the CA fails: it is not asked, nor waited for, by every image that starts meanwhile."""
    source, server = revocable
    settings = VerifierSettings(verifications_per_minute=1e9)
    with VerifierEnvironment(settings, FakeClock(), insecure=frozenset({server.host})) as environment:
        spec = {"notation": source.spec(revocation={"hosts": [server.host]})}
        policies = policy_set([authenticator_model("release", spec=spec)], [policy_model("production")])
        images = [environment.image(f"v{number}") for number in range(8)]
        for number in range(8):
            digest = environment.registry.push_image(REPOSITORY, f"v{number}")
            payload = payload_for(environment.registry.manifest(REPOSITORY, digest)[1], digest)
            push_envelope(environment.registry, REPOSITORY, digest, source.envelope(payload=payload).jws())

        def verdicts(*some: str) -> set[Verdict]:
            return {found.verdict for found in environment.verify(*some, policies=policies)}

        server.faults.status("/", 500)
        assert verdicts(*images) == {Verdict.UNAVAILABLE}
        assert server.paths == ["/ocsp", "/root.crl"]
        server.faults.clear()
        assert verdicts(*images) == {Verdict.UNAVAILABLE}
        environment.clock.sleep(FAILURE_SECONDS)
        assert verdicts(*images[:6]) == {Verdict.ADMIT}
        server.revoked.add(source.chain[0].serial_number)
        assert verdicts(images[6]) == {Verdict.ADMIT}
        assert server.paths == ["/ocsp", "/root.crl", "/ocsp"]
        environment.clock.sleep(KEPT_SECONDS)
        assert verdicts(images[7]) == {Verdict.DENY}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_attack_154_used_up_budget_makes_no_status_unknown(
    revocable: tuple[NotationEnvironment, RevocationSimulator], *, elsewhere: bool
) -> None:
    """Signers use up the CA's budget, so that what a policy accepts of the unknown holds for a revoked one.

    Its list may be on a host of its own that cannot be asked, which is said last.
    """
    environment, server = revocable
    asked: dict[str, Any] = {"hosts": [server.host, "lists.example.org"], "acceptUnknown": True}
    answers = ServiceAnswers(FakeClock(), per_minute=0.001, burst=2).of("default")
    check = notation_check(environment.spec(revocation=asked))
    check.verify(environment.image, replace(environment.sources(), answers=answers))
    names = server.names(lists=not elsewhere)
    if elsewhere:
        address = x509.UniformResourceIdentifier("http://lists.example.org/root.crl")
        names.append((x509.CRLDistributionPoints([x509.DistributionPoint([address], None, None, None)]), False))
    key, chain = environment.authority.issue(more=names)
    server.revoked.add(chain[0].serial_number)
    other = environment.registry.push_image(REPOSITORY, "v2")
    payload = payload_for(environment.registry.manifest(REPOSITORY, other)[1], other)
    push_envelope(
        environment.registry, REPOSITORY, other, environment.envelope(key=key, chain=chain, payload=payload).jws()
    )
    with pytest.raises(UnavailableError, match="budget"):
        check.verify(replace(environment.image, digest=other), replace(environment.sources(), answers=answers))
    assert server.paths == ["/ocsp"]


def test_attack_154_flood_of_signatures(environment: NotationEnvironment) -> None:
    """More signatures than are verified (CVE-2023-33958), huge ones, and chains without end (CVE-2023-25656)."""
    environment.push(b"{" + b" " * (1 << 20) + b"}")
    environment.refused(Reason.EVIDENCE_TOO_LARGE)
    root = environment.authority.certificate.public_bytes(Encoding.DER)
    environment.push(cbor.encode(cbor.Tagged(18, [b"\xa0", {33: [root] * 5000}, b"", b""])), COSE_TYPE)
    environment.push(b"\xd2\x84\x9b\x00\xff\xff\xff\xff\xff\xff\xff", COSE_TYPE)
    for number in range(MAX_SIGNATURES):
        environment.push(b"{%d}" % number)
    asked = len(environment.registry.requests)
    environment.refused(Reason.EVIDENCE_TOO_LARGE)
    assert len(environment.registry.requests) - asked == 1
