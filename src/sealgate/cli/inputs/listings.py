"""Listings of stored signatures, judged by the Authenticators of policy files."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

import click

from sealgate.cli.inputs.kms_keys import own_key_cache
from sealgate.cli.inputs.registries import credentials_of, settings_of
from sealgate.clocks import SystemClock
from sealgate.keys.resolvers import FileKeys
from sealgate.manifests.policies import load_standalone, standalone_policies
from sealgate.registry.client import RegistryClient
from sealgate.signing.listing import ListingRun
from sealgate.verification.policy_sets import build_policy_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sealgate.cli.inputs.options import RegistryOptions
    from sealgate.kms.key_cache import KMSKeyCache
    from sealgate.trusted_state.stores import TrustedState
    from sealgate.verification.policy_sets import PolicySet

T = TypeVar("T")


def authenticators_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add `--policies` of commands that list signatures, passed on as `policy_paths`."""
    option = click.option(
        "--policies",
        "policy_paths",
        type=click.Path(),
        metavar="PATH",
        multiple=True,
        envvar="SEALGATE_POLICIES",
        show_envvar=True,
        help="File or directory whose Authenticators judge the signatures, as for sealgate verify. Repeatable.",
    )
    return option(command)


@contextlib.contextmanager
def open_listing(
    paths: tuple[str, ...], registries: RegistryOptions, timeout: float, state: TrustedState
) -> Iterator[ListingRun]:
    """Open a listing, and close its connections afterwards.

    Args:
        paths: of policy files; without any, the cosign signatures in an image's repository are listed, not judged.
        registries: how registries are reached.
        timeout: seconds for each image; greater than 0.
        state: store of the highest versions of trust data seen.

    Raises:
        PolicyError: the policy files are not valid.
        ConfigError: a file with certificates or credentials cannot be read or is not valid.
    """
    settings, clock = settings_of(registries), SystemClock()
    policies = _load(paths, own_key_cache(settings, clock), timeout)
    with RegistryClient(settings, clock=clock) as client:
        yield ListingRun(
            client=client,
            credentials=credentials_of(registries),
            clock=clock,
            checks=policies.checks,
            state=state,
            timeout=timeout,
            named_hosts=policies.literal_hosts,
            secrets=policies.secrets,
        )


def _load(paths: tuple[str, ...], keys: KMSKeyCache, timeout: float) -> PolicySet:
    if not paths:
        return build_policy_set((), (), lambda _: FileKeys({}))
    files = load_standalone(paths)
    keys.refresh(files.authenticators, files.secrets, timeout)
    return standalone_policies(files, kms=keys)
