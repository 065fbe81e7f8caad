"""Building a check from a cosign authenticator: keys are loaded, content is hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.authenticator import Authenticator, AuthenticatorSpec
from sealgate.api.v1alpha1.cosign import CosignSpec
from sealgate.api.v1alpha1.model import Metadata
from sealgate.errors import InvalidKeyError, InvalidReferenceError, PolicyError, UnavailableError
from sealgate.formats.build import FORMATS, build_check
from sealgate.keys.resolvers import FileKeys
from sealgate.reasons import Reason
from tests.support.builders.objects import authenticator_model
from tests.support.environments.cosign import cosign_check
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from tests.support.environments.cosign import CosignEnvironment

KEY = new_key("ECDSA P-256", "release")
OTHER = new_key("RSA 2048")


def build(spec: dict[str, Any]) -> None:
    build_check(authenticator_model("release", spec=spec), FileKeys({}))


def test_cosign_is_one_of_the_formats() -> None:
    assert "cosign" in FORMATS
    check = cosign_check(KEY)
    assert check.format == "cosign"
    assert check.depends_on_tag is False


def test_budget_is_that_of_the_signature_registry(environment: CosignEnvironment) -> None:
    assert cosign_check(KEY).budget_host(environment.image()) == environment.registry.host
    elsewhere = cosign_check(KEY, signatureRepository="Signatures.example.org:443/all")
    assert elsewhere.budget_host(environment.image()) == "signatures.example.org"


def test_content_differs_if_the_outcome_can_differ() -> None:
    checks = [
        cosign_check(KEY),
        cosign_check(OTHER),
        cosign_check(KEY, OTHER),
        cosign_check({"pem": public_pem(OTHER), "algorithm": "RSA_PSS_SHA_256"}),
        cosign_check(KEY, annotations={"a": "b"}),
        cosign_check(KEY, annotations={"a": "c"}),
        cosign_check(KEY, annotations={"a": "b", "c": "d"}),
        cosign_check(KEY, matchRepository=True),
        cosign_check(KEY, signatureRepository="registry.example.org/a"),
        cosign_check(KEY, signatureRepository="registry.example.org/b"),
    ]
    assert len({check.content for check in checks}) == len(checks)


def test_equivalent_spellings_have_the_same_content() -> None:
    def same(one: Any, other: Any) -> bool:
        return bool(one.content == other.content)

    assert same(cosign_check(KEY, OTHER), cosign_check(OTHER, KEY, KEY))
    assert same(cosign_check(OTHER), cosign_check({"pem": public_pem(OTHER), "algorithm": "RSA_PKCS1_SHA_256"}))
    assert same(cosign_check(KEY, annotations={}), cosign_check(KEY))
    one = cosign_check(KEY, annotations={"a": "b", "c": "d"}, signatureRepository="registry.example.org:443/a")
    assert same(one, cosign_check(KEY, annotations={"c": "d", "a": "b"}, signatureRepository="Registry.example.org/a"))


@pytest.mark.parametrize("pem", ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_unacceptable_key_is_named_by_its_index(pem: str) -> None:
    with pytest.raises(InvalidKeyError, match=r"^cosign\.keys\[1\]: it is "):
        build({"cosign": {"keys": [{"pem": public_pem(KEY)}, {"pem": pem}]}})


def test_missing_key_is_named_by_its_source() -> None:
    with pytest.raises(UnavailableError, match=r"^Secret gone is not among") as caught:
        build({"cosign": {"keys": [{"secretRef": {"name": "gone", "key": "cosign.pub"}}]}})
    assert caught.value.reason is Reason.AUTHENTICATOR_NOT_READY


def test_a_signature_repository_must_be_one() -> None:
    with pytest.raises(InvalidReferenceError, match="neither tag nor digest"):
        cosign_check(KEY, signatureRepository="registry.example.org/signatures:v1")


def test_authenticator_without_format_or_keys_is_refused() -> None:
    empty = Authenticator.model_construct(
        api_version="sealgate.dev/v1alpha1",
        kind="Authenticator",
        metadata=Metadata(name="release"),
        spec=AuthenticatorSpec.model_construct(),
    )
    with pytest.raises(PolicyError, match="Authenticator release must have exactly one format; write one of: cosign"):
        build_check(empty, FileKeys({}))
    keyless = CosignSpec.model_construct(keys=(), annotations={}, match_repository=False, signature_repository=None)
    no_keys = empty.model_copy(update={"spec": AuthenticatorSpec.model_construct(cosign=keyless)})
    with pytest.raises(InvalidKeyError, match="without a key no signature can count"):
        build_check(no_keys, FileKeys({}))
