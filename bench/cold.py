"""Images a minute that are verified for the first time, one a pod, through the webhook, against docker-registry."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import urllib3
from environment import pod_review
from servers import webhook

if TYPE_CHECKING:
    from pathlib import Path

    from environment import Registry, Signer

IMAGES = 300
PARALLEL = 32


def measure(folder: Path, registry: Registry, signer: Signer) -> dict[str, dict[str, float]]:
    """Return images a minute and registry requests an image, by tag and by digest."""
    results = {}
    for name in ("by tag", "by digest"):
        repository = f"cold/{name.replace(' ', '-')}"
        digests = [signer.push_signed(repository, f"v{number}") for number in range(IMAGES)]
        images = [
            f"{registry.host}/{repository}:v{number}" if name == "by tag" else f"{registry.host}/{repository}@{digest}"
            for number, digest in enumerate(digests)
        ]
        with webhook(folder, registry.host) as server:
            before = registry.requests()
            seconds = _post_all(f"{server.url}/validate", [pod_review([image]) for image in images])
            requests = registry.requests() - before
        results[name] = {"images_per_minute": IMAGES / seconds * 60, "requests_per_image": requests / IMAGES}
    return results


def _post_all(url: str, bodies: list[bytes]) -> float:
    pool = urllib3.PoolManager(cert_reqs="CERT_NONE", retries=False, maxsize=PARALLEL, block=True)

    def post(body: bytes) -> None:
        answer = pool.request("POST", url, body=body, headers={"Content-Type": "application/json"})
        if not answer.json()["response"]["allowed"]:
            raise SystemExit(f"an image was refused: {answer.data[:500]!r}")

    began = time.monotonic()
    with ThreadPoolExecutor(PARALLEL) as threads:
        list(threads.map(post, bodies))
    return time.monotonic() - began
