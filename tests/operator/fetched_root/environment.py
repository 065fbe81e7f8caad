"""A TUF repository, a ConfigMap for what is fetched of it, and operators that fetch."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import generate_latest

from sealgate.clocks import SystemClock
from sealgate.http.services import ServiceClient
from sealgate.http.settings import HostSettings
from sealgate_operator.fetched_root.keeper import RootKeeper
from sealgate_operator.fetched_root.state import Anchor
from sealgate_operator.keys.config_maps import ConfigMaps
from sealgate_operator.keys.secrets import SecretKeys
from sealgate_operator.keys.trusted_roots import TrustedRoots
from sealgate_operator.metrics import Metrics
from sealgate_operator.status.authenticators import assess
from tests.operator.environment import CONFIG_MAPS, api_of, log
from tests.operator.objects import authenticator
from tests.support.clocks import NOW
from tests.support.signers.keyless import ROOT, keyless
from tests.support.signers.sigstore import make_sigstore
from tests.support.simulators.tuf import TUFRepository

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate_operator.fetched_root.state import Known
    from sealgate_operator.status.authenticators import Assessment
    from tests.support.simulators.kubernetes import KubernetesSimulator

NAME = "sealgate-trusted-root"
PATH = f"{CONFIG_MAPS}/{NAME}"
OTHER_ROOT = json.dumps(make_sigstore("other").trusted_root())
FETCHED = authenticator("release", keyless(trustedRoot={"source": "Fetched"}))


class Leader:
    """A fence of a replica that leads."""

    def check(self) -> None:
        return


class FetchEnvironment:
    """What an operator fetches from a repository.

    Args:
        cluster: has the ConfigMap.
        repository: is fetched from.
    """

    def __init__(self, cluster: KubernetesSimulator, repository: TUFRepository) -> None:
        self.cluster = cluster
        self.repository = repository
        self.changes = 0
        self.network = ServiceClient(HostSettings(insecure=frozenset({repository.host})))
        self.restart()

    def restart(self) -> None:
        """Begin with a new operator, which knows what the ConfigMap has."""
        self.metrics = Metrics(lambda: True)
        self.keeper = RootKeeper(
            api=api_of(self.cluster),
            path=PATH,
            anchor=Anchor.of(self.repository.initial),
            mirror=self.repository.url,
            refresh_seconds=21600,
            network=self.network,
            fence=Leader(),
            on_change=self._changed,
            clock=SystemClock(),
            metrics=self.metrics,
            log=log(),
        )

    def _changed(self) -> None:
        self.changes += 1

    @property
    def known(self) -> Known:
        return self.keeper.read()

    @property
    def stored(self) -> dict[str, str]:
        """The data of the ConfigMap."""
        return dict(self.cluster.get(PATH).get("data") or {})

    def metric(self, line: str) -> bool:
        """Return whether a line is among the metrics."""
        return f"\n{line}\n" in generate_latest(self.metrics.registry).decode()

    def assess(self, before: Assessment | None = None) -> Assessment:
        """Return the assessment of an authenticator that uses the fetched root.

        Args:
            before: that whose status the authenticator has; None for none.
        """
        obj = FETCHED if before is None else {**FETCHED, "status": before.status.model_dump(mode="json", by_alias=True)}
        maps = ConfigMaps(
            api_of(self.cluster), "sealgate", (), on_change=self._changed, metrics=self.metrics, log=log()
        )
        return assess(obj, SecretKeys(lambda _: None), (), NOW, TrustedRoots(maps, self.keeper))


@contextmanager
def fetching(cluster: KubernetesSimulator, content: str = ROOT) -> Iterator[FetchEnvironment]:
    """Serve a repository, and yield an operator that has not fetched yet."""
    cluster.put(CONFIG_MAPS, {"metadata": {"name": NAME}})
    with TUFRepository(content.encode()) as repository:
        environment = FetchEnvironment(cluster, repository)
        with environment.network:
            yield environment
