"""A notary server, or somebody between, that sends too much, too slowly, or the client elsewhere."""

from __future__ import annotations

import pytest

from sealgate.errors import (
    DeadlineError,
    ForbiddenAddressError,
    SealgateError,
    UnauthorizedError,
    UnavailableError,
    VerificationError,
)
from sealgate.formats.notary.verify import build
from sealgate.keys.resolvers import FileKeys
from sealgate.reasons import Reason
from sealgate.registry.client import RegistryClient
from tests.support.environments.notary import ADMIN, RELEASES, NotaryWorld, role
from tests.support.environments.registry_clients import Names, client_for, login, session_of
from tests.support.simulators.notary import NotarySimulator
from tests.support.simulators.registry_auth import Auth

EVERY_FILE = pytest.mark.parametrize("name", ["root", "timestamp", "snapshot", "tuf/targets", "releases", "admin"])


@EVERY_FILE
def test_attack_32_a_file_without_end_is_cut_off(name: str) -> None:
    with NotaryWorld() as world:
        world.dtr.faults.endless(rf"{name}\.(json|[0-9a-f]{{64}})")
        world.refuses(Reason.EVIDENCE_TOO_LARGE)


@pytest.mark.parametrize("name", ["root", "timestamp"])
def test_attack_32_a_good_file_of_more_than_a_mebibyte_is_too_large(name: str) -> None:
    """Nothing above says how long these two are; blanks at the end would change nothing in them."""
    with NotaryWorld() as world:
        good = world.repository.files["timestamp"]
        world.repository.files["timestamp"] = good.ljust(1 << 20)
        world.verify()
        world.repository.files["timestamp"] = good
        world.repository.files[name] = world.repository.files[name].ljust((1 << 20) + 1)
        world.refuses(Reason.EVIDENCE_TOO_LARGE)


def test_attack_32_a_file_that_is_said_to_be_huge_is_not_even_asked_for() -> None:
    with NotaryWorld() as world:
        world.repository.signed["snapshot"]["meta"][RELEASES]["length"] = 1 << 40
        world.repository.link()
        world.refuses(Reason.EVIDENCE_TOO_LARGE)
        assert RELEASES not in world.dtr.asked


def test_attack_32_signatures_and_keys_without_number_are_refused() -> None:
    with NotaryWorld() as world:
        signature = world.mallory.sign(b"x")
        world.repository.resign(RELEASES, *[signature] * 5000)
        world.refuses(Reason.EVIDENCE_TOO_LARGE)
        world.repository.signed["root"]["keys"] |= {f"{number:064x}": world.alice.entry for number in range(300)}
        world.repository.publish()
        world.refuses(Reason.EVIDENCE_TOO_LARGE)


def test_attack_32_roots_without_number_are_not_followed() -> None:
    with NotaryWorld() as world:
        world.verify()
        world.dtr.requests.clear()
        world.repository.signed["root"]["version"] = 1_000_000
        world.repository.bump()
        world.repository.publish()
        world.refuses(Reason.EVIDENCE_TOO_LARGE)
        assert len(world.dtr.requests) == 1


def test_attack_32_delegations_that_nobody_asks_for_are_not_fetched() -> None:
    with NotaryWorld() as world:
        for number in range(50):
            world.repository.delegate(f"targets/team-{number}", world.mallory)
        world.repository.publish()
        world.verify()
        assert world.dtr.asked == ["root", "timestamp", "snapshot", "targets", RELEASES, ADMIN]


@pytest.mark.parametrize(
    "bomb",
    [
        b'{"signed":' + b"[" * 200_000,
        b'{"signed":{"version":' + b"9" * 500_000 + b"}}",
        b'{"signed":{"version":1e999999}}',
        b'{"signed":{"version":NaN}}',
        b'{"signed":{},"signed":{}}',
        b'{"signed":{"_type":"\xff"}}',
        b'{"signed":{"_type":"\\ud800"}}',
    ],
)
def test_attack_33_files_made_to_burst_a_parser_are_refused(bomb: bytes) -> None:
    with NotaryWorld() as world:
        for name in ("root", "timestamp"):
            world.repository.files[name] = bomb
            world.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_33_a_compressed_answer_is_not_unpacked() -> None:
    with NotaryWorld() as world:
        world.dtr.faults.header("timestamp.json", "Content-Encoding", "gzip")
        with pytest.raises(UnavailableError):
            world.verify()


@pytest.mark.parametrize("headers", [False, True])
def test_attack_34_a_server_that_drips_ends_at_the_deadline(*, headers: bool) -> None:
    with NotaryWorld() as world:
        world.dtr.faults.drip("timestamp.json", headers=headers)
        with pytest.raises(DeadlineError):
            world.check().verify(world.image(), world.sources(seconds=0.3))


@EVERY_FILE
def test_attack_34_a_server_that_never_answers_ends_at_the_deadline(name: str) -> None:
    with NotaryWorld() as world:
        world.dtr.faults.hang(rf"{name}\.(json|[0-9a-f]{{64}})")
        with pytest.raises(DeadlineError):
            world.check().verify(world.image(), world.sources(seconds=0.3))


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "localhost:1", "127.0.0.2:1"])
def test_attack_37_a_server_where_none_may_be_asked_is_not(host: str) -> None:
    with NotaryWorld() as world:
        for scheme in ("http", "https"):
            with pytest.raises(ForbiddenAddressError):
                world.verify(server=f"{scheme}://{host}")


def test_attack_37_a_registry_named_by_a_wildcard_only_has_no_notary_server_inside() -> None:
    """Without `server` the pod's own reference says whom to ask; an authenticator's word is another matter."""
    host = "registry.example.test"
    with NotaryWorld() as world, RegistryClient(resolver=Names({host: "192.0.2.1"})) as client:
        image = world.image_of(f"{host}/team/app:1.4")
        world.client.close()
        world.client = client
        with pytest.raises(ForbiddenAddressError, match="literally"):
            world.verify(image, server=None)
        with pytest.raises(UnavailableError) as tried:
            world.check(server=f"https://{host}").verify(image, world.sources(seconds=0.05))
        assert not isinstance(tried.value, ForbiddenAddressError)


@EVERY_FILE
def test_attack_37_a_redirect_to_another_host_is_not_followed(name: str) -> None:
    with NotaryWorld() as world, NotarySimulator() as elsewhere:
        elsewhere.host_repository(world.repository)
        world.client.close()
        world.client = client_for(world.dtr, elsewhere)
        pattern = rf"{name}\.(json|[0-9a-f]{{64}})"
        for status in (301, 302, 303, 307, 308):
            world.dtr.faults.clear()
            world.dtr.faults.redirect(pattern, f"{elsewhere.url}/v2/x", status)
            with pytest.raises(UnavailableError):
                world.verify()
        assert elsewhere.requests == []


def test_attack_37_a_redirect_inside_the_server_does_not_change_what_is_trusted() -> None:
    with NotaryWorld() as world:
        good = f"/v2/{world.repository.gun}/_trust/tuf/timestamp.json"
        world.dtr.faults.redirect("root.json", good)
        world.refuses(Reason.TYPE_MISMATCH)


def test_attack_38_credentials_of_the_registry_do_not_go_to_a_notary_server_elsewhere() -> None:
    auth = Auth(mode="basic", users={"robot": "s3cret"})
    with NotaryWorld() as world, NotarySimulator(auth=auth) as notary:
        notary.host_repository(world.repository)
        world.credentials = login(world.dtr)
        world.client.close()
        world.client = client_for(world.dtr, notary)
        with pytest.raises(UnauthorizedError):
            world.verify(server=notary.url)
        assert all("authorization" not in request.headers for request in notary.requests)
        world.credentials = login(notary)
        world.verify(server=notary.url)


def test_attack_38_a_token_for_the_trust_data_is_not_used_for_another_repository_s() -> None:
    with NotaryWorld(dtr_options={"auth": Auth(mode="bearer", users={"robot": "s3cret"})}) as world:
        session = session_of(world.client, login(world.dtr))
        url = f"{world.dtr.url}/v2/{{}}/_trust/tuf/root.json"
        session.document(url.format(world.repository.gun), world.repository.gun, limit=1 << 20)
        first = dict(world.dtr.auth.issued)
        with pytest.raises(SealgateError):
            session.document(url.format("other/repository"), "other/repository", limit=1 << 20)
        assert len(world.dtr.auth.issued) == len(first) + 1


@pytest.mark.parametrize(
    "name",
    ["targets/../../secret", "targets/..", "targets/%2e%2e", "targets/a/../releases", "targets/RELEASES", "root"],
)
def test_attack_39_a_delegation_named_like_a_path_leads_nowhere(name: str) -> None:
    with NotaryWorld() as world:
        world.repository.delegation(ADMIN)["name"] = name
        world.repository.publish()
        world.refuses(Reason.MALFORMED_EVIDENCE)
        assert all(".." not in path and "%" not in path for path in world.dtr.paths)


def test_attack_39_a_tag_is_never_part_of_an_address() -> None:
    with NotaryWorld() as world:
        world.repository.signed[RELEASES]["targets"]["../../etc/passwd"] = {"hashes": {}, "length": 0}
        world.repository.publish()
        world.verify()
        world.verify(world.image(f"@{world.digest}"), allowAnyTag=True)
        assert not any("passwd" in path for path in world.dtr.paths)


def test_attack_40_foreign_text_in_a_refusal_stays_on_one_printable_line() -> None:
    with NotaryWorld() as world:
        evil = 'x\n{"level":"info","msg":"verified"} \x1b[2J' + "y" * 10_000
        world.repository.signed["targets"]["_type"] = evil
        world.repository.publish()
        refusals = [world.refuses(Reason.TYPE_MISMATCH)]
        world.repository.signed["targets"]["_type"] = "Targets"
        world.repository.publish()
        world.repository.resign(RELEASES, {"keyid": evil, "method": evil, "sig": ""})
        refusals.append(world.refuses(Reason.UNKNOWN_KEY))
        texts = [refusal.message for refusal in refusals]
        texts += [text for refusal in refusals for seen in refusal.signatures for text in (seen.source, seen.message)]
        assert all(text.isprintable() and len(text) < 1000 for text in texts)


def test_attack_40_a_password_does_not_enter_a_message() -> None:
    auth = Auth(mode="basic", users={"robot": "another"})
    with NotaryWorld(dtr_options={"auth": auth}) as world:
        world.credentials = login(world.dtr)
        with pytest.raises(UnauthorizedError) as caught:
            world.verify()
        assert "s3cret" not in str(caught.value)


def test_attack_32_what_is_refused_for_its_size_is_refused_and_not_unavailable() -> None:
    with NotaryWorld() as world:
        world.repository.files["root"] += b" " * (1 << 20)
        check = build(world.spec(roles=[role(RELEASES, world.alice)]), FileKeys({}))
        with pytest.raises(VerificationError) as caught:
            check.verify(world.image(), world.sources())
        assert caught.value.reason is Reason.EVIDENCE_TOO_LARGE
