"""Validation of the `oracle` field, and the members that distinguish two checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from sealgate.errors import InvalidKeyError, KeyRefusedError, PolicyError, UnavailableError, VerificationError
from sealgate.formats.build import build_check
from sealgate.keys.public_keys import PublicKey, load_public_key
from sealgate.keys.resolvers import FileKeys
from sealgate.reasons import Reason
from tests.support.environments.oracle import KEY, STRANGER, OracleEnvironment, trusted
from tests.support.signers.private_keys import fingerprint, new_key, public_pem
from tests.support.simulators.ocir import KEY_ID, VERSION_ID

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.keys import KeyEntry

OTHER_VERSION_ID = "ocid1.keyversion.oc1.phx.bbqehaq3aadfa.other"
VAULT = {
    "endpoint": "https://bbqehaq3aadfa-management.kms.us-phoenix-1.oraclecloud.com",
    "keyId": KEY_ID,
    "credentialsSecret": {"name": "oci"},
}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no keys": ({"trustedKeys": []}, "at least 1 item"),
    "no source": ({"trustedKeys": [{"keyId": KEY_ID}]}, "has no key source"),
    "no key id": ({"trustedKeys": [{"pem": "x"}]}, "keyId"),
    "key id that is none": ({"trustedKeys": [trusted(key_id="ocid1.vault.oc1..x")]}, "keyId"),
    "version that is none": ({"trustedKeys": [trusted(KEY, KEY_ID)]}, "keyVersionIds"),
    "algorithm that no image signature has": (
        {"trustedKeys": [trusted(algorithm="RSA_PKCS1_SHA_256")]},
        "image signatures have RSA_PSS_SHA_224",
    ),
    "key of another KMS": (
        {
            "trustedKeys": [
                {
                    "keyId": KEY_ID,
                    "kms": {"alibaba": {"region": "cn", "keyId": "k", "credentialsSecret": {"name": "a"}}},
                }
            ]
        },
        "not oracle",
    ),
    "another key of the vault": (
        {"trustedKeys": [{"keyId": KEY_ID + "x", "kms": {"oracle": VAULT}}]},
        "another keyId than its kms",
    ),
    "versions beside a vault": (
        {"trustedKeys": [{"keyId": KEY_ID, "keyVersionIds": [VERSION_ID], "kms": {"oracle": VAULT}}]},
        "write them in kms.oracle",
    ),
    "region that is none": ({"region": "us/phoenix"}, "region"),
    "compartment that is none": ({"compartmentId": "prod"}, "compartmentId"),
    "endpoint with a query": ({"endpoint": "https://artifacts.example.org/?x"}, "endpoint"),
    "empty description": ({"description": ""}, "description"),
}


@pytest.mark.parametrize("name", WRONG)
def test_invalid_settings_are_refused(environment: OracleEnvironment, name: str) -> None:
    fields, message = WRONG[name]
    with pytest.raises(ValidationError, match=message):
        environment.authenticator(**fields)


def test_a_key_that_is_not_rsa_is_refused(environment: OracleEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match=r"oracle\.trustedKeys\[0\]: .*does not fit"):
        environment.check(trusted(new_key("ECDSA P-256")))


def test_a_secret_that_is_missing_makes_it_not_ready(environment: OracleEnvironment) -> None:
    authenticator = environment.authenticator({"keyId": KEY_ID, "secretRef": {"name": "vault", "key": "pem"}})
    with pytest.raises(UnavailableError, match=r"^Secret vault is not among") as caught:
        build_check(authenticator, FileKeys({}))
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY
    build_check(authenticator, FileKeys({"vault": {"pem": public_pem(KEY).encode()}}))


class Vault:
    """Resolves entries as if the vault had been read: one key for each version."""

    def __init__(self, **keys: str) -> None:
        self.keys = {VERSION_ID: keys["first"], OTHER_VERSION_ID: keys["second"]}

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        assert entry.kms is not None
        versions = entry.kms.versions or tuple(self.keys)
        found = (load_public_key(self.keys[version], entry.algorithm).of_version(version) for version in versions)
        return tuple(found)

    def secret(self, reference: Any) -> bytes:
        raise AssertionError(reference)

    trusted_root = secret


@pytest.mark.parametrize("versions", [[], [VERSION_ID, OTHER_VERSION_ID]])
def test_all_or_only_the_listed_key_versions_count(environment: OracleEnvironment, versions: list[str]) -> None:
    entry = {"keyId": KEY_ID, "kms": {"oracle": VAULT | {"keyVersionIds": versions}}}
    resolver = Vault(first=public_pem(KEY), second=public_pem(STRANGER))
    check = build_check(environment.authenticator(entry), resolver)
    environment.sign(STRANGER, kmsKeyVersionId=OTHER_VERSION_ID)
    verified = check.verify(environment.image(), environment.sources())
    assert verified.fingerprints == (fingerprint(STRANGER),)


@pytest.mark.parametrize("named", [VERSION_ID, OTHER_VERSION_ID])
def test_unlisted_key_version_does_not_count(environment: OracleEnvironment, named: str) -> None:
    entry = {"keyId": KEY_ID, "kms": {"oracle": VAULT | {"keyVersionIds": [VERSION_ID]}}}
    resolver = Vault(first=public_pem(KEY), second=public_pem(STRANGER))
    check = build_check(environment.authenticator(entry), resolver)
    environment.sign(STRANGER, kmsKeyVersionId=named)
    with pytest.raises(VerificationError):
        check.verify(environment.image(), environment.sources())


def test_the_key_of_one_version_does_not_sign_in_the_name_of_another(environment: OracleEnvironment) -> None:
    """A disabled version stays disabled, even if the next version can sign."""
    entry = {"keyId": KEY_ID, "kms": {"oracle": VAULT}}
    check = build_check(environment.authenticator(entry), Vault(first=public_pem(KEY), second=public_pem(STRANGER)))
    environment.sign(STRANGER, kmsKeyVersionId=VERSION_ID)
    with pytest.raises(VerificationError) as caught:
        check.verify(environment.image(), environment.sources())
    assert caught.value.reason is Reason.INVALID_SIGNATURE


def test_a_version_that_must_not_be_used_leaves_the_others_in_use(environment: OracleEnvironment) -> None:
    class HalfDisabled(Vault):
        def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
            assert entry.kms is not None
            if entry.kms.versions == (OTHER_VERSION_ID,):
                raise KeyRefusedError("kms oracle k: the version is disabled")
            return super().public_keys(entry)

    entries = [
        {"keyId": KEY_ID, "kms": {"oracle": VAULT | {"keyVersionIds": [version]}}}
        for version in (OTHER_VERSION_ID, VERSION_ID)
    ]
    check = build_check(
        environment.authenticator(*entries), HalfDisabled(first=public_pem(KEY), second=public_pem(STRANGER))
    )
    record = environment.sign(KEY)
    assert check.verify(environment.image(), environment.sources()).fingerprints == (fingerprint(KEY),)
    environment.server.records.remove(record)
    environment.sign(STRANGER, kmsKeyVersionId=OTHER_VERSION_ID)
    with pytest.raises(VerificationError, match="the version is disabled") as caught:
        check.verify(environment.image(), environment.sources())
    assert caught.value.reason is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("realm", "host"),
    [
        ("oc1", "artifacts.us-phoenix-1.oci.oraclecloud.com"),
        ("oc3", "artifacts.us-phoenix-1.oci.oraclegovcloud.com"),
        ("oc4", "artifacts.us-phoenix-1.oci.oraclegovcloud.uk"),
    ],
)
def test_the_address_follows_from_region_and_realm(environment: OracleEnvironment, realm: str, host: str) -> None:
    check = environment.check(endpoint=None, compartmentId=f"ocid1.compartment.{realm}..aaaa")
    assert check.service.url == f"https://{host}"
    assert check.budget_host(environment.image()) == host


def test_an_unknown_realm_needs_an_address(environment: OracleEnvironment) -> None:
    with pytest.raises(PolicyError, match="write endpoint"):
        environment.check(endpoint=None, compartmentId="ocid1.compartment.oc99..aaaa")
    environment.check(compartmentId="ocid1.tenancy.oc99..aaaa")


def test_content_covers_every_deciding_field(environment: OracleEnvironment) -> None:
    checks = [
        environment.check(),
        environment.check(trusted(STRANGER)),
        environment.check(trusted(KEY, VERSION_ID)),
        environment.check(trusted(key_id=KEY_ID + "x")),
        environment.check(trusted(algorithm="RSA_PSS_SHA_256")),
        environment.check(region="eu-frankfurt-1"),
        environment.check(endpoint="https://artifacts.example.org"),
        environment.check(compartmentId="ocid1.compartment.oc1..bbbb"),
        environment.check(compartmentIdInSubtree=True),
        environment.check(credentialsSecret={"name": "oci"}),
        environment.check(description="nightly"),
        environment.check(metadata={"buildnumber": "8447"}),
        environment.check(ca={"pem": "x"}),
    ]
    assert len({check.content for check in checks}) == len(checks)
    assert environment.check().content == environment.check().content
    assert (environment.check().format, environment.check().depends_on_tag, environment.check().named_hosts) == (
        "oracle",
        False,
        frozenset(),
    )


class NoKeys:
    """A key source that has lost its keys."""

    def public_keys(self, entry: Any) -> tuple[()]:
        del entry
        return ()

    def secret(self, reference: Any) -> bytes:
        raise AssertionError(reference)

    trusted_root = secret


def test_a_resolver_that_returns_no_keys_makes_no_check(environment: OracleEnvironment) -> None:
    with pytest.raises(InvalidKeyError, match="without a key no signature can count"):
        build_check(environment.authenticator(), NoKeys())
