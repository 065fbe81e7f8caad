from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any

import pytest

from sealgate.clocks import SystemClock
from sealgate.formats.notary.private_keys.stores import TrustDirectory
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.cli.running import SEALGATE, sealgate
from tests.support.environments.notary_signing import (
    ADMIN,
    PASSPHRASE,
    RELEASES,
    FixedPassphrases,
    NotarySigning,
    only,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def signing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotarySigning]:
    for name in ("ROOT", "TARGETS", "SNAPSHOT", "DELEGATION"):
        monkeypatch.delenv(f"NOTARY_{name}_PASSPHRASE", raising=False)
    monkeypatch.setenv("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", PASSPHRASE)
    with NotarySigning(tmp_path, clock=SystemClock()) as signing:
        (tmp_path / "cert.pem").write_text(signing.alice.certificate_pem)
        yield signing


def run(signing: NotarySigning, *args: object) -> Result:
    trust = signing.folder / "trust"
    common = ("--server", signing.dtr.url, "--insecure-registry", signing.dtr.host, "--trust-dir", trust)
    return sealgate("notary", *args, *common)


def answer(signing: NotarySigning, *args: object) -> Any:
    ran = run(signing, *args, "--output", "json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def test_from_a_new_repository_to_a_tag_taken_away(signing: NotarySigning) -> None:
    begun = answer(signing, "init", signing.gun)
    assert (signing.folder / "trust" / "private" / f"{begun['rootKeyId']}.key").is_file()
    certificate = signing.folder / "cert.pem"
    added = answer(signing, "delegation", "add", signing.gun, certificate, "--role", "admin")
    assert added == {
        "repository": signing.gun,
        "roles": [RELEASES, ADMIN],
        "keyIds": [signing.alice.canonical_id],
        "changed": True,
    }
    assert answer(signing, "delegation", "list", signing.gun) == [
        {"role": role, "keyIds": [signing.alice.canonical_id], "threshold": 1, "paths": [""]}
        for role in (RELEASES, ADMIN)
    ]
    signing.directory.add(only(signing.alice).key, "alice")
    signing.sign("1.4", keys=only(signing.alice))
    assert answer(signing, "remove", f"{signing.gun}:1.4", "--role", "admin")["roles"] == [ADMIN]
    assert answer(signing, "remove", f"{signing.gun}:1.4")["roles"] == [RELEASES]
    assert answer(signing, "delegation", "remove", signing.gun, "--role", "admin")["clean"] is True
    assert signing.tags(RELEASES) == {}


def test_keys_are_rotated(signing: NotarySigning) -> None:
    answer(signing, "init", signing.gun)
    assert answer(signing, "rotate", signing.gun, "snapshot")["changed"] is False
    for role in ("targets", "root"):
        key_id = answer(signing, "rotate", signing.gun, role)["keyId"]
        assert (signing.folder / "trust" / "private" / f"{key_id}.key").is_file()
    assert answer(signing, "rotate", signing.gun, "timestamp")["changed"] is True
    assert signing.trust.signed["root"]["version"] == 4


def test_output_for_people(signing: NotarySigning) -> None:
    assert f"Initialised the trust data of {signing.gun} with the root key " in run(signing, "init", signing.gun).stdout
    assert "has no delegations" in run(signing, "delegation", "list", signing.gun).stdout
    certificate = signing.folder / "cert.pem"
    assert "Delegated targets/releases of " in run(signing, "delegation", "add", signing.gun, certificate).stdout
    assert "Already delegated" in run(signing, "delegation", "add", signing.gun, certificate).stdout
    shown = run(signing, "delegation", "list", signing.gun).stdout
    assert signing.alice.canonical_id in shown
    assert "anything" in shown
    assert "already signed by the server" in run(signing, "rotate", signing.gun, "snapshot").stdout
    assert "No role of" in run(signing, "remove", f"{signing.gun}:9.9").stdout


def test_delegation_that_could_come_back_is_a_warning(signing: NotarySigning) -> None:
    run(signing, "init", signing.gun)
    run(signing, "delegation", "add", signing.gun, signing.folder / "cert.pem")
    signing.sign("1.4", keys=only(signing.alice))
    ran = run(signing, "delegation", "remove", signing.gun, "--role", "releases")
    assert ran.exit_code == 0
    assert "Warning: targets/releases could not be emptied first" in ran.stderr


def test_missing_passphrase_names_the_variables(signing: NotarySigning, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE")
    ran = run(signing, "init", signing.gun)
    assert ran.exit_code == 2
    assert (
        "set NOTARY_ROOT_PASSPHRASE (or DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE), or give --passphrase-file" in ran.stderr
    )


def test_passphrase_file_comes_before_the_variables(signing: NotarySigning, monkeypatch: pytest.MonkeyPatch) -> None:
    file = signing.folder / "passphrase"
    file.write_text(f"{PASSPHRASE}\n")
    monkeypatch.setenv("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "another")
    run(signing, "init", signing.gun, "--passphrase-file", file)
    assert run(signing, "rotate", signing.gun, "root").exit_code != 0
    assert run(signing, "rotate", signing.gun, "root", "--passphrase-file", file).exit_code == 0
    file.write_text("\n")
    assert "is empty" in run(signing, "rotate", signing.gun, "root", "--passphrase-file", file).stderr


def test_root_is_stored_or_pinned(signing: NotarySigning) -> None:
    begun = answer(signing, "init", signing.gun)
    certificate = signing.folder / "cert.pem"
    listed = ("delegation", "list", signing.gun)
    assert run(signing, *listed, "--root", "4a" * 32).exit_code != 0
    assert answer(signing, *listed, "--root", begun["rootKeyId"]) == []
    assert "root" in run(signing, *listed, "--root", certificate).stderr
    # Another repository of the same name, as a server that was taken over shows it.
    del signing.dtr.trust.repositories[signing.gun]
    signing.state = MemoryTrustedState()
    Owner.of(signing.publisher, TrustDirectory(signing.folder / "stranger", FixedPassphrases())).initialise()
    ran = run(signing, *listed)
    assert ran.exit_code != 0
    assert "not the one that was trusted before" in ran.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("delegation", "add", "GUN", "CERT", "--role", "Ops"), "a UCP team whose name"),
        (("remove", "GUN"), "has no tag"),
        (("init", "GUN:1.4"), "a repository has neither tag nor digest"),
        (("delegation", "add", "GUN", "no-such-file"), "cannot read no-such-file"),
        (("init", "GUN", "--server", "ftp://x"), "only http and https"),
    ],
)
def test_invalid_usage_is_explained(signing: NotarySigning, args: tuple[str, ...], message: str) -> None:
    certificate = str(signing.folder / "cert.pem")
    ran = run(signing, *(arg.replace("GUN", signing.gun).replace("CERT", certificate) for arg in args))
    if "--server" in args:
        ran = sealgate("notary", "init", signing.gun, "--server", "ftp://x")
    assert ran.exit_code == 2
    assert message in ran.stderr


# A terminal ------------------------------------------------------------------------------------------------------

#: Runs a command with a terminal of its own, which is standard input and output of this one.
ON_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def test_passphrases_are_asked_for_on_a_terminal(signing: NotarySigning) -> None:
    hidden = {name: value for name, value in os.environ.items() if not name.endswith("_PASSPHRASE")}
    common = ("--server", signing.dtr.url, "--insecure-registry", signing.dtr.host)
    command = [SEALGATE, "notary", "init", signing.gun, *common, "--trust-dir", signing.folder / "trust"]
    with subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=hidden,
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        # Twice for each of the two new keys: a typing error would lock the key for ever.
        for prompt in (b"new root key:", b"confirmation:", b"new targets key:", b"confirmation:"):
            read_until(running.stdout, prompt + b" ")
            running.stdin.write(f"{PASSPHRASE}\n".encode())
            running.stdin.flush()
        shown = running.stdout.read()
    assert running.returncode == 0, shown
    assert PASSPHRASE.encode() not in shown
    assert signing.directory.first("root") is not None


def read_until(stream: IO[bytes], end: bytes) -> None:
    """Read a stream byte for byte until it has shown a text, or ends."""
    seen = b""
    while end not in seen:
        byte = stream.read(1)
        assert byte, seen
        seen += byte


# sealgate sign ---------------------------------------------------------------------------------------------------


def sign(signing: NotarySigning, *args: object, tag: str = "1.4") -> Result:
    common = ("--format", "notary", "--server", signing.dtr.url, "--insecure-registry", signing.dtr.host)
    return sealgate("sign", f"{signing.gun}:{tag}", *common, *args)


def test_client_bundle_signs_both_ucp_roles(signing: NotarySigning) -> None:
    (signing.folder / "key.pem").write_text(signing.alice.private_pem)
    run(signing, "init", signing.gun)
    run(signing, "delegation", "add", signing.gun, signing.folder / "cert.pem", "--role", "admin")
    (document,) = json.loads(sign(signing, "--key", signing.folder, "--output", "json").stdout)
    assert document["outcome"] == "signed"
    assert document["location"] == f"{RELEASES}, {ADMIN} of {signing.gun} on {signing.dtr.url}"
    ran = sign(signing, "--key", signing.folder / "key.pem")
    assert ran.exit_code == 0
    assert "already signed" in ran.stdout
    assert sign(signing, "--key", signing.folder, "--role", "qa").exit_code == 1


def test_sign_initialises_a_repository_only_if_asked(signing: NotarySigning) -> None:
    refused = sign(signing)
    assert refused.exit_code == 1
    assert f"sealgate notary init {signing.gun}" in refused.stderr
    assert sign(signing, "--init").exit_code == 0
    assert list(signing.tags("targets")) == ["1.4"]
    # Docker's trust directory is the default; the trusted root is stored in it.
    trust = signing.folder / "home" / ".docker" / "trust"
    assert len(list(trust.glob("private/*.key"))) == 2
    assert list(trust.glob("sealgate/*.json"))


def test_init_needs_a_trust_directory(signing: NotarySigning) -> None:
    (signing.folder / "key.pem").write_text(signing.alice.private_pem)
    ran = sign(signing, "--init", "--key", signing.folder / "key.pem")
    assert ran.exit_code == 2
    assert "--init needs a trust directory as --key" in ran.stderr


def test_pinned_root_is_kept_in_memory_only(signing: NotarySigning) -> None:
    begun = answer(signing, "init", signing.gun)
    assert sign(signing, "--key", signing.folder / "trust", "--root", begun["rootKeyId"]).exit_code == 0
    ran = sign(signing, "--key", signing.folder / "trust", "--root", "4a" * 32, tag="1.5")
    assert ran.exit_code == 1
    assert "is not the one that the policy pins" in ran.stderr


def test_state_of_the_run_is_used_where_it_is_named(signing: NotarySigning) -> None:
    answer(signing, "init", signing.gun)
    state = signing.folder / "state"
    assert sign(signing, "--key", signing.folder / "trust", "--state", state).exit_code == 0
    assert list(state.glob("*.json"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--algorithm", "ECDSA_SHA_384"), "Notary has one algorithm for each type of key"),
        (("--key", "no-such.pem"), "cannot read no-such.pem"),
        (("--annotation", "env=prod"), "--annotation belongs to --format cosign"),
        (("--role", "Ops"), "a UCP team whose name"),
    ],
)
def test_invalid_usage_of_sign_is_explained(signing: NotarySigning, args: tuple[str, ...], message: str) -> None:
    ran = sign(signing, *args)
    assert ran.exit_code == 2
    assert message in ran.stderr


def test_wrong_passphrase_is_named_with_key_and_sources(
    signing: NotarySigning, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(signing, "init", signing.gun)
    monkeypatch.setenv("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "not the right one")
    ran = sign(signing, "--key", signing.folder / "trust")
    assert ran.exit_code == 1
    assert "the targets key " in ran.stderr
    assert "the passphrase is wrong, or the file is damaged" in ran.stderr
    assert "not the right one" not in ran.output


def test_registry_that_is_named_may_have_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for `sealgate sign`; without --server it is the notary server too."""
    asked: list[object] = []

    def refuse(_: socket.socket, address: object) -> None:
        asked.append(address)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    ran = sealgate("notary", "delegation", "list", "10.1.2.3/dev/nginx")
    assert (ran.exit_code, asked) == (3, [("10.1.2.3", 443)]), ran.output
