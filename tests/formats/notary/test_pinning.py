"""The root of trust is pinned by the policy; there is no trust on first use."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from sealgate.errors import InvalidKeyError, UnavailableError
from sealgate.formats.notary.verify import build
from sealgate.keys.resolvers import FileKeys
from sealgate.reasons import Reason
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.support.environments.notary import PATH, RELEASES, NotaryEnvironment, role
from tests.support.signers.notary import NOW, Signer, certified, key_id, key_usage, rsa_key

if TYPE_CHECKING:
    from collections.abc import Mapping


def replace_root(environment: NotaryEnvironment, *signers: Signer, threshold: int = 1) -> None:
    environment.repository.set_keys("root", *signers, threshold=threshold)
    environment.repository.publish()


def authority_pin(authority: Signer, **fields: str) -> dict[str, Any]:
    return {"ca": {"pem": authority.certificate_pem, **fields}}


def test_a_root_may_be_pinned_by_certificate_bare_key_or_id(environment: NotaryEnvironment) -> None:
    for root in (
        {"pem": environment.root.certificate_pem},
        {"pem": environment.root.public_pem},
        {"keyId": environment.root.key_id},
        {"keyId": environment.root.canonical_id},
    ):
        environment.verify(root=root)


def test_a_pinned_certificate_is_that_very_certificate(environment: NotaryEnvironment) -> None:
    again = certified(environment.repository.gun, environment.root.private)
    environment.refuses(Reason.UNKNOWN_KEY, root={"pem": again.certificate_pem})
    environment.verify(root={"pem": again.public_pem})


def test_pin_may_list_several_roots_during_a_rotation(environment: NotaryEnvironment) -> None:
    following = certified(environment.repository.gun)
    both = {"pem": environment.root.certificate_pem + following.certificate_pem}
    environment.verify(root=both)
    environment.repository.rotate_root(following)
    environment.verify(root=both)


def test_wildcard_root_certificate_is_verified(environment: NotaryEnvironment) -> None:
    wildcard = certified(f"{environment.dtr.host}/dev/*", environment.root.private)
    replace_root(environment, wildcard)
    environment.verify(root={"pem": wildcard.certificate_pem})


def test_root_certified_by_a_pinned_ca_is_verified(environment: NotaryEnvironment) -> None:
    authority = certified("authority", authority=True)
    replace_root(environment, certified(environment.repository.gun, issuer=authority))
    environment.verify(root=authority_pin(authority))
    environment.verify(root=authority_pin(authority, gunPrefix=f"{environment.dtr.host}/dev"))
    environment.verify(root=authority_pin(authority, gunPrefix=f"{environment.dtr.host}/dev/"))
    environment.verify(root=authority_pin(authority, gunPrefix=environment.repository.gun))


def test_intermediate_cas_are_bundled_with_the_root(environment: NotaryEnvironment) -> None:
    authority = certified("authority", authority=True)
    between = certified("between", issuer=authority, authority=True)
    leaf = certified(environment.repository.gun, issuer=between)
    assert len(leaf.certificates) == 2
    replace_root(environment, leaf)
    environment.verify(root=authority_pin(authority))
    environment.verify(root=authority_pin(between))
    replace_root(environment, Signer(leaf.private, leaf.certificates[:1]))
    environment.state = MemoryTrustedState()
    environment.refuses(Reason.UNKNOWN_KEY, root=authority_pin(authority))


def test_expired_ca_is_not_accepted(environment: NotaryEnvironment) -> None:
    authority = certified("authority", authority=True, ends=NOW - timedelta(seconds=1))
    replace_root(environment, certified(environment.repository.gun, issuer=authority))
    environment.refuses(Reason.UNKNOWN_KEY, root=authority_pin(authority))


@pytest.mark.parametrize("name", ["root", "timestamp", "snapshot", "targets"])
def test_root_with_a_missing_key_is_malformed(environment: NotaryEnvironment, name: str) -> None:
    members = environment.repository.signed["root"]
    members["roles"][name]["keyids"] = [*members["roles"][name]["keyids"], "0" * 64]
    environment.repository.publish()
    refusal = environment.refuses(Reason.MALFORMED_EVIDENCE)
    assert f"role {name}" in refusal.message
    assert "not among the file's keys" in refusal.message


def test_root_with_a_key_of_an_unknown_type_is_read(environment: NotaryEnvironment) -> None:
    members = environment.repository.signed["root"]
    odd = key_id("quantum", b"key")
    members["keys"][odd] = {"keytype": "quantum", "keyval": {"private": None, "public": "a2V5"}}
    members["roles"]["root"]["keyids"] = [*members["roles"]["root"]["keyids"], odd]
    environment.repository.publish()
    environment.verify()


def test_issuer_without_cert_sign_usage_is_not_accepted(environment: NotaryEnvironment) -> None:
    authority = certified("authority", authority=True)
    between = certified("between", issuer=authority, authority=True, usage=key_usage("digital_signature"))
    replace_root(environment, certified(environment.repository.gun, issuer=between))
    refusal = environment.refuses(Reason.UNKNOWN_KEY, root=authority_pin(authority))
    assert "keyCertSign" in refusal.message


def test_expired_certified_root_is_refused_as_expired(environment: NotaryEnvironment) -> None:
    authority = certified("authority", authority=True)
    replace_root(environment, certified(environment.repository.gun, issuer=authority, ends=NOW - timedelta(seconds=1)))
    environment.refuses(Reason.EXPIRED, root=authority_pin(authority))


def test_an_rsa_root_is_verified(environment: NotaryEnvironment) -> None:
    root = certified(environment.repository.gun, rsa_key())
    replace_root(environment, root)
    environment.verify(root={"pem": root.certificate_pem})


def test_of_two_root_keys_one_pinned_will_do(environment: NotaryEnvironment) -> None:
    replace_root(environment, certified(environment.repository.gun), environment.root)
    environment.verify(root={"pem": environment.root.certificate_pem})


def test_the_threshold_counts_pinned_root_keys_only(environment: NotaryEnvironment) -> None:
    other = certified(environment.repository.gun)
    replace_root(environment, other, environment.root, threshold=2)
    environment.refuses(Reason.UNKNOWN_KEY, root={"pem": environment.root.certificate_pem})
    environment.verify(root={"pem": environment.root.certificate_pem + other.certificate_pem})


def test_a_root_that_lists_no_usable_key_is_refused(environment: NotaryEnvironment) -> None:
    replace_root(environment, certified(environment.repository.gun, rsa_key(bits=1024)))
    environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_unpublished_root_means_unsigned(environment: NotaryEnvironment) -> None:
    environment.dtr.trust.repositories.clear()
    refusal = environment.refuses(Reason.NO_SIGNATURE)
    assert environment.repository.gun in refusal.message
    assert environment.dtr.asked == ["root"]


# What is wrong with the policy itself ----------------------------------------------------------------------------

PRIVATE = certified("private")
SIGNER = {"pem": certified("signer").certificate_pem}


def _certificate_of(der: bytes) -> str:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


def _ed448_certificate() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ed448")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    builder = builder.public_key(ed448.Ed448PrivateKey.generate().public_key())
    return builder.sign(PRIVATE.private, SHA256()).public_bytes(Encoding.PEM).decode()


ED448 = _ed448_certificate()
# The object identifier of P-256 with another last digit: an unknown curve.
ODD_CURVE = _certificate_of(
    PRIVATE.certificates[0]
    .public_bytes(Encoding.DER)
    .replace(bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d03017f"))
)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"root": {"pem": "hello"}}, "notary.root: 0 PEM blocks"),
        ({"root": {"pem": PRIVATE.private_pem}}, "private key"),
        ({"root": {"pem": PRIVATE.certificate_pem.replace("MII", "MIX")}}, "does not hold a certificate"),
        ({"root": {"pem": PRIVATE.certificate_pem * 17}}, "17 PEM blocks"),
        ({"root": {"ca": {"pem": PRIVATE.certificate_pem}}}, "not of a CA"),
        ({"root": {"ca": {"pem": PRIVATE.public_pem}}}, "does not hold a certificate"),
        (
            {"roles": [{"name": RELEASES, "keys": [SIGNER, {"pem": SIGNER["pem"] * 2}]}]},
            r"notary\.roles\[0\]\.keys\[1\]: ",
        ),
        ({"roles": [role(RELEASES, certified("weak", rsa_key(bits=1024)))]}, "1024 bits"),
        ({"root": {"pem": ODD_CURVE}}, "not supported"),
        ({"root": {"pem": ED448}}, "neither ECDSA nor RSA nor Ed25519"),
    ],
)
def test_unreadable_pin_or_key_is_reported_when_the_policy_loads(
    environment: NotaryEnvironment, fields: Mapping[str, Any], why: str
) -> None:
    with pytest.raises(InvalidKeyError, match=why):
        environment.check(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"root": None},
        {"root": {}},
        {"root": {"pem": "", "keyId": "0" * 64}},
        {"roles": [{"name": RELEASES, "keys": [{}]}]},
        {"roles": [{"name": RELEASES, "keys": [{**SIGNER, "keyId": "0" * 64}]}]},
        {"root": {"keyId": "0" * 63}},
        {"root": {"keyId": "A" * 64}},
        {"roles": [{"name": "releases", "keys": [SIGNER]}]},
        {"roles": [{"name": "targets/../root", "keys": [SIGNER]}]},
        {"roles": [{"name": "targets/", "keys": [SIGNER]}]},
        {"roles": [{"name": RELEASES, "keys": []}]},
        {"roles": [{"name": RELEASES}]},
        {"server": "dtr.example.org"},
        {"server": "https://user:password@dtr.example.org"},
        {"server": "https://dtr.example.org/?a=b"},
        {"server": "ftp://dtr.example.org"},
        {"unknown": 1},
    ],
)
def test_a_spec_outside_the_schema_is_refused(environment: NotaryEnvironment, fields: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        environment.spec(**fields)


def test_keys_may_stand_in_secrets(environment: NotaryEnvironment) -> None:
    spec = environment.spec(roles=[{"name": RELEASES, "keys": [{"secretRef": {"name": "ucp", "key": "alice.pem"}}]}])
    for pem in (environment.alice.public_pem, environment.alice.certificate_pem):
        check = build(spec, FileKeys({"ucp": {"alice.pem": pem.encode()}}))
        assert check.verify(environment.image(), environment.sources()).fingerprints == (environment.alice.fingerprint,)
    with pytest.raises(UnavailableError):
        build(spec, FileKeys({}))
    for odd in (b"", b"\xff\xfe", environment.alice.private_pem.encode()):
        with pytest.raises(InvalidKeyError, match=r"notary\.roles\[0\]\.keys\[0\]: "):
            build(spec, FileKeys({"ucp": {"alice.pem": odd}}))


def test_content_of_a_check_covers_every_deciding_field(environment: NotaryEnvironment) -> None:
    spec = environment.spec(roles=[{"name": RELEASES, "keys": [{"secretRef": {"name": "ucp", "key": "alice.pem"}}]}])
    contents = {
        environment.check().content,
        environment.check(allowAnyTag=True).content,
        environment.check(server="https://other.example.org").content,
        environment.check(root={"keyId": environment.root.key_id}).content,
        environment.check(roles=[role(RELEASES, environment.alice)]).content,
        environment.check(roles=[role(RELEASES, environment.bob)]).content,
        environment.check(roles=[]).content,
        build(spec, FileKeys({"ucp": {"alice.pem": environment.alice.public_pem.encode()}})).content,
        build(spec, FileKeys({"ucp": {"alice.pem": environment.bob.public_pem.encode()}})).content,
        build(spec, FileKeys({"ucp": {"alice.pem": environment.alice.certificate_pem.encode()}})).content,
    }
    assert len(contents) == 10
    assert environment.check().content == environment.check().content


def test_check_reports_its_format_and_host(environment: NotaryEnvironment) -> None:
    check = environment.check()
    assert (check.format, check.depends_on_tag) == ("notary", True)
    assert check.budget_host(environment.image()) == environment.dtr.host
    assert environment.check(server="https://Notary.Example.org:4443/base/").budget_host(environment.image()) == (
        "notary.example.org:4443"
    )


def test_default_server_is_the_registry_or_docker_hubs_notary() -> None:
    with NotaryEnvironment() as environment:
        check = environment.check(server=None)
        assert check.budget_host(environment.image()) == environment.dtr.host
    with NotaryEnvironment(dtr_options={"tls": True}) as environment:
        environment.verify(server=None, ca={"pem": environment.dtr.ca_pem})
        assert environment.dtr.asked[0] == "root"


def test_docker_hub_has_its_notary_elsewhere(environment: NotaryEnvironment) -> None:
    image = environment.image_of("docker.io/library/alpine:3")
    assert environment.check(server=None).budget_host(image) == "notary.docker.io"
    assert PATH not in str(image.reference)
