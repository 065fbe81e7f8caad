"""Credentials of a scan: the pull secrets of the workloads, or the user's own where those may not be read.

As in the webhook, only Secrets of a workload's own namespace are read for it, by name, and only where a registry asks
for credentials. All workloads that use an image in a namespace count together.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import click

from sealgate.errors import InvalidWorkloadError, UnauthorizedError
from sealgate.messages import quote
from sealgate.registry.credentials import CredentialChain
from sealgate.workloads.images import pod_specs
from sealgate_webhook.backends.cluster.pull_secrets import (
    MAX_POD_SPECS,
    SecretReader,
    WorkloadCredentials,
    pull_secrets_of,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from sealgate.cli.questions import Question
    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.references import Repository
    from sealgate.registry.credentials import Candidate, CredentialProvider
    from sealgate.workloads.kinds import WorkloadKind


class PullSecrets:
    """The pull secrets of a cluster's workloads. `provider` is thread-safe.

    Args:
        api: the API server.
        clock: how long what was read is kept.
        local: credentials where Secrets may not be read.

    Attributes:
        refused: namespaces whose Secrets may not be read, in the order noticed.
    """

    def __init__(self, api: KubernetesAPI, clock: Clock, local: CredentialProvider) -> None:
        self._reader = SecretReader(api, clock, _Notes())
        self._local = local
        self._named: dict[tuple[str, str], dict[tuple[tuple[str, ...], str], None]] = {}
        self._lock = threading.Lock()
        self.refused: dict[str, None] = {}

    def add(self, obj: Mapping[str, Any], kind: WorkloadKind, images: Iterable[tuple[str, str]]) -> None:
        """Note what an object names; of one image in one namespace, the first `MAX_POD_SPECS` different ones.

        Args:
            obj: the object as parsed JSON.
            kind: its kind.
            images: its images, each with its namespace.
        """
        try:
            found = pod_specs(obj, kind) or (obj.get("spec") or {},)
        except InvalidWorkloadError:
            return
        names = [pull_secrets_of(spec) for spec in found]
        for key in images:
            known = self._named.setdefault(key, {})
            known.update(dict.fromkeys(names[: MAX_POD_SPECS - len(known)] if len(known) < MAX_POD_SPECS else ()))

    def provider(self, question: Question) -> CredentialProvider:
        """Return the source of the credentials for an image."""
        named = self._named.get((question.image, question.namespace), {})
        own = CredentialChain(WorkloadCredentials(self._reader, question.namespace, *names) for names in named)
        return _OwnOrLocal(self, own, self._local, question.namespace)

    def refuse(self, namespace: str) -> None:
        """Note that Secrets of a namespace may not be read."""
        with self._lock:
            self.refused[namespace] = None


class _OwnOrLocal:
    """Pull secrets of one namespace, or local credentials if they may not be read; see `CredentialProvider`."""

    def __init__(self, scan: PullSecrets, own: CredentialProvider, local: CredentialProvider, namespace: str) -> None:
        self._scan = scan
        self._own = own
        self._local = local
        self._namespace = namespace

    @property
    def source(self) -> Hashable:
        """Both sources."""
        return (self._own.source, self._local.source)

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return the credentials of the pull secrets; the local ones if a Secret may not be read.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        if self._namespace not in self._scan.refused:
            try:
                return self._own.candidates(repository)
            except UnauthorizedError:
                self._scan.refuse(self._namespace)
        return self._local.candidates(repository)

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        """Return the same from memory."""
        source = self._local if self._namespace in self._scan.refused else self._own
        return source.cached(repository)


class _Notes:
    """Prints on standard error what a server would log about Secrets."""

    def warning(self, event: str, **values: object) -> None:
        """Print a warning."""
        named = ", ".join(f"{key} {quote(value)}" for key, value in values.items())
        click.echo(f"Warning: {event}: {named}", err=True)
