"""A cluster for `sealgate doctor`: the simulated API server with a release of sealgate that works."""

from __future__ import annotations

import functools
import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import yaml

from sealgate.api.crds import KINDS, custom_resource_definition
from tests.cli.clusters import API, Cluster
from tests.cli.running import sealgate
from tests.operator.certificates.test_reconciler import keeper
from tests.operator.environment import CONFIG_MAPS, call_self_test, install
from tests.operator.webhooks.test_enforcement import Replica
from tests.support.clocks import FakeClock
from tests.support.simulators.kubernetes import KubernetesSimulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from click.testing import Result

    from tests.cli.shop import Shop
    from tests.support.simulators.kubernetes import Backup

NAMESPACE = "sealgate"
OPERATOR = f"{CONFIG_MAPS}/sealgate-operator"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Installed(Cluster):
    """A cluster with sealgate, every part of which is well.

    Args:
        api: the API server.
        shop: the registry and the policies.
        now: the certificates were issued at the beginning of this minute.
    """

    def __init__(self, api: KubernetesSimulator, shop: Shop, now: datetime) -> None:
        # The operator issues them once for all tests that begin in the same minute.
        api.restore(_release(now.replace(second=0, microsecond=0)))
        api.admission = lambda obj: call_self_test(api, obj)
        super().__init__(api, shop)
        self.set_registries(insecure=[shop.registry.host])
        for component in ("webhook", "operator"):
            self.put_deployment(component)
        for plural in ("authenticators", "verificationpolicies"):
            for obj in api.find(plural):
                self.put_ready(plural, obj)
        api.requests.clear()

    def set_registries(self, **registries: Any) -> None:
        """Set the registry settings of the release."""
        found = self.api.get(OPERATOR)
        found["metadata"]["labels"] = labels("operator")
        settings = {"tlsSecret": "sealgate-webhook-tls", "registries": registries}
        found["data"]["config.yaml"] = yaml.safe_dump(settings)
        self.api.put(CONFIG_MAPS, found)

    def put_deployment(self, component: str, *, ready: int = 2, release: str = "") -> None:
        """Create or replace the Deployment of a component."""
        metadata = {"name": f"sealgate-{component}", "labels": labels(component, release)}
        status = {"replicas": 2, "readyReplicas": ready, "updatedReplicas": 2}
        self.api.put(DEPLOYMENTS, {"metadata": metadata, "spec": {"replicas": 2}, "status": status})

    def put_ready(self, plural: str, obj: dict[str, Any], status: str = "True", message: str = "") -> None:
        """Give an object the condition Ready, as the operator does."""
        condition = {
            "type": "Ready",
            "status": status,
            "reason": "Reconciled",
            "message": message,
            "observedGeneration": obj["metadata"]["generation"],
            "lastTransitionTime": "2026-11-21T12:00:00Z",
        }
        self.api.put(f"{API}/{plural}", {**obj, "status": {"conditions": [condition]}})

    def alter(self, path: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change an object as `kubectl edit` does."""
        found = self.api.get(path)
        change(found)
        self.api.put(path.rpartition("/")[0], found)

    def doctor(self, *args: object) -> Result:
        """Run `sealgate doctor` for this installation."""
        return sealgate("doctor", "--context", "production", "--namespace", NAMESPACE, *args)

    def examine(self, *args: object) -> tuple[int, dict[str, dict[str, Any]]]:
        """Return the exit code of `sealgate doctor`, and each check by `area/name`."""
        ran = self.doctor("--output", "json", *args)
        document = json.loads(ran.stdout)
        return ran.exit_code, {f"{check['area']}/{check['name']}": check for check in document["checks"]}


@functools.lru_cache(maxsize=2)
def _release(now: datetime) -> Backup:
    """Return the objects of a release whose certificates the operator issued at a time, and whose webhook enforces."""
    with KubernetesSimulator() as api:
        install(api)
        keeper(api, FakeClock(now)).reconcile()
        Replica(api).reconcile()
        for kind in KINDS:
            api.put(DEFINITIONS, custom_resource_definition(kind))
        return api.backup()


def labels(component: str, release: str = "") -> dict[str, str]:
    """Return the labels that the chart gives to the objects of a component."""
    return {
        "app.kubernetes.io/part-of": "sealgate",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/version": release or version("sealgate"),
    }
