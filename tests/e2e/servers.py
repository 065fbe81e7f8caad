"""Simulators of the five signature systems, over TLS, on the cluster's machine, each with a host name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tests.chart.rendering import NAMESPACE
from tests.e2e.clusters import find_machine, require_machine
from tests.e2e.kube import apply, kubectl
from tests.e2e.objects import secret
from tests.e2e.release import PRIVATE
from tests.support.simulators.ecr_registry import NAMES as ECR_NAMES
from tests.support.simulators.http import HTTPSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.e2e.kube import Object

NAMES = (
    "dew.test",
    "alibaba-kms.test",
    "grafeas.test",
    "ocir.test",
    "vault.test",
    "openshift.test",
    "lookaside.test",
    "notary.test",
    "dtr.test",
    "signing.test",
    "tuf.test",
)

#: A Valkey or Redis server.
CACHE = "valkey.test"

S = TypeVar("S", bound=HTTPSimulator)


def name_servers() -> None:
    """Add the host names of all simulators and of the cache, if the cluster's machine can be controlled.

    This is done before sealgate is installed, since pods take some seconds to see a new name: until then images
    cannot be verified, and the operator cannot reach a KMS and retries later.
    """
    machine = find_machine()
    if machine is not None:
        for name in (PRIVATE.partition(":")[0], CACHE, *NAMES, *ECR_NAMES):
            machine.add_host_name(name)


def serve(simulator: type[S], name: str, port: int = 0, **more: Any) -> S:  # noqa: ANN401 - arguments of a simulator
    """Start a simulator that pods reach by name, over TLS or, with a port, over plain HTTP.

    Args:
        simulator: class of the simulator.
        name: one of `NAMES`.
        port: fixed port for plain HTTP, listed in `registries.insecure`, from which the node can pull.
        more: further arguments of the simulator's class.
    """
    machine = require_machine()
    assert name in NAMES
    if port:
        machine.allow_plain_http(f"{name}:{port}")
    return simulator(address=machine.address, port=port, host_name=name, tls=not port, names=(name,), **more)


def ca_of(server: HTTPSimulator) -> Object:
    """Return the field `ca` for a server."""
    return {"pem": server.ca_pem}


@contextmanager
def secrets(**contents: Mapping[str, bytes]) -> Iterator[None]:
    """Create Secrets in the release's namespace and delete them afterwards; `_` in their names stands for `-`."""
    objects = [secret(name.replace("_", "-"), data) for name, data in contents.items()]
    apply(*objects).checked()
    try:
        yield
    finally:
        names = [obj["metadata"]["name"] for obj in objects]
        kubectl("-n", NAMESPACE, "delete", "secret", *names, "--ignore-not-found", "--wait=false")
