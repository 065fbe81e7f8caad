"""Lists of tags, read page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import ForbiddenAddressError, NotFoundError, VerificationError
from sealgate.http.settings import HostSettings
from sealgate.reasons import Reason
from sealgate.references import Repository
from sealgate.registry import pages as pages_module
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from tests.support.simulators.http_messages import json_answer
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def registry() -> Iterator[RegistrySimulator]:
    with RegistrySimulator() as simulator:
        yield simulator


def tags(registry: RegistrySimulator, limit: int = 10) -> tuple[str, ...]:
    clock = SystemClock()
    with RegistryClient(HostSettings(insecure=frozenset({registry.host})), clock=clock) as client:
        lists = client.tag_lists(NoCredentials(), Deadline.after(clock, 30.0))
        return lists.tags(Repository(registry.host, "team/app"), limit)


def page(registry: RegistrySimulator, query: str, names: list[object], link: str | None) -> None:
    headers = {} if link is None else {"Link": f'<{link}>; rel="next"'}
    answer = json_answer({"name": "team/app", "tags": names})
    registry.faults.answer(rf"/tags/list\?.*{query}", answer.status, {**answer.headers, **headers}, answer.body)


def test_pages_are_followed_and_tags_listed_once(registry: RegistrySimulator) -> None:
    page(registry, "last=2", ["2", "3"], None)
    page(registry, "n=1000", ["1", "2"], "/v2/team/app/tags/list?n=2&last=2")
    assert tags(registry) == ("1", "2", "3")


def test_more_tags_than_the_limit_are_refused(registry: RegistrySimulator) -> None:
    for tag in ("1", "2", "3"):
        registry.push_image("team/app", tag)
    with pytest.raises(VerificationError) as caught:
        tags(registry, limit=2)
    assert caught.value.reason is Reason.EVIDENCE_TOO_LARGE


def test_pages_have_an_end(registry: RegistrySimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "MAX_PAGES", 3)
    page(registry, "", ["1"], "/v2/team/app/tags/list?n=1000")
    with pytest.raises(VerificationError, match="more than 3 pages"):
        tags(registry)
    assert len(registry.requests) == 3


def test_next_page_on_another_host_is_refused(registry: RegistrySimulator) -> None:
    page(registry, "", ["1"], "https://evil.example.org/v2/team/app/tags/list")
    with pytest.raises(ForbiddenAddressError):
        tags(registry)


@pytest.mark.parametrize("names", [[1], "1", {"1": 2}])
def test_malformed_list_is_refused(registry: RegistrySimulator, names: list[object]) -> None:
    page(registry, "", names, None)
    with pytest.raises(VerificationError) as caught:
        tags(registry)
    assert caught.value.reason is Reason.MALFORMED_EVIDENCE


def test_missing_repository_is_named(registry: RegistrySimulator) -> None:
    with pytest.raises(NotFoundError, match="team/app"):
        tags(registry)


def test_repository_without_tags_has_none(registry: RegistrySimulator) -> None:
    registry.push_image("team/app", "1")
    registry.delete("team/app", "1")
    assert tags(registry) == ()
