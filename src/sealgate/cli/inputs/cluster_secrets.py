"""Secrets of a cluster with credentials for services, read one by one with the user's own rights."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote as url_quote

import click

from sealgate.diagnosis.checks import Area, Check, Outcome
from sealgate.errors import ConfigError, NotFoundError, UnauthorizedError, UnavailableError
from sealgate.kubernetes.secrets import secret_data
from sealgate.messages import quote
from sealgate.registry.credentials import DockerConfigCredentials, NoCredentials
from sealgate.service_secrets import bytes_member, credentials_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.registry.credentials import CredentialProvider


def read_credentials(api: KubernetesAPI, namespace: str, name: str) -> Mapping[str, bytes]:
    """Return the content of a Secret; see `ServiceSecrets.read`.

    Args:
        api: the API server.
        namespace: namespace of the Secret.
        name: its name.
    """
    path = f"/api/v1/namespaces/{url_quote(namespace, safe='')}/secrets/{url_quote(name, safe='')}"
    try:
        return secret_data(api.get(path))
    except NotFoundError as error:
        raise credentials_error(name, f"the namespace {quote(namespace, 64)} does not have it") from error


class NamedSecrets:
    """The Secrets that the user named, and no others; see `ServiceSecrets`.

    Args:
        api: the API server.
        secrets: name of each Secret -> its namespace.
        others: namespace of the Secrets that the user did not name; None if they must not be read.
    """

    def __init__(self, api: KubernetesAPI, secrets: Mapping[str, str], others: str | None = None) -> None:
        self._api = api
        self._secrets = secrets
        self._others = others

    def namespace_of(self, name: str) -> str | None:
        """Return the namespace that a Secret is read from; None if it must not be read."""
        return self._secrets.get(name, self._others)

    def read(self, name: str) -> Mapping[str, bytes]:
        """Return a Secret that the user named; see `ServiceSecrets.read`."""
        namespace = self.namespace_of(name)
        if namespace is None:
            # The author of an Authenticator chooses the Secret and the server that its content is sent to.
            raise credentials_error(name, f"name it to have it read: --service-secret NAMESPACE/{quote(name, 64)}")
        return read_credentials(self._api, namespace, name)


def release_credentials(secrets: NamedSecrets, namespace: str, name: str) -> tuple[CredentialProvider, Check | None]:
    """Return the release's own credentials for registries, and a check if they cannot be tried.

    Args:
        secrets: the Secrets that may be read.
        namespace: the release's.
        name: name of the Secret (the chart's `registries.dockerConfigSecret`); empty for none.
    """
    untried, shown = "the release's credentials for registries were not tried", quote(name, 64)
    if not name:
        return NoCredentials(), None
    if secrets.namespace_of(name) != namespace:
        remedy = f"to try them: --service-secret {namespace}/{shown}"
        return NoCredentials(), Check(Area.REGISTRIES, f"Secret {shown}", Outcome.OK, untried, remedy)
    outcome, remedy = Outcome.PROBLEM, "correct the Secret that registries.dockerConfigSecret names"
    try:
        data = bytes_member(name, secrets.read(name), ".dockerconfigjson")
        return DockerConfigCredentials.from_bytes(data, f"Secret {shown}"), None
    except UnauthorizedError as error:
        outcome, problem = Outcome.NOT_CHECKED, error.message
        remedy = f"to try them, have get on the Secret {namespace}/{shown} permitted, by name"
    except (ConfigError, UnavailableError) as error:
        problem = error.message
    return NoCredentials(), Check(Area.REGISTRIES, f"Secret {shown}", outcome, f"{untried}: {problem}", remedy)


def secret_names(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Return name -> namespace of the Secrets of `--service-secret`: a callback of click.

    Raises:
        BadParameter: one does not have the form NAMESPACE/NAME.
    """
    pairs = [text.partition("/") for text in texts]
    if not all(namespace and name and "/" not in name for namespace, _, name in pairs):
        raise click.BadParameter("a Secret must have the form NAMESPACE/NAME")
    return {name: namespace for namespace, _, name in pairs}
