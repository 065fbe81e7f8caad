"""A notary server, or an attacker on the connection, that sends too much or too slowly, or redirects the client."""

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
from tests.support.environments.notary import ADMIN, RELEASES, NotaryEnvironment, role
from tests.support.environments.registry_clients import Names, client_for, login, session_of
from tests.support.simulators.notary import NotarySimulator
from tests.support.simulators.registry_auth import Auth

EVERY_FILE = pytest.mark.parametrize("name", ["root", "timestamp", "snapshot", "tuf/targets", "releases", "admin"])


@EVERY_FILE
def test_attack_32_a_file_without_end_is_cut_off(name: str) -> None:
    with NotaryEnvironment() as environment:
        environment.dtr.faults.endless(rf"{name}\.(json|[0-9a-f]{{64}})")
        environment.refuses(Reason.EVIDENCE_TOO_LARGE)


@pytest.mark.parametrize("name", ["root", "timestamp"])
def test_attack_32_file_of_more_than_a_mebibyte_is_too_large(name: str) -> None:
    """No signed file states the length of these two, and blanks at their end do not change their content."""
    with NotaryEnvironment() as environment:
        good = environment.repository.files["timestamp"]
        environment.repository.files["timestamp"] = good.ljust(1 << 20)
        environment.verify()
        environment.repository.files["timestamp"] = good
        environment.repository.files[name] = environment.repository.files[name].ljust((1 << 20) + 1)
        environment.refuses(Reason.EVIDENCE_TOO_LARGE)


def test_attack_32_file_with_a_huge_stated_size_is_not_fetched() -> None:
    with NotaryEnvironment() as environment:
        environment.repository.signed["snapshot"]["meta"][RELEASES]["length"] = 1 << 40
        environment.repository.link()
        environment.refuses(Reason.EVIDENCE_TOO_LARGE)
        assert RELEASES not in environment.dtr.asked


def test_attack_32_signatures_and_keys_without_number_are_refused() -> None:
    with NotaryEnvironment() as environment:
        signature = environment.mallory.sign(b"x")
        environment.repository.resign(RELEASES, *[signature] * 5000)
        environment.refuses(Reason.EVIDENCE_TOO_LARGE)
        environment.repository.signed["root"]["keys"] |= {
            f"{number:064x}": environment.alice.entry for number in range(300)
        }
        environment.repository.publish()
        environment.refuses(Reason.EVIDENCE_TOO_LARGE)


def test_attack_32_roots_without_number_are_not_followed() -> None:
    with NotaryEnvironment() as environment:
        environment.verify()
        environment.dtr.requests.clear()
        environment.repository.signed["root"]["version"] = 1_000_000
        environment.repository.bump()
        environment.repository.publish()
        environment.refuses(Reason.EVIDENCE_TOO_LARGE)
        assert len(environment.dtr.requests) == 1


def test_attack_32_unneeded_delegations_are_not_fetched() -> None:
    with NotaryEnvironment() as environment:
        for number in range(50):
            environment.repository.delegate(f"targets/team-{number}", environment.mallory)
        environment.repository.publish()
        environment.verify()
        assert environment.dtr.asked == ["root", "timestamp", "snapshot", "targets", RELEASES, ADMIN]


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
    with NotaryEnvironment() as environment:
        for name in ("root", "timestamp"):
            environment.repository.files[name] = bomb
            environment.refuses(Reason.MALFORMED_EVIDENCE)


def test_attack_33_a_compressed_answer_is_not_unpacked() -> None:
    with NotaryEnvironment() as environment:
        environment.dtr.faults.header("timestamp.json", "Content-Encoding", "gzip")
        with pytest.raises(UnavailableError):
            environment.verify()


@pytest.mark.parametrize("headers", [False, True])
def test_attack_34_a_server_that_drips_ends_at_the_deadline(*, headers: bool) -> None:
    with NotaryEnvironment() as environment:
        environment.dtr.faults.drip("timestamp.json", headers=headers)
        with pytest.raises(DeadlineError):
            environment.check().verify(environment.image(), environment.sources(seconds=0.3))


@EVERY_FILE
def test_attack_34_unresponsive_server_ends_at_the_deadline(name: str) -> None:
    with NotaryEnvironment() as environment:
        environment.dtr.faults.hang(rf"{name}\.(json|[0-9a-f]{{64}})")
        with pytest.raises(DeadlineError):
            environment.check().verify(environment.image(), environment.sources(seconds=0.3))


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "localhost:1", "127.0.0.2:1"])
def test_attack_37_a_server_where_none_may_be_asked_is_not(host: str) -> None:
    with NotaryEnvironment() as environment:
        for scheme in ("http", "https"):
            with pytest.raises(ForbiddenAddressError):
                environment.verify(server=f"{scheme}://{host}")


def test_attack_37_wildcard_registry_has_no_internal_server() -> None:
    """Without `server` the pod's own reference says whom to ask; an authenticator's word is another matter."""
    host = "registry.example.test"
    with NotaryEnvironment() as environment, RegistryClient(resolver=Names({host: "192.0.2.1"})) as client:
        image = environment.image_of(f"{host}/team/app:1.4")
        environment.client.close()
        environment.client = client
        with pytest.raises(ForbiddenAddressError, match="literally"):
            environment.verify(image, server=None)
        with pytest.raises(UnavailableError) as tried:
            environment.check(server=f"https://{host}").verify(image, environment.sources(seconds=0.05))
        assert not isinstance(tried.value, ForbiddenAddressError)


@EVERY_FILE
def test_attack_37_a_redirect_to_another_host_is_not_followed(name: str) -> None:
    with NotaryEnvironment() as environment, NotarySimulator() as elsewhere:
        elsewhere.host_repository(environment.repository)
        environment.client.close()
        environment.client = client_for(environment.dtr, elsewhere)
        pattern = rf"{name}\.(json|[0-9a-f]{{64}})"
        for status in (301, 302, 303, 307, 308):
            environment.dtr.faults.clear()
            environment.dtr.faults.redirect(pattern, f"{elsewhere.url}/v2/x", status)
            with pytest.raises(UnavailableError):
                environment.verify()
        assert elsewhere.requests == []


def test_attack_37_redirect_within_the_server_changes_no_trust() -> None:
    with NotaryEnvironment() as environment:
        good = f"/v2/{environment.repository.gun}/_trust/tuf/timestamp.json"
        environment.dtr.faults.redirect("root.json", good)
        environment.refuses(Reason.TYPE_MISMATCH)


def test_attack_38_registry_credentials_stay_off_other_servers() -> None:
    auth = Auth(mode="basic", users={"robot": "s3cret"})
    with NotaryEnvironment() as environment, NotarySimulator(auth=auth) as notary:
        notary.host_repository(environment.repository)
        environment.credentials = login(environment.dtr)
        environment.client.close()
        environment.client = client_for(environment.dtr, notary)
        with pytest.raises(UnauthorizedError):
            environment.verify(server=notary.url)
        assert all("authorization" not in request.headers for request in notary.requests)
        environment.credentials = login(notary)
        environment.verify(server=notary.url)


def test_attack_38_token_is_not_used_for_another_repository() -> None:
    with NotaryEnvironment(dtr_options={"auth": Auth(mode="bearer", users={"robot": "s3cret"})}) as environment:
        session = session_of(environment.client, login(environment.dtr))
        url = f"{environment.dtr.url}/v2/{{}}/_trust/tuf/root.json"
        session.document(url.format(environment.repository.gun), environment.repository.gun, limit=1 << 20)
        first = dict(environment.dtr.auth.issued)
        with pytest.raises(SealgateError):
            session.document(url.format("other/repository"), "other/repository", limit=1 << 20)
        assert len(environment.dtr.auth.issued) == len(first) + 1


@pytest.mark.parametrize(
    "name",
    ["targets/../../secret", "targets/..", "targets/%2e%2e", "targets/a/../releases", "targets/RELEASES", "root"],
)
def test_attack_39_a_delegation_named_like_a_path_leads_nowhere(name: str) -> None:
    with NotaryEnvironment() as environment:
        environment.repository.delegation(ADMIN)["name"] = name
        environment.repository.publish()
        environment.refuses(Reason.MALFORMED_EVIDENCE)
        assert all(".." not in path and "%" not in path for path in environment.dtr.paths)


def test_attack_39_a_tag_is_never_part_of_an_address() -> None:
    with NotaryEnvironment() as environment:
        environment.repository.signed[RELEASES]["targets"]["../../etc/passwd"] = {"hashes": {}, "length": 0}
        environment.repository.publish()
        environment.verify()
        environment.verify(environment.image(f"@{environment.digest}"), allowAnyTag=True)
        assert not any("passwd" in path for path in environment.dtr.paths)


def test_attack_40_foreign_text_in_a_refusal_is_one_line() -> None:
    with NotaryEnvironment() as environment:
        evil = 'x\n{"level":"info","msg":"verified"} \x1b[2J' + "y" * 10_000
        environment.repository.signed["targets"]["_type"] = evil
        environment.repository.publish()
        refusals = [environment.refuses(Reason.TYPE_MISMATCH)]
        environment.repository.signed["targets"]["_type"] = "Targets"
        environment.repository.publish()
        environment.repository.resign(RELEASES, {"keyid": evil, "method": evil, "sig": ""})
        refusals.append(environment.refuses(Reason.UNKNOWN_KEY))
        texts = [refusal.message for refusal in refusals]
        texts += [text for refusal in refusals for seen in refusal.signatures for text in (seen.source, seen.message)]
        assert all(text.isprintable() and len(text) < 1000 for text in texts)


def test_attack_40_a_password_does_not_enter_a_message() -> None:
    auth = Auth(mode="basic", users={"robot": "another"})
    with NotaryEnvironment(dtr_options={"auth": auth}) as environment:
        environment.credentials = login(environment.dtr)
        with pytest.raises(UnauthorizedError) as caught:
            environment.verify()
        assert "s3cret" not in str(caught.value)


def test_attack_32_refusal_for_size_is_not_unavailable() -> None:
    with NotaryEnvironment() as environment:
        environment.repository.files["root"] += b" " * (1 << 20)
        check = build(environment.spec(roles=[role(RELEASES, environment.alice)]), FileKeys({}))
        with pytest.raises(VerificationError) as caught:
            check.verify(environment.image(), environment.sources())
        assert caught.value.reason is Reason.EVIDENCE_TOO_LARGE
