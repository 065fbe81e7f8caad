"""Keys that the operator wrote into a status, from Secrets and KMSs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.api.v1alpha1.status import AuthenticatorStatus, KeyStatus
from sealgate.errors import InvalidKeyError, KeyRefusedError, UnavailableError
from sealgate.keys.status_keys import StatusKeys
from sealgate.reasons import Reason
from tests.support.clocks import NOW
from tests.support.signers.private_keys import fingerprint, new_key, public_pem
from tests.support.signers.sm2 import SM2PrivateKey

SM2 = SM2PrivateKey.generate()
HUAWEI = {"region": "cn-north-4", "projectId": "0a1b", "keyId": "b1c2", "credentialsSecret": {"name": "dew"}}
ALIBABA = {"region": "cn-hongkong", "keyId": "key-1", "credentialsSecret": {"name": "ram"}}
HUAWEI_SOURCE = "kms huawei cn-north-4/0a1b/b1c2"
ALIBABA_SOURCE = "kms alibaba cn-hongkong/key-1"
LATER, EARLIER = ((NOW + timedelta(seconds=seconds)).isoformat() for seconds in (60, -60))


def entry(kms: dict[str, Any], **members: str) -> KeyEntry:
    return KeyEntry.model_validate({"kms": kms, **members})


def key(source: str, pem: str, **members: Any) -> KeyStatus:
    return KeyStatus(**{"source": source, "state": "Accepted", "pem": pem, "valid_until": LATER, **members})


def keys(*known: KeyStatus) -> StatusKeys:
    return StatusKeys(AuthenticatorStatus(keys=known), NOW)


def refused(resolver: StatusKeys, wanted: KeyEntry) -> str:
    with pytest.raises(UnavailableError) as caught:
        resolver.public_keys(wanted)
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY
    return caught.value.message


def test_a_key_out_of_a_kms_has_the_algorithm_and_the_id_of_the_spec() -> None:
    resolver = keys(key(HUAWEI_SOURCE, SM2.public_pem, algorithm="ECDSA_SHA_256"))
    (found,) = resolver.public_keys(entry({"huawei": HUAWEI}, algorithm="SM2", distinguishingId="release"))
    found.verify(SM2.sign(b"message", b"release"), b"message")
    assert resolver.valid_until == NOW + timedelta(seconds=60)


def test_key_id_of_the_spec_applies_to_inline_and_secret_keys() -> None:
    inline = KeyEntry.model_validate({"pem": SM2.public_pem, "algorithm": "SM2", "distinguishingId": "release"})
    reference = {"name": "a", "key": "b"}
    secret = KeyEntry.model_validate({"secretRef": reference, "algorithm": "SM2", "distinguishingId": "release"})
    resolver = keys(key("secretRef a/b", SM2.public_pem, valid_until=None))
    for wanted in (inline, secret):
        (found,) = resolver.public_keys(wanted)
        assert found.distinguishing_id == "release"


def test_every_version_counts_unless_the_spec_names_one() -> None:
    first, second = new_key("ECDSA P-256", "one"), new_key("ECDSA P-256", "two")
    resolver = keys(
        key(ALIBABA_SOURCE, public_pem(first), key_version="v1"),
        key(ALIBABA_SOURCE, public_pem(second), key_version="v2"),
    )
    all_of_them = resolver.public_keys(entry({"alibaba": ALIBABA}))
    assert [found.fingerprint for found in all_of_them] == [fingerprint(first), fingerprint(second)]
    (only,) = resolver.public_keys(entry({"alibaba": {**ALIBABA, "keyVersionId": "v2"}}))
    assert only.fingerprint == fingerprint(second)
    assert "not read it yet" in refused(resolver, entry({"alibaba": {**ALIBABA, "keyVersionId": "v3"}}))


def test_refused_key_is_never_used_and_has_a_reason() -> None:
    whole = KeyStatus(source=ALIBABA_SOURCE, state="Refused", reason="Disabled", message="the key is disabled")
    named = entry({"alibaba": {**ALIBABA, "keyVersionId": "v1"}})
    for wanted in (named, entry({"alibaba": ALIBABA})):
        assert "the key is disabled" in refused(keys(whole), wanted)
        with pytest.raises(KeyRefusedError):
            keys(whole).public_keys(wanted)


def test_a_refused_key_is_not_used_although_the_status_has_it() -> None:
    resolver = keys(key(HUAWEI_SOURCE, SM2.public_pem, state="Refused", reason="Disabled", message="it is disabled"))
    assert "it is disabled" in refused(resolver, entry({"huawei": HUAWEI}))


@pytest.mark.parametrize("known", [(), (Reason.REGISTRY_UNAVAILABLE,), ("Disabled", Reason.REGISTRY_UNAVAILABLE)])
def test_unchecked_key_is_not_refused(known: tuple[str, ...]) -> None:
    listed = [KeyStatus(source=ALIBABA_SOURCE, state="Refused", reason=reason, message="so it is") for reason in known]
    with pytest.raises(UnavailableError) as caught:
        keys(*listed).public_keys(entry({"alibaba": ALIBABA}))
    assert not isinstance(caught.value, KeyRefusedError)


def test_a_key_that_ended_is_not_used() -> None:
    for end in (EARLIER, NOW.isoformat(), "soon", NOW.replace(tzinfo=None).isoformat()):
        resolver = keys(key(HUAWEI_SOURCE, SM2.public_pem, valid_until=end))
        assert "has to be read again" in refused(resolver, entry({"huawei": HUAWEI}))
        assert resolver.valid_until is None


def test_key_of_another_source_is_not_used() -> None:
    resolver = keys(key(HUAWEI_SOURCE, SM2.public_pem))
    for other in ({"region": "cn-north-1"}, {"projectId": "other"}, {"keyId": "other"}):
        assert "the operator has not read it yet" in refused(resolver, entry({"huawei": {**HUAWEI, **other}}))
    assert refused(resolver, entry({"alibaba": ALIBABA}))


def test_a_key_that_does_not_fit_the_spec_is_refused() -> None:
    resolver = keys(key(HUAWEI_SOURCE, SM2.public_pem))
    with pytest.raises(InvalidKeyError, match="does not fit"):
        resolver.public_keys(entry({"huawei": HUAWEI}, algorithm="ECDSA_SHA_256"))
