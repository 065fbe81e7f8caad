"""Building a check from an authenticator: keyring loaded, options compiled, content hashed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from sealgate.errors import InvalidKeyError, InvalidReferenceError, UnavailableError
from sealgate.formats.build import FORMATS
from sealgate.reasons import Reason
from tests.support.environments.simple_signing import OPENSHIFT, REGISTRY, SimpleSigningEnvironment, rule, simple_check
from tests.support.signers.simple_signing import BEFORE_SPOILT, armored_key, keyring, message

EXACT = "registry.example.org/team/api:1.4"
RULES: list[tuple[dict[str, Any], bool]] = [
    (rule("MatchExact"), True),
    (rule("MatchRepoDigestOrExact"), True),
    (rule("MatchRepository"), False),
    (rule("ExactReference", exactReference={"reference": EXACT}), False),
    (rule("ExactRepository", exactRepository={"repository": "registry.example.org/team/api"}), False),
    (rule("RemapIdentity", remapIdentity={"prefix": "mirror.example.org", "signedPrefix": REGISTRY}), True),
]


def test_simple_signing_is_one_of_the_formats() -> None:
    assert "simple_signing" in FORMATS
    assert simple_check().format == "simpleSigning"


@pytest.mark.parametrize(("identity", "expected"), RULES, ids=lambda value: str(value)[:40])
def test_outcome_depends_on_the_tag_if_the_rule_uses_it(identity: Any, expected: bool) -> None:  # noqa: FBT001
    assert simple_check(signedIdentity=identity).depends_on_tag is expected


def test_the_default_rule_is_the_one_of_the_tools() -> None:
    assert simple_check().depends_on_tag
    assert simple_check().identity == simple_check(signedIdentity=rule("MatchRepoDigestOrExact")).identity


def test_verified_ends_with_the_key() -> None:
    with SimpleSigningEnvironment(BEFORE_SPOILT) as environment:
        environment.registry.sign(environment.digest, message("by-expired"))
        check = simple_check("expired", "ed25519")
        assert environment.verify(check).valid_until == datetime(2024, 7, 1, tzinfo=UTC)
        environment.registry.sign(environment.digest, message("good-ed25519"))
        assert environment.verify(check).valid_until == datetime(2024, 7, 1, tzinfo=UTC)
        assert environment.verify(simple_check("ed25519")).valid_until is None


def test_budget_is_that_of_the_requested_host(environment: SimpleSigningEnvironment) -> None:
    assert simple_check().budget_host(environment.image()) == REGISTRY
    web = simple_check(store={"lookaside": {"url": "https://Signatures.example.org:8443/all/"}})
    assert web.budget_host(environment.image()) == "signatures.example.org:8443"
    assert (
        simple_check(store={"lookaside": {"url": "file:///srv/sigstore"}}).budget_host(environment.image()) == "file://"
    )


def test_content_differs_if_the_outcome_can_differ() -> None:
    fingerprint = keyring("ed25519").fingerprints[0]
    checks = [
        simple_check("ed25519"),
        simple_check("rsa-2048"),
        simple_check("ed25519", "rsa-2048"),
        simple_check("ed25519", "rsa-2048", fingerprints=[fingerprint]),
        simple_check(store={"lookaside": {"url": "https://one.example.org"}}),
        simple_check(store={"lookaside": {"url": "https://two.example.org"}}),
        simple_check(store={"lookaside": {"url": "https://two.example.org", "ca": {"pem": "x"}}}),
        *(simple_check(signedIdentity=identity) for identity, _ in RULES if identity != rule("MatchRepoDigestOrExact")),
        simple_check(signedIdentity=rule("ExactReference", exactReference={"reference": f"{EXACT}.1"})),
        simple_check().expecting(EXACT),
        simple_check().expecting(f"{EXACT}.1"),
    ]
    assert len({check.content for check in checks}) == len(checks)
    assert simple_check().content == simple_check().content


def test_a_keyring_may_stand_in_a_secret(environment: SimpleSigningEnvironment) -> None:
    environment.registry.sign(environment.digest, message("good-ed25519"))
    source = {"secretRef": {"name": "ops-gpg", "key": "keyring.asc"}}
    secrets = {"ops-gpg": {"keyring.asc": armored_key("ed25519").encode()}}
    check = simple_check(keyring=source, secrets=secrets)
    assert environment.verify(check).fingerprints == keyring("ed25519").fingerprints
    other = simple_check(keyring=source, secrets={"ops-gpg": {"keyring.asc": armored_key("rsa-2048").encode()}})
    assert other.content != check.content


def test_missing_secret_makes_the_authenticator_not_ready() -> None:
    with pytest.raises(UnavailableError) as caught:
        simple_check(keyring={"secretRef": {"name": "ops-gpg", "key": "keyring.asc"}})
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY


def test_a_keyring_with_a_weak_key_is_refused_with_its_field() -> None:
    with pytest.raises(InvalidKeyError, match=r"^simpleSigning\.keyring: OpenPGP key .* is RSA 1024"):
        simple_check("ed25519", "rsa-1024-too-short")


def test_a_pinned_key_must_be_in_the_keyring() -> None:
    with pytest.raises(InvalidKeyError, match=r"simpleSigning\.keyring: .* not the primary key"):
        simple_check("ed25519", fingerprints=[keyring("stranger").fingerprints[0]])


def test_only_pinned_keys_count(environment: SimpleSigningEnvironment) -> None:
    environment.registry.sign(environment.digest, message("good-rsa-2048"))
    (fingerprint,) = keyring("rsa-2048").fingerprints
    spaced = " ".join(fingerprint[at : at + 4] for at in range(0, 20, 4))
    spaced += "  " + " ".join(fingerprint[at : at + 4] for at in range(20, 40, 4))
    pinned = simple_check("ed25519", "rsa-2048", fingerprints=[spaced])
    assert environment.verify(pinned).fingerprints == (fingerprint,)
    other = simple_check("ed25519", "rsa-2048", fingerprints=list(keyring("ed25519").fingerprints))
    assert environment.refusal(other).reason is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ({"keyring": {}}, "has no source of the keyring"),
        ({"keyring": {"inline": "x", "secretRef": {"name": "a", "key": "b"}}}, "exactly one source"),
        ({"store": {}}, "has no store of signatures"),
        ({"store": {"openshift": {}, "lookaside": {"url": "https://a.example.org"}}}, "exactly one store"),
        ({"store": {"lookaside": {"url": "ftp://a.example.org"}}}, "should match pattern"),
        ({"store": {"lookaside": {"url": "https://user:secret@a.example.org"}}}, "should match pattern"),
        ({"store": {"lookaside": {"url": "https://a.example.org/?a=b"}}}, "should match pattern"),
        ({"store": {"lookaside": {"url": "file://host/srv"}}}, "should match pattern"),
        ({"store": {"lookaside": {"url": "http://a.example.org", "ca": {"pem": "x"}}}}, "only an https address"),
        ({"fingerprints": ["DEADBEEF"]}, "should match pattern"),
        ({"signedIdentity": rule("ExactReference")}, "no exactReference"),
        ({"signedIdentity": rule("ExactRepository")}, "no exactRepository"),
        ({"signedIdentity": rule("RemapIdentity")}, "no remapIdentity"),
        (
            {"signedIdentity": rule("MatchExact", exactReference={"reference": EXACT})},
            "only matchPolicy ExactReference",
        ),
        ({"signedIdentity": rule("matchExact")}, "MatchExact"),
        ({"signedIdentity": {"prefix": "x"}}, "not permitted"),
    ],
)
def test_invalid_spec_is_refused(spec: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        simple_check(**spec)


@pytest.mark.parametrize(
    "spec",
    [
        {"signedIdentity": rule("ExactReference", exactReference={"reference": "registry.example.org/team/api"})},
        {"signedIdentity": rule("ExactReference", exactReference={"reference": "UPPER/case"})},
        {"signedIdentity": rule("ExactRepository", exactRepository={"repository": EXACT})},
        {"signedIdentity": rule("RemapIdentity", remapIdentity={"prefix": "a/b/", "signedPrefix": REGISTRY})},
        {
            "signedIdentity": rule(
                "RemapIdentity", remapIdentity={"prefix": REGISTRY, "signedPrefix": "x.example.org/B"}
            )
        },
        {"signedIdentity": rule("RemapIdentity", remapIdentity={"prefix": "", "signedPrefix": REGISTRY})},
        {"store": {"lookaside": {"url": "https://a.example.org/a/../b"}}},
        {"store": {"lookaside": {"url": "https://a.example.org/a/%2e%2e/b"}}},
        {"store": {"lookaside": {"url": "file:///srv/../etc"}}},
        {"store": {"lookaside": {"url": "file:///srv/%00"}}},
    ],
)
def test_a_name_or_address_that_cannot_be_one_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises((InvalidReferenceError, ValidationError)):
        simple_check(**spec)


def test_registry_store_has_no_settings() -> None:
    with pytest.raises(ValidationError):
        simple_check(store={"openshift": {"url": "https://a.example.org"}})
    assert simple_check(store=OPENSHIFT).store == simple_check().store


@pytest.mark.parametrize(
    ("expected", "accepted"),
    [
        ("registry.example.org/team/api:1.4", True),
        ("Registry.example.org:443/team/api:1.4", True),
        ("registry.example.org/team/api:1.5", False),
        ("registry.example.org/team/web:1.4", False),
        ("registry.example.org/team/api", False),
        ("registry.example.org/team/api@sha256:" + "0" * 64, True),
    ],
)
def test_expected_identity_replaces_the_rule_and_the_image_name(
    environment: SimpleSigningEnvironment,
    expected: str,
    accepted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    environment.registry.sign(environment.digest, message("good-ed25519"))
    elsewhere = "registry.example.org/team/api:whatever"
    check = simple_check().expecting(expected)
    assert not check.depends_on_tag
    if accepted:
        assert environment.verify(check, elsewhere).fingerprints == keyring("ed25519").fingerprints
    else:
        assert environment.refusal(check, elsewhere).reason in {Reason.IDENTITY_MISMATCH, Reason.REPOSITORY_MISMATCH}


@pytest.mark.parametrize("expected", ["", "UPPER/case", f"{EXACT}@sha256:{'0' * 64}"])
def test_an_expected_identity_that_cannot_be_one_is_refused(expected: str) -> None:
    with pytest.raises(InvalidReferenceError):
        simple_check().expecting(expected)
