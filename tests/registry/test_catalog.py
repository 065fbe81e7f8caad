"""Catalogs of registries, where there are some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import NotFoundError, UnauthorizedError, VerificationError
from sealgate.references import Repository
from sealgate.registry.credentials import NoCredentials
from tests.support.environments.registry_clients import client_for, login
from tests.support.simulators.http_messages import json_answer
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import Auth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.registry.credentials import CredentialProvider


@pytest.fixture
def registry() -> Iterator[RegistrySimulator]:
    with RegistrySimulator() as simulator:
        yield simulator


def catalog(
    registry: RegistrySimulator, limit: int = 10, credentials: CredentialProvider | None = None
) -> tuple[Repository, ...]:
    clock = SystemClock()
    with client_for(registry, clock=clock) as client:
        catalogs = client.catalogs(credentials or NoCredentials(), Deadline.after(clock, 30.0))
        return catalogs.repositories(registry.host, limit)


def test_repositories_are_listed(registry: RegistrySimulator) -> None:
    registry.push_image("team/app", "1")
    registry.push_image("shop/web", "1")
    assert catalog(registry) == (Repository(registry.host, "shop/web"), Repository(registry.host, "team/app"))


def test_pages_are_followed(registry: RegistrySimulator) -> None:
    link = {"Link": '</v2/_catalog?n=1&last=a>; rel="next"'}
    second, first = json_answer({"repositories": ["b"]}), json_answer({"repositories": ["a"]})
    registry.faults.answer(r"last=a", second.status, second.headers, second.body)
    registry.faults.answer(r"n=1000", first.status, {**first.headers, **link}, first.body)
    assert [each.path for each in catalog(registry)] == ["a", "b"]


def test_entries_that_are_no_names_are_left_out(registry: RegistrySimulator) -> None:
    answer = json_answer({"repositories": ["team/app", "../etc", "Team/App", "a?b", ""]})
    registry.faults.answer(r"_catalog", answer.status, answer.headers, answer.body)
    assert [each.path for each in catalog(registry)] == ["team/app"]


def test_token_is_asked_for_the_catalog() -> None:
    with RegistrySimulator(auth=Auth(mode="bearer", users={"robot": "s3cret"})) as registry:
        registry.push_image("team/app", "1")
        assert catalog(registry, credentials=login(registry)) == (Repository(registry.host, "team/app"),)
        assert list(registry.auth.issued.values()) == [("registry:catalog:*",)]


def test_caller_without_rights_is_unauthorized() -> None:
    with (
        RegistrySimulator(auth=Auth(mode="bearer", users={"robot": "s3cret"})) as registry,
        pytest.raises(UnauthorizedError),
    ):
        catalog(registry)


def test_registry_without_a_catalog_says_so(registry: RegistrySimulator) -> None:
    registry.catalog = False
    with pytest.raises(NotFoundError, match="the catalog of"):
        catalog(registry)


def test_more_repositories_than_the_limit_are_refused(registry: RegistrySimulator) -> None:
    registry.push_image("team/app", "1")
    registry.push_image("team/api", "1")
    with pytest.raises(VerificationError, match="more than 1"):
        catalog(registry, limit=1)
