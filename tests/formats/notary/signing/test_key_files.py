"""Private key files of docker and notary, read and written; what real ones hold is recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from sealgate.errors import ConfigError, InvalidKeyError, SigningError
from sealgate.formats.notary.private_keys.files import KeyFile, PrivateKey, local_key, read_key_file, write_key_file
from sealgate.formats.notary.private_keys.stores import (
    TrustDirectory,
    load_bundle,
    load_key,
    read_certificate,
)
from sealgate.formats.notary.wire.keys import certificate_entry, read_key
from tests.support.environments.notary_signing import PASSPHRASE, FixedPassphrases
from tests.support.signers.notary import certified, rsa_key

RECORDED = Path(__file__).parents[3] / "data" / "notary" / "keys"
GUN = "dtr.example.org/dev/nginx"


@pytest.mark.parametrize("path", sorted(RECORDED.glob("private/*.key")), ids=lambda path: path.stem[:8])
def test_key_files_of_the_real_client_are_read(path: Path) -> None:
    file = read_key_file(path.read_bytes())
    assert file.is_encrypted
    assert file.headers["role"] in ("root", "targets", "snapshot", "alice", "bob")
    assert ("gun" in file.headers) == (file.headers["role"] in ("targets", "snapshot"))
    key = local_key(file.open(PASSPHRASE), "it")
    assert key.canonical_id == path.stem
    with pytest.raises(InvalidKeyError, match="the passphrase is wrong"):
        file.open("another")


def test_damaged_key_files_are_refused_and_nothing_else_happens() -> None:
    path = next(path for path in sorted(RECORDED.glob("private/*.key")) if b"role: root" in path.read_bytes())
    file = read_key_file(path.read_bytes())
    opened = []
    for position in range(len(file.der)):
        damaged = bytearray(file.der)
        damaged[position] ^= 0x81
        try:
            opened.append(local_key(KeyFile(file.label, {}, bytes(damaged)).open(PASSPHRASE), "it").canonical_id)
        except InvalidKeyError:
            continue
    # Only what cannot be seen in the key is left to be damaged: the padding's first bytes, or a tag that is not read.
    assert set(opened) <= {path.stem}
    for end in range(len(file.der)):
        with pytest.raises(InvalidKeyError):
            KeyFile(file.label, {}, file.der[:end]).open(PASSPHRASE)


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_written_key_files_are_read_again(kind: str) -> None:
    keys: dict[str, PrivateKey] = {
        "ec": ec.generate_private_key(ec.SECP521R1()),
        "rsa": rsa_key(),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }
    content = write_key_file(keys[kind], PASSPHRASE, "targets", GUN)
    head = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\ngun: dtr.example.org/dev/nginx\nrole: targets\n\n"
    assert content.startswith(head)
    assert content.endswith(b"\n-----END ENCRYPTED PRIVATE KEY-----\n")
    file = read_key_file(content)
    assert file.headers == {"gun": GUN, "role": "targets"}
    assert file.open(PASSPHRASE).public_key() == keys[kind].public_key()


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_plain_pem_needs_no_passphrase(form: PrivateFormat, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key.pem"
    path.write_bytes(b"some text\n" + key.private_bytes(Encoding.PEM, form, NoEncryption()))
    loaded = load_key(path, FixedPassphrases(()), "the key", "delegation")
    assert loaded.private.public_key() == key.public_key()


def test_encryption_by_other_tools_is_read(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode())))
    loaded = load_key(path, FixedPassphrases(("wrong", PASSPHRASE)), "the key", "delegation")
    assert loaded.private.public_key() == key.public_key()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not hold one private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAA\n-----END PRIVATE KEY-----\n", "base64 is damaged"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "does not hold a private key"),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "passphrase is wrong"),
        (
            b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
            "openssl pkcs8 -topk8",
        ),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(InvalidKeyError, match=message) as caught:
        load_key(path, FixedPassphrases(), "the key key.pem", "delegation")
    assert caught.value.message.startswith("the key key.pem cannot be used: ")


def test_unsupported_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    key = dsa.generate_private_key(1024)  # noqa: S505 - to show that it is refused
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(InvalidKeyError, match="neither ECDSA nor RSA nor Ed25519"):
        load_key(path, FixedPassphrases(), "the key", "delegation")


# Trust directories -----------------------------------------------------------------------------------------------


def test_key_is_found_by_its_canonical_id_in_old_and_new_layouts(tmp_path: Path) -> None:
    alice = certified("alice")
    canonical = alice.canonical_id
    for name in (f"{canonical}.key", f"root_keys/{canonical}_root.key", f"tuf_keys/{GUN}/{canonical}_targets.key"):
        folder = tmp_path / name.replace("/", "-")
        path = folder / "private" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(write_key_file(alice.private, PASSPHRASE, "alice"))
        for given in (folder, folder / "private"):
            directory = TrustDirectory(given, FixedPassphrases())
            key = read_key(*certificate_entry(alice.certificates[0]))
            assert directory.has(key)
            found = directory.find(key, "targets/releases")
            assert found is not None
            assert found.public.fingerprint == alice.fingerprint


def test_first_root_key_is_used_as_docker_does(tmp_path: Path) -> None:
    shutil.copytree(RECORDED, tmp_path / "trust")
    directory = TrustDirectory(tmp_path / "trust", FixedPassphrases())
    root = directory.first("root")
    assert root is not None
    assert read_key_file((tmp_path / "trust" / "private" / f"{root.canonical_id}.key").read_bytes()).headers == {
        "role": "root"
    }
    assert directory.first("timestamp") is None


def test_stored_key_is_readable_by_its_user_only(tmp_path: Path) -> None:
    key = local_key(ec.generate_private_key(ec.SECP256R1()), "it")
    TrustDirectory(tmp_path / "trust", FixedPassphrases()).add(key, "root")
    (path,) = (tmp_path / "trust" / "private").iterdir()
    assert path.name == f"{key.canonical_id}.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "trust" / "private").stat().st_mode & 0o777 == 0o700


def test_file_named_for_another_key_is_refused(tmp_path: Path) -> None:
    alice, bob = certified("alice"), certified("bob")
    path = tmp_path / "private" / f"{alice.canonical_id}.key"
    path.parent.mkdir()
    path.write_bytes(write_key_file(bob.private, PASSPHRASE, "alice"))
    with pytest.raises(SigningError, match="not the one that its name says"):
        TrustDirectory(tmp_path, FixedPassphrases()).find(read_key(*certificate_entry(alice.certificates[0])), "alice")


def test_unreadable_directory_for_new_keys_is_named(tmp_path: Path) -> None:
    (tmp_path / "trust").write_text("a file")
    key = local_key(ec.generate_private_key(ec.SECP256R1()), "it")
    with pytest.raises(ConfigError, match="cannot store the root key in"):
        TrustDirectory(tmp_path / "trust", FixedPassphrases()).add(key, "root")


# Client bundles --------------------------------------------------------------------------------------------------


def test_client_bundle_is_read(tmp_path: Path) -> None:
    alice = certified("alice", rsa_key())
    (tmp_path / "key.pem").write_text(alice.private_pem)
    (tmp_path / "cert.pem").write_text(f"Certificate:\n  text before it\n{alice.certificate_pem}")
    assert load_bundle(tmp_path, FixedPassphrases(())).public.fingerprint == alice.fingerprint
    assert read_certificate(tmp_path / "cert.pem") == alice.certificates[0]


def test_client_bundle_with_anothers_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(certified("bob").private_pem)
    (tmp_path / "cert.pem").write_text(certified("alice").certificate_pem)
    with pytest.raises(InvalidKeyError, match=r"is not the one that its cert.pem certifies"):
        load_bundle(tmp_path, FixedPassphrases(()))


@pytest.mark.parametrize(
    "content", [None, "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_unreadable_certificate_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "cert.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"cert.pem"):
        read_certificate(path)
