"""Secrets that a user writes where they do not belong, and that a message must not repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sealgate.errors import ForbiddenAddressError
from sealgate.formats.notary.private_keys.files import read_key_file
from sealgate.http.urls import parse_url
from tests.cli.keys import private_pem
from tests.cli.running import sealgate
from tests.support.signers.private_keys import new_key

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "open-sesame"
URL = f"https://ci:{PASSWORD}@service.example.org/path"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "release.key"
    path.write_text(private_pem(new_key("ECDSA P-256", "release")))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ("sign", "registry.example.org/a:1", "--format", "notary", "--server", URL),
        ("sign", "registry.example.org/a:1", "--format", "grafeas", "--note", "projects/a/notes/b", "--server", URL),
        ("sign", "registry.example.org/a:1", "--format", "simpleSigning", "--store", URL),
        ("sign", "registry.example.org/a:1", "--kms-endpoint", URL),
    ],
    ids=lambda arguments: arguments[3],
)
def test_password_in_an_address_is_not_repeated_by_sign(key_file: Path, arguments: tuple[str, ...]) -> None:
    ran = sealgate(*arguments, "--key", key_file)
    assert ran.exit_code == 2
    assert arguments[-2] in ran.stderr
    assert PASSWORD not in ran.output


def test_password_in_an_address_is_not_repeated_by_notary() -> None:
    ran = sealgate("notary", "init", "registry.example.org/a", "--server", URL)
    assert ran.exit_code == 2
    assert "https://service.example.org/path cannot be asked: it has a user name or password" in ran.stderr
    assert PASSWORD not in ran.output


@pytest.mark.parametrize("before", ["https://", "HTTP://", "", "https:", "https:/", "\\\\", "ftp://"])
def test_password_in_a_url_is_not_in_its_error(before: str) -> None:
    with pytest.raises(ForbiddenAddressError, match=r"service\.example\.org") as caught:
        parse_url(f"{before}ci:{PASSWORD}@service.example.org/path")
    assert PASSWORD not in caught.value.message


def test_private_key_is_not_in_the_text_of_its_file(key_file: Path) -> None:
    file = read_key_file(key_file.read_bytes())
    assert repr(file.der) not in repr(file)
