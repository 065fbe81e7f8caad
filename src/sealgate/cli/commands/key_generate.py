"""`sealgate key generate`: make a key pair to sign with."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.signing_keys import COSIGN_PASSWORD, new_passphrase
from sealgate.cli.outputs import console
from sealgate.clocks import SystemClock
from sealgate.errors import ConfigError
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.openpgp import generation
from sealgate.keys.private_keys import public_pem_of
from sealgate.keys.public_keys import load_public_key
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRIVATE, _PUBLIC = 0o600, 0o644
#: The type of keys for simple signing, beside those that sign without a format of their own.
_OPENPGP = "openpgp"


@dataclass(frozen=True, slots=True)
class _KeyPair:
    """What is written to the two files, and what is shown of it."""

    private: bytes = field(repr=False)
    public: bytes
    type: str
    fingerprint: str
    algorithm: str


@click.command(
    epilog=examples(
        "sealgate key generate release.key --type ecdsa-p256",
        "sealgate key generate release.key --type sm2 --passphrase-file passphrase.txt",
        "sealgate key generate release.asc --type openpgp",
    )
)
@click.argument("path", metavar="FILE", type=click.Path())
@click.option(
    "--type",
    "kind",
    type=click.Choice([*(each.value for each in KeyType), _OPENPGP]),
    default=KeyType.ECDSA_P256.value,
    show_default=True,
    help="Type of the key.",
)
@click.option(
    "--passphrase-file",
    metavar="FILE",
    help="File with the new key's passphrase in its first line. Without it the passphrase is taken from "
    "COSIGN_PASSWORD (except for openpgp), or asked for on a terminal.",
)
@options.output_option
def generate(path: str, kind: str, passphrase_file: str | None, output: str) -> Exit:
    """Make a key pair: FILE, which only its owner can read, and FILE.pub. Existing files are never overwritten.

    With a passphrase, FILE is encrypted as cosign does (ENCRYPTED SIGSTORE PRIVATE KEY), so that cosign and sealgate
    read it. Without a passphrase (an empty answer on the terminal, or no terminal and no COSIGN_PASSWORD), FILE is not
    encrypted (PKCS#8); cosign reads such a key after cosign import-key-pair. cosign has no SM2 keys.

    Type openpgp makes an RSA key for simple signing, which gpg imports. Its user ID is the name of FILE without suffix.

    FILE.pub is the public key for policies.

    Exit codes: 0 the key pair was made, 2 it was not (a file exists, or cannot be written), 3 a file could not be
    written to its end.
    """
    variable = None if kind == _OPENPGP else COSIGN_PASSWORD
    passphrase = new_passphrase(passphrase_file, f"the new key {quote(path)}", variable)
    made = _openpgp(Path(path).stem, passphrase) if kind == _OPENPGP else _key_pair(KeyType(kind), passphrase)
    with _new_files(path, f"{path}.pub") as (private_file, public_file):
        os.write(private_file, made.private)
        os.write(public_file, made.public)
    shown = {
        "file": path,
        "publicKey": f"{path}.pub",
        "type": made.type,
        "fingerprint": made.fingerprint,
        "defaultAlgorithm": made.algorithm,
        "encrypted": passphrase is not None,
    }
    if output == "json":
        click.echo(json.dumps(shown, indent=2))
        return Exit.ADMITTED
    how = "encrypted" if passphrase is not None else "not encrypted"
    out = console.output()
    out.print(console.plain(f"{made.type} key {made.fingerprint}"))
    out.print(console.plain(f"private key: {path} ({how})"))
    out.print(console.plain(f"public key:  {path}.pub"))
    return Exit.ADMITTED


def _key_pair(kind: KeyType, passphrase: bytes | None) -> _KeyPair:
    key = generate_key(kind)
    public = public_pem_of(key)
    loaded = load_public_key(public)
    private = write_private_key(key, passphrase)
    return _KeyPair(private, public, loaded.kind, loaded.fingerprint, loaded.algorithm.value)


def _openpgp(user_id: str, passphrase: bytes | None) -> _KeyPair:
    new = generation.generate_key(user_id, SystemClock().now(), passphrase)
    return _KeyPair(new.secret.encode(), new.public.encode(), "OpenPGP", new.fingerprint, "OpenPGP")


@contextlib.contextmanager
def _new_files(private: str, public: str) -> Iterator[tuple[int, int]]:
    """Open two new files; if one cannot be made, or the block fails, none is left behind."""
    with _new_file(private, _PRIVATE) as private_file, _new_file(public, _PUBLIC) as public_file:
        yield private_file, public_file


@contextlib.contextmanager
def _new_file(path: str, mode: int) -> Iterator[int]:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError as error:
        raise ConfigError(f"{quote(path)} exists and is not overwritten; choose another name") from error
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(f"cannot write {quote(path)}: {quote(why)}") from error
    try:
        yield file
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
