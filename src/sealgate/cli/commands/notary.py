"""`sealgate notary`: initialise, delegate, rotate and remove trust data of Notary v1 (Docker Content Trust)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.notary_options import notary_options, role_of, roles_of
from sealgate.cli.outputs import console
from sealgate.formats.notary.private_keys.stores import read_certificate
from sealgate.formats.notary.publishing.ownership import RELEASES
from sealgate.formats.notary.wire.keys import certificate_entry, read_key
from sealgate.messages import quote
from sealgate.references import parse_reference, parse_repository

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.cli.inputs.notary_options import NotaryOptions
    from sealgate.formats.notary.wire.metadata import RoleKeys

_REPOSITORY = "registry.example.org/dev/nginx"


@click.group()
def notary() -> None:
    """Manage trust data of Notary v1: initialise a repository, delegate to signers, rotate keys, remove tags."""


@notary.command(epilog=examples(f"sealgate notary init {_REPOSITORY}"))
@click.argument("repository")
@notary_options
@options.output_option
def init(repository: str, notary: NotaryOptions, output: str) -> None:
    """Initialise the trust data of a repository, as the first signed docker push does.

    The root key is the first one of the trust directory, or a new one; the targets key is new. Both stay in the trust
    directory: back it up. The server holds the keys of snapshot and timestamp, so that delegates can sign.

    Exit codes: 0 initialised, 1 refused, 2 invalid usage or file, or the repository has trust data, 3 not possible now.
    """
    with notary.open(parse_repository(repository)) as owner:
        key = owner.initialise()
    text = (
        f"Initialised the trust data of {repository} with the root key {key.canonical_id} in {notary.trust_directory}"
    )
    _show({"repository": repository, "rootKeyId": key.canonical_id}, text, output)


@notary.group()
def delegation() -> None:
    """Manage who may sign for a repository besides its owner."""


@delegation.command(
    "add",
    epilog=examples(
        f"sealgate notary delegation add {_REPOSITORY} alice/cert.pem --role admin",
        f"sealgate notary delegation add {_REPOSITORY} ci.pem",
    ),
)
@click.argument("repository")
@click.argument("certificates", metavar="CERTIFICATE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--role",
    "roles",
    metavar="ROLE",
    multiple=True,
    callback=roles_of,
    help="Role besides targets/releases: targets/NAME or NAME, of UCP the team of the certificates' users. Repeatable.",
)
@notary_options
@options.output_option
def add(
    repository: str, certificates: tuple[Path, ...], roles: tuple[str, ...], notary: NotaryOptions, output: str
) -> None:
    """Let the holders of certificates sign, for all tags.

    Delegates to targets/releases, which docker reads, and to the roles that are named. UCP requires both. CERTIFICATE
    is a PEM file, such as cert.pem of a UCP client bundle; only its first certificate counts. Needs the targets key.

    Exit codes: 0 delegated (or already so), 1 refused, 2 invalid usage or file, 3 not possible now.
    """
    read = [read_certificate(path) for path in certificates]
    wanted = tuple(dict.fromkeys((RELEASES, *roles)))
    with notary.open(parse_repository(repository)) as owner:
        changed = owner.delegate(wanted, read)
    ids = [read_key(*certificate_entry(certificate)).canonical_id for certificate in read]
    text = f"{'Delegated' if changed else 'Already delegated'} {', '.join(wanted)} of {repository} to {', '.join(ids)}"
    _show({"repository": repository, "roles": wanted, "keyIds": ids, "changed": changed}, text, output)


@delegation.command("list", epilog=examples(f"sealgate notary delegation list {_REPOSITORY}"))
@click.argument("repository")
@notary_options
@options.output_option
def list_roles(repository: str, notary: NotaryOptions, output: str) -> None:
    """List the delegations of a repository and their keys.

    Exit codes: 0 listed, 1 refused, 2 invalid usage or file, 3 not possible now.
    """
    with notary.open(parse_repository(repository)) as owner:
        roles = owner.delegations()
    if output == "json":
        click.echo(json.dumps([_describe(role) for role in roles], indent=2))
    elif roles:
        console.output().print(_table(roles))
    else:
        console.output().print(console.plain(f"{repository} has no delegations"))


@delegation.command(
    epilog=examples(
        f"sealgate notary delegation remove {_REPOSITORY} --role admin",
        f"sealgate notary delegation remove {_REPOSITORY} --role releases --key {'4a' * 32}",
    )
)
@click.argument("repository")
@click.option(
    "--role",
    required=True,
    metavar="ROLE",
    callback=lambda _, __, text: role_of(text),
    help="Role: targets/NAME or NAME.",
)
@click.option(
    "--key",
    "keys",
    metavar="KEY-ID",
    multiple=True,
    help="ID of a key that may no longer sign for the role. Without it, the whole role is removed. Repeatable.",
)
@notary_options
@options.output_option
def remove(repository: str, role: str, keys: tuple[str, ...], notary: NotaryOptions, output: str) -> None:
    """Remove a delegation, or keys of it.

    A role is emptied first if one of its keys is in the trust directory. Otherwise its tags come back if it is ever
    delegated to the same key again. A role whose last signer is removed is invalid, and its tags are not signed, until
    a remaining signer signs it. Needs the targets key.

    Exit codes: 0 removed, 1 refused, 2 invalid usage or file, or there is no such role or key, 3 not possible now.
    """
    with notary.open(parse_repository(repository)) as owner:
        clean = owner.withdraw(role, keys)
    if not clean:
        click.echo(f"Warning: {_LEFT_KEYS if keys else _LEFT_ROLE}".format(role=role), err=True)
    text = f"Removed {', '.join(keys) or 'all keys'} from {role} of {repository}"
    _show({"repository": repository, "role": role, "keyIds": keys, "clean": clean}, text, output)


_LEFT_ROLE = "{role} could not be emptied first; its tags come back if it is delegated to the same key again"
_LEFT_KEYS = "{role} was signed by a removed key; its tags are not signed until a remaining signer signs one"


@notary.command(
    epilog=examples(
        f"sealgate notary rotate {_REPOSITORY} snapshot",
        f"sealgate notary rotate {_REPOSITORY} targets",
    )
)
@click.argument("repository")
@click.argument("role", type=click.Choice(["snapshot", "timestamp", "targets", "root"]))
@notary_options
@options.output_option
def rotate(repository: str, role: str, notary: NotaryOptions, output: str) -> None:
    """Replace a key of a repository: snapshot by the server's, timestamp, targets and root by new ones.

    Snapshot and timestamp keys are the server's; a new timestamp key needs an administrator's rights there.

    While the snapshot key is with its owner, delegates cannot sign. Verifiers that pin the root key must pin the new
    one too before root is rotated. Needs the root key.

    Exit codes: 0 rotated (or the server already holds it), 1 refused, 2 invalid usage or file, 3 not possible now.
    """
    with notary.open(parse_repository(repository)) as owner:
        if role == "snapshot":
            changed, key_id = owner.give_snapshot_to_server(), None
        elif role == "timestamp":
            owner.rotate_timestamp()
            changed, key_id = True, None
        else:
            changed, key_id = True, (owner.rotate_root if role == "root" else owner.rotate_targets)().canonical_id
    holder = "the server" if key_id is None else f"the key {key_id} in {notary.trust_directory}"
    text = f"{role} of {repository} is {'now' if changed else 'already'} signed by {holder}"
    _show({"repository": repository, "role": role, "keyId": key_id, "changed": changed}, text, output)


@notary.command(
    "remove",
    epilog=examples(
        f"sealgate notary remove {_REPOSITORY}:1.4", f"sealgate notary remove {_REPOSITORY}:1.4 --role admin"
    ),
)
@click.argument("image")
@click.option(
    "--role",
    "roles",
    metavar="ROLE",
    multiple=True,
    callback=roles_of,
    help="Role that no longer names the tag. Default: every role that does. Repeatable.",
)
@notary_options
@options.output_option
def remove_tag(image: str, roles: tuple[str, ...], notary: NotaryOptions, output: str) -> None:
    """Remove a tag from the trust data, so that it is no longer signed. Needs a key of each role that names it.

    Exit codes: 0 removed (or not there), 1 refused, 2 invalid usage or file, 3 not possible now.
    """
    reference = parse_reference(image)
    if reference.tag is None:
        raise click.UsageError(f"{quote(image)} has no tag: write REPOSITORY:TAG")
    with notary.open(reference.repository) as owner:
        removed = owner.remove_tag(reference.tag, roles)
    text = f"Removed {reference.tag} of {reference.name} from {', '.join(removed)}"
    if not removed:
        text = f"No role of {reference.name} names {reference.tag}"
    _show({"repository": reference.name, "tag": reference.tag, "roles": removed}, text, output)


def _show(document: dict[str, Any], text: str, output: str) -> None:
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        console.output().print(console.plain(text))


def _describe(role: RoleKeys) -> dict[str, Any]:
    ids = [key.canonical_id for key in role.keys.values()]
    return {"role": role.name, "keyIds": ids, "threshold": role.threshold, "paths": role.paths}


def _table(roles: Sequence[RoleKeys]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("role", "key IDs", "threshold", "tags that begin with"):
        table.add_column(title, overflow="fold")
    for role in roles:
        ids = "\n".join(key.canonical_id for key in role.keys.values())
        paths = ", ".join(path or "anything" for path in role.paths) or "(none)"
        table.add_row(role.name, ids, str(role.threshold), console.plain(paths))
    return table
