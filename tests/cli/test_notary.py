from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import SystemClock
from sealgate.formats.notary.private_keys.stores import TrustDirectory
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.trusted_state.stores import MemoryTrustedState
from tests.cli.running import sealgate
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
    assert signing.trust.signed["root"]["version"] == 3


def test_output_for_people(signing: NotarySigning) -> None:
    assert f"Began the trust data of {signing.gun} with the root key " in run(signing, "init", signing.gun).stdout
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


def test_root_is_remembered_or_pinned(signing: NotarySigning) -> None:
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
