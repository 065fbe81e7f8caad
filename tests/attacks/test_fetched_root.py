"""A mirror, or an attacker between it and the operator, must not be able to replace the trusted root of sigstore.

Whatever it serves, the last good root stays in force, and the condition of authenticators says why.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined] # its __all__ is computed

from sealgate_operator.fetched_root.state import MAX_FILE_BYTES
from tests.operator.fetched_root.environment import OTHER_ROOT, fetching
from tests.support.signers.keyless import ROOT
from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.operator.fetched_root.environment import FetchEnvironment

FILES = ("/2.root.json", "/timestamp.json", "/2.snapshot.json", "/2.targets.json", ".trusted_root.json")
EMPTY = json.dumps({"mediaType": json.loads(ROOT)["mediaType"]})


@pytest.fixture
def environment() -> Iterator[FetchEnvironment]:
    with KubernetesSimulator() as cluster, fetching(cluster) as environment:
        assert environment.keeper.round()
        yield environment


def refused(environment: FetchEnvironment, *says: str) -> None:
    """Fetch, and again after a restart: the last good root stays, and the condition says why."""
    for _ in range(2):
        assert not environment.keeper.round()
        assert environment.known.trusted_root == ROOT.encode()
        assert environment.stored["trusted_root.json"] == ROOT
        found = environment.assess()
        assert found.ready
        (current,) = (one for one in found.status.conditions if one.type == "TrustedRootCurrent")
        assert (current.status, current.reason) == ("False", "FetchFailed")
        for words in says:
            assert words in current.message
        environment.restart()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"{}", b"[" * 30000, b'{"signed": {}, "signatures": []}', b"\xff"]
)
def test_attack_169_garbage_of_a_mirror_changes_nothing(
    environment: FetchEnvironment, file: str, content: bytes
) -> None:
    environment.repository.rotate()
    environment.repository.publish(OTHER_ROOT.encode())
    environment.repository.spoil(file, content)
    refused(environment)


@pytest.mark.parametrize("file", FILES)
def test_attack_169_endless_body_of_a_mirror_is_cut_off(environment: FetchEnvironment, file: str) -> None:
    environment.repository.rotate()
    environment.repository.publish(OTHER_ROOT.encode())
    environment.repository.faults.endless(file.replace(".", r"\."))
    refused(environment, f"more than {MAX_FILE_BYTES} bytes")


def test_attack_170_older_metadata_is_refused(environment: FetchEnvironment) -> None:
    old = environment.repository.copy()
    environment.repository.publish(OTHER_ROOT.encode())
    environment.repository.publish(ROOT.encode())
    assert environment.keeper.round()
    environment.repository.serve_again(old)
    refused(environment, "timestamp version")


def test_attack_170_old_root_metadata_does_not_bring_its_keys_back(environment: FetchEnvironment) -> None:
    old, keys = environment.repository.copy(), dict(environment.repository.signers)
    environment.repository.rotate("timestamp", "snapshot", "targets")
    environment.repository.publish(ROOT.encode())
    assert environment.keeper.round()
    environment.repository.serve_again(old)
    environment.repository.publish(OTHER_ROOT.encode(), by=keys)
    refused(environment, "timestamp was signed by 0/1 keys")


def test_attack_171_expired_metadata_is_refused(environment: FetchEnvironment) -> None:
    environment.repository.lifetime = timedelta(days=-1)
    environment.repository.publish(OTHER_ROOT.encode())
    refused(environment, "expired")


def test_attack_171_expired_root_metadata_is_refused(environment: FetchEnvironment) -> None:
    environment.repository.lifetime = timedelta(days=-1)
    environment.repository.rotate()
    environment.repository.lifetime = timedelta(days=1)
    environment.repository.publish(OTHER_ROOT.encode())
    refused(environment, "expired")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_attack_172_metadata_of_strangers_is_refused(environment: FetchEnvironment, role: str) -> None:
    environment.repository.publish(OTHER_ROOT.encode(), by={role: CryptoSigner.generate_ed25519()})
    refused(environment, f"{role} was signed by 0/1 keys")


def test_attack_172_root_metadata_of_strangers_is_refused(environment: FetchEnvironment) -> None:
    environment.repository.rotate("root", "timestamp", "snapshot", "targets", by=CryptoSigner.generate_ed25519())
    environment.repository.publish(OTHER_ROOT.encode())
    refused(environment, "root was signed by 0/1 keys")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "not JSON",
        EMPTY,
        json.dumps({**json.loads(ROOT), "more": 1}),
        json.dumps({**json.loads(ROOT), "tlogs": [{}]}),
        ROOT + " " * MAX_FILE_BYTES,
    ],
)
def test_attack_173_signed_file_that_is_not_a_trusted_root_is_not_published(
    environment: FetchEnvironment, content: str
) -> None:
    environment.repository.publish(content.encode())
    refused(environment)


def test_attack_173_target_of_another_name_is_not_taken(environment: FetchEnvironment) -> None:
    environment.repository.target = "signing_config.json"
    environment.repository.publish(OTHER_ROOT.encode())
    refused(environment, "its targets do not have trusted_root.json")


@pytest.mark.parametrize("file", FILES)
def test_attack_174_redirect_to_another_host_is_not_followed(environment: FetchEnvironment, file: str) -> None:
    with HTTPSimulator() as elsewhere:
        environment.repository.rotate()
        environment.repository.publish(OTHER_ROOT.encode())
        for path, answer in environment.repository.copy().items():
            elsewhere.documents[path] = Answer(200, {}, answer.body)
        for path in elsewhere.documents:
            if path.endswith(file):
                environment.repository.faults.redirect(f"^{path}$".replace(".", r"\."), elsewhere.url + path)
        refused(environment, "status 307")
        assert elsewhere.requests == []
