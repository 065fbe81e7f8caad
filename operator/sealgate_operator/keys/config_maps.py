"""ConfigMaps of the operator's own namespace that the chart lists by name, read one by one.

They are not watched as Secrets are: RBAC could restrict a watch to a name only for one name at a time, and a watch of
all ConfigMaps of the namespace would hold the trusted state of Notary in memory.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import quote as url_quote

from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.config_maps import config_map_data

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from structlog.typing import FilteringBoundLogger

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate_operator.metrics import Metrics

#: Seconds between two readings of a ConfigMap that an authenticator names.
READ_SECONDS: Final = 10.0


class ConfigMaps:
    """The listed ConfigMaps. Each is read when it is first asked for, and from then on periodically. Thread-safe.

    Args:
        api: the API server.
        namespace: the operator's namespace.
        names: the ConfigMaps that may be read.
        on_change: called when one of them has changed.
        metrics: counts readings.
        log: gets a line for every reading that failed.
    """

    def __init__(  # noqa: PLR0913 - what every reader of the operator is given, and the names
        self,
        api: KubernetesAPI,
        namespace: str,
        names: Collection[str],
        *,
        on_change: Callable[[], None],
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{url_quote(namespace, safe='')}/configmaps"
        self.names = frozenset(names)
        self._on_change = on_change
        self._metrics = metrics
        self._log = log
        self._lock = threading.Lock()
        self._known: dict[str, Mapping[str, bytes] | None] = {}

    def read(self, name: str) -> Mapping[str, bytes] | None:
        """Return the data of a ConfigMap; None if there is none.

        Args:
            name: one of `names`.

        Raises:
            UnavailableError: it has not been read yet, and could not be read.
        """
        with self._lock:
            if name in self._known:
                return self._known[name]
        data = self._get(name)
        with self._lock:
            return self._known.setdefault(name, data)

    def run(self, stop: threading.Event) -> None:
        """Read periodically what has been asked for, until `stop` is set."""
        while not stop.wait(READ_SECONDS):
            self.refresh()

    def refresh(self) -> None:
        """Read again, once, what has been asked for. What cannot be read stays as it is known."""
        with self._lock:
            known = dict(self._known)
        changed = False
        for name, before in known.items():
            try:
                data = self._get(name)
            except UnavailableError as error:
                self._metrics.failed("config-maps")
                self._log.warning("ConfigMap cannot be read; will retry", name=name, error=error.message)
                continue
            with self._lock:
                self._known[name] = data
            changed = changed or data != before
        if known:
            self._metrics.worked("config-maps")
        if changed:
            self._on_change()

    def _get(self, name: str) -> Mapping[str, bytes] | None:
        try:
            return config_map_data(self._api.get(f"{self._path}/{url_quote(name, safe='')}"))
        except NotFoundError:
            return None
