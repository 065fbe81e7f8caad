"""The SigningPolicy that `sealgate sign --policy` names: from files, or from a cluster."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from sealgate.errors import ConfigError
from sealgate.kms.platform import platform_identities
from sealgate.manifests.policies import load_standalone
from sealgate.manifests.signing import access_to_files
from sealgate.manifests.validation import did_you_mean
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Clock
    from sealgate.http.services import ServiceClient
    from sealgate.signing.access import SigningAccess

T = TypeVar("T")

_OWN = {"policy_name", "paths", "kube_context", "secrets_namespace"}
#: What a policy says itself, besides the options of the formats.
_OF_KEYS = ("form", "key_text", "algorithm", "distinguishing_id", "passphrase_file", "kms_endpoint", "recursive")


@dataclass(frozen=True, slots=True)
class PolicyChoice:
    """The options that name a policy.

    Attributes:
        name: name of the SigningPolicy.
        paths: policy files and directories; empty for a cluster.
        context: context of the kubeconfig; None for files.
        secrets_namespace: namespace of the Secrets that the policy names, in a cluster; None if not given.
    """

    name: str
    paths: tuple[str, ...]
    context: str | None
    secrets_namespace: str | None


@dataclass(frozen=True, slots=True)
class ChosenPolicy:
    """A policy, and what its signer is opened with.

    Attributes:
        name: its name.
        spec: what it says.
        access: sources of keys and credentials.
    """

    name: str
    spec: SigningPolicySpec
    access: SigningAccess


def signing_policy_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that name a policy, gathered as `choice`; None without `--policy`."""

    @click.option(
        "--policy",
        "policy_name",
        metavar="NAME",
        help="SigningPolicy to sign by: it has the key, the format and the store, and says which images it covers. "
        "Needs --policies or --context.",
    )
    @click.option(
        "--policies",
        "paths",
        type=click.Path(),
        metavar="PATH",
        multiple=True,
        envvar="SEALGATE_POLICIES",
        show_envvar=True,
        help="With --policy: file or directory that has the SigningPolicy, and the Secrets and Authenticator that it "
        "names. Repeatable.",
    )
    @click.option(
        "--context",
        "kube_context",
        metavar="CONTEXT",
        help="With --policy: context of the kubeconfig whose cluster has the SigningPolicy, instead of --policies.",
    )
    @click.option(
        "--secrets-namespace",
        metavar="NAMESPACE",
        help="With --context: namespace of the Secrets that the SigningPolicy names (signing.secretsNamespace of the "
        "chart). They are read by name, with your own rights.",
    )
    @click.pass_context
    @functools.wraps(command)
    def wrapped(  # noqa: PLR0913 - click hands over one argument for each option
        context: click.Context,
        /,
        *args: Any,  # noqa: ANN401
        policy_name: str | None,
        paths: tuple[str, ...],
        kube_context: str | None,
        secrets_namespace: str | None,
        **rest: Any,  # noqa: ANN401
    ) -> T:
        if policy_name is None:
            _require_absent(context, _OWN, "belongs to --policy NAME")
            return command(*args, choice=None, **rest)
        if kube_context is not None and context.get_parameter_source("paths") is not ParameterSource.COMMANDLINE:
            paths = ()
        if paths and kube_context is not None:
            raise click.UsageError("--policies does not go with --context; the SigningPolicy is read from one of them")
        if not paths and kube_context is None:
            raise click.UsageError("--policy needs the files that have it (--policies) or a cluster (--context)")
        if secrets_namespace is not None and kube_context is None:
            raise click.UsageError("--secrets-namespace belongs to --context")
        return command(*args, choice=PolicyChoice(policy_name, paths, kube_context, secrets_namespace), **rest)

    return wrapped


def require_no_signer_options(context: click.Context, formats: list[click.Option]) -> None:
    """Refuse options that say what the policy says.

    Args:
        context: of the command.
        formats: the options of all formats.

    Raises:
        click.UsageError: one was given.
    """
    names = {option.name or "" for option in formats}
    _require_absent(context, names | set(_OF_KEYS), "does not go with --policy, which decides it")


def _require_absent(context: click.Context, names: set[str], why: str) -> None:
    for option in context.command.params:
        if option.name in names and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]} {why}")


def read_policy(choice: PolicyChoice, network: ServiceClient, clock: Clock) -> ChosenPolicy:
    """Read the policy that is named.

    Args:
        choice: the options.
        network: client for key management services; must stay open as long as the policy signs.
        clock: source of the time.

    Raises:
        PolicyError: the files or the object are not valid.
        ConfigError: there is no policy of that name, or no way to the cluster.
        UnavailableError: the API server could not be asked (and its subclasses).
    """
    if choice.context is not None:
        return _from_cluster(choice, choice.context, network, clock)
    files = load_standalone(choice.paths)
    for policy in files.signing_policies:
        if policy.metadata.name == choice.name:
            return ChosenPolicy(choice.name, policy.spec, _with_identities(access_to_files(files, network, clock)))
    names = [policy.metadata.name for policy in files.signing_policies]
    suggestion = did_you_mean(choice.name, names, "there are") or "add it to the files"
    raise ConfigError(f"there is no SigningPolicy named {quote(choice.name, 64)} in the files; {suggestion}")


def _from_cluster(choice: PolicyChoice, context: str, network: ServiceClient, clock: Clock) -> ChosenPolicy:
    # The Kubernetes client takes longer to import than most images take to sign.
    from sealgate.cli.inputs.cluster_policies import ClusterPolicies  # noqa: PLC0415

    cluster = ClusterPolicies(context, choice.secrets_namespace)
    return ChosenPolicy(choice.name, cluster.policy(choice.name), _with_identities(cluster.access(network, clock)))


def _with_identities(access: SigningAccess) -> SigningAccess:
    return replace(access, identities=platform_identities(os.environ))
