"""Attacks with too much, too deep, too far: bombs, endless lists, ways out of the store."""

from __future__ import annotations

import gc
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import ForbiddenAddressError, InvalidReferenceError
from sealgate.formats.interface import MAX_SIGNATURES
from sealgate.http.settings import HostSettings
from sealgate.keys.openpgp.packets import MAX_MESSAGE_BYTES
from sealgate.reasons import Reason
from sealgate.registry.client import RegistryClient
from tests.support.environments.registry_clients import Names, login
from tests.support.environments.simple_signing import SimpleSigningEnvironment, simple_check
from tests.support.signers.simple_signing import compressed, message, packet
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GOOD = message("good-ed25519")


@pytest.fixture
def environment() -> Iterator[SimpleSigningEnvironment]:
    with SimpleSigningEnvironment() as environment:
        yield environment


def test_attack_32_an_endless_list_of_the_extension_is_refused(environment: SimpleSigningEnvironment) -> None:
    environment.registry.faults.endless("/extensions/")
    assert environment.refusal(simple_check()).reason is Reason.EVIDENCE_TOO_LARGE


def test_attack_32_more_signatures_than_are_verified_are_refused(environment: SimpleSigningEnvironment) -> None:
    for _ in range(MAX_SIGNATURES + 1):
        environment.registry.sign(environment.digest, GOOD)
    assert environment.refusal(simple_check()).reason is Reason.EVIDENCE_TOO_LARGE


def test_attack_32_store_with_every_file_is_asked_limited_times(
    environment: SimpleSigningEnvironment,
) -> None:
    store = environment.lookaside()
    environment.registry.faults.answer("/signature-", body=GOOD)
    assert environment.refusal(simple_check(store=store)).reason is Reason.EVIDENCE_TOO_LARGE
    assert len(environment.registry.requests) == MAX_SIGNATURES + 1


def test_attack_32_endless_file_is_refused_and_the_next_one_read(environment: SimpleSigningEnvironment) -> None:
    store = environment.lookaside(b"", GOOD)
    environment.registry.faults.endless("/signature-1")
    found = environment.verify(simple_check(store=store))
    assert [seen.reason for seen in found.signatures] == [Reason.EVIDENCE_TOO_LARGE, Reason.VERIFIED]


@pytest.mark.parametrize("algorithm", [1, 2, 3])
def test_attack_33_decompression_bomb_is_refused_within_bounds(
    environment: SimpleSigningEnvironment, algorithm: int
) -> None:
    environment.registry.sign(environment.digest, compressed(packet(11, b"b\0\0\0\0\0" + bytes(100 << 20)), algorithm))
    check = simple_check()
    gc.collect()
    tracemalloc.start()
    try:
        assert environment.refusal(check).reason is Reason.EVIDENCE_TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 16 * MAX_MESSAGE_BYTES
    finally:
        tracemalloc.stop()


def test_attack_33_bombs_inside_bombs_are_not_opened(environment: SimpleSigningEnvironment) -> None:
    bomb = compressed(packet(11, b"b\0\0\0\0\0" + bytes(100 << 20)))
    for _ in range(5):
        bomb = compressed(bomb)
    environment.registry.sign(environment.digest, bomb)
    assert environment.refusal(simple_check()).reason is Reason.MALFORMED_EVIDENCE


def test_attack_33_a_million_packets_are_refused_at_the_fourth(environment: SimpleSigningEnvironment) -> None:
    environment.registry.sign(environment.digest, b"\xc2\0" * (MAX_MESSAGE_BYTES // 2))
    error = environment.refusal(simple_check())
    assert "more than 3 packets" in error.message


def test_attack_33_packet_with_a_huge_stated_length_is_refused(environment: SimpleSigningEnvironment) -> None:
    environment.registry.sign(environment.digest, b"\xcb\xff\xff\xff\xff\xff")
    assert environment.refusal(simple_check()).reason is Reason.MALFORMED_EVIDENCE


@pytest.mark.parametrize("name", ["nested-deeply", "nan", "not-utf8", "duplicate-critical", "timestamp-beyond-64-bits"])
def test_attack_33_json_that_parsers_choke_on_is_refused(environment: SimpleSigningEnvironment, name: str) -> None:
    environment.registry.sign(environment.digest, message(f"payload-{name}"))
    assert environment.refusal(simple_check()).reason is Reason.MALFORMED_EVIDENCE


def test_attack_33_a_list_that_is_nested_deeply_is_refused(environment: SimpleSigningEnvironment) -> None:
    environment.registry.faults.answer("/extensions/", body=b'{"signatures":' * 100_000)
    assert environment.refusal(simple_check()).reason is Reason.MALFORMED_EVIDENCE


def test_attack_37_lookaside_on_a_metadata_address_is_not_asked(
    environment: SimpleSigningEnvironment,
) -> None:
    environment.client.close()
    environment.client = RegistryClient(HostSettings(), resolver=Names({"sigstore.example.org": "169.254.169.254"}))
    store = {"lookaside": {"url": "https://sigstore.example.org/latest/meta-data"}}
    assert isinstance(environment.unavailable(simple_check(store=store)), ForbiddenAddressError)


def test_attack_37_lookaside_server_cannot_redirect_the_client(environment: SimpleSigningEnvironment) -> None:
    with RegistrySimulator() as elsewhere:
        store = environment.lookaside(GOOD)
        environment.registry.faults.redirect("/signature-1", f"{elsewhere.url}/latest/meta-data")
        environment.unavailable(simple_check(store=store))
        assert elsewhere.requests == []


def test_attack_38_pull_credentials_do_not_go_to_the_lookaside(
    environment: SimpleSigningEnvironment,
) -> None:
    store = environment.lookaside(GOOD)
    environment.registry.auth.mode = "basic"
    environment.registry.auth.users["robot"] = "s3cret"
    environment.verify(simple_check(store=store), credentials=login(environment.registry))
    assert all("authorization" not in request.headers for request in environment.registry.requests)


@pytest.mark.parametrize("target", ["../../../../outside", "/etc/hostname"])
def test_attack_39_a_link_in_a_folder_does_not_lead_out_of_it(
    environment: SimpleSigningEnvironment, tmp_path: Path, target: str
) -> None:
    base = tmp_path / "a" / "b"
    folder = base / "team" / f"api@{environment.digest.replace(':', '=')}"
    folder.mkdir(parents=True)
    (tmp_path / "a" / "outside").write_bytes(GOOD)
    (folder / "signature-1").symlink_to(target)
    error = environment.refusal(simple_check(store={"lookaside": {"url": base.as_uri()}}))
    assert "leads out of its folder" in error.message


@pytest.mark.parametrize(
    "url", ["file:///srv/sigstore/../../etc", "file:///srv/%2e%2e/etc", "https://a.example.org/x/../y"]
)
def test_attack_39_ambiguous_lookaside_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidReferenceError):
        simple_check(store={"lookaside": {"url": url}})
