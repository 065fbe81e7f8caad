from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.dependencies import secrets_named_in
from sealgate.api.v1alpha1.status import KeyStatus
from sealgate.formats.build import build_check
from sealgate.keys.openpgp.packets import armored_blocks
from sealgate.keys.status_keys import StatusKeys
from sealgate.kms.key_source import RETRY_SECONDS, KMSKeySource
from sealgate.kms.resolve import REFRESH_SECONDS
from sealgate.service_secrets import MappingServiceSecrets
from sealgate_operator.keys.secrets import SecretKeys
from sealgate_operator.status.authenticators import assess
from tests.operator.objects import authenticator, cosign, fingerprint_of, inline, pem, secret_ref
from tests.support.clocks import NOW
from tests.support.environments.kms import KMSEnvironment
from tests.support.signers.private_keys import new_key, public_pem
from tests.support.signers.sigstore import make_sigstore
from tests.support.signers.simple_signing import AFTER_SPOILT, BEFORE_SPOILT, armored_key
from tests.support.signers.sm2 import SM2PrivateKey
from tests.support.simulators.alibaba_kms import AlibabaKMSSimulator
from tests.support.simulators.huawei_dew import DEWSimulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate_operator.status.authenticators import Assessment

Secrets = dict[str, dict[str, bytes]]


def assess_object(
    obj: dict[str, Any], secrets: Secrets | None = None, now: datetime = NOW, others: Sequence[Any] = ()
) -> Assessment:
    return assess(obj, SecretKeys((secrets or {}).get, {"own"}), others, now)


def simple_signing(keyring: dict[str, Any], **options: Any) -> dict[str, Any]:
    return authenticator("ops", {"simpleSigning": {"keyring": keyring, "store": {"openshift": {}}, **options}})


def condition(assessment: Assessment) -> tuple[str, str]:
    ready = assessment.status.conditions[0]
    return ready.status, ready.reason


def test_inline_keys_are_ready_and_stay_out_of_the_status() -> None:
    found = assess_object(authenticator("a", cosign(inline("one"), inline("two"))))
    assert condition(found) == ("True", "KeysResolved")
    assert (found.status.format, found.status.key_summary, found.status.keys) == ("cosign", "2/2", ())
    assert found.fingerprints == frozenset({fingerprint_of("one"), fingerprint_of("two")})


def test_secret_key_is_written_to_the_status_for_the_webhook() -> None:
    obj = authenticator("a", cosign(secret_ref("keys"), inline("two")))
    found = assess_object(obj, {"keys": {"cosign.pub": pem("one").encode()}})
    (key,) = found.status.keys
    assert key.source == "secretRef keys/cosign.pub"
    assert (key.state, key.algorithm, key.fingerprint) == ("Accepted", "ECDSA_SHA_256", fingerprint_of("one"))
    assert (key.observed_at, key.observed_generation, key.valid_until) == ("2026-11-21T12:00:00Z", 1, None)
    assert found.status.key_summary == "2/2"
    resolved = StatusKeys(found.status, NOW)
    check = build_check(Authenticator.model_validate(obj), resolved)
    both_inline = Authenticator.model_validate(authenticator("a", cosign(inline("one"), inline("two"))))
    assert check.content == build_check(both_inline, resolved).content


@pytest.mark.parametrize("algorithm", [None, "RSA_PSS_SHA_256"])
def test_status_has_an_algorithm_only_if_the_spec_has_one(
    algorithm: str | None,
) -> None:
    key_id = "ocid1.key.oc1.phx.vault.k"
    entry = {"keyId": key_id, **secret_ref("keys"), **({"algorithm": algorithm} if algorithm else {})}
    fields = {"region": "us-phoenix-1", "compartmentId": "ocid1.compartment.oc1..a", "trustedKeys": [entry]}
    rsa = public_pem(new_key("RSA 2048", "vault")).encode()
    found = assess_object(authenticator("a", {"oracle": fields}), {"keys": {"cosign.pub": rsa}})
    assert [key.algorithm for key in found.status.keys] == [algorithm]
    assert found.ready


def test_unchanged_input_keeps_the_status() -> None:
    obj = authenticator("a", cosign(secret_ref("keys")))
    secrets = {"keys": {"cosign.pub": pem("one").encode()}}
    first = assess_object(obj, secrets)
    again = assess_object({**obj, "status": first.status.model_dump(by_alias=True)}, secrets, NOW + timedelta(hours=1))
    assert again.status == first.status


def test_changed_secret_key_is_an_observation_not_a_transition() -> None:
    obj = authenticator("a", cosign(secret_ref("keys")))
    first = assess_object(obj, {"keys": {"cosign.pub": pem("one").encode()}})
    later = assess_object(
        {**obj, "status": first.status.model_dump(by_alias=True)},
        {"keys": {"cosign.pub": pem("two").encode()}},
        NOW + timedelta(hours=1),
    )
    assert later.status.keys[0].fingerprint == fingerprint_of("two")
    assert later.status.keys[0].observed_at == "2026-11-21T13:00:00Z"
    assert later.status.conditions[0].last_transition_time == "2026-11-21T12:00:00Z"


@pytest.mark.parametrize(
    ("secrets", "reason", "expected"),
    [
        ({}, "SecretNotFound", "there is no Secret keys in sealgate's namespace; create it there"),
        ({"keys": {"other": b""}}, "SecretKeyNotFound", "Secret keys has no key cosign.pub; add it"),
        ({"keys": {"cosign.pub": b"rubbish"}}, "KeyRefused", "it is not PEM"),
        ({"keys": {"cosign.pub": b""}}, "KeyRefused", "it is empty"),
        ({"keys": {"cosign.pub": b"\xff\xfe"}}, "KeyRefused", "convert DER"),
    ],
)
def test_secret_without_a_good_key_is_reported_with_an_action(secrets: Secrets, reason: str, expected: str) -> None:
    found = assess_object(authenticator("a", cosign(secret_ref("keys"))), secrets)
    assert condition(found) == ("False", reason)
    assert expected in found.message
    assert found.status.keys[0].state == "Refused"
    assert found.status.keys[0].pem is None
    assert found.status.key_summary == "0/1"
    assert found.fingerprints is None


def test_every_key_is_listed_after_a_refused_one() -> None:
    obj = authenticator("a", cosign(secret_ref("gone"), inline("two"), secret_ref("keys")))
    found = assess_object(obj, {"keys": {"cosign.pub": pem("one").encode()}})
    assert [key.state for key in found.status.keys] == ["Refused", "Accepted"]
    assert found.status.key_summary == "2/3"


def test_a_refused_key_does_not_stop_the_others() -> None:
    obj = authenticator("a", cosign(secret_ref("gone"), inline("two"), secret_ref("keys")))
    found = assess_object(obj, {"keys": {"cosign.pub": pem("one").encode()}})
    assert condition(found) == ("True", "SomeKeysRefused")
    assert "there is no Secret gone" in found.message
    assert found.fingerprints == frozenset({fingerprint_of("one"), fingerprint_of("two")})


def test_invalid_inline_key_is_not_ready() -> None:
    found = assess_object(authenticator("a", cosign({"pem": "rubbish"}, inline("two"))))
    assert condition(found) == ("False", "InvalidKey")
    assert found.status.key_summary == "1/2"
    assert "cosign.keys[0]" in found.message


def test_a_key_that_does_not_fit_its_algorithm_is_refused() -> None:
    obj = authenticator("a", cosign(secret_ref("keys", algorithm="ED25519")))
    found = assess_object(obj, {"keys": {"cosign.pub": pem("one").encode()}})
    assert condition(found) == ("False", "KeyRefused")
    assert "ED25519 does not fit" in found.message


def test_one_secret_may_be_named_twice_with_different_algorithms() -> None:
    entries = [secret_ref("keys", algorithm=algorithm) for algorithm in ("ECDSA_SHA_256", "ECDSA_SHA_512")]
    found = assess_object(authenticator("a", cosign(*entries)), {"keys": {"cosign.pub": pem("one").encode()}})
    assert [key.algorithm for key in found.status.keys] == ["ECDSA_SHA_256", "ECDSA_SHA_512"]
    assert found.ready


def test_invalid_option_is_not_ready() -> None:
    found = assess_object(authenticator("a", cosign(inline("one"), signatureRepository="NOT A REPOSITORY")))
    assert condition(found) == ("False", "InvalidReference")


def test_invalid_object_is_reported_with_its_field() -> None:
    found = assess_object(authenticator("a", {"cosign": {"keys": [], "colour": "red"}}))
    assert condition(found) == ("False", "InvalidSpec")
    assert "spec.cosign" in found.message
    assert not found.ready


def test_invalid_status_is_rewritten() -> None:
    found = assess_object(authenticator("a", cosign(inline("one")), status={"conditions": "none"}))
    assert found.ready


def test_own_secrets_are_not_used_as_keys() -> None:
    found = assess_object(authenticator("a", cosign(secret_ref("own"))), {"own": {"cosign.pub": pem("one").encode()}})
    assert condition(found) == ("False", "SecretNotAllowed")


@pytest.mark.parametrize("binary", [False, True])
def test_secret_keyring_is_written_to_the_status_armored(binary: bool) -> None:  # noqa: FBT001
    text = armored_key("rsa-3072").encode()
    raw = armored_blocks(text)[0][1] if binary else b"To whom it may concern\n" + text
    obj = simple_signing({"secretRef": {"name": "keys", "key": "ring"}})
    found = assess_object(obj, {"keys": {"ring": raw}}, BEFORE_SPOILT)
    assert condition(found) == ("True", "KeysResolved")
    (key,) = found.status.keys
    assert key.pem is not None
    assert key.pem.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n")
    assert armored_blocks(key.pem.encode()) == armored_blocks(text)
    assert (found.status.format, found.status.key_summary) == ("simpleSigning", "1/1")
    assert found.fingerprints is not None
    assert len(found.fingerprints) == 1


@pytest.mark.parametrize(("now", "ready"), [(BEFORE_SPOILT, "True"), (AFTER_SPOILT, "False")])
def test_expired_or_revoked_keyring_is_not_ready(now: datetime, ready: str) -> None:
    found = assess_object(simple_signing({"inline": armored_key("expired")}), now=now)
    assert condition(found) == (ready, "KeysResolved" if ready == "True" else "Expired")
    assert found.ready is (ready == "True")


def test_keyring_with_one_good_key_is_ready_and_names_the_bad_one() -> None:
    keyring = armored_key("expired") + armored_key("rsa-3072")
    found = assess_object(simple_signing({"inline": keyring}), now=AFTER_SPOILT)
    assert condition(found) == ("True", "SomeKeysRefused")
    assert "expired" in found.message


def grafeas(*keys: dict[str, Any]) -> dict[str, Any]:
    spec = {"server": "https://grafeas.example.org", "note": "projects/release/notes/signed", "keys": list(keys)}
    return authenticator("attestor", {"grafeas": spec})


@pytest.mark.parametrize(("now", "ready"), [(BEFORE_SPOILT, "True"), (AFTER_SPOILT, "False")])
def test_expired_attestation_key_is_not_ready(now: datetime, ready: str) -> None:
    found = assess_object(grafeas({"pgp": armored_key("expired")}), now=now)
    assert condition(found) == (ready, "KeysResolved" if ready == "True" else "Expired")


def test_expired_attestation_key_is_named_beside_a_good_one() -> None:
    found = assess_object(grafeas({"pgp": armored_key("expired")}, inline("one")), now=AFTER_SPOILT)
    assert condition(found) == ("True", "SomeKeysRefused")
    assert found.fingerprints == frozenset({fingerprint_of("one")})


def test_pinned_certificate_missing_in_the_keyring_is_not_ready() -> None:
    found = assess_object(
        simple_signing({"inline": armored_key("rsa-3072")}, fingerprints=["A" * 40]), now=BEFORE_SPOILT
    )
    assert condition(found) == ("False", "InvalidKey")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"-----BEGIN PRIVATE KEY-----", "holds a private key"),
        (b"hello", "neither OpenPGP public keys, nor certificates"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n", "does not end"),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n", "cannot be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "cannot be read"),
    ],
)
def test_invalid_keyring_is_refused(content: bytes, expected: str) -> None:
    found = assess_object(simple_signing({"secretRef": {"name": "keys", "key": "ring"}}), {"keys": {"ring": content}})
    assert expected in found.message
    assert found.status.keys[0].state == "Refused"


def test_trusted_root_in_a_secret_is_copied_to_the_status() -> None:
    root = json.dumps(make_sigstore().trusted_root())
    identity = {"issuer": "https://accounts.example.com", "subject": "jane@example.com"}
    reference = {"secretRef": {"name": "sigstore", "key": "trusted_root.json"}}
    obj = authenticator("release", {"cosign": {"keyless": {"identities": [identity]}, "trustedRoot": reference}})
    found = assess_object(obj, {"sigstore": {"trusted_root.json": root.encode()}})
    assert condition(found) == ("True", "KeysResolved")
    assert json.loads(found.status.keys[0].pem or "") == json.loads(root)
    assert found.fingerprints is None
    assert condition(assess_object(obj, {})) == ("False", "SecretNotFound")
    wrong = assess_object(obj, {"sigstore": {"trusted_root.json": b'{"mediaType": "x"}'}})
    assert condition(wrong) == ("False", "KeyRefused")


def test_the_signers_of_a_notary_role_may_be_in_secrets() -> None:
    role = {"name": "targets/releases", "keys": [secret_ref("keys"), {"keyId": "a" * 64}]}
    obj = authenticator("dtr", {"notary": {"root": {"keyId": "b" * 64}, "roles": [role]}})
    found = assess_object(obj, {"keys": {"cosign.pub": pem("one").encode()}})
    assert condition(found) == ("True", "KeysResolved")
    assert found.status.key_summary == "3/3"
    assert found.fingerprints is None


class Vault:
    """A key source that cannot be watched: `pem` is its key, by the names that Secrets have."""

    def __init__(self, *keys: KeyStatus) -> None:
        self.keys = keys
        self.known: list[KeyStatus] = []

    def name(self, entry: KeyEntry) -> str | None:
        found = entry.secret_ref is not None and entry.secret_ref.name.startswith("vault-")
        return "secretRef vault-1/key" if found else None

    def observe(self, _: KeyEntry, known: Sequence[KeyStatus], __: datetime) -> tuple[KeyStatus, ...]:
        self.known = list(known)
        return self.keys

    def refresh_after(self, _: KeyEntry) -> float | None:
        return 60.0


class NoSecrets(SecretKeys):
    def name(self, _: KeyEntry) -> str | None:
        return None


def test_two_entries_may_name_different_versions_of_a_key() -> None:
    with KMSEnvironment(AlibabaKMSSimulator) as environment:
        assert isinstance(environment.kms, AlibabaKMSSimulator)
        environment.kms.add(environment.key_id, "EC_SM2", "one", "two")
        kms = KMSKeySource(environment.client, MappingServiceSecrets(environment.secrets), environment.clock)
        entries = [{"kms": {"alibaba": environment.source(keyVersionId=version)}} for version in ("one", "two")]
        found = assess(authenticator("a", cosign(*entries)), SecretKeys(lambda _: None), [kms], environment.clock.now())
        assert [key.key_version for key in found.status.keys] == ["one", "two"]
        assert condition(found) == ("True", "KeysResolved")
        assert found.fingerprints is not None
        assert len(found.fingerprints) == 2


def test_unchecked_key_is_reconciled_again_soon() -> None:
    with KMSEnvironment(DEWSimulator) as environment:
        environment.add_key()
        kms = KMSKeySource(environment.client, MappingServiceSecrets(environment.secrets), environment.clock)
        environment.kms.faults.status("", 503, times=1)
        obj = authenticator("a", cosign({"kms": {"huawei": environment.source()}}))
        away = assess(obj, SecretKeys(lambda _: None), [kms], environment.clock.now())
        assert (away.ready, away.refresh_seconds) == (False, RETRY_SECONDS)
        back = assess(obj, SecretKeys(lambda _: None), [kms], environment.clock.now())
        assert (back.ready, back.refresh_seconds) == (True, REFRESH_SECONDS)


def test_further_source_limits_key_validity_and_is_refreshed() -> None:
    end = (NOW + timedelta(minutes=5)).isoformat()
    accepted = KeyStatus(source="secretRef vault-1/key", state="Accepted", pem=pem("one"), valid_until=end)
    disabled = KeyStatus(source="secretRef vault-1/key", state="Refused", reason="Disabled", message="version 1 is off")
    vault = Vault(accepted, disabled)
    obj = authenticator("a", cosign(secret_ref("vault-1", "key")))
    found = assess(obj, NoSecrets(lambda _: None), [vault], NOW)
    assert condition(found) == ("True", "SomeKeysRefused")
    assert found.refresh_seconds == 60
    assert found.status.key_summary == "1/2"
    obj["status"] = found.status.model_dump(by_alias=True)
    late = assess(obj, NoSecrets(lambda _: None), [vault], NOW + timedelta(minutes=6))
    assert condition(late)[0] == "False"
    assert len(vault.known) == 2


def test_key_of_an_unknown_source_is_not_ready() -> None:
    found = assess(authenticator("a", cosign(secret_ref("keys"))), NoSecrets(lambda _: None), [], NOW)
    assert condition(found) == ("False", "AuthenticatorNotReady")


def test_secrets_are_found_in_every_field() -> None:
    spec: dict[str, Any] = {
        "a": [{"secretRef": {"name": "one"}}],
        "b": {"c": {"secretRef": {"name": "two"}}},
        "d": {"secretRef": 7},
    }
    spec["e"] = {"kms": {"credentialsSecret": {"name": "three"}}}
    assert secrets_named_in(spec) == {"one", "two", "three"}
    assert secrets_named_in({"secretRef": {"name": 7}}) == frozenset()


def test_sm2_keys_in_secrets_keep_the_id_of_their_signer() -> None:
    entry = secret_ref("keys", algorithm="SM2", distinguishingId="signer")
    found = assess_object(
        authenticator("a", cosign(entry)), {"keys": {"cosign.pub": SM2PrivateKey.generate().public_pem.encode()}}
    )
    assert condition(found) == ("True", "KeysResolved")
    assert found.status.keys[0].algorithm == "SM2"


def test_kms_key_without_a_reader_is_not_ready() -> None:
    key = {"region": "cn-north-4", "projectId": "0a1b", "keyId": "b1c2", "credentialsSecret": {"name": "x"}}
    found = assess_object(authenticator("a", cosign({"kms": {"huawei": key}})))
    assert condition(found) == ("False", "AuthenticatorNotReady")
    assert "the operator has not read it yet" in found.message
