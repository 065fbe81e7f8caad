"""`sealgate signatures delete`: delete stored signatures of an image, so that they are no longer trusted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.listings import authenticators_option, open_listing
from sealgate.cli.inputs.notary_keys import default_trust_directory, read_passphrases
from sealgate.cli.outputs import console, deletions
from sealgate.cli.outputs.schemas import schema_option
from sealgate.cli.outputs.signatures import signatures_table
from sealgate.formats.notary.private_keys.stores import TrustDirectory
from sealgate.references import parse_reference
from sealgate.signing.deleting import DeletionRun, choose_by_id, choose_by_key
from sealgate.signing.locks import RepositoryLocks, default_lock_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.cli.exits import Exit
    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.formats.interface import Image
    from sealgate.signing.deleting import DeletedSignature
    from sealgate.signing.listing import ListedSignature
    from sealgate.trusted_state.stores import TrustedState


@click.command(
    epilog=examples(
        "sealgate signatures delete registry.example.org/shop/web:1.0 --id 4a4a4a4a4a4a",
        "sealgate signatures delete registry.example.org/shop/web:1.0 --policies policies/ --key sha256:4a4a4a4a4a4a",
        "sealgate signatures delete registry.example.org/shop/web:1.0 --id 4a4a4a4a4a4a --yes --output json",
    )
)
@click.argument("image")
@click.option(
    "--id",
    "ids",
    metavar="ID",
    multiple=True,
    help="ID of a signature, as sealgate signatures lists it, or its first 4 characters or more. Repeatable.",
)
@click.option(
    "--key",
    metavar="FINGERPRINT",
    help="Fingerprint of a key, or its first 12 characters or more: every signature is deleted that an Authenticator "
    "of --policies knows to be by this key.",
)
@authenticators_option
@click.option("--yes", "confirmed", is_flag=True, help="Delete without asking; needed where there is no terminal.")
@options.writer_options
@options.timeout_option("reading all signatures, and deleting each one")
@options.state_option
@options.output_option
@schema_option("signatures-delete")
def delete(  # noqa: PLR0913 - click hands over one argument for each group of options
    *,
    image: str,
    ids: tuple[str, ...],
    key: str | None,
    policy_paths: tuple[str, ...],
    confirmed: bool,
    registries: RegistryOptions,
    timeout: float,
    state: TrustedState,
    output: str,
) -> Exit:
    """Delete signatures that are stored for an image.

    Deletes only what sealgate signatures lists for exactly this digest; the manifests of an index's platforms have
    signatures of their own. Without --policies, these are the cosign signatures in the image's own repository; with
    it, those in the stores of the Authenticators, with the credentials that they name. Shows what will be deleted and
    asks on a terminal; elsewhere --yes is needed.

    In Notary, the tag is taken away from the role, whose file is signed anew by a key in docker's trust directory; with
    other keys use sealgate notary remove. OpenShift's signature extension deletes nothing: the error names the oc
    command that does.

    All other signatures stay. Afterwards everything is read again: what was deleted must be gone, what was not chosen
    must be there. Writers of one user on one machine take turns for each repository; another one that changes the same
    tag at the same moment can store a deleted signature again, which is then deleted once more, or lose its own. The
    failure of one signature does not stop the others.

    A signature that was copied elsewhere still verifies, and pods that run stay. Where a key is no longer to be
    trusted, remove it from the policies.

    Exit codes: 0 deleted, 1 refused (by the store, or because of what is stored), 2 invalid usage, ID, key or file,
    3 could not be determined. With several signatures the highest code.
    """
    if bool(ids) == (key is not None):
        raise click.UsageError("name the signatures either with --id or with --key")
    reference = parse_reference(image)
    if reference.tag is None and reference.digest is None:
        raise click.UsageError(f"{image} needs a tag or a digest, as in {reference}:1.0")
    if not confirmed and not _on_terminal():
        raise click.UsageError("there is no terminal to ask on; give --yes to delete without a question")
    with open_listing(policy_paths, registries, timeout, state) as listing:
        subject = listing.resolve(reference)
        listed = listing.signatures(subject)
        chosen = choose_by_id(listed, ids) if key is None else choose_by_key(listed, key)
        if not confirmed:
            _ask(subject, chosen)
        keys = TrustDirectory(default_trust_directory(), read_passphrases(None))
        run = DeletionRun(listing, RepositoryLocks(default_lock_directory()), keys)
        outcomes = run.delete(subject, listed, chosen)
    _report(subject, outcomes, output)
    return deletions.exit_of(outcomes)


def _on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _ask(subject: Image, chosen: Sequence[ListedSignature]) -> None:
    console.notes().print(signatures_table(chosen))
    what = "this signature" if len(chosen) == 1 else f"these {len(chosen)} signatures"
    click.confirm(f"Delete {what} of {subject.reference} ({subject.digest})?", abort=True, err=True)


def _report(subject: Image, outcomes: Sequence[DeletedSignature], output: str) -> None:
    if output == "json":
        click.echo(deletions.outcomes_text(subject, outcomes))
    else:
        console.output().print(deletions.outcomes_table(outcomes))
    for each in outcomes:
        if each.error is not None:
            click.echo(f"Error: {console.plain(each.listed.stored.source)}: {each.error.message}", err=True)
