"""What a shared cache saves: verifiers of 3 and 10 replicas in one process, with and without a Valkey or Redis server.

Run by itself: `PYTHONPATH=. .venv/bin/python bench/replicas.py`. Pods of a few images arrive at random replicas at the
same time, as in a rollout. Each request to the registry takes `ROUND_TRIP` seconds more than it does here.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.support.environments.verifier import VerifierEnvironment
from tests.support.real_tools.valkey import ValkeyServer

from sealgate.clocks import SystemClock
from sealgate.http.settings import HostSettings
from sealgate.registry.client import RegistryClient
from sealgate.shared_cache.opening import OpenSharedCache
from sealgate.shared_cache.settings import ServerSettings, SharedCacheSettings
from sealgate.verification.observers import NullObserver
from sealgate.verification.settings import VerifierSettings
from sealgate.verification.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.policies.decisions import ImageVerdict
    from sealgate.verification.observers import CacheKind

REPLICAS = (3, 10)
IMAGES = 40
PODS = 10
PARALLEL = 24
#: Seconds of network between the webhook and the registry, for each request.
ROUND_TRIP = 0.02
#: A busy machine, which this one is meanwhile, must not make the server look slow.
EXCHANGE_SECONDS = 1.0
LIMITS = VerifierSettings(verifications_per_minute=1e6, burst=10_000)


class _Distance:
    """Makes every request to a registry take longer."""

    def request(self, host: str, outcome: str) -> None:
        """Wait for as long as the network would have taken."""
        del host, outcome
        time.sleep(ROUND_TRIP)


class _Counts(NullObserver):
    """Counts cache hits and uses of the shared cache."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def cache_hit(self, kind: CacheKind) -> None:
        self.seen[f"{kind} hit"] += 1

    def shared_cache_used(self, operation: str, result: str) -> None:
        self.seen[f"shared {operation} {result}"] += 1


def measure(replicas: int, server: ValkeyServer | None) -> dict[str, float]:
    """Return requests to the registry, hit rates, and milliseconds of a review, for one rollout."""
    counts = _Counts()
    with TemporaryDirectory() as folder, ExitStack() as stack, VerifierEnvironment() as environment:
        (Path(folder) / "current").write_bytes(bytes(range(32)))
        images = [environment.image(f"v{number}") for number in range(IMAGES)]
        for number in range(IMAGES):
            environment.push_signed(f"v{number}")
        hosts = HostSettings(insecure=frozenset({environment.registry.host}))
        network = RegistryClient(hosts, clock=SystemClock(), observer=_Distance())
        stack.callback(network.close)
        verifiers = []
        for _ in range(replicas):
            level = None
            if server is not None:
                shared = stack.enter_context(_open(server, folder, counts))
                shared.connections.wait_connected(10.0)
                level = shared.cache
            verifier = Verifier(network, SystemClock(), LIMITS, counts, shared=level)
            stack.callback(verifier.close)
            verifiers.append(verifier)
        environment.registry.requests.clear()
        chance = random.Random(1)  # noqa: S311 - a workload that is the same in every run
        work = [(chance.choice(verifiers), image) for image in images * PODS]
        chance.shuffle(work)

        def review(task: tuple[Verifier, str]) -> tuple[float, ImageVerdict]:
            began = time.perf_counter()
            (verdict,) = task[0].verify([task[1]], environment.review())
            return time.perf_counter() - began, verdict

        with ThreadPoolExecutor(PARALLEL) as pool:
            results = list(pool.map(review, work))
        if any(verdict.verdict != "admit" for _, verdict in results):
            sys.exit("an image was not admitted")
        steps = quantiles([seconds * 1000 for seconds, _ in results], n=100)
        return {
            "reviews": len(work),
            "registry_requests": len(environment.registry.requests),
            "answered_from_memory_percent": 100 * counts.seen["verdict hit"] / len(work),
            "shared_hits": counts.seen["shared get hit"],
            "p50_ms": steps[49],
            "p90_ms": steps[89],
            "p99_ms": steps[98],
        }


def _open(server: ValkeyServer, folder: str, counts: _Counts) -> OpenSharedCache:
    settings = SharedCacheSettings(
        ServerSettings("127.0.0.1", server.port, tls=False, exchange_seconds=EXCHANGE_SECONDS), Path(folder), "bench"
    )
    return OpenSharedCache(settings, LIMITS, SystemClock(), counts)


def measure_all() -> Iterator[dict[str, float]]:
    """Yield for each number of replicas what `measure` returns, without a shared cache and with one."""
    for replicas in REPLICAS:
        yield {"replicas": replicas, "shared": False, **measure(replicas, None)}
        with ValkeyServer() as server:
            yield {"replicas": replicas, "shared": True, **measure(replicas, server)}


if __name__ == "__main__":
    print(json.dumps(list(measure_all()), indent=1))
