"""Credentials for a workload's registries: its pull secrets or its ServiceAccount's, then those for every workload.

As kubelets do, a pod's own `imagePullSecrets` count, or where it names none those of its ServiceAccount. All
credentials that match an image are candidates, the longest path first, then in that order. Only Secrets of the
workload's own namespace are ever read for it, and only where a registry asks who comes; each is then kept for
`TTL_SECONDS`, which is also the longest that a changed Secret goes unnoticed. A Secret that is missing, or is not
a docker config, is passed over, as kubelets pass it over; an entry of a docker config that cannot be read spoils only
itself; an API server that cannot be asked makes the image *unavailable*.
"""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote as quote_path

from cachetools import TTLCache

from sealgate.errors import ConfigError, InvalidWorkloadError, NotFoundError
from sealgate.kubernetes.secrets import InvalidBase64Error, decode
from sealgate.messages import quote
from sealgate.registry.credentials import CredentialChain, DockerConfigCredentials, merge
from sealgate.workloads.images import pod_specs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.references import Repository
    from sealgate.registry.credentials import Candidate, CredentialProvider
    from sealgate.workloads.kinds import WorkloadKinds
    from sealgate_webhook.reviews.request import AdmissionRequest

#: TTL of a cached Secret or ServiceAccount, seconds, and the size of the cache, bytes (estimated).
TTL_SECONDS = 30.0
MAX_CACHE_BYTES = 32 << 20
#: What one of them takes beside its content, bytes.
_ENTRY_BYTES = 1 << 10
#: Pull secrets of one workload that are read.
MAX_SECRETS = 32
#: Entries of its pull secrets that are compared with a repository for a caller that must not wait, such as the event
#: loop: 32 docker configs may have 32,768, for each of 16 repositories. More are compared in a worker.
MAX_QUICK = 128
#: Pod specs of one object that name different Secrets.
MAX_POD_SPECS = 8
#: Entries of a docker config that cannot be read and are named in the log.
MAX_NAMED = 8

_KEYS = (".dockerconfigjson", ".dockercfg")
DEFAULT_ACCOUNT = "default"


V = TypeVar("V")


class _Name(NamedTuple):
    """A Secret or ServiceAccount."""

    namespace: str
    name: str


class _Recent(Generic[V]):
    """Cache with a TTL, bounded in bytes. Thread-safe.

    Args:
        clock: on which it is forgotten.
        size: roughly what a value takes in memory, bytes.
    """

    def __init__(self, clock: Clock, size: Callable[[V], int]) -> None:
        self._values: TTLCache[_Name, V] = TTLCache(MAX_CACHE_BYTES, TTL_SECONDS, timer=clock.monotonic, getsizeof=size)
        self._lock = threading.Lock()

    def cached(self, name: _Name) -> V:
        """Return a value from memory.

        Raises:
            LookupError: it would have to be read.
        """
        with self._lock:
            return self._values[name]

    def get(self, name: _Name, read: Callable[[_Name], V]) -> V:
        """Return a value from memory, else read it."""
        try:
            return self.cached(name)
        except LookupError:
            value = read(name)
        with self._lock:
            self._values[name] = value
        return value


class Warnings(Protocol):
    """Takes the lines about Secrets that are passed over; a structlog logger is one."""

    def warning(self, event: str, **values: object) -> object:
        """Log a constant text with values."""


class SecretReader:
    """Docker configs in Secrets, and the pull secrets of ServiceAccounts, cached. Thread-safe.

    Args:
        api: the API server.
        clock: on which they are forgotten.
        log: gets a line for every Secret, or entry of one, that is passed over.
    """

    def __init__(self, api: KubernetesAPI, clock: Clock, log: Warnings) -> None:
        self._api = api
        self._log = log
        self._configs: _Recent[DockerConfigCredentials | None] = _Recent(clock, _size_of_config)
        self._accounts: _Recent[tuple[str, ...]] = _Recent(clock, _size_of_names)

    def docker_config(self, namespace: str, name: str) -> DockerConfigCredentials | None:
        """Return the credentials in a Secret; None if there is none, or none that can be used.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        return self._configs.get(_Name(namespace, name), self._read_config)

    def account_secrets(self, namespace: str, account: str) -> tuple[str, ...]:
        """Return the names of a ServiceAccount's pull secrets, at most `MAX_SECRETS`.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        return self._accounts.get(_Name(namespace, account), self._read_account)

    def cached_config(self, namespace: str, name: str) -> DockerConfigCredentials | None:
        """Return the same as `docker_config`, from memory.

        Raises:
            LookupError: it would have to be read.
        """
        return self._configs.cached(_Name(namespace, name))

    def cached_account(self, namespace: str, account: str) -> tuple[str, ...]:
        """Return the same as `account_secrets`, from memory.

        Raises:
            LookupError: it would have to be read.
        """
        return self._accounts.cached(_Name(namespace, account))

    def _read_account(self, account: _Name) -> tuple[str, ...]:
        try:
            found = self._api.get(_path("serviceaccounts", account))
        except NotFoundError:
            return ()
        return tuple(islice(dict.fromkeys(_names(found.get("imagePullSecrets"))), MAX_SECRETS))

    def _read_config(self, secret: _Name) -> DockerConfigCredentials | None:
        try:
            data = self._api.get(_path("secrets", secret)).get("data") or {}
        except NotFoundError:
            return None
        for key in _KEYS:
            if key in data:
                try:
                    text = decode(data[key], on_invalid="raise")
                    config = DockerConfigCredentials.from_bytes(text, f"Secret {secret.namespace}/{secret.name}")
                except (ConfigError, InvalidBase64Error):
                    break
                if config.unreadable:
                    self._log.warning(
                        "pull secret has invalid entries",
                        namespace=secret.namespace,
                        secret=secret.name,
                        entries=[quote(entry) for entry in config.unreadable[:MAX_NAMED]],
                    )
                return config
        self._log.warning("pull secret is not a docker config", namespace=secret.namespace, secret=secret.name)
        return None


class _Source(NamedTuple):
    """What the credentials of workloads are read from.

    Attributes:
        namespace: of the Secrets.
        secrets: their names, in order.
        account: the ServiceAccount whose pull secrets count; None where `secrets` do.
    """

    namespace: str
    secrets: tuple[str, ...]
    account: str | None


class WorkloadCredentials:
    """The credentials of one workload, read when a registry asks for them.

    Args:
        reader: reads Secrets.
        namespace: the workload's, the only one that is read from.
        secrets: its pull secrets' names; no more than `MAX_SECRETS` of them are read.
        account: its ServiceAccount, whose pull secrets count when it names none itself.
    """

    def __init__(self, reader: SecretReader, namespace: str, secrets: tuple[str, ...], account: str) -> None:
        self._reader = reader
        self._source = _Source(namespace, secrets[:MAX_SECRETS], None if secrets else account)

    @property
    def source(self) -> Hashable:
        """The namespace, and the names of the Secrets or of the ServiceAccount."""
        return self._source

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return what all of the secrets have for the repository.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        namespace, secrets, account = self._source
        if account is not None:
            secrets = self._reader.account_secrets(namespace, account)
        return _matching((self._reader.docker_config(namespace, name) for name in secrets), repository)

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        """Return the same from memory.

        None if a Secret or the ServiceAccount would have to be read, or more than `MAX_QUICK` entries compared.
        """
        namespace, secrets, account = self._source
        try:
            if account is not None:
                secrets = self._reader.cached_account(namespace, account)
            configs = [self._reader.cached_config(namespace, name) for name in secrets]
        except LookupError:
            return None
        if sum(config.comparisons(repository) for config in configs if config is not None) > MAX_QUICK:
            return None
        return _matching(configs, repository)


class SharedSecret:
    """The credentials of the one Secret that is for every namespace's images.

    Args:
        reader: reads Secrets.
        namespace: sealgate's own.
        name: of the Secret.
    """

    def __init__(self, reader: SecretReader, namespace: str, name: str) -> None:
        self._reader = reader
        self._source = _Source(namespace, (name,), None)

    @property
    def source(self) -> Hashable:
        """The namespace and name of the Secret."""
        return self._source

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return what the Secret has for the repository.

        Raises:
            UnavailableError: the API server could not be asked.
        """
        namespace, (name,), _ = self._source
        return _matching([self._reader.docker_config(namespace, name)], repository)

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        """Return the same from memory; None if the Secret would have to be read."""
        namespace, (name,), _ = self._source
        try:
            return _matching([self._reader.cached_config(namespace, name)], repository)
        except LookupError:
            return None


class ClusterCredentials:
    """Credentials for every workload.

    Args:
        reader: reads Secrets.
        shared: tried after the workload's own; None for none.
        platform: the platform's identity at registries that the settings list, tried last; None for none.
        pull_secrets: whether workloads' own pull secrets are read, or the only namespaces in which they are.
        kinds: the kinds whose images are verified.
    """

    def __init__(
        self,
        reader: SecretReader,
        shared: SharedSecret | None,
        *,
        pull_secrets: bool | Collection[str],
        kinds: WorkloadKinds,
        platform: CredentialProvider | None = None,
    ) -> None:
        self._reader = reader
        self._shared = shared
        self._platform = platform
        self._pull_secrets = pull_secrets if isinstance(pull_secrets, bool) else frozenset(pull_secrets)
        self._kinds = kinds

    def provider(self, request: AdmissionRequest) -> CredentialProvider:
        """Return where a request's images get their credentials from.

        Raises:
            InvalidWorkloadError: one of the object's pod specs is invalid, or there are more than
                `MAX_POD_SPECS` that name different Secrets.
        """
        named: dict[tuple[tuple[str, ...], str], None] = {}
        if self._reads_from(request.namespace):
            named = dict.fromkeys(pull_secrets_of(spec) for spec in self._pod_specs(request))
            if len(named) > MAX_POD_SPECS:
                raise InvalidWorkloadError(
                    f"the object has {len(named)} pod specs with different pull secrets, and at most {MAX_POD_SPECS} "
                    "are possible"
                )
        return self.of_workloads(request.namespace, named)

    def of_workloads(self, namespace: str, named: Iterable[tuple[tuple[str, ...], str]]) -> CredentialProvider:
        """Return where the images of workloads of one namespace get their credentials from.

        Args:
            namespace: the only one that Secrets are read from for them, and only if the installation permits that.
            named: what `pull_secrets_of` returns for each pod spec; the caller bounds their number.
        """
        providers: list[CredentialProvider] = []
        if self._reads_from(namespace):
            providers.extend(WorkloadCredentials(self._reader, namespace, *names) for names in named)
        if self._shared is not None:
            providers.append(self._shared)
        if self._platform is not None:
            providers.append(self._platform)
        return CredentialChain(providers)

    def _reads_from(self, namespace: str) -> bool:
        return self._pull_secrets if isinstance(self._pull_secrets, bool) else namespace in self._pull_secrets

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


def pull_secrets_of(spec: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """Return the names of a pod spec's pull secrets, each once, and of its ServiceAccount."""
    account = spec.get("serviceAccountName")
    account = account if isinstance(account, str) and account else DEFAULT_ACCOUNT
    return tuple(dict.fromkeys(_names(spec.get("imagePullSecrets")))), account


def _names(references: object) -> Iterator[str]:
    """Yield the names in a list of `{name: ...}`; other entries are ignored."""
    if not isinstance(references, list):
        return
    for reference in references:
        name = reference.get("name") if isinstance(reference, dict) else None
        if isinstance(name, str) and name:
            yield name


def _matching(configs: Iterable[DockerConfigCredentials | None], repository: Repository) -> Sequence[Candidate]:
    return merge([config.candidates(repository) for config in configs if config is not None])


def _size_of_config(config: DockerConfigCredentials | None) -> int:
    return _ENTRY_BYTES + (0 if config is None else config.size)


def _size_of_names(names: tuple[str, ...]) -> int:
    return _ENTRY_BYTES + sum(map(len, names))


def _path(collection: str, name: _Name) -> str:
    return f"/api/v1/namespaces/{quote_path(name.namespace, safe='')}/{collection}/{quote_path(name.name, safe='')}"
