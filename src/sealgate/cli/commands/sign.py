"""`sealgate sign`: sign images with a private key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from sealgate.cli.commands.sign_by_policy import SigningByPolicy
from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.registries import credentials_of, settings_of
from sealgate.cli.inputs.signers.formats import chosen_input, format_names, format_options, values_of
from sealgate.cli.inputs.signing_keys import key_options
from sealgate.cli.inputs.signing_policies import require_no_signer_options, signing_policy_options
from sealgate.cli.outputs import signing
from sealgate.cli.outputs.progress import progress_bar
from sealgate.cli.outputs.schemas import schema_option
from sealgate.clocks import SystemClock
from sealgate.references import parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.service_secrets import NoServiceSecrets
from sealgate.signing.locks import RepositoryLocks, default_lock_directory
from sealgate.signing.runs import SigningRun
from sealgate.trusted_state.stores import MemoryTrustedState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.cli.exits import Exit
    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.cli.inputs.signing_keys import KeyOptions
    from sealgate.cli.inputs.signing_policies import PolicyChoice
    from sealgate.formats.signing import Signer
    from sealgate.references import Reference
    from sealgate.service_secrets import ServiceSecrets
    from sealgate.signing.runs import SignedImage


@click.command(
    epilog=examples(
        "sealgate sign registry.example.org/shop/web:1.0 --key release.key",
        "sealgate sign registry.example.org/shop/web:1.0 --key release.key --recursive --annotation env=prod",
        "sealgate sign registry.example.org/shop/web:1.0 --key release.key --storage bundle --output json",
        "sealgate sign dtr.example.org/dev/nginx:1.4 --format notary --key alice/",
        "sealgate sign registry.example.org/web:1.0 --key gpg:FINGERPRINT --format simpleSigning --store openshift",
        "sealgate sign registry.example.org/shop/web:1.0 --policy release --policies policies/",
        "sealgate sign --all --policy release --context production --secrets-namespace sealgate-system-signing",
    )
)
@click.argument("images", metavar="IMAGE...", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(format_names()),
    default=format_names()[0],
    show_default=True,
    help="Signature format.",
)
@click.option(
    "--recursive", is_flag=True, help="Sign every platform's manifest of an index too, not only the index itself."
)
@click.option(
    "--all", "every", is_flag=True, help="Sign every tag that --policy covers, up to 100,000, instead of IMAGE."
)
@click.option(
    "--restart", is_flag=True, help="With --all: begin anew instead of going on where an interrupted run has ended."
)
@signing_policy_options
@options.writer_options
@options.timeout_option("each image, including all requests and waits; its outcome is then not determined")
@key_options
@options.output_option
@schema_option("sign")
@click.pass_context
def sign(  # noqa: PLR0913 - click hands over one argument for each group of options
    context: click.Context,
    /,
    *,
    images: tuple[str, ...],
    form: str,
    recursive: bool,
    every: bool,
    restart: bool,
    choice: PolicyChoice | None,
    key: KeyOptions,
    registries: RegistryOptions,
    timeout: float,
    output: str,
    **values: Any,  # noqa: ANN401 - the values of the formats' own options
) -> Exit:
    """Sign images with a private key, or by a SigningPolicy.

    Each image is resolved once, and its digest is signed. The signature is verified with the public key before it is
    stored, and read back afterwards. An image that has a valid signature with the same content by the same key (and
    key version) is left alone. What is stored already is never changed or lost.

    Writers of one user on one machine take turns for each repository. Writers on other machines that extend the same
    tag at the same moment can drop each other's signature, since registries have no conditional write: sealgate reads
    back at once and once more some seconds later, and adds again what is missing. A writer that comes later than that
    can still drop it. With --storage referrers or bundle, in a registry with the referrers API, no writer can.

    The failure of one image does not stop the others.

    With --policy, a SigningPolicy says how to sign, and at which rate; an image that it does not cover is refused. With
    --all, every tag that it covers is signed: Ctrl-C ends the run after what is under way, and the next run goes on
    there. Its images are found by name, and by the registry's catalog where it has one.

    Exit codes: 0 signed or already signed, 1 refused (by the registry, or because of what is stored), 2 invalid usage,
    key or file, 3 could not be determined, 130 interrupted. With several images the highest code.
    """
    _require_images(images, choice, every=every, restart=restart)
    references = [parse_reference(image) for image in images]
    if choice is not None:
        require_no_signer_options(context, format_options())
        by_policy = SigningByPolicy(choice, registries, timeout, output)
        return by_policy.sign_every(restart=restart) if every else by_policy.sign_images(references)
    chosen = chosen_input(form, context)
    own = values_of(chosen, values)
    signer = chosen.build(key, own)
    outcomes = run_signer(
        signer,
        references,
        recursive=recursive,
        registries=registries,
        timeout=timeout,
        named_hosts=chosen.named_hosts(own),
        secrets=chosen.secrets(own),
    )
    signing.print_outcomes(outcomes, form, output)
    return signing.exit_of(outcomes)


sign.params.extend(format_options())


def _require_images(images: tuple[str, ...], choice: PolicyChoice | None, *, every: bool, restart: bool) -> None:
    if every and choice is None:
        raise click.UsageError("--all needs --policy: it says which images all are")
    if every and images:
        raise click.UsageError("--all signs every image of the policy; leave the images out")
    if not every and not images:
        raise click.UsageError("name the images to sign; or --all with --policy")
    if restart and not every:
        raise click.UsageError("--restart belongs to --all")


def run_signer(  # noqa: PLR0913 - a run of these parts
    signer: Signer,
    references: Sequence[Reference],
    *,
    recursive: bool,
    registries: RegistryOptions,
    timeout: float,
    named_hosts: frozenset[str],
    secrets: ServiceSecrets | None = None,
) -> list[SignedImage]:
    """Sign images with one signer; on a terminal, show a progress bar if there are many.

    Args:
        signer: signs.
        references: the images.
        recursive: whether to sign every platform of an index too.
        registries: how registries are reached.
        timeout: seconds for each image; greater than 0.
        named_hosts: hosts that the user names besides those of the images.
        secrets: credentials for the service that the signer stores signatures in; None for none.
    """
    clock = SystemClock()
    with RegistryClient(settings_of(registries), clock=clock) as client:
        run = SigningRun(
            client=client,
            credentials=credentials_of(registries),
            clock=clock,
            signer=signer,
            locks=RepositoryLocks(default_lock_directory()),
            state=MemoryTrustedState(),
            timeout=timeout,
            named_hosts=named_hosts,
            secrets=secrets or NoServiceSecrets(),
        )
        with progress_bar("signing", len(references)) as bar:
            task = bar.add_task("signing", total=len(references))
            return run.sign_all(
                references,
                recursive=recursive,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
