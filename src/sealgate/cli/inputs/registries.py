"""Registry settings and credentials from options and the user's docker configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealgate.cli.inputs.files import read_text
from sealgate.http.settings import HostSettings
from sealgate.messages import quote
from sealgate.registry.credentials import CredentialChain, DockerConfigCredentials, NoCredentials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.registry.credentials import CredentialProvider

#: The most bytes of a CA bundle; one with every public CA is smaller.
MAX_CA_BYTES = 4 << 20
#: The most unreadable entries of a docker config that are reported.
MAX_NAMED = 8


def settings_of(options: RegistryOptions) -> HostSettings:
    """Return the registry settings that the options specify.

    Raises:
        ConfigError: a CA bundle cannot be read.
    """
    ca = {host: read_text(file, MAX_CA_BYTES) for host, file in options.ca.items()}
    return HostSettings(options.insecure, ca, options.mirrors, options.private)


def add_settings(own: HostSettings, cluster: HostSettings) -> tuple[HostSettings, frozenset[str]]:
    """Return the user's settings with those of a cluster for all other hosts, and the hosts that only these change.

    Args:
        own: the user's own, which win.
        cluster: those of the cluster.

    Returns:
        The settings; and the hosts that a CA, a mirror or plain HTTP of the cluster's settings may lead elsewhere,
        unless the user has named their CA or permitted plain HTTP to them. That a host may have a private address, or
        has a mirror, says nothing about which server is behind its name.
    """
    named = own.insecure | {*own.ca}
    changed = (cluster.insecure | {*cluster.ca, *cluster.mirrors, *cluster.mirrors.values()}) - named
    settings = HostSettings(
        own.insecure | cluster.insecure,
        {**cluster.ca, **own.ca},
        {**cluster.mirrors, **own.mirrors},
        own.private | cluster.private,
    )
    return settings, changed


def credentials_of(options: RegistryOptions) -> CredentialProvider:
    """Return the credentials of `--docker-config`, or of the files that docker and podman use.

    Entries that cannot be read are reported on standard error and ignored.

    Raises:
        ConfigError: a file cannot be read, or is not a docker config.
    """
    if options.docker_config is not None:
        return _read(options.docker_config)
    found = [_read(path) for path in _usual_configs() if _exists(path)]
    return CredentialChain(found) if found else NoCredentials()


def _read(path: Path | str) -> DockerConfigCredentials:
    config = DockerConfigCredentials.from_file(path)
    for entry in config.unreadable[:MAX_NAMED]:
        click.echo(f"Warning: the entry {quote(entry)} of {quote(path)} cannot be read and is ignored", err=True)
    return config


def _usual_configs() -> Iterator[Path]:
    """Yield the paths at which docker and podman store the credentials of the current user."""
    directory = os.environ.get("DOCKER_CONFIG")
    home = os.path.expanduser("~")  # noqa: PTH111 - unlike Path.home() it does not fail for a user without a home directory
    yield Path(directory or os.path.join(home, ".docker"), "config.json")  # noqa: PTH118 - as above
    authfile = os.environ.get("REGISTRY_AUTH_FILE")
    if authfile:
        yield Path(authfile)
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime, "containers", "auth.json")


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # the directory is not readable; the file was not requested, so this is not an error
