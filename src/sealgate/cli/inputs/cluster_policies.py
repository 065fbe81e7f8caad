"""SigningPolicies of a cluster, read with the user's own rights.

The policy, its Authenticator and the Secrets that it names are read one by one: nothing is listed, and nothing of
sealgate has to run there. Credentials for registries are the user's own, as without a policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote as url_quote

from pydantic import ValidationError

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.signing_policy import SigningPolicy
from sealgate.budgets import Budgets
from sealgate.cli.inputs.cluster_secrets import read_credentials
from sealgate.errors import ConfigError, NotFoundError, PolicyError
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.kubernetes.client import connect
from sealgate.manifests.policies import object_problems
from sealgate.messages import quote
from sealgate.service_secrets import credentials_error
from sealgate.signing.access import SigningAccess

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.authenticator import AuthenticatorSpec
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Clock
    from sealgate.http.services import ServiceClient
    from sealgate.kubernetes.client import KubernetesAPI


class ClusterPolicies:
    """The signing policies of a cluster.

    Args:
        context: context of the kubeconfig.
        secrets_namespace: namespace of the Secrets that policies name; None if the user did not name it.

    Raises:
        ConfigError: the kubeconfig has no such context, or cannot be read.
    """

    def __init__(self, context: str, secrets_namespace: str | None) -> None:
        self._api = connect(context=context)
        self._secrets_namespace = secrets_namespace

    def policy(self, name: str) -> SigningPolicySpec:
        """Return what a policy says.

        Raises:
            ConfigError: there is none of that name.
            PolicyError: it is not valid; the error carries all problems.
            UnavailableError: the API server could not be asked (and its subclasses).
        """
        try:
            value = self._api.get(_path("signingpolicies", name))
        except NotFoundError as error:
            msg = f"the cluster has no SigningPolicy named {quote(name, 64)}: kubectl get signingpolicies"
            raise ConfigError(msg) from error
        problems = object_problems(value)
        if problems:
            raise PolicyError(f"the SigningPolicy {quote(name, 64)} is not valid", problems=problems)
        return SigningPolicy.model_validate(value).spec

    def access(self, network: ServiceClient, clock: Clock) -> SigningAccess:
        """Return access to the cluster's Authenticators, and to the Secrets of the namespace.

        Args:
            network: client for key management services.
            clock: source of the time.
        """
        return SigningAccess(
            network=network,
            secrets=_Secrets(self._api, self._secrets_namespace),
            clock=clock,
            budgets=Budgets(REQUESTS_PER_MINUTE, BURST, clock),
            authenticators=self._authenticator,
            folders=True,
        )

    def _authenticator(self, name: str) -> AuthenticatorSpec | None:
        try:
            return Authenticator.model_validate(self._api.get(_path("authenticators", name))).spec
        except (NotFoundError, ValidationError):
            return None


@dataclass(frozen=True, slots=True)
class _Secrets:
    """Secrets of one namespace; see `ServiceSecrets`."""

    api: KubernetesAPI
    namespace: str | None

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return a Secret; see `ServiceSecrets.read`."""
        if self.namespace is None:
            raise credentials_error(name, "name its namespace with --secrets-namespace")
        return read_credentials(self.api, self.namespace, name)


def _path(plural: str, name: str) -> str:
    return f"/apis/{API_VERSION}/{plural}/{url_quote(name, safe='')}"
