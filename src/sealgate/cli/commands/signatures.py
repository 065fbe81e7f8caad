"""`sealgate signatures`: list the signatures that are stored for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sealgate.cli.help import examples
from sealgate.cli.inputs import options
from sealgate.cli.inputs.registries import credentials_of, settings_of
from sealgate.cli.outputs import console
from sealgate.cli.outputs import signatures as shown
from sealgate.clocks import SystemClock
from sealgate.keys.resolvers import FileKeys
from sealgate.kms.key_cache import KMSKeyCache
from sealgate.manifests.policies import load_standalone, standalone_policies
from sealgate.references import parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.signing.listing import ListingRun
from sealgate.verification.policy_sets import build_policy_set

if TYPE_CHECKING:
    from sealgate.cli.exits import Exit
    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.policy_sets import PolicySet


def _print_schema(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's signature
    if wanted:
        click.echo(shown.schema_text(), nl=False)
        context.exit()


@click.command(
    epilog=examples(
        "sealgate signatures registry.example.org/shop/web:1.0",
        "sealgate signatures registry.example.org/shop/web:1.0 --policies policies/",
        "sealgate signatures registry.example.org/shop/web:1.0 --policies policies/ --output json",
    )
)
@click.argument("image", metavar="IMAGE")
@click.option(
    "--policies",
    "policy_paths",
    type=click.Path(),
    metavar="PATH",
    multiple=True,
    envvar="SEALGATE_POLICIES",
    show_envvar=True,
    help="File or directory whose Authenticators judge the signatures, as for sealgate verify. Repeatable.",
)
@options.registry_options
@options.timeout_option("all requests and waits; what is not read by then is listed as unavailable")
@options.state_option
@options.output_option
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON schema of --output json and exit.",
)
def signatures(  # noqa: PLR0913 - click hands over one argument for each group of options
    *,
    image: str,
    policy_paths: tuple[str, ...],
    registries: RegistryOptions,
    timeout: float,
    state: TrustedState,
    output: str,
) -> Exit:
    """List the signatures that are stored for an image.

    Shows for each signature its format, key, algorithm, time, where it is stored, and the annotations that it carries.
    What cannot be read is listed with the reason. In Notary, the roles that name the tag are listed with their signers,
    with a warning 30 days before the root or the role expires. Of an index, its own signatures are listed first, then
    those of the manifest of every platform.

    With --policies, every Authenticator in the files judges the signatures of its format, whether or not a
    VerificationPolicy needs it for this image: verified, or why not. For the verdict on the image use sealgate verify.
    Without --policies, the cosign signatures in the image's own repository are listed, and none is verified.

    Key, time and annotations are what the signature states; trust them only if it is verified.

    Exit codes: 0 the image has a signature (with --policies: one that is verified), 1 it has none, 2 invalid usage,
    policy or file, 3 could not be determined.
    """
    reference = parse_reference(image)
    if reference.tag is None and reference.digest is None:
        raise click.UsageError(f"name a tag or a digest, as in {reference}:{reference.effective_tag}")
    settings, clock = settings_of(registries), SystemClock()
    policies = _load(policy_paths, KMSKeyCache(settings, clock), timeout)
    with RegistryClient(settings, clock=clock) as client:
        run = ListingRun(
            client=client,
            credentials=credentials_of(registries),
            clock=clock,
            checks=policies.checks,
            state=state,
            timeout=timeout,
            named_hosts=policies.literal_hosts,
            secrets=policies.secrets,
        )
        listed = run.list_image(reference)
    if output == "json":
        click.echo(shown.images_text(listed))
    else:
        shown.print_images(listed, console.output())
    return shown.exit_of(listed, judged=bool(policies.checks))


def _load(paths: tuple[str, ...], keys: KMSKeyCache, timeout: float) -> PolicySet:
    if not paths:
        return build_policy_set((), (), lambda _: FileKeys({}))
    files = load_standalone(paths)
    keys.refresh(files.authenticators, files.secrets, timeout)
    return standalone_policies(files, kms=keys)
