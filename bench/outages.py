"""What one tenant's reviews take while another client holds up the webhook, and the most memory that takes.

In each outage a neighbour's reviews arrive as in quiet times: of an image whose verdict is cached, and of new images.
The end-to-end tests do the same on a cluster (`tests/e2e/test_outages.py`), where they only demand that pods are
admitted in time.
"""

from __future__ import annotations

import contextlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3
from environment import pod_review
from load import PLACEHOLDER, load, write_images, write_review
from servers import webhook
from tests.e2e.attackers import Flood, SilentClients, SilentHosts

from sealgate_webhook.reviews.request import MAX_REVIEW_BYTES, MAX_VALUES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from load import Load
    from memory_registry import MemoryRegistry
    from servers import Server

#: Reviews a second of the neighbour, and for how many seconds.
WARM_RATE, COLD_RATE, SECONDS = 100, 10, 6
CONNECTIONS = 16
#: Verifications a minute of a registry: enough for the neighbour, and a bound for what others cause.
RATE = 6_000
#: Reviews that come at once in the end, each of an image of its own, and how many at a time.
REVIEWS, PARALLEL = 2_000, 200
#: The first bytes of a ClientHello, whose others never follow.
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
_NEW = COLD_RATE * SECONDS
_OUTAGES = 6


@dataclass(frozen=True, slots=True)
class Outage:
    """The neighbour's reviews during one outage.

    Attributes:
        known: those of an image whose verdict is cached.
        new: those of images that are verified for the first time.
    """

    known: Load
    new: Load


def needed_images() -> int:
    """Return how many images the registry must have."""
    return 1 + _OUTAGES * (_NEW + 1) + REVIEWS + 1


def measure(folder: Path, registry: MemoryRegistry) -> tuple[dict[str, Outage], float]:
    """Return what the neighbour's reviews took by outage, and the most memory of the webhook in MiB.

    Args:
        folder: with policies and certificates; a policy that covers the silent registries is added.
        registry: has the neighbour's images.
    """
    numbers = iter(range(1, needed_images()))
    silent = SilentHosts("127.0.0.1", 4)
    _cover(folder / "policies.yaml", silent.hosts)
    results = {}
    with contextlib.closing(silent), webhook(folder, registry.host, *silent.hosts, rate=RATE) as server:
        known = write_review(folder / "known.json", [registry.image(0, by_tag=False)])
        load(server, known, connections=1, seconds=1).require_admitted("known image")
        body = write_review(folder / "new.json", [PLACEHOLDER])
        for name, attack in _attacks(server, silent, registry).items():
            images = [registry.image(next(numbers), by_tag=False) for _ in range(_NEW + 1)]
            listed = write_images(folder / "outage-images", images)
            with attack(), ThreadPoolExecutor(1) as pool:
                new = pool.submit(
                    load, server, body, connections=CONNECTIONS, seconds=60, images=listed, rate=COLD_RATE
                )
                warm = load(server, known, connections=CONNECTIONS, seconds=SECONDS, rate=WARM_RATE)
                results[name] = Outage(warm.require_admitted(name), new.result().require_admitted(name))
        listed = write_images(
            folder / "outage-images", [registry.image(next(numbers), by_tag=False) for _ in range(REVIEWS + 1)]
        )
        with Flood(8, _poster(server, _worst_body)):
            load(server, body, connections=PARALLEL, seconds=120, images=listed)
        return results, server.peak_mib()


def _attacks(
    server: Server, silent: SilentHosts, registry: MemoryRegistry
) -> dict[str, Callable[[], contextlib.AbstractContextManager[object]]]:
    parts = urlsplit(server.url)
    address = (str(parts.hostname), int(parts.port or 0))
    made_up = f"{registry.host}/attack/app@sha256:"

    def unknown_digests(_: int) -> bytes:
        return _attacker([made_up + secrets.token_hex(32) for _ in range(10)])

    def silent_images(number: int) -> bytes:
        return _attacker([f"{silent.hosts[number % 4]}/app@sha256:{secrets.token_hex(32)}"])

    return {
        "nothing": contextlib.nullcontext,
        "256 half-open handshakes": lambda: SilentClients([address], 256, HALF_A_HELLO),
        "2,250 connections": lambda: SilentClients([address], 2250),
        "4 silent registries": lambda: Flood(128, _poster(server, silent_images)),
        "digests that do not exist": lambda: Flood(32, _poster(server, unknown_digests)),
        "4 reviews of 7 MiB": lambda: Flood(4, _poster(server, _worst_body)),
    }


def _poster(server: Server, body: Callable[[int], bytes]) -> Callable[[int], None]:
    """Return a call that posts a review, and waits for any response."""
    pool = urllib3.PoolManager(cert_reqs="CERT_NONE", retries=False, maxsize=128, timeout=30)

    def post(number: int) -> None:
        # The webhook may close the connection instead.
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            headers = {"Content-Type": "application/json"}
            pool.request("POST", f"{server.url}/validate?timeout=10s", body=body(number), headers=headers)

    return post


def _attacker(images: list[str]) -> bytes:
    return pod_review(images).replace(b'"namespace": "default"', b'"namespace": "attacker"')


def _worst_body(_: int) -> bytes:
    """Return a body that takes the most memory when it is decoded: many different keys, and a text with an emoji."""
    keys = ",".join(f'"{number:07}":0' for number in range(int(MAX_VALUES / 1.25) - 100))
    text = f'{{"request":{{"object":{{{keys},"x":"\U0001f600'.encode()
    return text + b"x" * (MAX_REVIEW_BYTES - len(text) - 5) + b'"}}}'


def _cover(policies: Path, hosts: list[str]) -> None:
    """Add a policy that covers the images of these registries."""
    images = "".join(f'    - {{repository: "{host}/**"}}\n' for host in hosts)
    document = (
        "---\napiVersion: sealgate.dev/v1alpha1\nkind: VerificationPolicy\nmetadata: {name: attacked}\n"
        f"spec:\n  images:\n{images}  require: {{authenticators: [release]}}\n"
    )
    policies.write_text(policies.read_text() + document)
