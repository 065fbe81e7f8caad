"""Secrets of a cluster with credentials for services, read one by one with the user's own rights."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote as url_quote

import click

from sealgate.errors import NotFoundError
from sealgate.kubernetes.secrets import secret_data
from sealgate.messages import quote
from sealgate.service_secrets import credentials_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.kubernetes.client import KubernetesAPI


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


def secret_names(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """Return name -> namespace of the Secrets of `--service-secret`: a callback of click.

    Raises:
        BadParameter: one does not have the form NAMESPACE/NAME.
    """
    pairs = [text.partition("/") for text in texts]
    if not all(namespace and name and "/" not in name for namespace, _, name in pairs):
        raise click.BadParameter("a Secret must have the form NAMESPACE/NAME")
    return {name: namespace for namespace, _, name in pairs}
