"""OpenPGP secret keys, as `--key` names them: in a file, or held by gpg."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sealgate.cli.inputs import files
from sealgate.cli.inputs.signing_keys import SCHEMES, read_passphrase, warn_if_readable
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import ConfigError
from sealgate.keys.openpgp.gpg import PREFIX, GPGKey
from sealgate.keys.openpgp.keyring import MAX_KEYRING_BYTES
from sealgate.keys.openpgp.secret_keys import SecretKeyFile
from sealgate.messages import quote

if TYPE_CHECKING:
    from sealgate.cli.inputs.signing_keys import KeyOptions
    from sealgate.keys.openpgp.signing import OpenPGPSigner, PassphraseSource


def open_openpgp_key(options: KeyOptions) -> OpenPGPSigner:
    """Return the OpenPGP key that `--key` names.

    Args:
        options: the options of the key; `gpg:FINGERPRINT` is a key that gpg has, anything else a file.

    Raises:
        click.UsageError: `--key` is missing, or an option was given that OpenPGP keys do not have.
        ConfigError: the file cannot be read, or gpg cannot be started.
        InvalidKeyError: the key cannot be accepted, or cannot sign now; the message names it.
        UnavailableError: gpg did not answer in time.
    """
    if not options.key:
        raise click.UsageError(f"--key is missing: name the OpenPGP secret key: a file, or {PREFIX}FINGERPRINT")
    if options.algorithm is not None or options.distinguishing_id is not None:
        raise click.UsageError(
            "--algorithm and --distinguishing-id do not belong to an OpenPGP key, which decides itself"
        )
    if options.key.partition(":")[0] in SCHEMES:
        raise click.UsageError(f"--key {quote(options.key)} is a key of a KMS, and an OpenPGP key is needed here")
    clock = SystemClock()
    if options.key.startswith(PREFIX):
        passphrase = _passphrase(options, f"the key {quote(options.key)}")
        deadline = Deadline.after(clock, options.timeout)
        return GPGKey(options.key.removeprefix(PREFIX), clock.now(), deadline, passphrase)
    name = f"the key file {files.name_of(options.key)}"
    content = files.read_bytes(options.key, MAX_KEYRING_BYTES)
    warn_if_readable(options.key, name)
    return SecretKeyFile(content, name, clock.now(), _passphrase(options, name))


def _passphrase(options: KeyOptions, name: str) -> PassphraseSource:
    """Return what reads `--passphrase-file`, or asks the person at the terminal; gpg has no variable for it."""

    def ask() -> str | None:
        if options.passphrase_file is None and (sys.stdin is None or not sys.stdin.isatty()):
            return None
        try:
            return read_passphrase(options.passphrase_file, None, name).decode()
        except UnicodeDecodeError:
            raise ConfigError(f"the passphrase of {name} is not UTF-8 text") from None

    return ask
