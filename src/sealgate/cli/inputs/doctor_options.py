"""The options of `sealgate doctor` that say which installation is examined, and with which rights."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sealgate.cli.inputs.cluster_secrets import secret_names

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """Which installation is examined, and with which rights.

    Attributes:
        context: context of the kubeconfig; None for the current one, or in a pod for its ServiceAccount.
        namespace: sealgate's own.
        secrets: name of each Secret that may be read -> its namespace.
    """

    context: str | None
    namespace: str
    secrets: dict[str, str]


def doctor_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options that say which installation is examined, gathered as `chosen`."""

    @click.option(
        "--context",
        metavar="CONTEXT",
        help="Context of the kubeconfig (KUBECONFIG). Default: the current one, in a pod its ServiceAccount.",
    )
    @click.option(
        "-n",
        "--namespace",
        metavar="NAME",
        default="sealgate-system",
        show_default=True,
        help="The namespace that sealgate is installed in.",
    )
    @click.option(
        "--service-secret",
        "secrets",
        callback=secret_names,
        metavar="NAMESPACE/NAME",
        multiple=True,
        help="Secret that may be read: with credentials for a KMS or a signature store, which are tried at the servers "
        "of the Authenticators that name it, or with the webhook's certificate. Repeatable.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: Any,  # noqa: ANN401
        context: str | None,
        namespace: str,
        secrets: dict[str, str],
        **rest: Any,  # noqa: ANN401
    ) -> T:
        return command(*args, chosen=DoctorOptions(context, namespace, secrets), **rest)

    return wrapped
