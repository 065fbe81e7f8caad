"""Certificate chains and signers: who is trusted, by which store and under which name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sealgate.errors import InvalidKeyError
from sealgate.reasons import Reason
from tests.support.environments.notation import notation_check
from tests.support.signers.notation import (
    CA_USAGE,
    CODE_SIGNING,
    IDENTITY,
    KEY_KINDS,
    SIGNER_USAGE,
    SUBJECT,
    YEAR,
    Authority,
    Certificate,
    ca_extensions,
    key_usage,
    name_of,
    new_key,
)

if TYPE_CHECKING:
    from tests.support.environments.notation import NotationEnvironment

CONSTRAINTS = (x509.BasicConstraints(ca=True, path_length=None), True)


def purpose(name: x509.ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage([name]), False


def unknown(*, critical: bool) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), critical


@pytest.mark.parametrize("kind", ["P-384", "P-521", "RSA 2048", "RSA 3072"])  # RSA 4096 is recorded: it is slow to make
def test_every_kind_of_key_signs(environment: NotationEnvironment, kind: str) -> None:
    key, chain = environment.authority.issue(kind)
    environment.push(environment.envelope(key=key, chain=chain, algorithm=KEY_KINDS[kind]))
    environment.verify()


@pytest.mark.parametrize(
    "members",
    [
        {"extensions": (SIGNER_USAGE,)},
        {"extensions": (SIGNER_USAGE, purpose(x509.ObjectIdentifier("1.3.6.1.4.1.311.76.59.1.1")))},
        {"extensions": ((key_usage(digital_signature=True, content_commitment=True), True),)},
        {"more": (unknown(critical=False),)},
        {"more": ((x509.BasicConstraints(ca=False, path_length=None), True),)},
        {"algorithm": hashes.SHA512()},
    ],
)
def test_certificate_of_a_signer_may_be(environment: NotationEnvironment, members: dict[str, Any]) -> None:
    key, chain = environment.authority.issue(**members)
    environment.push(environment.envelope(key=key, chain=chain))
    environment.verify()


@pytest.mark.parametrize(
    "members",
    [
        {"extensions": (CODE_SIGNING,)},
        {"extensions": ((key_usage(digital_signature=True), False),)},
        {"extensions": ((key_usage(content_commitment=True), True),)},
        {"extensions": ((key_usage(digital_signature=True, key_encipherment=True), True),)},
        {"extensions": ((key_usage(digital_signature=True, key_cert_sign=True), True),)},
        {"extensions": ca_extensions()},
        {"extensions": (SIGNER_USAGE, purpose(ExtendedKeyUsageOID.SERVER_AUTH))},
        {"extensions": (SIGNER_USAGE, purpose(ExtendedKeyUsageOID.TIME_STAMPING))},
        {"extensions": (SIGNER_USAGE, purpose(ExtendedKeyUsageOID.OCSP_SIGNING))},
        {"more": (unknown(critical=True),)},
        {"key": new_key("P-224")},
    ],
    ids=[
        "no key usage", "key usage not critical", "cannot sign", "encrypts keys", "signs certificates", "is a CA",
        "a server's", "a TSA's", "an OCSP responder's", "unknown critical extension", "weak key",
    ],
)  # fmt: skip
def test_certificate_of_a_signer_may_not_be(environment: NotationEnvironment, members: dict[str, Any]) -> None:
    key, chain = environment.authority.issue(**members)
    environment.push(environment.envelope(key=key, chain=chain))
    environment.refused(Reason.INVALID_SIGNATURE)


@pytest.mark.parametrize(
    "extensions",
    [
        (CA_USAGE,),
        ((CONSTRAINTS[0], False), CA_USAGE),
        ((x509.BasicConstraints(ca=False, path_length=None), True), CA_USAGE),
        (CONSTRAINTS,),
        (CONSTRAINTS, (key_usage(key_cert_sign=True), False)),
        (CONSTRAINTS, (key_usage(crl_sign=True), True)),
        (*ca_extensions(), unknown(critical=True)),
    ],
    ids=[
        "no constraints", "constraints not critical", "not a CA", "no key usage", "key usage not critical",
        "signs no certificates", "unknown critical extension",
    ],
)  # fmt: skip
def test_certificate_of_an_issuer_may_not_be(environment: NotationEnvironment, extensions: Any) -> None:
    middle = Authority("middle", parent=environment.authority, extensions=extensions)
    key, chain = middle.issue()
    environment.push(environment.envelope(key=key, chain=chain))
    environment.refused(Reason.INVALID_SIGNATURE)


def test_chain_may_have_an_intermediate_that_is_trusted_itself(environment: NotationEnvironment) -> None:
    middle = Authority("middle", parent=environment.authority)
    key, chain = middle.issue()
    environment.push(environment.envelope(key=key, chain=chain))
    environment.verify()
    environment.verify(trustStores={"ca": [{"pem": middle.pem}]})


def test_path_length_is_kept(environment: NotationEnvironment) -> None:
    root = Authority("short", extensions=ca_extensions(0))
    key, chain = root.issue()
    environment.push(environment.envelope(key=key, chain=chain))
    trusted = {"ca": [{"pem": root.pem}]}
    environment.verify(trustStores=trusted)
    key, chain = Authority("middle", parent=root).issue()
    environment.registry.repositories.clear()
    environment.registry.push_image("team/app", "v1")
    environment.push(environment.envelope(key=key, chain=chain))
    assert "path length" in environment.refused(Reason.INVALID_SIGNATURE, trustStores=trusted).message


def test_chain_is_in_order_and_complete(environment: NotationEnvironment) -> None:
    middle = Authority("middle", parent=environment.authority)
    key, (leaf, issuer, root) = middle.issue()
    for chain in [(leaf, root, issuer), (leaf, root), (issuer, leaf, root), (leaf, issuer, root, root), (root, leaf)]:
        environment.push(environment.envelope(key=key, chain=chain))
    refusal = environment.refused(Reason.INVALID_SIGNATURE)
    assert {seen.reason for seen in refusal.signatures} == {Reason.INVALID_SIGNATURE}
    assert len(refusal.signatures) == 5


def test_chain_without_its_root_is_refused(environment: NotationEnvironment) -> None:
    middle = Authority("middle", parent=environment.authority)
    key, chain = middle.issue()
    environment.push(environment.envelope(key=key, chain=chain[:-1]))
    environment.refused(Reason.INVALID_SIGNATURE, trustStores={"ca": [{"pem": middle.pem}]})
    environment.refused(Reason.UNKNOWN_KEY)


def test_self_signed_signer_counts_if_it_is_trusted(environment: NotationEnvironment) -> None:
    key = new_key()
    made = Certificate(SUBJECT, key).signed_by(name_of(SUBJECT), key)
    environment.push(environment.envelope(key=key, chain=(made,)))
    environment.refused(Reason.UNKNOWN_KEY)
    environment.verify(trustStores={"ca": [{"pem": made.public_bytes(Encoding.PEM).decode()}]})


def test_certificate_signed_by_another_key_is_refused(environment: NotationEnvironment) -> None:
    key = new_key()
    forged = Certificate(SUBJECT, key).signed_by(environment.authority.certificate.subject, new_key())
    environment.push(environment.envelope(key=key, chain=(forged, environment.authority.certificate)))
    environment.refused(Reason.INVALID_SIGNATURE)


def test_trust_store_is_that_of_the_signing_scheme(environment: NotationEnvironment) -> None:
    environment.push()
    other = Authority("other")
    wrong = {"signingAuthority": [{"pem": environment.authority.pem}], "ca": [{"pem": other.pem}]}
    environment.refused(Reason.UNKNOWN_KEY, trustStores=wrong)
    environment.push(environment.envelope(authority=True))
    found = environment.verify(trustStores=wrong)
    assert [seen.reason for seen in found.signatures].count(Reason.VERIFIED) == 1
    environment.verify()


@pytest.mark.parametrize(
    ("identity", "trusted"),
    [
        ("*", True),
        (IDENTITY, True),
        ("x509.subject: CN=release, O=acme, S=WA, C=US", True),
        ("x509.subject: C=US, ST=WA, O=acme, CN=releas", False),
        ("x509.subject: C=US, ST=WA, O=acme, CN=Release", False),
        ("x509.subject: C=US, ST=WA, O=acme, OU=release", False),
        ("x509.subject: C=US, ST=CA, O=acme", False),
    ],
)
def test_identity_is_matched_exactly(
    environment: NotationEnvironment,
    identity: str,
    trusted: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    environment.push()
    if trusted:
        environment.verify(trustedIdentities=[identity])
    else:
        environment.refused(Reason.IDENTITY_MISMATCH, trustedIdentities=[identity])
        environment.verify(trustedIdentities=[identity, IDENTITY])


def test_subject_with_an_attribute_twice_has_no_identity(environment: NotationEnvironment) -> None:
    subject = x509.Name([*name_of({**SUBJECT, "O": "evil"}), *name_of({"O": "acme"})])
    key = new_key()
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(environment.authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(environment.authority.begins)
        .not_valid_after(environment.authority.begins + YEAR)
        .add_extension(*SIGNER_USAGE)
        .sign(environment.authority.key, hashes.SHA256())
    )
    environment.push(environment.envelope(key=key, chain=(made, environment.authority.certificate)))
    environment.refused(Reason.IDENTITY_MISMATCH)
    environment.verify(trustedIdentities=["*"])


def test_signer_is_not_a_trust_anchor_below_its_ca(environment: NotationEnvironment) -> None:
    leaf = environment.chain[0].public_bytes(Encoding.PEM).decode()
    with pytest.raises(InvalidKeyError, match="trust its CA"):
        notation_check(environment.spec(trustStores={"ca": [{"pem": leaf}]}))


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "does not hold a certificate"),
        ("MIIB", "0 PEM blocks"),
        (Authority("many").pem * 65, "65 PEM blocks"),
    ],
)
def test_trust_store_that_cannot_be_read_is_named(environment: NotationEnvironment, pem: str, says: str) -> None:
    with pytest.raises(InvalidKeyError, match=says) as caught:
        notation_check(environment.spec(trustStores={"ca": [{"pem": environment.authority.pem}, {"pem": pem}]}))
    assert "trustStores.ca[1]" in caught.value.message
