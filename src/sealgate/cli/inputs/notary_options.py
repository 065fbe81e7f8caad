"""Options of commands that write Notary's trust data, and the repository that they open."""

from __future__ import annotations

import contextlib
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sealgate.api.v1alpha1.notary import NotaryRoot
from sealgate.cli.inputs import options
from sealgate.cli.inputs.files import read_text
from sealgate.cli.inputs.notary_keys import default_trust_directory, read_passphrases
from sealgate.cli.inputs.registries import credentials_of, settings_of
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import ForbiddenAddressError
from sealgate.formats.interface import Sources
from sealgate.formats.notary.locations import NotaryServer, one_spelling
from sealgate.formats.notary.pins import AcceptedKey, FirstUsePin, KeyPin, read_pin
from sealgate.formats.notary.private_keys.stores import TrustDirectory
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.formats.notary.publishing.publisher import Publisher
from sealgate.formats.notary.wire.metadata import TARGETS, is_delegation
from sealgate.formats.signing import SigningContext
from sealgate.http.urls import parse_url
from sealgate.messages import quote
from sealgate.registry.client import RegistryClient
from sealgate.trusted_state.directory import DirectoryTrustedState
from sealgate.trusted_state.stores import MemoryTrustedState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.cli.inputs.notary_keys import NotaryPassphrases
    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.formats.notary.pins import RootPin
    from sealgate.references import Repository
    from sealgate.trusted_state.stores import TrustedState

T = TypeVar("T")

_MAX_CA_BYTES = 1 << 20
_MAX_ROOT_BYTES = 65536
_KEY_ID = re.compile(r"[0-9a-f]{64}")
#: The folder of a trust directory that holds the trusted state of this program; docker and notary ignore it.
_STATE = "sealgate"


# The options that `sealgate sign` has as well, for `click.Option` and `click.option`.
SERVER: dict[str, Any] = {
    "metavar": "URL",
    "help": "Address of the notary server. Default: the image's own registry, as DTR has it, and "
    "https://notary.docker.io for Docker Hub.",
}
SERVER_CA: dict[str, Any] = {
    "metavar": "FILE",
    "help": "PEM bundle of CA certificates to trust for the notary server instead of the system's.",
}
ROOT: dict[str, Any] = {
    "metavar": "FILE|KEY-ID",
    "help": "Pin of the repository's root: its certificate or public key (PEM), or the key ID that notary key list "
    "shows. Without it the root that the server shows first is trusted, as with docker, and stored.",
}


@dataclass(frozen=True, slots=True)
class NotaryOptions:
    """Where trust data and keys are.

    Attributes:
        server: the notary server.
        pin: what a repository's root must be.
        trust_directory: path of the private keys.
        passphrases: of the private keys.
        registries: how registries and the server are reached.
        timeout: seconds for everything together; greater than 0.
        state: the highest versions seen.
    """

    server: NotaryServer
    pin: RootPin
    trust_directory: Path
    passphrases: NotaryPassphrases
    registries: RegistryOptions
    timeout: float
    state: TrustedState

    @contextlib.contextmanager
    def open(self, repository: Repository) -> Iterator[Owner]:
        """Open a repository for its owner, and close the connections afterwards.

        Raises:
            ConfigError: a file with certificates or credentials cannot be read or is not valid.
        """
        clock = SystemClock()
        client = RegistryClient(settings_of(self.registries), clock=clock)
        try:
            credentials, deadline = credentials_of(self.registries), Deadline.after(clock, self.timeout)
            hosts = frozenset({repository.registry})
            session = client.session(credentials, deadline, hosts)
            sources = Sources(session, client.services(deadline), clock, deadline, self.state)
            context = SigningContext(sources, client.writer(credentials, deadline, hosts))
            directory = TrustDirectory(self.trust_directory, self.passphrases)
            yield Owner(Publisher(repository, self.server, self.pin, directory, context), directory)
        finally:
            client.close()


def notary_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options of `sealgate notary`, gathered as `notary`."""

    @click.option("--server", **SERVER)
    @click.option("--server-ca", **SERVER_CA)
    @click.option("--root", **ROOT)
    @click.option(
        "--trust-dir",
        "directory",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Directory of private keys that docker, notary and sealgate share. Default: docker's, ~/.docker/trust.",
    )
    @click.option(
        "--passphrase-file",
        metavar="FILE",
        help="File with the passphrase of the private keys in its first line. Default: the variables of notary "
        "(NOTARY_ROOT_PASSPHRASE, NOTARY_TARGETS_PASSPHRASE, ...) and docker (DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE, "
        "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE); on a terminal it is asked for.",
    )
    @options.writer_options
    @options.timeout_option("everything together")
    @click.option(
        "--state",
        "state_directory",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Directory that stores trusted roots and the highest versions seen, to detect swapped and rolled back "
        "trust data. Default: the folder sealgate of the trust directory, and memory for this run with --root.",
    )
    @functools.wraps(command)
    def wrapped(  # noqa: PLR0913 - the group's options
        *args: Any,  # noqa: ANN401
        server: str | None,
        server_ca: str | None,
        root: str | None,
        directory: Path | None,
        passphrase_file: str | None,
        registries: RegistryOptions,
        timeout: float,
        state_directory: Path | None,
        **rest: Any,  # noqa: ANN401
    ) -> T:
        trust = directory or default_trust_directory()
        chosen = NotaryOptions(
            server=server_of(server, server_ca),
            pin=pin_of(root),
            trust_directory=trust,
            passphrases=read_passphrases(passphrase_file),
            registries=registries,
            timeout=timeout,
            state=state_of(state_directory, trust, pinned=root is not None),
        )
        return command(*args, notary=chosen, **rest)

    return wrapped


def state_of(given: Path | None, trust_directory: Path, *, pinned: bool) -> TrustedState:
    """Return the trusted state of a writer.

    Without a pin, the root that was trusted first must be stored: otherwise a server that shows another one later
    would have its entries signed.

    Args:
        given: the directory that the user named; None for the default.
        trust_directory: path of the private keys.
        pinned: whether the root is pinned.
    """
    if given is not None:
        return DirectoryTrustedState(given)
    return MemoryTrustedState() if pinned else DirectoryTrustedState(trust_directory / _STATE)


def server_of(url: str | None, ca: str | None) -> NotaryServer:
    """Return the server of `--server` and `--server-ca`.

    Raises:
        click.UsageError: the address is not a URL of http or https.
        ConfigError: the file cannot be read.
    """
    bundle = None if ca is None else read_text(ca, _MAX_CA_BYTES)
    if url is None:
        return NotaryServer(ca=bundle)
    try:
        parse_url(url)
    except ForbiddenAddressError as error:
        raise click.UsageError(f"--server: {error.message}") from error
    return NotaryServer(one_spelling(url), bundle)


def pin_of(root: str | None) -> RootPin:
    """Return the pin of `--root`; without it, one that trusts the first root.

    Raises:
        ConfigError: the file cannot be read.
        InvalidKeyError: it holds neither certificates nor public keys.
    """
    if root is None:
        return FirstUsePin()
    if _KEY_ID.fullmatch(root):
        return KeyPin((AcceptedKey(key_id=root),))
    return read_pin(NotaryRoot(pem=read_text(root, _MAX_ROOT_BYTES)))


def role_of(text: str) -> str:
    """Return a role's full name: `admin` is `targets/admin`.

    Raises:
        click.BadParameter: it is not the name of a delegation.
    """
    name = text if text.startswith(f"{TARGETS}/") else f"{TARGETS}/{text}"
    if not is_delegation(name):
        raise click.BadParameter(
            f"{quote(text)} is not a role: write targets/NAME with small letters, digits, - and _; a UCP team whose "
            "name has others has no role"
        )
    return name


def roles_of(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the roles of a repeatable option, each once: a callback of click."""
    return tuple(dict.fromkeys(role_of(text) for text in texts))
