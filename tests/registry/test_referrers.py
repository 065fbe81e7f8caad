"""Referrers from the API or the fallback tag: paged, bounded and without duplicates."""

from __future__ import annotations

from typing import Any

import pytest

from sealgate.clocks import SystemClock
from sealgate.errors import ForbiddenAddressError, UnavailableError, VerificationError
from sealgate.reasons import Reason
from sealgate.registry.interface import OCI_INDEX, OCI_MANIFEST, Descriptor
from tests.support.clocks import FakeClock
from tests.support.environments.registry_clients import client_for, login, repository_of, session_of
from tests.support.simulators.http_messages import encode
from tests.support.simulators.registry import RegistrySimulator, digest_of
from tests.support.simulators.registry_auth import Auth

ONE = digest_of(b"one")


def _entry(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"mediaType": "a/b", "digest": digest_of(str(number).encode()), "size": 1, **more}


def _index(*entries: Any) -> bytes:
    return encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)})


def _sign(registry: RegistrySimulator, count: int) -> Any:
    subject = registry.push_image("team/app", "v1")
    pushed = [
        registry.push_artifact(
            "team/app", None, ((b"%d" % n, "a/b", {}),), subject=subject, artifact_type="x/y", annotations={"n": str(n)}
        )
        for n in range(count)
    ]
    return subject, pushed


@pytest.mark.parametrize("referrers_api", [True, False])
def test_referrers_are_listed_in_order_with_or_without_the_api(*, referrers_api: bool) -> None:
    with RegistrySimulator(referrers_api=referrers_api) as registry, client_for(registry) as client:
        subject, pushed = _sign(registry, 3)
        found = session_of(client).referrers(repository_of(registry), subject, 10)
        assert [descriptor.digest for descriptor in found] == pushed
        assert {descriptor.artifact_type for descriptor in found} == {"x/y"}
        assert [descriptor.annotations for descriptor in found] == [{"n": "0"}, {"n": "1"}, {"n": "2"}]


@pytest.mark.parametrize("referrers_api", [True, False])
def test_image_without_referrers_has_an_empty_list(*, referrers_api: bool) -> None:
    with RegistrySimulator(referrers_api=referrers_api) as registry, client_for(registry) as client:
        subject = registry.push_image("team/app", "v1")
        assert session_of(client).referrers(repository_of(registry), subject, 10) == ()
        assert session_of(client).referrers(repository_of(registry, "team/other"), subject, 10) == ()


def test_an_image_does_not_refer_to_itself() -> None:
    """Some registries resolve the fallback tag to the image whose digest it names."""
    with RegistrySimulator(referrers_api=False) as registry, client_for(registry) as client:
        for media_type in (OCI_MANIFEST, OCI_INDEX):
            body = encode({"schemaVersion": 2, "mediaType": media_type, "config": {}, "layers": [], "manifests": []})
            digest = registry.push_manifest("team/app", None, body, media_type)
            registry.tag("team/app", digest.replace(":", "-"), digest)
            assert session_of(client).referrers(repository_of(registry), digest, 10) == ()


@pytest.mark.parametrize("tls", [True, False])
def test_list_on_another_host_is_read_without_credentials(*, tls: bool) -> None:
    with (
        RegistrySimulator(auth=Auth("basic", users={"robot": "s3cret"}), tls=tls) as registry,
        RegistrySimulator(page_size=2, tls=tls) as storage,
        client_for(registry, storage) as client,
    ):
        subject, pushed = _sign(storage, 5)
        target = f"/v2/team/app/referrers/{subject}"
        registry.faults.redirect("referrers", f"{storage.url}{target}")
        found = session_of(client, login(registry)).referrers(repository_of(registry), subject, 10)
        assert [descriptor.digest for descriptor in found] == pushed
        assert len(storage.requests) == 3
        assert not any("authorization" in request.headers for request in storage.requests)


def test_list_is_not_followed_to_an_address_that_is_not_allowed() -> None:
    with RegistrySimulator() as registry, RegistrySimulator() as storage, client_for(registry) as client:
        registry.faults.redirect("referrers", f"{storage.url}/v2/team/app/referrers/{ONE}")
        with pytest.raises(ForbiddenAddressError):
            session_of(client).referrers(repository_of(registry), ONE, 10)
        assert storage.requests == []


def test_redirects_of_a_list_end() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.redirect("referrers", f"/v2/team/app/referrers/{ONE}")
        with pytest.raises(UnavailableError, match="redirects more than"):
            session_of(client).referrers(repository_of(registry), ONE, 10)
        assert len(registry.requests) == 6


def test_all_pages_are_read() -> None:
    with RegistrySimulator(page_size=2) as registry, client_for(registry) as client:
        subject, pushed = _sign(registry, 5)
        found = session_of(client).referrers(repository_of(registry), subject, 10)
        assert [descriptor.digest for descriptor in found] == pushed
        assert len(registry.requests) == 3


def test_next_page_with_another_scheme_stays_on_the_same_origin() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        target = f"/v2/team/app/referrers/{ONE}?page=2"
        headers = {
            "Content-Type": OCI_INDEX,
            "Link": f'<x>; rel="last", <https://127.0.0.1{target}>; title=x; rel=next',
        }
        registry.faults.answer("page=2", 200, {"Content-Type": OCI_INDEX}, _index(_entry(2)))
        registry.faults.answer("referrers", 200, headers, _index(_entry(1)))
        assert len(session_of(client).referrers(repository_of(registry), ONE, 10)) == 2
        assert registry.requests[1].query == (("page", "2"),)


def test_pages_on_another_host_are_refused() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        headers = {"Content-Type": OCI_INDEX, "Link": '<https://elsewhere.example.org/>; rel="next"'}
        registry.faults.answer("referrers", 200, headers, _index())
        with pytest.raises(ForbiddenAddressError):
            session_of(client).referrers(repository_of(registry), ONE, 10)


def test_duplicate_entries_are_listed_once() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.answer("referrers", 200, {"Content-Type": OCI_INDEX}, _index(*[_entry()] * 50, _entry(2)))
        assert len(session_of(client).referrers(repository_of(registry), ONE, 2)) == 2


@pytest.mark.parametrize("referrers_api", [True, False])
def test_more_than_the_limit_is_a_refusal(*, referrers_api: bool) -> None:
    with RegistrySimulator(referrers_api=referrers_api) as registry, client_for(registry) as client:
        subject, _ = _sign(registry, 3)
        assert len(session_of(client).referrers(repository_of(registry), subject, 3)) == 3
        with pytest.raises(VerificationError) as refused:
            session_of(client).referrers(repository_of(registry), subject, 2)
        assert refused.value.reason is Reason.EVIDENCE_TOO_LARGE


def test_missing_referrers_api_is_probed_again_after_a_ttl() -> None:
    clock = FakeClock()
    with RegistrySimulator(referrers_api=False) as registry, client_for(registry, clock=clock) as client:
        subject, _ = _sign(registry, 1)
        for _ in range(3):
            assert session_of(client).referrers(repository_of(registry), subject, 10)
        assert sum("/referrers/" in path for path in registry.paths) == 1
        clock.advance(301)
        session_of(client).referrers(repository_of(registry), subject, 10)
        assert sum("/referrers/" in path for path in registry.paths) == 2


def test_unknown_repository_does_not_mark_the_registry() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        subject, pushed = _sign(registry, 1)
        assert session_of(client).referrers(repository_of(registry, "no/such"), subject, 10) == ()
        found = session_of(client).referrers(repository_of(registry), subject, 10)
        assert [descriptor.digest for descriptor in found] == pushed


@pytest.mark.parametrize("status", [400, 405, 406, 501])
def test_every_sign_of_a_missing_api_leads_to_the_fallback_tag(status: int) -> None:
    with RegistrySimulator(referrers_api=False) as registry, client_for(registry) as client:
        subject, pushed = _sign(registry, 1)
        registry.faults.status("referrers", status)
        found = session_of(client).referrers(repository_of(registry), subject, 10)
        assert [descriptor.digest for descriptor in found] == pushed


def test_html_instead_of_the_api_leads_to_the_fallback_tag() -> None:
    with RegistrySimulator(referrers_api=False) as registry, client_for(registry) as client:
        subject, pushed = _sign(registry, 1)
        registry.faults.answer("referrers", 200, {"Content-Type": "text/html"}, b"<html>")
        found = session_of(client).referrers(repository_of(registry), subject, 10)
        assert [descriptor.digest for descriptor in found] == pushed


def test_failing_referrers_api_is_unavailable_not_empty() -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.status("referrers", 500)
        with pytest.raises(UnavailableError):
            session_of(client).referrers(repository_of(registry), ONE, 10)


def test_a_fallback_tag_that_holds_no_index_is_a_refusal() -> None:
    with RegistrySimulator(referrers_api=False) as registry, client_for(registry) as client:
        registry.push_image("team/app", ONE.replace(":", "-"))
        with pytest.raises(VerificationError) as refused:
            session_of(client).referrers(repository_of(registry), ONE, 10)
        assert refused.value.reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"manifests":{}}',
        b'{"manifests":[1]}',
        b'{"manifests":[],"manifests":[]}',
        _index(_entry(digest=1)),
        _index(_entry(digest="sha256:x")),
        _index(_entry(digest="nonsense")),
        _index(_entry(size="1")),
        _index(_entry(size=True)),
        _index(_entry(size=-1)),
        _index(_entry(mediaType=None)),
        _index(_entry(artifactType=1)),
        _index(_entry(annotations=[])),
        _index(_entry(annotations={"a": 1})),
    ],
)
def test_a_malformed_list_is_a_refusal(body: bytes) -> None:
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.answer("referrers", 200, {"Content-Type": OCI_INDEX}, body)
        with pytest.raises(VerificationError) as refused:
            session_of(client).referrers(repository_of(registry), ONE, 10)
        assert refused.value.reason is Reason.MALFORMED_EVIDENCE


def test_descriptors_with_other_digests_are_left_out() -> None:
    other = _entry(digest="sha512:" + "0" * 128)
    wanted = _entry(annotations=None, artifactType="")
    with RegistrySimulator() as registry, client_for(registry) as client:
        registry.faults.answer("referrers", 200, {"Content-Type": OCI_INDEX}, _index(other, wanted))
        found = session_of(client, clock=SystemClock()).referrers(repository_of(registry), ONE, 10)
        assert found == (Descriptor(digest_of(b"1"), "a/b", 1),)
