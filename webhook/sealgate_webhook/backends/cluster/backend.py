"""Backend of a cluster: policies, namespaces, credentials and trusted state from the API server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote as quote_path

from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.events import EventWriter
from sealgate.kubernetes.secrets import InvalidBase64Error, secret_data
from sealgate.kubernetes.watch import Informer
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate_webhook.admission.policy_objects import PolicyObjectAdmission
from sealgate_webhook.backends.cluster.decision_events import (
    COMPONENT,
    DENIED,
    EXCEPTION_CHANGED,
    EXCEPTION_USED,
    WOULD_BE_DENIED,
    DecisionEvents,
)
from sealgate_webhook.backends.cluster.namespaces import PATH, ClusterNamespaces, read_namespace
from sealgate_webhook.backends.cluster.platform_credentials import platform_credentials
from sealgate_webhook.backends.cluster.policies import ClusterPolicies
from sealgate_webhook.backends.cluster.pull_secrets import ClusterCredentials, SecretReader, SharedSecret
from sealgate_webhook.backends.cluster.trusted_state import ConfigMapTrustedState

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterable, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.clocks import Clock
    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.policies.matching import Namespace
    from sealgate.verification.policy_sets import PolicySet
    from sealgate_webhook.admission.outcome import AdmissionOutcome
    from sealgate_webhook.backends.cluster.config import WebhookConfig
    from sealgate_webhook.backends.interface import BackendFactory
    from sealgate_webhook.metrics import Metrics
    from sealgate_webhook.reviews.request import AdmissionRequest


class OwnSecrets:
    """Secrets of sealgate's own namespace with credentials for signature stores; see `ServiceSecrets`.

    Args:
        api: the API server.
        namespace: sealgate's own.
        names: the only Secrets that are read. The author of an Authenticator names a Secret and the server that its
            content is sent to, so the installation decides which Secrets may be used.
    """

    def __init__(self, api: KubernetesAPI, namespace: str, names: Collection[str]) -> None:
        self._api = api
        self._namespace = namespace
        self._names = frozenset(names)

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return the whole content of a Secret.

        Raises:
            UnavailableError: it is not there, or may not or cannot be read.
        """
        if name not in self._names:
            raise UnavailableError(
                f"Secret {quote(name)} is not meant for signature stores: list it in webhook.serviceSecrets",
                reason=Reason.AUTHENTICATOR_NOT_READY,
            )
        path = f"/api/v1/namespaces/{quote_path(self._namespace, safe='')}/secrets/{quote_path(name, safe='')}"
        try:
            return secret_data(self._api.get(path), on_invalid="raise")
        except NotFoundError as error:
            raise UnavailableError(
                f"there is no Secret {quote(name)} in {self._namespace}", reason=Reason.AUTHENTICATOR_NOT_READY
            ) from error
        except InvalidBase64Error as error:
            raise UnavailableError(f"Secret {quote(name)} is not base64") from error


class ReadyPolicies:
    """The policies in force, once the namespaces that they select by label are known too.

    Args:
        policies: the policies.
        namespaces: all namespaces.
    """

    def __init__(self, policies: ClusterPolicies, namespaces: Informer[Namespace]) -> None:
        self._policies = policies
        self._namespaces = namespaces

    def current(self) -> PolicySet | None:
        """Return the newest set; None until everything was read once."""
        return self._policies.current()

    def problem(self) -> str:
        """Return why the webhook is not ready yet; empty when it is."""
        if not self._namespaces.complete:
            return "the namespaces have not been read from the API server yet"
        return self._policies.problem()


class ClusterBackend:
    """Policies, namespaces, pull secrets and Events of one cluster.

    Args:
        api: the API server.
        config: the webhook's configuration.
        namespace: sealgate's own.
        instance: this replica's name.
        clock: the time.
        metrics: the webhook's metrics.
        log: the process's log.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - three of them are what every backend is given
        self,
        api: KubernetesAPI,
        config: WebhookConfig,
        namespace: str,
        instance: str,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        if config.cache.entries is not None:
            log.warning("cache.entries is deprecated; set cache.mebibytes instead", entries=config.cache.entries)
        secrets = OwnSecrets(api, namespace, config.service_secrets)
        longest = timedelta(hours=config.exceptions.max_hours)
        self._compiled = ClusterPolicies(api, config.unmatched_images, longest, secrets, clock, metrics, log)
        self._namespaces = Informer(api, PATH, read_namespace, lambda: None, clock, log)
        writer = EventWriter(api, COMPONENT, instance, clock)
        # Each with a queue, budgets and a thread of its own: would-be denials take nothing from denials.
        self._denied, self._would_be_denied, self._exception_used, self._exception_changed = (
            DecisionEvents(writer, kind, lambda name: self._namespaces.get(name) is not None, clock, metrics, log)
            for kind in (DENIED, WOULD_BE_DENIED, EXCEPTION_USED, EXCEPTION_CHANGED)
        )
        reader = SecretReader(api, clock, log)
        shared = config.registries.docker_config_secret
        self.policies = ReadyPolicies(self._compiled, self._namespaces)
        self.namespaces = ClusterNamespaces(self._namespaces, api)
        self.credentials = ClusterCredentials(
            reader,
            SharedSecret(reader, namespace, shared) if shared else None,
            pull_secrets=config.pull_secrets,
            kinds=config.workload_kinds(),
            platform=platform_credentials(config.registries, clock, metrics, log),
        )
        self.state = ConfigMapTrustedState(api, namespace, config.trusted_state)
        self.admit_policy_object = PolicyObjectAdmission(
            self._compiled, clock, longest, self._exception_changed.changed
        ).validate

    def literal_hosts(self) -> frozenset[str]:
        """Return the registries that the policies in force name literally."""
        return self._compiled.literal_hosts()

    def prepare(self) -> None:
        """Do nothing: the webhook may start before the API server can be reached, and is not ready until then."""

    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return the tasks that watch the API server, compile policies and write Events."""
        events = (self._denied, self._would_be_denied, self._exception_used, self._exception_changed)
        return (*self._compiled.tasks(), self._namespaces.run, *(one.run for one in events))

    def decided(self, request: AdmissionRequest, outcome: AdmissionOutcome) -> None:
        """Queue the Event of a denial, a would-be denial or the use of an exception."""
        if not outcome.response.allowed:
            events = self._denied
        else:
            events = self._exception_used if outcome.exceptions else self._would_be_denied
        events.decided(request, outcome.lasting, outcome.decision_id)


def cluster_backend(api: KubernetesAPI, config: WebhookConfig, namespace: str, instance: str) -> BackendFactory:
    """Return a factory of `ClusterBackend`; see there for the arguments."""
    return lambda clock, metrics, log: ClusterBackend(api, config, namespace, instance, clock, metrics, log)
