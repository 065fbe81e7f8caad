"""Secrets of a cluster with credentials for services, read one by one with the user's own rights."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote as url_quote

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
