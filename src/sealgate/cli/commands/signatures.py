"""`sealgate signatures`: list the signatures that are stored for an image, or for the tags of a repository.

`sealgate signatures delete` is a command of its own. Its name is recognised as the first argument only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sealgate.cli.commands.signatures_delete import delete
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.listings import authenticators_option, open_listing
from sealgate.cli.outputs import console
from sealgate.cli.outputs import signatures as shown
from sealgate.cli.outputs.downloads import require_empty, save_contents
from sealgate.cli.outputs.progress import progress_bar
from sealgate.cli.outputs.schemas import schema_option
from sealgate.references import parse_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.cli.exits import Exit
    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.references import Repository
    from sealgate.signing.listing import ListedTag, ListingRun
    from sealgate.trusted_state.stores import TrustedState


class _Listing(click.Command):
    """The command that lists, and `delete` where that is the first argument."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's own signature
    ) -> click.Context:
        """Return the context of the command that the arguments are for."""
        if args[:1] != [delete.name]:
            return super().make_context(info_name, args, parent, **extra)
        if len(args) == 1:
            msg = (
                "sealgate signatures delete needs an image and --id or --key; to list the signatures of an image that "
                f"is called delete, write {parse_reference('delete')}:TAG"
            )
            raise click.UsageError(msg)
        return delete.make_context(f"{info_name} {delete.name}", args[1:], parent, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and `delete`."""
        super().format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([("delete", delete.get_short_help_str(limit=formatter.width))])


@click.command(
    cls=_Listing,
    epilog=examples(
        "sealgate signatures registry.example.org/shop/web:1.0",
        "sealgate signatures registry.example.org/shop/web:1.0 --policies policies/",
        "sealgate signatures registry.example.org/shop/web:1.0 --policies policies/ --output json",
        "sealgate signatures registry.example.org/shop/web:1.0 --download signatures/",
    ),
)
@click.argument("name", metavar="IMAGE|REPOSITORY")
@authenticators_option
@click.option(
    "--download",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Directory to write the signatures to, as they were fetched. It must be empty, or not exist.",
)
@options.registry_options
@options.timeout_option("all requests and waits; what is not read by then is listed as unavailable")
@options.state_option
@options.output_option
@schema_option("signatures")
def signatures(  # noqa: PLR0913 - click hands over one argument for each group of options
    *,
    name: str,
    policy_paths: tuple[str, ...],
    directory: Path | None,
    registries: RegistryOptions,
    timeout: float,
    state: TrustedState,
    output: str,
) -> Exit:
    """List the signatures that are stored for an image, or which tags of a repository are signed.

    Shows for each signature its format, key, algorithm, time, where it is stored, and the annotations that it carries.
    What cannot be read is listed with the reason. In Notary, the roles that name the tag are listed with their signers,
    with a warning 30 days before the root or the role expires. Of an index, its own signatures are listed first, then
    those of the manifest of every platform.

    A name without tag and digest is a repository: each of its tags is listed, signed or not, and by which key. Then
    platforms are not listed, and tags that exist to hold signatures, attestations or SBOMs are left out.

    With --policies, every Authenticator in the files judges the signatures of its format, whether or not a
    VerificationPolicy needs it for this image: verified, or why not. For the verdict on the image use sealgate verify.
    Without --policies, the cosign signatures in the image's own repository are listed, and none is verified.

    With --download, the directory has for each image a folder with the content of each signature (FORMAT-NUMBER) and,
    where it is not inside the content, the signature itself (FORMAT-NUMBER.sig).

    sealgate signatures delete deletes signatures, by the ID that is listed or by key; see its --help.

    Key, time and annotations are what the signature states; trust them only if it is verified.

    Exit codes: 0 the image, or every tag of the repository, has a signature (with --policies: one that is verified),
    1 it has none, 2 invalid usage, policy or file, 3 could not be determined.
    """
    reference = parse_reference(name)
    whole = reference.tag is None and reference.digest is None
    if whole and directory is not None:
        raise click.UsageError(f"--download needs an image with a tag or a digest, as in {reference}:1.0")
    if directory is not None:
        require_empty(directory)
    with open_listing(policy_paths, registries, timeout, state) as run:
        judged = bool(run.checks)
        if whole:
            return _show_tags(_list_tags(run, reference.repository), output, judged=judged)
        listed = run.list_image(reference)
    files = save_contents(listed, directory) if directory is not None else {}
    if output == "json":
        click.echo(shown.images_text(listed, files))
    else:
        shown.print_images(listed, console.output())
    return shown.exit_of(listed, judged=judged)


def _list_tags(run: ListingRun, repository: Repository) -> list[ListedTag]:
    """List the tags; on a terminal, show a progress bar."""
    with progress_bar("listing", None) as bar:
        task = bar.add_task("listing", total=None)
        return run.list_repository(repository, lambda done, total: bar.update(task, completed=done, total=total))


def _show_tags(tags: Sequence[ListedTag], output: str, *, judged: bool) -> Exit:
    if output == "json":
        click.echo(shown.tags_text(tags))
    else:
        shown.print_tags(tags, console.output(), judged=judged)
    return shown.tags_exit(tags, judged=judged)
