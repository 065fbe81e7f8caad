"""The Secrets that sign and push: only those that the chart lists, and each only for the hosts that it lists.

The content of a Secret becomes requests in three ways. Credentials of registries are offered for repositories of the
Secret's hosts only, and sent to a token service only if its host is one of them. Credentials of services are read
through a `CredentialScope`, whose requests go only to hosts that every Secret read through it may be sent to. A private
key is sent nowhere: its Secret lists no host.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cachetools import TTLCache

from sealgate.errors import ConfigError, ForbiddenAddressError, NotFoundError, UnauthorizedError, UnavailableError
from sealgate.http.interface import MAX_RESPONSE_BYTES
from sealgate.http.settings import fold
from sealgate.http.urls import parse_url
from sealgate.kubernetes.secrets import secret_data
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.registry.credentials import DockerConfigCredentials, merge

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from sealgate.clocks import Clock, Deadline
    from sealgate.http.interface import Response, Services
    from sealgate.http.services import ServiceClient
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.references import Repository
    from sealgate.registry.credentials import Candidate
    from sealgate_operator.worker.config import ListedSecret

#: Seconds for which a Secret is cached.
TTL_SECONDS = 30.0
DOCKER_CONFIG = ".dockerconfigjson"


class SigningSecrets:
    """The listed Secrets, read by name; see `ServiceSecrets`. Thread-safe.

    Args:
        api: the API server.
        namespace: namespace of the Secrets.
        listed: the Secrets that may be used.
        clock: measures the TTL of the cache.
    """

    def __init__(self, api: KubernetesAPI, namespace: str, listed: Iterable[ListedSecret], clock: Clock) -> None:
        self._api = api
        self._namespace = namespace
        self._hosts = {each.name: frozenset(each.hosts) for each in listed}
        self._lock = threading.Lock()
        self._cache: TTLCache[str, Mapping[str, bytes]] = TTLCache(256, TTL_SECONDS, timer=clock.monotonic)

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return the whole content of a Secret.

        Raises:
            UnavailableError: it is not listed, does not exist, or cannot be read.
        """
        if name not in self._hosts:
            msg = f"Secret {quote(name)} is not listed for signing; add it to the chart's value signing.secrets"
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY)
        with self._lock:
            known = self._cache.get(name)
        if known is not None:
            return known
        found = secret_data(self._get(name))
        with self._lock:
            self._cache[name] = found
        return found

    def hosts(self, name: str) -> frozenset[str]:
        """Return the hosts that a Secret may be sent to; none if it is not listed."""
        return self._hosts.get(name, frozenset())

    def of_host(self, host: str) -> tuple[str, ...]:
        """Return the names of the Secrets that may be sent to a `host[:port]`."""
        return tuple(name for name, hosts in self._hosts.items() if host in hosts)

    def _get(self, name: str) -> Mapping[str, object]:
        where = f"Secret {quote(name)} in the namespace {quote(self._namespace)}"
        try:
            return self._api.get(f"/api/v1/namespaces/{self._namespace}/secrets/{name}")
        except NotFoundError as error:
            msg = f"there is no {where}; create it there"
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY) from error
        except UnauthorizedError as error:
            msg = f"the signing worker may not read {where}; upgrade the release with it in signing.secrets"
            raise UnavailableError(msg, reason=Reason.AUTHENTICATOR_NOT_READY) from error


class CredentialScope:
    """Secrets and services that belong together: what was read here is sent to its own hosts only. Thread-safe.

    It is both a `ServiceSecrets` and a `ServiceSource`. One scope serves one service of one policy.

    Args:
        secrets: the listed Secrets.
        network: opens connections.
    """

    def __init__(self, secrets: SigningSecrets, network: ServiceClient) -> None:
        self._secrets = secrets
        self._network = network
        #: Secrets that were read; dict operations are atomic.
        self._read: dict[str, None] = {}

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return the content of a Secret; see `SigningSecrets.read`."""
        self._read[name] = None
        return self._secrets.read(name)

    def services(self, deadline: Deadline) -> Services:
        """Return requests to services, which go only where the Secrets read here may be sent."""
        return _ScopedServices(self, self._network.services(deadline))

    def check(self, url: str) -> None:
        """Return if a request may be sent.

        Raises:
            ForbiddenAddressError: a Secret that was read here may not be sent to the host.
        """
        host = fold(parse_url(url).origin.authority)
        for name in tuple(self._read):
            if host not in self._secrets.hosts(name):
                msg = f"Secret {quote(name)} may not be sent to {quote(host)}; add the host to it in signing.secrets"
                raise ForbiddenAddressError(msg)


class _ScopedServices:
    """Services of a scope; see `Services`."""

    def __init__(self, scope: CredentialScope, services: Services) -> None:
        self._scope = scope
        self._services = services

    def request(  # noqa: PLR0913 - the parts of an HTTP request are these
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit: int = MAX_RESPONSE_BYTES,
        ca: str | None = None,
        seconds: float | None = None,
    ) -> Response:
        self._scope.check(url)
        return self._services.request(method, url, headers=headers, body=body, limit=limit, ca=ca, seconds=seconds)


class RegistrySecrets:
    """Credentials of the docker configs among the listed Secrets; a `CredentialProvider`.

    Args:
        secrets: the listed Secrets.
    """

    def __init__(self, secrets: SigningSecrets) -> None:
        self._secrets = secrets

    @property
    def source(self) -> Hashable:
        """The object itself: no other provider has these credentials."""
        return self

    def candidates(self, repository: Repository) -> Sequence[Candidate]:
        """Return the credentials for a repository, of the Secrets that may be sent to its registry.

        Raises:
            UnavailableError: one of the Secrets cannot be read, or is not a docker config.
        """
        return merge(self._of(name, repository) for name in self._secrets.of_host(repository.registry))

    def cached(self, repository: Repository) -> Sequence[Candidate] | None:
        """Return none where no Secret is for the registry; None elsewhere, since Secrets have to be read."""
        return None if self._secrets.of_host(repository.registry) else ()

    def _of(self, name: str, repository: Repository) -> Sequence[Candidate]:
        content = self._secrets.read(name).get(DOCKER_CONFIG)
        if content is None:
            return ()
        try:
            config = DockerConfigCredentials.from_bytes(content, f"Secret {name}")
        except ConfigError as error:
            raise UnavailableError(error.message, reason=Reason.REGISTRY_UNAUTHORIZED) from error
        hosts = self._secrets.hosts(name)
        return [
            found._replace(credentials=found.credentials.only_for(hosts)) for found in config.candidates(repository)
        ]
