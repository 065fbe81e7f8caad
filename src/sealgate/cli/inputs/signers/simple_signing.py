"""Simple signing: an OpenPGP key, the store of signatures, and the name that is signed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from sealgate.api.v1alpha1.simple_signing import LookasideStore
from sealgate.cli.inputs.openpgp_keys import open_openpgp_key
from sealgate.cli.inputs.signers.interface import SignerInput
from sealgate.formats.simple_signing.sign import SimpleSigner, parse_identity
from sealgate.formats.simple_signing.stores import FolderStore, OpenShiftStore, read_location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.cli.inputs.signing_keys import KeyOptions
    from sealgate.formats.simple_signing.storing import WritableStore

#: The value of `--store` for the signature extension, by the name that Authenticators have for it.
_OPENSHIFT = "openshift"

_STORE = click.Option(
    ["--store"],
    metavar="openshift|DIR|URL",
    help="simpleSigning: where signatures are stored. openshift: the signature extension of the image's registry. DIR, "
    "or file:///DIR: a lookaside folder, as in registries.d of containers/image. http(s)://...: a lookaside server; it "
    "must take files with PUT, and credentials for it come from the docker config.",
)
_IDENTITY = click.Option(
    ["--identity"],
    metavar="NAME",
    help="simpleSigning: image name to sign, with a tag or a digest. Default: the image as it is named here.",
)


def _build(key: KeyOptions, values: Mapping[str, Any]) -> SimpleSigner:
    store, identity = values["store"], values["identity"]
    if store is None:
        raise click.UsageError("--store is missing: write openshift, a folder, or the URL of a lookaside server")
    return SimpleSigner(
        store=_open_store(store),
        identity=None if identity is None else parse_identity(identity),
        key=open_openpgp_key(key),
    )


def _open_store(text: str) -> WritableStore:
    if text == _OPENSHIFT:
        return OpenShiftStore()
    if "://" not in text:
        return FolderStore(Path(text).absolute())
    try:
        url = LookasideStore(url=text).url
    except ValidationError as error:
        # It is not repeated: it may hold a password.
        msg = "--store is not the URL of a store: write https://HOST/PATH, without user name, password and query"
        raise click.UsageError(msg) from error
    return read_location(url, None)


INPUT = SignerInput("simpleSigning", (_STORE, _IDENTITY), _build)
