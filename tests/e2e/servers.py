"""The servers of the five systems: simulators, over TLS, on the machine of the cluster and under names of their own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tests.chart.rendering import NAMESPACE
from tests.e2e.clusters import find_machine, require_machine
from tests.e2e.kube import apply, kubectl
from tests.e2e.objects import secret
from tests.e2e.release import PRIVATE
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
)

S = TypeVar("S", bound=HTTPSimulator)


def name_servers() -> None:
    """Give the machine its names, if there is one.

    This comes before sealgate is installed, since pods take some seconds to notice: a pod whose image is asked for too
    early is denied, and an operator that comes too early for a KMS looks again later.
    """
    machine = find_machine()
    if machine is not None:
        for name in (PRIVATE.partition(":")[0], *NAMES):
            machine.name(name)


def serve(simulator: type[S], name: str, port: int = 0, **more: Any) -> S:  # noqa: ANN401 - whatever a simulator takes
    """Start a simulator where pods reach it by name: over TLS, or plainly on a port that is known beforehand.

    Args:
        simulator: a class of one.
        name: one of `NAMES`.
        port: for plain HTTP, as `registries.insecure` has it, and so that the node pulls from it.
        more: arguments of the simulator.
    """
    machine = require_machine()
    assert name in NAMES
    if port:
        machine.plain(f"{name}:{port}")
    return simulator(address=machine.address, port=port, host_name=name, tls=not port, names=(name,), **more)


def ca_of(server: HTTPSimulator) -> Object:
    """Return the field `ca` of whatever names a server."""
    return {"pem": server.ca_pem}


@contextmanager
def secrets(**contents: Mapping[str, bytes]) -> Iterator[None]:
    """Have Secrets in the release's namespace; `_` in their names stands for `-`."""
    objects = [secret(name.replace("_", "-"), data) for name, data in contents.items()]
    apply(*objects).checked()
    try:
        yield
    finally:
        names = [obj["metadata"]["name"] for obj in objects]
        kubectl("-n", NAMESPACE, "delete", "secret", *names, "--ignore-not-found", "--wait=false")
