"""Keys that sign, as `--key` names them, and their passphrases. A passphrase is never an argument."""

from __future__ import annotations

import functools
import os
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sealgate.cli.inputs import files
from sealgate.cli.inputs.kms_keys import FORMS, parse_kms_key
from sealgate.cli.inputs.registries import settings_of
from sealgate.errors import ConfigError, InvalidKeyError
from sealgate.http.services import ServiceClient
from sealgate.keys.openpgp.gpg import PREFIX as OPENPGP_PREFIX
from sealgate.keys.pem import MAX_PEM_BYTES
from sealgate.keys.private_keys import load_private_key
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.keys.signing_keys import SigningKey

T = TypeVar("T")

#: The environment variable in which cosign takes the passphrase of a key.
COSIGN_PASSWORD = "COSIGN_PASSWORD"  # noqa: S105 - a name, not a password
_MAX_PASSPHRASE = 4096
_OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """The options of a key that signs.

    Attributes:
        key: a file, or SCHEME:REST for a key in a KMS; None if not given, for formats that take keys otherwise.
        algorithm: name of the algorithm; None for the default of the key's type.
        distinguishing_id: of an SM2 key; None for the usual one.
        passphrase_file: file with the passphrase in its first line; None if not given.
        kms_endpoint: address of the KMS that has the key; None for the public one.
        registries: how hosts are reached; for keys in a KMS.
        timeout: seconds for the requests to a KMS; greater than 0.
    """

    key: str | None
    algorithm: str | None
    distinguishing_id: str | None
    passphrase_file: str | None
    kms_endpoint: str | None
    registries: RegistryOptions
    timeout: float


def key_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options of the key, gathered as `key`; for commands with `registries` and `timeout`."""

    @click.option(
        "--key",
        "key_text",
        metavar="KEY",
        help="Key that signs: a PEM file with a private key (PKCS#8, SEC1, PKCS#1, or encrypted by cosign or openssl), "
        f"or the name of a key in a KMS: {', '.join(FORMS.values())}. The credentials for a KMS are those that the "
        "vendor's own tool uses, from variables or a file. For simpleSigning and grafeas an OpenPGP secret key: a "
        "file, or gpg:FINGERPRINT for a key that gpg has. For notary also the folder of a UCP client bundle, or a "
        "trust directory; default docker's, ~/.docker/trust.",
    )
    @click.option("--algorithm", metavar="NAME", help="Signature algorithm. Default: that of the key's type.")
    @click.option(
        "--distinguishing-id", metavar="TEXT", help="Distinguishing ID of an SM2 key. Default: the usual one."
    )
    @click.option(
        "--passphrase-file",
        metavar="FILE",
        help="File with the key's passphrase in its first line. Without it the passphrase is taken from the variable "
        "of the format's own tool (cosign: COSIGN_PASSWORD), or asked for on a terminal.",
    )
    @click.option(
        "--kms-endpoint",
        metavar="URL",
        help="Address of the KMS that has the key, if it is not the region's public one; of an Oracle vault its "
        "management endpoint.",
    )
    @functools.wraps(command)
    def wrapped(  # noqa: PLR0913 - click hands over one argument for each option
        *args: Any,  # noqa: ANN401
        key_text: str | None,
        algorithm: str | None,
        distinguishing_id: str | None,
        passphrase_file: str | None,
        kms_endpoint: str | None,
        registries: RegistryOptions,
        timeout: float,
        **rest: Any,  # noqa: ANN401
    ) -> T:
        key = KeyOptions(key_text, algorithm, distinguishing_id, passphrase_file, kms_endpoint, registries, timeout)
        _require_kms_for_endpoint(key)
        return command(*args, key=key, registries=registries, timeout=timeout, **rest)

    return wrapped


def _require_kms_for_endpoint(options: KeyOptions) -> None:
    if options.kms_endpoint is not None and (options.key or "").partition(":")[0] not in SCHEMES:
        raise click.UsageError(f"--kms-endpoint belongs to a key in a KMS: --key {' or '.join(FORMS.values())}")


def _open_kms_key(options: KeyOptions) -> SigningKey:
    name = parse_kms_key(
        options.key or "",
        os.environ,
        algorithm=options.algorithm,
        distinguishing_id=options.distinguishing_id,
        endpoint=options.kms_endpoint,
    )
    network = click.get_current_context().with_resource(ServiceClient(settings_of(options.registries)))
    return name.open(network, options.timeout)


#: Keys that are not files: the scheme of `--key SCHEME:REST`, and what opens it (with the whole of `--key`).
SCHEMES: Mapping[str, Callable[[KeyOptions], SigningKey]] = dict.fromkeys(FORMS, _open_kms_key)


def open_signing_key(options: KeyOptions, variable: str) -> SigningKey:
    """Return the key that `--key` names.

    Args:
        options: the options of the key.
        variable: environment variable with the passphrase, of the format's own tool.

    Raises:
        click.UsageError: `--key` is missing.
        ConfigError: a file cannot be read, or there is no passphrase.
        InvalidKeyError: the key cannot be accepted; the message names it.
        UnavailableError: the service that holds the key could not be asked.
    """
    if not options.key:
        raise click.UsageError("--key is missing: name the private key that signs")
    scheme = options.key.partition(":")[0]
    if scheme in SCHEMES:
        return SCHEMES[scheme](options)
    if options.key.startswith(OPENPGP_PREFIX):
        raise click.UsageError(f"--key {quote(options.key)} is an OpenPGP key; sign with --format simpleSigning")
    name = f"the key file {files.name_of(options.key)}"
    content = files.read_bytes(options.key, MAX_PEM_BYTES)
    warn_if_readable(options.key, name)
    try:
        return load_private_key(
            content,
            name,
            lambda: read_passphrase(options.passphrase_file, variable, name),
            options.algorithm,
            options.distinguishing_id,
        )
    except InvalidKeyError as error:
        raise InvalidKeyError(f"{name}: {error.message}") from error


def new_passphrase(file: str | None, name: str, variable: str | None) -> bytes | None:
    """Return the passphrase of a new key, from where `read_passphrase` takes it; None for a key without one.

    Args:
        file: `--passphrase-file`; None if not given.
        name: the key for a person.
        variable: as for `read_passphrase`.

    Raises:
        ConfigError: the file cannot be read, or has no passphrase: the key would be shown as encrypted.
    """
    if file is None and (variable is None or variable not in os.environ):
        return _ask(f"Passphrase of {name} (empty for none)", confirm=True) or None if _on_terminal() else None
    passphrase = read_passphrase(file, variable, name)
    if file is not None and not passphrase:
        msg = (
            f"the first line of {files.name_of(file)} is empty; write the passphrase of {name} there, or leave "
            "--passphrase-file out"
        )
        raise ConfigError(msg)
    return passphrase


def read_passphrase(file: str | None, variable: str | None, name: str) -> bytes:
    """Return a passphrase: from a file, else from an environment variable, else from the person at the terminal.

    Args:
        file: `--passphrase-file`; its first line counts. None if not given.
        variable: the environment variable; set and empty is an empty passphrase. None for tools that have none.
        name: what the passphrase is for ("the key file release.key").

    Raises:
        ConfigError: the file cannot be read, or nothing gives a passphrase and there is no terminal to ask on.
    """
    if file is not None:
        return files.read_bytes(file, _MAX_PASSPHRASE).partition(b"\n")[0].rstrip(b"\r")
    given = None if variable is None else os.environ.get(variable)
    if given is not None:
        return os.fsencode(given)
    if not _on_terminal():
        either = "" if variable is None else f"set {variable}, or "
        msg = f"{name} is encrypted, and there is no terminal to ask on; {either}use --passphrase-file"
        raise ConfigError(msg)
    return _ask(f"Passphrase of {name}", confirm=False)


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _ask(question: str, *, confirm: bool) -> bytes:
    answer: str = click.prompt(
        question, hide_input=True, default="", show_default=False, err=True, confirmation_prompt=confirm
    )
    return answer.encode()


def warn_if_readable(path: str, name: str) -> None:
    """Print a warning if a key file can be read by other users.

    Args:
        path: as the user wrote it.
        name: of the key for a person.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - like `open`, for any path that was just read
    except OSError:
        return  # standard input, or gone meanwhile: nothing to say about it
    if stat.S_ISREG(mode) and mode & _OTHERS_MAY_READ:
        click.echo(f"Warning: {name} can be read by others; protect it: chmod 600 {quote(path)}", err=True)
