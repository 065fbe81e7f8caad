"""Credentials for a workload's registries: its pull secrets, its ServiceAccount's, then the cluster-wide one.

As kubelets do, a pod's own `imagePullSecrets` count, or where it names none those of its ServiceAccount. Only Secrets
of the workload's own namespace are ever read for it, and only when a registry is about to be asked: what is answered
from memory reads none. A Secret that is missing, or is no docker config, is passed over, as kubelets pass it over; an
API server that cannot be asked makes the image *unavailable*.
"""

from __future__ import annotations

import binascii
import threading
from base64 import b64decode
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as quote_path

from cachetools import TTLCache

from sealgate.errors import ConfigError, InvalidWorkloadError, NotFoundError
from sealgate.registry.credentials import CredentialChain, DockerConfigCredentials
from sealgate.workloads import pod_specs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.references import Repository
    from sealgate.registry.credentials import CredentialProvider, Credentials
    from sealgate.services.kubernetes_api import KubernetesAPI
    from sealgate.workload_kinds import WorkloadKinds
    from sealgate_webhook.reviews import AdmissionRequest

#: Seconds that a Secret or ServiceAccount that was read is remembered, and how many of them are.
REMEMBER_SECONDS = 30.0
MAX_REMEMBERED = 1000
#: Pull secrets of one workload that are looked at.
MAX_SECRETS = 32
#: Pod specs of one object that name different Secrets.
MAX_POD_SPECS = 8

_KEYS = (".dockerconfigjson", ".dockercfg")
DEFAULT_ACCOUNT = "default"


class SecretReader:
    """Docker configs in Secrets, and the pull secrets of ServiceAccounts, remembered briefly.

    Args:
        api: the API server.
        clock: on which they are forgotten.
        log: told of Secrets that are passed over.
    """

    def __init__(self, api: KubernetesAPI, clock: Clock, log: FilteringBoundLogger) -> None:
        self._api = api
        self._log = log
        self._remembered: TTLCache[tuple[str, str, str], Any] = TTLCache(
            MAX_REMEMBERED, REMEMBER_SECONDS, timer=clock.monotonic
        )
        self._lock = threading.Lock()

    def docker_config(self, namespace: str, name: str) -> DockerConfigCredentials | None:
        """Return the credentials in a Secret; None if there is none, or none that can be used.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        key = ("secrets", namespace, name)
        with self._lock:
            if key in self._remembered:
                known: DockerConfigCredentials | None = self._remembered[key]
                return known
        config = self._read_config(namespace, name)
        with self._lock:
            self._remembered[key] = config
        return config

    def account_secrets(self, namespace: str, account: str) -> tuple[str, ...]:
        """Return the names of a ServiceAccount's pull secrets.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        key = ("serviceaccounts", namespace, account)
        with self._lock:
            if key in self._remembered:
                known: tuple[str, ...] = self._remembered[key]
                return known
        try:
            names = tuple(_names(self._api.get(_path(*key)).get("imagePullSecrets")))
        except NotFoundError:
            names = ()
        with self._lock:
            self._remembered[key] = names
        return names

    def _read_config(self, namespace: str, name: str) -> DockerConfigCredentials | None:
        try:
            data = self._api.get(_path("secrets", namespace, name)).get("data") or {}
        except NotFoundError:
            return None
        for key in _KEYS:
            if key in data:
                try:
                    return DockerConfigCredentials.from_bytes(b64decode(data[key]), f"Secret {namespace}/{name}")
                except (ConfigError, binascii.Error):
                    break
        self._log.warning("a pull secret is no docker config", namespace=namespace, secret=name)
        return None


class WorkloadCredentials:
    """The credentials of one workload, read when a registry asks for them.

    Args:
        reader: reads Secrets.
        namespace: the workload's, the only one that is read from.
        secrets: its pull secrets' names.
        account: its ServiceAccount, whose pull secrets count when it names none itself; None where nothing may be read
            for it.
    """

    def __init__(self, reader: SecretReader, namespace: str, secrets: tuple[str, ...], account: str) -> None:
        self._reader = reader
        self._namespace = namespace
        self._secrets = secrets
        self._account = account

    @property
    def scope(self) -> str:
        """The namespace and what it is read from: within one scope everybody reads the same."""
        return f"{self._namespace}/{','.join(self._secrets) or self._account}"

    def credentials(self, repository: Repository) -> Credentials | None:
        """Return what the first of the secrets has for the repository."""
        secrets = self._secrets or self._reader.account_secrets(self._namespace, self._account)
        for name in secrets[:MAX_SECRETS]:
            config = self._reader.docker_config(self._namespace, name)
            found = config.credentials(repository) if config is not None else None
            if found is not None:
                return found
        return None


class SharedSecret:
    """The credentials of the one Secret that is for every namespace's images.

    Args:
        reader: reads Secrets.
        namespace: sealgate's own.
        name: of the Secret.
    """

    def __init__(self, reader: SecretReader, namespace: str, name: str) -> None:
        self._reader = reader
        self._namespace = namespace
        self._name = name

    @property
    def scope(self) -> str:
        """The same for everybody."""
        return "cluster"

    def credentials(self, repository: Repository) -> Credentials | None:
        """Return what the Secret has for the repository."""
        config = self._reader.docker_config(self._namespace, self._name)
        return config.credentials(repository) if config is not None else None


class ClusterCredentials:
    """Credentials for every workload.

    Args:
        reader: reads Secrets.
        shared: asked when the workload has none of its own; None for nobody.
        pull_secrets: whether workloads' own pull secrets are read.
        kinds: the kinds whose images are verified.
    """

    def __init__(
        self,
        reader: SecretReader,
        shared: SharedSecret | None,
        *,
        pull_secrets: bool,
        kinds: WorkloadKinds,
    ) -> None:
        self._reader = reader
        self._shared = shared
        self._pull_secrets = pull_secrets
        self._kinds = kinds

    def provider(self, request: AdmissionRequest) -> CredentialProvider:
        """Return where a request's images get their credentials from.

        Raises:
            InvalidWorkloadError: one of the object's pod specs cannot be told, or there are more than
                `MAX_POD_SPECS` that name different Secrets.
        """
        providers: list[CredentialProvider] = []
        if self._pull_secrets:
            named = dict.fromkeys(_pull_secrets(spec) for spec in self._pod_specs(request))
            if len(named) > MAX_POD_SPECS:
                raise InvalidWorkloadError(
                    f"the object has {len(named)} pod specs with different pull secrets, and at most {MAX_POD_SPECS} "
                    "are possible"
                )
            providers.extend(WorkloadCredentials(self._reader, request.namespace, *names) for names in named)
        if self._shared is not None:
            providers.append(self._shared)
        return CredentialChain(providers)

    def _pod_specs(self, request: AdmissionRequest) -> tuple[Mapping[str, Any], ...]:
        """Return the pod specs of a request's object.

        An object without one, such as one of a kind that makes pods out of other fields, has what its `spec` names,
        where a pod spec would have it.
        """
        kind = self._kinds.find(request.group, request.kind)
        if kind is None or request.object is None:
            raise InvalidWorkloadError("the object has no pod spec")
        found = pod_specs(request.object, kind)
        spec = request.object.get("spec")
        return found or (spec if isinstance(spec, dict) else {},)


def _pull_secrets(spec: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Return the names of a pod spec's pull secrets and of its ServiceAccount."""
    account = spec.get("serviceAccountName")
    account = account if isinstance(account, str) and account else DEFAULT_ACCOUNT
    return tuple(_names(spec.get("imagePullSecrets"))), account


def _names(references: object) -> Iterator[str]:
    """Yield the names in a list of `{name: ...}`; whatever is none of that names no Secret."""
    if not isinstance(references, list):
        return
    for reference in references:
        name = reference.get("name") if isinstance(reference, dict) else None
        if isinstance(name, str) and name:
            yield name


def _path(collection: str, namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{quote_path(namespace, safe='')}/{collection}/{quote_path(name, safe='')}"
