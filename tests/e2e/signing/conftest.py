"""Signing is installed for the tests of this folder, and removed afterwards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.e2e.clusters import require_machine
from tests.e2e.servers import secrets
from tests.e2e.signing.environment import REGISTRY, TOKEN, Signing, installed, namespace_of_secrets, services
from tests.support.real_tools.gpg_home import gpg_home

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.images import Image, ImageBuilder


@pytest.fixture(scope="package")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signing]:
    """Install signing, with a registry and services; delete all SigningPolicies and remove it afterwards."""
    machine = require_machine()
    folder = tmp_path_factory.mktemp("signing")
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    with gpg_home(folder / "gnupg") as home, services() as found, secrets(e2e_events={"token": TOKEN.encode()}):
        fingerprint = home.key("release@example.org")
        armored = home.run("--armor", "--export-secret-keys", fingerprint)
        keys = {"release-key": {"key.pem": private}, "release-pgp": {"key.asc": armored}}
        with namespace_of_secrets(found, keys), installed(found, folder, machine) as (url, registry):
            run = f"{REGISTRY}/{os.urandom(4).hex()}"
            yield Signing(found, run, public, home.export(fingerprint), url, registry)


@pytest.fixture(scope="package")
def unsigned(signing: Signing, image_builder: ImageBuilder) -> Image:
    """An image that no SigningPolicy covers."""
    return image_builder.push(f"{signing.run}/uncovered/app:1", "unsigned")
