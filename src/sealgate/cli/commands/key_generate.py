"""`sealgate key generate`: make a key pair to sign with."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealgate.cli.exits import Exit
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.signing_keys import new_passphrase
from sealgate.cli.outputs import console
from sealgate.errors import ConfigError
from sealgate.keys.generation import KeyType, generate_key, write_private_key
from sealgate.keys.private_keys import public_pem_of
from sealgate.keys.public_keys import load_public_key
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRIVATE, _PUBLIC = 0o600, 0o644


@click.command(
    epilog=examples(
        "sealgate key generate release.key --type ecdsa-p256",
        "sealgate key generate release.key --type sm2 --passphrase-file passphrase.txt",
    )
)
@click.argument("path", metavar="FILE", type=click.Path())
@click.option(
    "--type",
    "kind",
    type=click.Choice([each.value for each in KeyType]),
    default=KeyType.ECDSA_P256.value,
    show_default=True,
    help="Type of the key.",
)
@click.option(
    "--passphrase-file",
    metavar="FILE",
    help="File with the new key's passphrase in its first line. Without it the passphrase is taken from "
    "COSIGN_PASSWORD, or asked for on a terminal.",
)
@options.output_option
def generate(path: str, kind: str, passphrase_file: str | None, output: str) -> Exit:
    """Make a key pair: FILE, which only its owner can read, and FILE.pub. Existing files are never overwritten.

    With a passphrase, FILE is encrypted as cosign does (ENCRYPTED SIGSTORE PRIVATE KEY), so that cosign and sealgate
    read it. Without a passphrase (an empty answer on the terminal, or no terminal and no COSIGN_PASSWORD), FILE is not
    encrypted (PKCS#8); cosign reads such a key after cosign import-key-pair. cosign has no SM2 keys.

    FILE.pub is the public key for policies.

    Exit codes: 0 the key pair was made, 2 it was not (a file exists, or cannot be written), 3 a file could not be
    written to its end.
    """
    passphrase = new_passphrase(passphrase_file, f"the new key {quote(path)}")
    key = generate_key(KeyType(kind))
    public = public_pem_of(key)
    with _new_files(path, f"{path}.pub") as (private_file, public_file):
        os.write(private_file, write_private_key(key, passphrase))
        os.write(public_file, public)
    loaded = load_public_key(public)
    shown = {
        "file": path,
        "publicKey": f"{path}.pub",
        "type": loaded.kind,
        "fingerprint": loaded.fingerprint,
        "defaultAlgorithm": loaded.algorithm.value,
        "encrypted": passphrase is not None,
    }
    if output == "json":
        click.echo(json.dumps(shown, indent=2))
        return Exit.ADMITTED
    how = "encrypted" if passphrase is not None else "not encrypted"
    out = console.output()
    out.print(console.plain(f"{loaded.kind} key {loaded.fingerprint}"))
    out.print(console.plain(f"private key: {path} ({how})"))
    out.print(console.plain(f"public key:  {path}.pub"))
    return Exit.ADMITTED


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
