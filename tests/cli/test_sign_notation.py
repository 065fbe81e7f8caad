"""`sealgate sign --format notation`, and what `sealgate verify` says about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.cli.objects import write
from tests.cli.running import sealgate
from tests.support.builders.objects import api_object, policy
from tests.support.signers.notation import IDENTITY, NOW, YEAR, Authority
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

AUTHORITY = Authority("root", NOW - YEAR, 100 * YEAR)
KEY, CHAIN = AUTHORITY.issue("P-384")


@pytest.fixture
def registry() -> Iterator[RegistrySimulator]:
    with RegistrySimulator() as made:
        made.push_image("team/app", "v1")
        yield made


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "key.pem").write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "key.pem").chmod(0o600)
    (tmp_path / "chain.pem").write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in CHAIN))
    (tmp_path / "root.pem").write_text(AUTHORITY.pem)
    (tmp_path / "policies").mkdir()
    notation = {"trustStores": {"ca": [{"pem": AUTHORITY.pem}]}, "trustedIdentities": [IDENTITY]}
    write(tmp_path / "policies" / "a.yaml", api_object("Authenticator", "release", {"notation": notation}), policy())
    return tmp_path


def run(registry: RegistrySimulator, command: str, *arguments: object) -> Result:
    image = f"{registry.host}/team/app:v1"
    return sealgate(command, image, "--insecure-registry", registry.host, *map(str, arguments))


@pytest.mark.parametrize("envelope", [(), ("--envelope", "cose")])
def test_image_is_signed_and_verifies(registry: RegistrySimulator, files: Path, envelope: tuple[str, ...]) -> None:
    verify = ("--policies", files / "policies")
    assert run(registry, "verify", *verify).exit_code == 1
    arguments = ("--format", "notation", "--key", files / "key.pem", "--certificate-chain", files / "chain.pem")
    signed = run(registry, "sign", *arguments, "--annotation", "env=prod", *envelope)
    assert signed.exit_code == 0, signed.output
    verified = run(registry, "verify", *verify)
    assert verified.exit_code == 0, verified.output
    assert "already signed" in run(registry, "sign", *arguments, "--annotation", "env=prod").output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--certificate-chain is missing"),
        (("--certificate-chain", "root.pem"), "is of a CA, which must not sign images itself"),
        (("--certificate-chain", "key.pem"), "does not hold certificates"),
        (("--certificate-chain", "chain.pem", "--algorithm", "ECDSA_SHA_256"), "leave it out"),
        (("--certificate-chain", "chain.pem", "--storage", "tag"), "belongs to --format"),
    ],
)
def test_wrong_options_are_named(
    registry: RegistrySimulator, files: Path, arguments: tuple[str, ...], says: str
) -> None:
    given = [files / each if each.endswith(".pem") else each for each in arguments]
    done = run(registry, "sign", "--format", "notation", "--key", files / "key.pem", *given)
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
    assert not registry.requests
