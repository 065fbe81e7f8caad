"""Signing in Notary v1: the server, the roles that name the tag, and the root that is trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from sealgate.cli.inputs import notary_options
from sealgate.cli.inputs.notary_keys import default_trust_directory, read_keys, read_passphrases
from sealgate.cli.inputs.signers.interface import SignerInput
from sealgate.cli.inputs.signers.shared import SERVER
from sealgate.formats.notary.private_keys.stores import OneKey, TrustDirectory
from sealgate.formats.notary.publishing.ownership import Owner
from sealgate.formats.notary.sign import NotarySigner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.cli.inputs.signing_keys import KeyOptions
    from sealgate.formats.notary.publishing.publisher import Publisher


def _option(name: str, parameter: str, arguments: Mapping[str, Any]) -> click.Option:
    return click.Option([name, parameter], **{**arguments, "help": f"notary: {arguments['help']}"})


_OPTIONS = (
    SERVER,
    _option("--server-ca", "notary_server_ca", notary_options.SERVER_CA),
    _option("--root", "notary_root", notary_options.ROOT),
    click.Option(
        ["--role", "notary_roles"],
        metavar="ROLE",
        multiple=True,
        callback=notary_options.roles_of,
        help="notary: role that signs: targets/NAME or NAME. Default: as docker chooses, every delegation whose key "
        "is there, and targets if there are no delegations. Repeatable.",
    ),
    click.Option(
        ["--state", "notary_state"],
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        envvar="SEALGATE_STATE",
        show_envvar=True,
        help="notary: directory that stores trusted roots and the highest versions seen, to detect swapped and rolled "
        "back trust data. Default: the folder sealgate of the trust directory, and memory for this run with --root.",
    ),
    click.Option(
        ["--init", "notary_init"],
        is_flag=True,
        help="notary: initialise the trust data of a repository that has none, as sealgate notary init does.",
    ),
)


def _build(key: KeyOptions, values: Mapping[str, Any]) -> NotarySigner:
    if key.algorithm is not None or key.distinguishing_id is not None:
        raise click.UsageError("Notary has one algorithm for each type of key; leave --algorithm out")
    trust, passphrases = default_trust_directory(), read_passphrases(key.passphrase_file)
    keys = read_keys(Path(key.key), passphrases) if key.key else TrustDirectory(trust, passphrases)
    # Roots that were trusted once outlast the run, unless they are pinned or the user says where they are kept.
    state = notary_options.state_of(
        values["notary_state"],
        trust if isinstance(keys, OneKey) else keys.path,
        pinned=values["notary_root"] is not None,
    )
    return NotarySigner(
        server=notary_options.server_of(values["server"], values["notary_server_ca"]),
        pin=notary_options.pin_of(values["notary_root"]),
        keys=keys,
        state=state,
        fingerprint=keys.key.public.fingerprint if isinstance(keys, OneKey) else "",
        roles=values["notary_roles"],
        initialise=_initialiser(keys) if values["notary_init"] else None,
    )


def _initialiser(keys: OneKey | TrustDirectory) -> Callable[[Publisher], object]:
    if isinstance(keys, OneKey):
        msg = (
            "--init needs a trust directory as --key: a new repository is signed by its own targets key. Or run "
            "sealgate notary init, and sealgate notary delegation add for this key"
        )
        raise click.UsageError(msg)
    return lambda publisher: Owner.of(publisher, keys).initialise()


def _named_hosts(values: Mapping[str, Any]) -> frozenset[str]:
    server = values["server"]
    return frozenset() if server is None else frozenset({urlsplit(server).netloc.lower()})


INPUT = SignerInput("notary", _OPTIONS, _build, _named_hosts)
