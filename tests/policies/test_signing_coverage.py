"""What a signing policy covers."""

from __future__ import annotations

from typing import Any

import pytest

from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
from sealgate.errors import InvalidPatternError
from sealgate.policies.signing import SigningCoverage, is_attached

DIGEST_TAG = "sha256-" + "4a" * 32


def coverage(images: list[dict[str, Any]], exclude: tuple[dict[str, Any], ...] = ()) -> SigningCoverage:
    key = {"secretRef": {"name": "release", "key": "key.pem"}}
    document = {"images": images, "excludeImages": list(exclude), "cosign": {}, "key": key}
    return SigningCoverage.compile(SigningPolicySpec.model_validate(document))


def test_repository_and_tag_must_be_covered() -> None:
    policy = coverage([{"repository": "registry.example.org/shop/*", "tags": ["v*"]}])
    assert policy.covers("registry.example.org/shop/web", "v1")
    assert not policy.covers("registry.example.org/shop/web", "dev")
    assert not policy.covers("registry.example.org/other/web", "v1")


def test_exclusion_by_tag_narrows_the_policy() -> None:
    policy = coverage(
        [{"repository": "registry.example.org/shop/*"}], ({"repository": "registry.example.org/**", "tags": ["dev"]},)
    )
    assert policy.covers("registry.example.org/shop/web", "v1")
    assert not policy.covers("registry.example.org/shop/web", "dev")


@pytest.mark.parametrize("suffix", ["", ".sig", ".att", ".sbom"])
def test_tags_of_signatures_are_never_covered(suffix: str) -> None:
    policy = coverage([{"repository": "registry.example.org/shop/*"}])
    assert is_attached(DIGEST_TAG + suffix)
    assert not policy.covers("registry.example.org/shop/web", DIGEST_TAG + suffix)


def test_tag_that_resembles_one_of_a_signature_is_covered() -> None:
    policy = coverage([{"repository": "registry.example.org/shop/*"}])
    assert policy.covers("registry.example.org/shop/web", "sha256-4a4a.sig")


@pytest.mark.parametrize("repository", ["*/shop/web", "registry.*/web", "{registry.example.org,*}/web"])
def test_registry_with_a_wildcard_is_refused(repository: str) -> None:
    with pytest.raises(InvalidPatternError):
        coverage([{"repository": repository}])
