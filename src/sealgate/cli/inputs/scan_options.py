"""The options of `sealgate scan` that say what to scan, and by which policies."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sealgate.cli.inputs.cluster_secrets import secret_names
from sealgate.cli.inputs.options import EnumChoice
from sealgate.policies.decisions import UnmatchedImages

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What to scan, and by which policies.

    Attributes:
        context: context of the kubeconfig; None for the current one.
        policy_paths: policy files that count instead of the policies of the cluster; empty for those.
        unmatched: what happens to an image that is neither covered nor exempt.
        namespace: the only namespace; None for all.
        excluded: namespaces that are left out.
        without_key: fingerprint of a key that is taken away; None for none.
        service_secrets: name of each Secret that may be sent to signature stores -> its namespace.
    """

    context: str | None
    policy_paths: tuple[str, ...]
    unmatched: UnmatchedImages
    namespace: str | None
    excluded: frozenset[str]
    without_key: str | None
    service_secrets: dict[str, str]

    def takes(self, namespace: str) -> bool:
        """Return whether objects of a namespace are scanned."""
        return self.namespace in (None, namespace) and namespace not in self.excluded


def scan_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that say what to scan, gathered as `chosen`."""

    @click.option(
        "--context", metavar="CONTEXT", help="Context of the kubeconfig (KUBECONFIG). Default: the current one."
    )
    @click.option(
        "-n",
        "--namespace",
        metavar="NAME",
        help="Scan this namespace only; of a cluster, nothing else is listed but the policies. In manifests also the "
        "namespace of objects without metadata.namespace.",
    )
    @click.option(
        "--exclude-namespace",
        "excluded",
        metavar="NAME",
        multiple=True,
        help="Leave out this namespace, as the webhook does with those of the chart's excludedNamespaces. Repeatable.",
    )
    @click.option(
        "--policies",
        "policy_paths",
        type=click.Path(),
        metavar="PATH",
        multiple=True,
        help="File or directory of policies that count instead of those of the cluster. Repeatable.",
    )
    @click.option(
        "--without-key",
        metavar="FINGERPRINT",
        help="Show only what would stop passing if signatures by this key did not count: sha256:HEX, or that of an "
        "OpenPGP key (of a primary key: with its subkeys).",
    )
    @click.option(
        "--unmatched",
        type=EnumChoice(UnmatchedImages),
        default="admit",
        show_default=True,
        help="What happens to an image that is neither covered by an Enforce policy nor exempt by an Exempt policy "
        "(the chart's unmatchedImages).",
    )
    @click.option(
        "--service-secret",
        "service_secrets",
        callback=secret_names,
        metavar="NAMESPACE/NAME",
        multiple=True,
        help="Secret of the cluster with credentials for a signature store, which is sent to the stores of the "
        "Authenticators that name it. Repeatable.",
    )
    @functools.wraps(command)
    def wrapped(  # noqa: PLR0913 - click hands over one argument for each option
        *args: Any,  # noqa: ANN401
        context: str | None,
        namespace: str | None,
        excluded: tuple[str, ...],
        policy_paths: tuple[str, ...],
        without_key: str | None,
        unmatched: UnmatchedImages,
        service_secrets: dict[str, str],
        **rest: Any,  # noqa: ANN401
    ) -> T:
        chosen = ScanOptions(
            context, policy_paths, unmatched, namespace, frozenset(excluded), without_key, service_secrets
        )
        return command(*args, chosen=chosen, **rest)

    return wrapped
