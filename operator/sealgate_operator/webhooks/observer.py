"""Reads the release's webhook configurations every two seconds, once for all that depends on them.

The guard comes first: it only reports, whereas enforcement may wait for the answer of a webhook that does not answer.
Neither keeps the other from its observation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealgate.errors import UnavailableError
from sealgate.release.webhooks import observe

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from typing import Protocol

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.release.webhooks import Observation

    class Reader(Protocol):
        """What depends on the webhook configurations."""

        def take(self, observation: Observation) -> None:
            """Act on an observation.

            Raises:
                UnavailableError: that was not possible; `failed` is called with it.
            """

        def failed(self, error: UnavailableError) -> None:
            """Report that there was no observation, or that it was not possible to act on it."""


#: Seconds between two observations.
PERIOD: Final = 2.0


class Observer:
    """Passes each observation to its readers, in their order.

    Args:
        api: the API server.
        namespace: sealgate's own.
        config_map: name of the ConfigMap that lists the configurations.
        readers: get the observations.
    """

    def __init__(self, api: KubernetesAPI, namespace: str, config_map: str, readers: Sequence[Reader]) -> None:
        self._api = api
        self._namespace = namespace
        self._config_map = config_map
        self._readers = readers

    def run(self, stop: threading.Event) -> None:
        """Observe periodically until `stop` is set."""
        while not stop.is_set():
            self.observe()
            stop.wait(PERIOD)

    def observe(self) -> None:
        """Observe once."""
        try:
            observation = observe(self._api, self._namespace, self._config_map)
        except UnavailableError as error:
            for reader in self._readers:
                reader.failed(error)
            return
        for reader in self._readers:
            try:
                reader.take(observation)
            except UnavailableError as error:
                reader.failed(error)
