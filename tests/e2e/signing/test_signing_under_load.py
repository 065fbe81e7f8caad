"""Hundreds of pushes to a real docker-registry are signed at the rate of their policy, and killed replicas lose none.

A key service signs. It counts the signatures, and holds them back where a test asks for that.
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from sealgate_operator.worker.agenda import MAX_PER_HOST
from sealgate_operator.worker.rates import POLICY_BURST
from tests.chart.rendering import NAMESPACE
from tests.e2e import release
from tests.e2e.images import CONFIG, MANIFEST, Image, PlainRegistry
from tests.e2e.kube import api, eventually, kubectl
from tests.e2e.servers import ca_of
from tests.e2e.signing.environment import EVENTS, REGISTRY, SECONDS, SIGNED, states
from tests.support.simulators.http_faults import Fault
from tests.support.simulators.huawei_dew import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from tests.e2e.signing.environment import Signing
    from tests.support.simulators.http_messages import Answer

#: The default rate of a SigningPolicy, and the tags of two minutes.
TAGS_PER_MINUTE, TAGS = 300, 600
#: Seconds within which all of them are signed, even on a machine that is busy with other work.
LONG = 420
#: A rate that does not limit the tests of killed replicas.
UNLIMITED = 30_000
#: The worker signs one image of a repository at a time.
REPOSITORIES = 6
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{release.NAME}-signing"


class Bench:
    """Pushes many small images, has them signed by a key service, and counts signatures.

    Args:
        signing: the registry and the services.

    Attributes:
        moments: when each signature was made, in monotonic seconds.
        answers: whether the key service answers; while it is not set, signatures are made and held back.
    """

    def __init__(self, signing: Signing) -> None:
        self._signing = signing
        self._registry = PlainRegistry(REGISTRY)
        self._dew = signing.services.dew
        self._dew.add("release", "EC_P256")
        self._dew.faults.add(Fault("/kms/sign", self._note))
        self.moments: list[float] = []
        self.answers = threading.Event()
        self.answers.set()

    def _note(self, answer: Answer) -> Answer:
        self.moments.append(time.monotonic())
        self.answers.wait(LONG)
        return answer

    def close(self) -> None:
        """Have the key service answer without counting."""
        self.answers.set()
        self._dew.faults.clear()

    def policy(self, name: str, tags_per_minute: int) -> AbstractContextManager[str]:
        """Create a SigningPolicy with a key of the key service; see `Signing.policy`."""
        source = {"region": "cn-north-4", "projectId": PROJECT, "keyId": "release", "endpoint": self._dew.url}
        credentials = {"ca": ca_of(self._dew), "credentialsSecret": {"name": "release-dew"}}
        key = {"kms": {"huawei": {**source, **credentials}}}
        return self._signing.policy(name, cosign={}, key=key, tagsPerMinute=tags_per_minute)

    def push(self, prefix: str, numbers: range) -> list[Image]:
        """Push images without layers to `REPOSITORIES` repositories in turn, each with a tag and digest of its own."""
        path = prefix.partition("/")[2]
        digests = [self._registry.push_blob(f"{path}/app-{each}", b"{}") for each in range(REPOSITORIES)]
        config = {"mediaType": CONFIG, "size": 2, "digest": digests[0]}
        images = []
        for number in numbers:
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
            body = json.dumps({**manifest, "annotations": {"number": str(number)}}).encode()
            repository, tag = f"app-{number % REPOSITORIES}", f"v{number}"
            digest = self._registry.push_manifest(f"{path}/{repository}", tag, body)
            images.append(Image(f"{prefix}/{repository}:{tag}", digest))
        return images

    @contextmanager
    def held(self, method: str) -> Iterator[threading.Event]:
        """Have the registry hold back responses about signatures that it has; set the result once there is one."""
        reached, released = threading.Event(), threading.Event()

        def hold(answer: Answer) -> Answer:
            if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                reached.set()
                released.wait(SECONDS)
            return answer

        faults = self._signing.registry.faults
        faults.add(Fault(r"/manifests/sha256-[0-9a-f]{64}\.sig$", hold, method=method))
        try:
            yield reached
        finally:
            faults.clear()
            released.set()

    def wait_for_signatures(self, count: int, seconds: float = SECONDS) -> None:
        """Wait until the key service has made so many signatures."""
        eventually(lambda: len(self.moments) >= count, f"{count} signatures are made", seconds)

    def expect_signed_once(self, prefix: str, images: Sequence[Image], seconds: float = SECONDS) -> None:
        """Expect that every image has a request, that all end well, and that each image has exactly one signature."""

        def ended() -> list[str]:
            found = states(prefix)
            mine = [found.get(image.tagged, "Waiting") for image in images]
            return [] if "Waiting" in mine else mine

        found = eventually(ended, f"all {len(images)} requests have ended", seconds)
        assert set(found) <= SIGNED, found
        with ThreadPoolExecutor(4) as pool:
            counts = list(pool.map(self._registry.signatures, images))
        assert counts == [1] * len(images)

    def most_in_a_minute(self) -> int:
        """Return the number of signatures in the minute that has the most."""
        return max(bisect_left(self.moments, begin + 60) - index for index, begin in enumerate(self.moments))


@pytest.fixture
def bench(signing: Signing) -> Iterator[Bench]:
    """Images for the key service to sign."""
    bench = Bench(signing)
    yield bench
    bench.close()


def test_killed_endpoint_loses_no_push(bench: Bench) -> None:
    with bench.policy("e2e-killed-endpoint", UNLIMITED) as prefix:
        images = bench.push(prefix, range(60))
        eventually(lambda: states(prefix), "the first push is accepted", SECONDS)
        # The registry is sending the others; the next ones are pushed while there is no endpoint.
        _kill(*(found["metadata"]["name"] for found in release.pods(EVENTS)))
        images += bench.push(prefix, range(60, 120))
        bench.expect_signed_once(prefix, images)


def test_killed_worker_leaves_one_signature_of_each_image(bench: Bench) -> None:
    with bench.policy("e2e-killed-worker", UNLIMITED) as prefix:
        bench.answers.clear()
        images = bench.push(prefix, range(60))
        bench.wait_for_signatures(1)
        first = _leader()
        _kill(first)
        eventually(lambda: _leader() not in {first, ""}, "the other replica leads")
        bench.answers.set()
        # Once more at a step that is left to chance.
        bench.wait_for_signatures(len(bench.moments) + 20)
        _kill(_leader())
        bench.expect_signed_once(prefix, images)


def test_worker_killed_after_each_step_leaves_one_signature_of_each_image(bench: Bench) -> None:
    with bench.policy("e2e-killed-steps", UNLIMITED) as prefix:
        # The signature is stored, and the worker does not know; it has been read back, and the worker does not know.
        for first, method in ((0, "PUT"), (REPOSITORIES, "GET")):
            with bench.held(method) as reached:
                images = bench.push(prefix, range(first, first + REPOSITORIES))
                assert reached.wait(SECONDS)
                _kill(_leader())
            bench.expect_signed_once(prefix, images)
        # The state of one request is written, those of others are not.
        images = bench.push(prefix, range(2 * REPOSITORIES, 6 * REPOSITORIES))
        eventually(
            lambda: SIGNED & set(map(states(prefix).get, (image.tagged for image in images))), "one state", SECONDS
        )
        _kill(_leader())
        bench.expect_signed_once(prefix, images)


@pytest.mark.timeout(2 * LONG)
def test_three_hundred_a_minute_are_signed_for_two_minutes(bench: Bench) -> None:
    with bench.policy("e2e-load", TAGS_PER_MINUTE) as prefix:
        begin = time.monotonic()
        images = bench.push(prefix, range(TAGS))
        pushed = time.monotonic() - begin
        # Requests are listed at the end only: hundreds of them in a loop would slow down what is measured.
        bench.wait_for_signatures(TAGS, LONG)
        signed, most = bench.moments[-1] - begin, bench.most_in_a_minute()
        print(f"\n{TAGS} tags: pushed in {pushed:.1f} s, signed in {signed:.1f} s, {most} in one minute at most")  # noqa: T201 - a figure for the log
        # A request that failed once is signed later.
        bench.expect_signed_once(prefix, images, LONG)
    # A pause allows a burst; and what had begun before the minute may have been signed in it.
    assert most <= TAGS_PER_MINUTE + POLICY_BURST + MAX_PER_HOST


def _leader() -> str:
    """Return the name of the pod of the signing worker that holds the Lease."""
    return str(api().send("GET", LEASE).checked().document["spec"]["holderIdentity"]).partition("_")[0]


def _kill(*pods: str) -> None:
    kubectl("-n", NAMESPACE, "delete", "pod", *pods, "--force", "--grace-period=0").checked()
