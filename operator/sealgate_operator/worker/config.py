"""Settings file of the signing worker, as the chart writes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from sealgate.errors import InvalidReferenceError
from sealgate.references import parse_registry
from sealgate_operator.config import Name, ReplicaConfig, Settings


def _host(text: str) -> str:
    try:
        return parse_registry(text)
    except InvalidReferenceError as error:
        raise ValueError("must be a host: write host or host:port") from error


#: `host[:port]`, as references spell it.
Host = Annotated[str, AfterValidator(_host)]


class ListedSecret(Settings):
    """A Secret that policies may use.

    Attributes:
        name: its name, in the namespace of the signing Secrets.
        hosts: where its content may be sent; none for a private key.
    """

    name: Name
    hosts: list[Host] = Field(default_factory=list, max_length=64)


class WorkerConfig(ReplicaConfig):
    """The whole file.

    Attributes:
        metrics_listen: `host:port` of metrics and `/healthz`.
        lease: name of the Lease by which the leader is elected.
        secrets_namespace: namespace of the Secrets that sign and push.
        secrets: the Secrets that may be used.
        resync_seconds: seconds between two resyncs of a policy with its registries.
        request_retention_seconds: seconds that an ended SigningRequest stays.
    """

    secrets_namespace: Name
    secrets: list[ListedSecret] = Field(default_factory=list, max_length=256)
    resync_seconds: float = Field(default=600, ge=1)
    request_retention_seconds: float = Field(default=3600, ge=0)
