"""Keys from the policy or from a Secret in the policy files."""

from __future__ import annotations

import pytest

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.api.v1alpha1.model import SecretKeySelector
from sealgate.errors import InvalidKeyError, UnavailableError
from sealgate.keys.algorithms import Algorithm
from sealgate.keys.resolvers import FileKeys
from sealgate.reasons import Reason
from tests.support.signers.private_keys import fingerprint, new_key, public_pem

KEY = new_key("ECDSA P-384")
PEM = public_pem(KEY)
SECRETS = {"release": {"cosign.pub": PEM.encode(), "bad": b"ssh-rsa AAAA", "empty": b""}}


def entry(**members: object) -> KeyEntry:
    return KeyEntry.model_validate(members)


def test_an_inline_key_is_loaded_with_its_algorithm() -> None:
    (key,) = FileKeys({}).public_keys(entry(pem=PEM, algorithm="ECDSA_SHA_256"))
    assert (key.fingerprint, key.algorithm) == (fingerprint(KEY), Algorithm.ECDSA_SHA_256)


def test_a_key_in_a_secret_is_loaded() -> None:
    (key,) = FileKeys(SECRETS).public_keys(entry(secretRef={"name": "release", "key": "cosign.pub"}))
    assert (key.fingerprint, key.algorithm) == (fingerprint(KEY), Algorithm.ECDSA_SHA_384)


@pytest.mark.parametrize(
    ("name", "key", "what"),
    [
        ("other", "cosign.pub", "Secret other is not among the policy files"),
        ("release", "other.pub", r"Secret release has no key other\.pub"),
    ],
)
def test_missing_secret_or_key_is_named_and_not_ready(name: str, key: str, what: str) -> None:
    with pytest.raises(UnavailableError, match=what) as caught:
        FileKeys(SECRETS).public_keys(entry(secretRef={"name": name, "key": key}))
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY


@pytest.mark.parametrize(("key", "what"), [("bad", "key bad of Secret release: it is an SSH key"), ("empty", "empty")])
def test_a_secret_that_holds_no_key_is_named(key: str, what: str) -> None:
    with pytest.raises(InvalidKeyError, match=what):
        FileKeys(SECRETS).public_keys(entry(secretRef={"name": "release", "key": key}))


@pytest.mark.parametrize(("pem", "secret"), [(None, None), (PEM, SecretKeySelector(name="release", key="cosign.pub"))])
def test_an_entry_has_exactly_one_source(pem: str | None, secret: SecretKeySelector | None) -> None:
    unchecked = KeyEntry.model_construct(pem=pem, secret_ref=secret, kms=None, algorithm=None)
    with pytest.raises(InvalidKeyError, match="exactly one source"):
        FileKeys(SECRETS).public_keys(unchecked)
