"""The highest versions seen, shared by all replicas: in ConfigMaps of sealgate's own namespace.

The chart makes the ConfigMaps, empty, and gives the webhook the right to update exactly these. There are several, so
that together they hold more than the one MiB that Kubernetes allows each. Two replicas that write at once are
ordered by the `resourceVersion`: the later one reads again and merges, so the record only ever goes forward. Within one
replica writes to a ConfigMap queue up, so that a burst of new repositories does not use up its tries against itself.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as quote_path

from sealgate.errors import NotFoundError, UnavailableError
from sealgate.kubernetes.client import ConflictError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.trusted_state.records import TrustRecord, decode_record, encode_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.kubernetes.client import KubernetesAPI
    from sealgate.trusted_state.records import TrustKey

#: Number of ConfigMaps, which the chart creates. Another number would miss existing records. A record takes about 4
#: KiB.
SHARDS: Final = 32
#: What Kubernetes allows the data of one ConfigMap, names and values together.
MAX_BYTES: Final = 1 << 20
#: How often a write that another replica came before is tried again.
MAX_TRIES: Final = 10
#: How long one write waits for others of this replica, in seconds.
QUEUE_SECONDS: Final = 10.0


class ConfigMapTrustedState:
    """Stores trusted state in ConfigMaps; see `sealgate.trusted_state.stores.TrustedState`.

    Args:
        api: the API server.
        namespace: sealgate's own.
        name: of the ConfigMaps, without their number.
        queue_seconds: how long one write waits for others of this replica.
    """

    def __init__(self, api: KubernetesAPI, namespace: str, name: str, *, queue_seconds: float = QUEUE_SECONDS) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._queue_seconds = queue_seconds
        self._queues = [threading.Lock() for _ in range(SHARDS)]

    def load(self, key: TrustKey) -> TrustRecord:
        """Return the stored record.

        Raises:
            UnavailableError: it cannot be read, or is not a record of that repository.
        """
        return self._record(self._read(key), key)

    def advance(self, key: TrustKey, record: TrustRecord) -> TrustRecord:
        """Write the higher of both, and return it.

        Raises:
            UnavailableError: it cannot be written.
        """
        with self._turn(key):
            for _ in range(MAX_TRIES):
                shard = self._read(key)
                stored = self._record(shard, key)
                merged = stored.merged(record)
                if merged == stored:
                    return merged
                data = {**(shard.get("data") or {}), key.hashed: encode_record(merged, key).decode()}
                if sum(len(name) + len(value.encode()) for name, value in data.items()) > MAX_BYTES:
                    raise self._unavailable(
                        f"ConfigMap {self._namespace}/{self._shard(key)} is full with {len(data)} repositories: remove "
                        "the records of those that are gone"
                    )
                try:
                    self._api.replace(self._path(key), {**shard, "data": data})
                except ConflictError:
                    continue
                return merged
            raise self._unavailable(f"{self.describe(key)} could not be written: other replicas keep changing it")

    def describe(self, key: TrustKey) -> str:
        """Return the ConfigMap and its key."""
        return f"{key.hashed} in ConfigMap {self._namespace}/{self._shard(key)}"

    @contextmanager
    def _turn(self, key: TrustKey) -> Iterator[None]:
        queue = self._queues[self._number(key)]
        # Bounded, because an API server that hangs must not keep every worker that comes after.
        if not queue.acquire(timeout=self._queue_seconds):
            raise self._unavailable(f"{self.describe(key)} waits for other writes of this replica")
        try:
            yield
        finally:
            queue.release()

    def _read(self, key: TrustKey) -> dict[str, Any]:
        try:
            return self._api.get(self._path(key))
        except NotFoundError as error:
            raise self._unavailable(
                f"there is no ConfigMap {self._namespace}/{self._shard(key)} for the versions of {quote(key.name)}; "
                "the chart makes it"
            ) from error

    def _record(self, shard: dict[str, Any], key: TrustKey) -> TrustRecord:
        text = (shard.get("data") or {}).get(key.hashed)
        if text is None:
            return TrustRecord()
        try:
            return decode_record(text.encode(), key)
        except ValueError as error:
            raise self._unavailable(
                f"{self.describe(key)} is damaged ({quote(error)}): restore it, or remove it on purpose"
            ) from error

    def _shard(self, key: TrustKey) -> str:
        return f"{self._name}-{self._number(key)}"

    def _path(self, key: TrustKey) -> str:
        return f"/api/v1/namespaces/{quote_path(self._namespace, safe='')}/configmaps/{self._shard(key)}"

    @staticmethod
    def _number(key: TrustKey) -> int:
        return int(key.hashed[:8], 16) % SHARDS

    @staticmethod
    def _unavailable(message: str) -> UnavailableError:
        return UnavailableError(message, reason=Reason.STATE_UNAVAILABLE)
