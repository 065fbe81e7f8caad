"""Serves the webhook as `sealgate serve` does: `python -m tests.webhook.serve SETTINGS`, settings as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sealgate.clocks import SystemClock
from sealgate.http.settings import HostSettings
from sealgate.kms.key_cache import KMSKeyCache
from sealgate.policies.decisions import UnmatchedImages
from sealgate.registry.credentials import NoCredentials
from sealgate.shared_cache.settings import ServerSettings as CacheServerSettings
from sealgate.shared_cache.settings import SharedCacheSettings
from sealgate.trusted_state.stores import MemoryTrustedState
from sealgate_webhook.backends.files.backend import FilesBackend, files_backend
from sealgate_webhook.server.server import ServerSettings, run_server
from sealgate_webhook.transport.addresses import Address

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from sealgate_webhook.backends.interface import BackendFactory

#: Time limit of an exchange with the shared cache, in seconds, which a busy machine keeps.
PATIENCE_SECONDS = 30.0


def settings_of(given: dict[str, Any]) -> ServerSettings:
    """Return the settings that a test gave."""
    return ServerSettings(
        listen=Address.parse(given.get("listen", "127.0.0.1:0")),
        tls_cert=Path(given["tls_cert"]) if "tls_cert" in given else None,
        tls_key=Path(given["tls_key"]) if "tls_key" in given else None,
        tls_self_signed=given.get("tls_self_signed", False),
        client_ca=Path(given["client_ca"]) if "client_ca" in given else None,
        client_names=frozenset(given.get("client_names", ())),
        self_test_certificate=Path(given["self_test"]) if "self_test" in given else None,
        metrics=Address.parse("127.0.0.1:0"),
        threads=given.get("threads", 16),
        connections=given.get("connections", 200),
        registry=HostSettings(insecure=frozenset(given.get("insecure", ())), ca=given.get("ca", {})),
        shared_cache=_shared_cache_of(given["shared_cache"]) if "shared_cache" in given else None,
    )


def _shared_cache_of(given: dict[str, Any]) -> SharedCacheSettings:
    server = CacheServerSettings("127.0.0.1", given["port"], tls=False, exchange_seconds=PATIENCE_SECONDS)
    return SharedCacheSettings(server, Path(given["keys"]), "test")


class StumblingBackend(FilesBackend):
    """A backend whose every task fails once before it begins."""

    def tasks(self) -> Iterable[Callable[[threading.Event], None]]:
        """Return what has to run in the worker."""
        return [_stumbling(task) for task in super().tasks()]


def _stumbling(task: Callable[[threading.Event], None]) -> Callable[[threading.Event], None]:
    failures = [RuntimeError("an unforeseen fault")]

    def run(stop: threading.Event) -> None:
        if failures:
            raise failures.pop()
        task(stop)

    return run


def backend_of(given: dict[str, Any]) -> BackendFactory:
    """Return the factory of the backend that a test configures."""
    paths, everybody = tuple(map(Path, given["policies"])), NoCredentials()
    kms = KMSKeyCache(HostSettings(), SystemClock())
    if not given.get("stumbling"):
        return files_backend(paths, UnmatchedImages.ADMIT, everybody, kms)
    state = MemoryTrustedState()
    return lambda clock, metrics, log: StumblingBackend(
        paths, UnmatchedImages.ADMIT, everybody, clock, metrics, log, kms, state
    )


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    run_server(settings_of(given), backend_of(given))
