"""Keys and passphrases of Notary: trust directories, client bundles, single files; the variables of docker and notary.

A passphrase is never an argument. It comes from a file, from the variables that docker and notary have, or from a
terminal; without a terminal nothing is asked for.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealgate.cli.inputs.files import read_text
from sealgate.errors import ConfigError
from sealgate.formats.notary.private_keys.stores import (
    OneKey,
    TrustDirectory,
    is_bundle,
    load_bundle,
    load_key,
)
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_PASSPHRASE_BYTES = 4096
_DOCKER_ROOT, _DOCKER_OTHERS = "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE"
#: By the key's role; all other roles are delegations.
_VARIABLES = {
    "root": ("NOTARY_ROOT_PASSPHRASE", _DOCKER_ROOT),
    "targets": ("NOTARY_TARGETS_PASSPHRASE", _DOCKER_OTHERS),
    "snapshot": ("NOTARY_SNAPSHOT_PASSPHRASE", _DOCKER_OTHERS),
}
_OF_DELEGATIONS = ("NOTARY_DELEGATION_PASSPHRASE", _DOCKER_OTHERS)


@dataclass(frozen=True, slots=True)
class NotaryPassphrases:
    """Passphrases of key files; see `sealgate.formats.notary.private_keys.stores.Passphrases`.

    Attributes:
        file: first line of `--passphrase-file`; None if the option is not given.
        environment: the variables.
    """

    file: str | None = field(default=None, repr=False)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @property
    def sources(self) -> str:
        """Where passphrases come from."""
        return (
            "--passphrase-file, NOTARY_{ROOT,TARGETS,SNAPSHOT,DELEGATION}_PASSPHRASE, "
            "DOCKER_CONTENT_TRUST_{ROOT,REPOSITORY}_PASSPHRASE, or a terminal"
        )

    def of(self, role: str, name: str) -> Iterator[str]:
        """Yield the passphrases that are given for a role; ask on a terminal if none of them is taken."""
        yield from self._given(role)
        if _is_terminal():
            yield click.prompt(f"Passphrase of {name}", hide_input=True, err=True)

    def new(self, role: str) -> str:
        """Return the passphrase for a new key; ask twice on a terminal if none is given.

        Raises:
            ConfigError: there is none.
        """
        for passphrase in self._given(role):
            return passphrase
        if not _is_terminal():
            first, second = _variables(role)
            msg = (
                f"a new {role} key is stored encrypted, and there is no passphrase for it; set {first} (or {second}), "
                "or give --passphrase-file"
            )
            raise ConfigError(msg)
        text = f"Passphrase for the new {role} key"
        return str(click.prompt(text, hide_input=True, confirmation_prompt=True, err=True))

    def _given(self, role: str) -> Iterator[str]:
        if self.file is not None:
            yield self.file
        for name in _variables(role):
            if self.environment.get(name):
                yield self.environment[name]


def read_passphrases(path: str | None) -> NotaryPassphrases:
    """Return the passphrases of `--passphrase-file` and of the variables.

    Raises:
        ConfigError: the file cannot be read, or is empty.
    """
    if path is None:
        return NotaryPassphrases()
    passphrase = read_text(path, _MAX_PASSPHRASE_BYTES).partition("\n")[0].removesuffix("\r")
    if not passphrase:
        raise ConfigError(f"--passphrase-file {quote(path)} is empty")
    return NotaryPassphrases(passphrase)


def read_keys(path: Path, passphrases: NotaryPassphrases) -> OneKey | TrustDirectory:
    """Return the keys at a path: a private key in PEM, an unpacked UCP client bundle, or a trust directory.

    Raises:
        ConfigError: there is nothing there, or it cannot be read.
        InvalidKeyError: a key cannot be used.
    """
    if not path.is_dir():
        name = f"the key file {quote(path)}"
        return OneKey(load_key(path, passphrases, name, "delegation"))
    return OneKey(load_bundle(path, passphrases)) if is_bundle(path) else TrustDirectory(path, passphrases)


def default_trust_directory() -> Path:
    """Return docker's trust directory."""
    docker = os.environ.get("DOCKER_CONFIG")
    return Path(docker) / "trust" if docker else Path("~/.docker/trust").expanduser()


def _variables(role: str) -> tuple[str, str]:
    return _VARIABLES.get(role, _OF_DELEGATIONS)


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
