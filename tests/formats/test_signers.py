"""Every format reports the keys that it accepts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sealgate.formats.build import build_check
from sealgate.formats.signers import signers_of, unusable_keys
from sealgate.keys.resolvers import FileKeys
from sealgate.policies.satisfiability import count_reachable
from sealgate.reasons import Reason
from tests.support.builders.objects import authenticator_model
from tests.support.clocks import NOW
from tests.support.signers.notary import certified, ecdsa_signer
from tests.support.signers.private_keys import fingerprint, new_key, public_pem
from tests.support.signers.simple_signing import AFTER_SPOILT, armored_key, keyring

KEY = new_key("ECDSA P-256", "signers")
RSA = new_key("RSA 2048", "signers")
SIGNER = ecdsa_signer()
OPENPGP = keyring("rsa-3072").states(NOW)[0].fingerprint


def notary(*keys: dict[str, str]) -> dict[str, Any]:
    roles = [{"name": "targets/releases", "keys": list(keys)}] if keys else []
    return {"notary": {"root": {"keyId": "0a" * 32}, "roles": roles}}


SPECS: list[tuple[dict[str, Any], set[str] | None]] = [
    ({"cosign": {"keys": [{"pem": public_pem(KEY)}]}}, {fingerprint(KEY)}),
    ({"simpleSigning": {"keyring": {"inline": armored_key("rsa-3072")}, "store": {"openshift": {}}}}, {OPENPGP}),
    (
        {
            "grafeas": {
                "server": "https://grafeas.example.org",
                "note": "projects/prod/notes/qa",
                "keys": [{"pem": public_pem(KEY)}, {"pgp": armored_key("rsa-3072")}],
            }
        },
        {fingerprint(KEY), OPENPGP},
    ),
    (
        {
            "oracle": {
                "region": "us-phoenix-1",
                "compartmentId": "ocid1.compartment.oc1..a",
                "trustedKeys": [{"keyId": "ocid1.key.oc1.phx.vault.k", "pem": public_pem(RSA)}],
            }
        },
        {fingerprint(RSA)},
    ),
    (notary({"pem": SIGNER.public_pem}), {SIGNER.fingerprint}),
    (notary({"pem": SIGNER.public_pem}, {"keyId": "0b" * 32}), None),
    (notary(), None),
]


def check_of(spec: dict[str, Any]) -> Any:
    return build_check(authenticator_model("a", spec=spec), FileKeys({}))


@pytest.mark.parametrize(("spec", "signers"), SPECS)
def test_signers_are_known_before_an_image_is_verified(spec: dict[str, Any], signers: set[str] | None) -> None:
    assert signers_of(check_of(spec), NOW) == signers
    assert unusable_keys(check_of(spec), NOW) == ()


@pytest.mark.parametrize(("spec", "signers"), [found for found in SPECS if found[1] is not None and len(found[1]) == 1])
def test_two_authenticators_with_one_key_are_one_signer(spec: dict[str, Any], signers: set[str]) -> None:
    check = check_of(spec)
    assert count_reachable({name: signers_of(check, NOW) for name in ("one", "two")}) == len(signers)


@pytest.mark.parametrize(
    "spec",
    [
        {"simpleSigning": {"keyring": {"inline": armored_key("expired")}, "store": {"openshift": {}}}},
        {
            "grafeas": {
                "server": "https://grafeas.example.org",
                "note": "projects/prod/notes/qa",
                "keys": [{"pgp": armored_key("expired")}],
            }
        },
    ],
)
def test_expired_keys_are_not_signers(spec: dict[str, Any]) -> None:
    check = check_of(spec)
    assert signers_of(check, AFTER_SPOILT) == frozenset()
    (key,) = unusable_keys(check, AFTER_SPOILT)
    assert key.reason is Reason.EXPIRED
    assert key.name == f"OpenPGP key {key.fingerprint}"
    assert key.message


def test_notary_signer_with_an_expired_certificate_is_unusable() -> None:
    signer = certified("alice", begins=NOW - timedelta(days=9), ends=NOW - timedelta(days=1))
    check = check_of(notary({"pem": signer.certificate_pem}))
    assert signers_of(check, NOW) == frozenset()
    (key,) = unusable_keys(check, NOW)
    assert (key.fingerprint, key.reason) == (signer.fingerprint, Reason.EXPIRED)


@pytest.mark.parametrize("other", [{"anyPermittedKey": True}, {"keys": [{"keyId": "0b" * 32}]}])
def test_no_other_role_makes_up_for_one_whose_signers_are_unusable(other: dict[str, Any]) -> None:
    signer = certified("alice", begins=NOW - timedelta(days=9), ends=NOW - timedelta(days=1))
    spec = notary({"pem": signer.certificate_pem})
    spec["notary"]["roles"].append({"name": "targets/a", **other})
    assert signers_of(check_of(spec), NOW) == frozenset()
    assert [key.fingerprint for key in unusable_keys(check_of(spec), NOW)] == [signer.fingerprint]
    assert signers_of(check_of(spec), NOW - timedelta(days=2)) is None
