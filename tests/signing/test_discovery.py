"""The images that a signing policy covers, found in registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
from sealgate.errors import NotFoundError, SigningError
from sealgate.policies.signing import SigningCoverage
from sealgate.references import Repository
from sealgate.registry.credentials import NoCredentials
from sealgate.signing import discovery as discovery_module
from sealgate.signing.discovery import CoveredTag, Discovery, Undiscovered
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import client_for
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator


class Search:
    """A registry, and discoveries in it."""

    def __init__(self, registry: RegistrySimulator) -> None:
        self.registry = registry
        self.client = client_for(registry)

    def of(self, *patterns: str, tags: tuple[str, ...] | None = None) -> Discovery:
        key = {"secretRef": {"name": "release", "key": "key.pem"}}
        narrowed = {} if tags is None else {"tags": list(tags)}
        images = [{"repository": f"{self.registry.host}/{pattern}", **narrowed} for pattern in patterns]
        spec = SigningPolicySpec.model_validate({"images": images, "cosign": {}, "key": key})
        return Discovery(SigningCoverage.compile(spec), self.client, NoCredentials(), FakeClock(), 30.0)

    def tags(self, discovery: Discovery, after: tuple[str, str] | None = None) -> list[str]:
        found = discovery.tags(discovery.repositories().repositories, after)
        return [f"{each.repository.path}:{each.tag}" for each in found if isinstance(each, CoveredTag)]


@pytest.fixture
def search() -> Iterator[Search]:
    with RegistrySimulator() as registry:
        for path in ("shop/web", "shop/api", "other/app"):
            for tag in ("v2", "v1", "dev"):
                registry.push_image(path, tag)
        found = Search(registry)
        with found.client:
            yield found


def paths(repositories: tuple[Repository, ...]) -> list[str]:
    return [repository.path for repository in repositories]


def test_pattern_is_looked_up_in_the_catalog(search: Search) -> None:
    found = search.of("shop/*").repositories()
    assert paths(found.repositories) == ["shop/api", "shop/web"]
    assert found.missing == ()


def test_named_repositories_need_no_catalog(search: Search) -> None:
    search.registry.catalog = False
    found = search.of("shop/web", "not/there").repositories()
    assert paths(found.repositories) == ["not/there", "shop/web"]
    assert found.missing == ()
    assert search.registry.paths == []


def test_registry_without_a_catalog_is_reported_and_the_rest_is_found(search: Search) -> None:
    search.registry.catalog = False
    known = [Repository(search.registry.host, path) for path in ("shop/api", "other/app")]
    found = search.of("shop/*", "other/app").repositories(known)
    assert paths(found.repositories) == ["other/app", "shop/api"]
    (missing,) = found.missing
    assert missing.name == search.registry.host
    assert "name the repositories" in missing.message


def test_known_repositories_that_the_policy_does_not_cover_are_left_out(search: Search) -> None:
    known = [Repository(search.registry.host, "other/app"), Repository("evil.example.org", "shop/web")]
    assert paths(search.of("shop/web").repositories(known).repositories) == ["shop/web"]


def test_tags_are_sorted_and_covered(search: Search) -> None:
    digest = search.registry.push_image("shop/web", "v3")
    search.registry.tag("shop/web", digest.replace(":", "-") + ".sig", digest)
    found = search.tags(search.of("shop/*", tags=("v*",)))
    assert found == ["shop/api:v1", "shop/api:v2", "shop/web:v1", "shop/web:v2", "shop/web:v3"]
    assert search.tags(search.of("shop/web")) == ["shop/web:dev", "shop/web:v1", "shop/web:v2", "shop/web:v3"]


def test_stream_goes_on_after_a_checkpoint(search: Search) -> None:
    discovery, host = search.of("shop/*", tags=("v*",)), search.registry.host
    assert search.tags(discovery, (f"{host}/shop/api", "v1")) == ["shop/api:v2", "shop/web:v1", "shop/web:v2"]
    assert search.tags(discovery, (f"{host}/shop/b", "v1")) == ["shop/web:v1", "shop/web:v2"]


def test_repository_that_cannot_be_listed_stops_nothing(search: Search) -> None:
    search.registry.faults.status(r"/shop/api/tags/list", 503)
    discovery = search.of("shop/*", tags=("v1",))
    found = list(discovery.tags(discovery.repositories().repositories))
    assert [type(each) for each in found] == [Undiscovered, CoveredTag]
    assert found[0].name == f"{search.registry.host}/shop/api"


def test_more_tags_than_the_limit_end_the_stream(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery_module, "MAX_TAGS", 4)
    discovery = search.of("shop/*")
    seen: list[CoveredTag | Undiscovered] = []
    with pytest.raises(SigningError, match="more than 4 tags"):
        seen.extend(discovery.tags(discovery.repositories().repositories))
    assert len(seen) == 4


def test_digest_is_what_the_tag_names_now(search: Search) -> None:
    discovery = search.of("shop/web", tags=("v1",))
    (tag,) = discovery.tags(discovery.repositories().repositories)
    assert isinstance(tag, CoveredTag)
    moved = search.registry.push_image("shop/web", "v1", content=b"another layer")
    assert discovery.digest(tag) == moved
    search.registry.delete("shop/web", "v1")
    with pytest.raises(NotFoundError):
        discovery.digest(tag)
