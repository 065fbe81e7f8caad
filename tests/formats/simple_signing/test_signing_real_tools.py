"""What sealgate signs, gpg and skopeo accept; what skopeo has stored, sealgate extends."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.formats.simple_signing.deleting import FileRemoval
from sealgate.formats.simple_signing.sign import SimpleSigner
from sealgate.formats.simple_signing.stores import FolderStore, LookasideStore, OpenShiftStore
from sealgate.keys.openpgp.generation import generate_key
from sealgate.keys.openpgp.gpg import GPGKey
from sealgate.keys.openpgp.secret_keys import SecretKeyFile
from tests.keys.openpgp.test_secret_keys import PASSPHRASE, content
from tests.support.environments.simple_signing_signer import SigningEnvironment, no_passphrase
from tests.support.real_tools.gpg_home import Home, gpg_home
from tests.support.simulators.lookaside import LookasideSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.formats.simple_signing.storing import WritableStore
    from sealgate.keys.openpgp.signing import OpenPGPSigner

pytestmark = pytest.mark.real


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    with gpg_home(tmp_path / "gnupg") as home:
        monkeypatch.setenv("GNUPGHOME", str(home.path))
        yield home


@pytest.fixture
def environment() -> Iterator[SigningEnvironment]:
    with SigningEnvironment() as environment:
        # Images that skopeo copies need what the fixtures' manifest names.
        environment.registry.push_blob("team/api", b"")
        environment.digest = environment.registry.push_image("team/api", "1.4")
        yield environment


def key_file(name: str) -> SecretKeyFile:
    return SecretKeyFile(content(name), name, datetime.now(UTC), lambda: PASSPHRASE)


def gpg_key(fingerprint: str) -> GPGKey:
    return GPGKey(fingerprint, datetime.now(UTC), Deadline.after(SystemClock(), 60), no_passphrase)


def sign(environment: SigningEnvironment, key: OpenPGPSigner, store: WritableStore) -> None:
    SimpleSigner(key, store).sign(environment.here(), environment.context())


def pull(home: Home, environment: SigningEnvironment, folder: Path, public: str, *options: str) -> bool:
    """Have skopeo copy the image under a policy that requires signatures by a key; return whether it does."""
    key, policy = folder / "key.asc", folder / "policy.json"
    key.write_text(public)
    policy.write_text(json.dumps({"default": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": str(key)}]}))
    source = f"docker://{environment.registry.host}/team/api:1.4"
    arguments = ["--policy", str(policy), *options, "copy", "--src-tls-verify=false", source, f"dir:{folder / 'out'}"]
    return home.skopeo(*arguments, check=False) == 0


def registries_d(folder: Path, environment: SigningEnvironment, url: str) -> list[str]:
    """Return skopeo's option for a registry whose signatures are at a URL."""
    environment.registry.faults.header("^/v2/$", "X-Registry-Supports-Signatures", None)
    configuration = folder / "registries.d"
    configuration.mkdir(exist_ok=True)
    # Newer versions call it `lookaside`; both read this name.
    (configuration / "default.yaml").write_text(json.dumps({"docker": {environment.registry.host: {"sigstore": url}}}))
    return ["--registries.d", str(configuration)]


def public_half(home: Home, name: str) -> str:
    """Return the public half of a recorded key, by gpg's own reading of it."""
    home.run("--import", data=content(name), passphrase=PASSPHRASE)
    return home.export(key_file(name).fingerprint)


@pytest.mark.parametrize(
    "name", ["rsa-3072.asc", "dsa-2048.asc", "ed25519.asc", "p256.asc", "p521.asc", "encrypted.asc"]
)
def test_gpg_and_skopeo_accept_what_a_key_file_signs(
    home: Home, environment: SigningEnvironment, tmp_path: Path, name: str
) -> None:
    public_half(home, name)
    key = key_file(name)
    sign(environment, key, FolderStore(tmp_path))
    file = next(tmp_path.glob("team/*/signature-1"))
    status = home.run("--status-fd=1", "--output=/dev/null", "--decrypt", str(file)).decode(errors="replace")
    assert [line.split()[1] for line in status.splitlines() if "SIG " in line].count("GOODSIG") == 1
    manifest = tmp_path / "manifest.json"
    manifest.write_bytes(environment.registry.manifest("team/api", "1.4")[1])
    reference = str(environment.here().reference)
    arguments = ["standalone-verify", str(manifest), reference, key.fingerprint, str(file)]
    assert home.skopeo(*arguments, check=False) == 0
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert home.skopeo(*arguments, check=False) != 0


@pytest.mark.parametrize("kind", ["rsa2048", "ed25519"])
def test_skopeo_pulls_what_a_key_of_gpg_signed_into_the_extension(
    home: Home, environment: SigningEnvironment, tmp_path: Path, kind: str
) -> None:
    fingerprint = home.key(kind=kind)
    assert not pull(home, environment, tmp_path, home.export(fingerprint))
    sign(environment, gpg_key(fingerprint), OpenShiftStore())
    assert pull(home, environment, tmp_path, home.export(fingerprint))
    stranger = home.key("stranger@example.org")
    assert not pull(home, environment, tmp_path, home.export(stranger))


def test_skopeo_pulls_what_a_new_key_signed(home: Home, environment: SigningEnvironment, tmp_path: Path) -> None:
    new = generate_key("Release <release@example.org>", datetime.now(UTC))
    sign(environment, SecretKeyFile(new.secret.encode(), "new.asc", datetime.now(UTC), no_passphrase), OpenShiftStore())
    assert pull(home, environment, tmp_path, new.public)


def test_skopeo_pulls_what_was_signed_into_a_folder_or_a_web_server(
    home: Home, environment: SigningEnvironment, tmp_path: Path
) -> None:
    public = public_half(home, "ed25519.asc")
    folder = tmp_path / "sigstore"
    folder.mkdir()
    with LookasideSimulator() as server:
        environment.trust(server)
        url = f"{server.url}/sigstore"
        for store, where in ((FolderStore(folder), folder.as_uri()), (LookasideStore(url, None), url)):
            options = registries_d(tmp_path, environment, where)
            assert not pull(home, environment, tmp_path, public, *options)
            sign(environment, key_file("ed25519.asc"), store)
            assert pull(home, environment, tmp_path, public, *options)


def test_skopeo_refuses_only_what_was_deleted(home: Home, environment: SigningEnvironment, tmp_path: Path) -> None:
    folder = tmp_path / "sigstore"
    folder.mkdir()
    options, store = registries_d(tmp_path, environment, folder.as_uri()), FolderStore(folder)
    names = ["rsa-3072.asc", "ed25519.asc", "p256.asc"]
    public = [public_half(home, name) for name in names]
    for name in names:
        sign(environment, key_file(name), store)
    deleted = next(folder.glob("team/*/signature-1")).read_bytes()
    FileRemoval(store, "", hashlib.sha256(deleted).hexdigest()).remove(environment.here(), environment.context())
    assert [pull(home, environment, tmp_path, key, *options) for key in public] == [False, True, True]


def test_signatures_of_skopeo_are_kept_and_extended(
    home: Home, environment: SigningEnvironment, tmp_path: Path
) -> None:
    folder = tmp_path / "sigstore"
    folder.mkdir()
    options = registries_d(tmp_path, environment, folder.as_uri())
    theirs = home.key("skopeo@example.org", "rsa2048")
    name = f"docker://{environment.registry.host}/team/api:1.4"
    home.skopeo(
        *options, "--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
        "--sign-by", theirs, name, name,
    )  # fmt: skip
    (file,) = folder.glob("team/*/signature-1")
    before = file.read_bytes()
    sign(environment, key_file("rsa-3072.asc"), FolderStore(folder))
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.iterdir()) == ["signature-1", "signature-2"]
    for public in (home.export(theirs), public_half(home, "rsa-3072.asc")):
        assert pull(home, environment, tmp_path, public, *options)
    again = SimpleSigner(gpg_key(theirs), FolderStore(folder)).sign(environment.here(), environment.context())
    assert again.outcome == "already signed"
