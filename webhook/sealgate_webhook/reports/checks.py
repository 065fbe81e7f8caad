"""The verdicts on the images of an inventory, kept from round to round and verified again at a safe rate.

What the verifier has in its caches is answered at once. The rest is verified at most `LANES` registries at a time,
each by one thread, so that a registry that is slow or dead delays its own images only, and registries that answered
come before others. Among them namespaces take turns, so that one which names thousands of registries does not push
back those of others. Within a registry, namespaces take turns too, and in each the images that wait longest come first.
What a round has no time for keeps its former verdict, with the time at which that was found, and comes first in the
next round.
"""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sealgate.clocks import Deadline
from sealgate.errors import InvalidReferenceError
from sealgate.policies.decisions import Verdict
from sealgate.policies.matching import Namespace
from sealgate.references import parse_reference
from sealgate.verification.from_memory import NotInMemoryError
from sealgate.verification.requests import VerificationRequest
from sealgate.workloads.running import Running, compare_running
from sealgate_webhook.reports.workloads import Image

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from sealgate.clocks import Clock
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.verification.verifier import Verifier
    from sealgate_webhook.backends.cluster.pull_secrets import ClusterCredentials
    from sealgate_webhook.reports.contents import ImageContents
    from sealgate_webhook.reports.workloads import Inventory

#: Registries that are asked at the same time.
LANES: Final = 16
#: Seconds that one image may take; a round may end so much later.
IMAGE_SECONDS: Final = 10.0
#: How often an image whose verdict is *unavailable* is verified again before the next round.
MAX_RETRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict on an image.

    Attributes:
        verdict: the verdict, without what exceptions lift.
        verified_at: when it was found.
        failures: how many verdicts in a row were *unavailable*.
        contents: the digests that a node may report for the subject besides its own; None if they are not known.
    """

    verdict: ImageVerdict
    verified_at: datetime
    failures: int = 0
    contents: frozenset[str] | None = None

    @property
    def retried_soon(self) -> bool:
        """Whether it is worth asking again before the next round."""
        return 0 < self.failures <= MAX_RETRIES


class ImageChecks:
    """Verifies images. Not thread-safe.

    Args:
        verifier: verifies, with a budget of its own.
        contents: reads what a node may report for an image.
        credentials: credentials of the workloads.
        namespace: returns a namespace with its labels; None for one that is not known.
        clock: source of the time.

    Attributes:
        answers: the verdict of each image of the newest inventory that has one.
    """

    def __init__(
        self,
        verifier: Verifier,
        contents: ImageContents,
        credentials: ClusterCredentials,
        namespace: Callable[[str], Namespace | None],
        clock: Clock,
    ) -> None:
        self._verifier = verifier
        self._memory = verifier.from_memory()
        self._contents = contents
        self._credentials = credentials
        self._namespace = namespace
        self._clock = clock
        self.answers: dict[Image, Answer] = {}

    def refresh(self, inventory: Inventory, policies: PolicySet, seconds: float, stop: threading.Event) -> None:
        """Verify the images of an inventory, and forget those that are in no workload any more.

        Args:
            inventory: what runs and what is declared.
            policies: the policies in force.
            seconds: after how long no further image is begun.
            stop: ends it early.
        """
        images = inventory.pull_secrets
        self.answers = {image: answer for image, answer in self.answers.items() if image in images}
        until = Deadline.after(self._clock, seconds)
        self._verify(images, inventory, policies, until, stop)
        self._read_contents(inventory, policies, until, stop)

    def retry(self, inventory: Inventory, policies: PolicySet, seconds: float, stop: threading.Event) -> bool:
        """Verify again the images that could not be verified and that are worth it; see `refresh`.

        Returns:
            Whether one of them could be verified now.
        """
        again = [image for image, answer in self.answers.items() if answer.retried_soon]
        self._verify(again, inventory, policies, Deadline.after(self._clock, seconds), stop)
        return any(not self._failures(image) for image in again)

    def _verify(
        self, images: Iterable[Image], inventory: Inventory, policies: PolicySet, until: Deadline, stop: threading.Event
    ) -> None:
        waiting: list[Image] = []
        for image in images:
            try:
                (verdict,) = self._memory.verify([image.text], self._request(image, inventory, policies, until))
            except NotInMemoryError:
                waiting.append(image)
            else:
                self._keep(image, verdict, from_memory=True)
        if not waiting:
            return
        with ThreadPoolExecutor(LANES, thread_name_prefix="registry") as pool:
            lanes = [
                pool.submit(self._run_lane, lane, inventory, policies, until, stop) for lane in self._lanes(waiting)
            ]
        for lane in lanes:
            for image, verdict in lane.result():
                self._keep(image, verdict, from_memory=False)

    def _read_contents(self, inventory: Inventory, policies: PolicySet, until: Deadline, stop: threading.Event) -> None:
        """Read the contents of the images for which a node reports another digest than the one that was verified."""
        differing = {
            image
            for workload, usage in inventory.workloads.items()
            for text, ids in usage.images.items()
            if ids and self._differs(image := Image(workload.namespace, text), ids)
        }
        if not differing:
            return

        def read(images: Sequence[Image]) -> None:
            for image in images:
                verdict = self.answers[image].verdict
                if until.remaining() <= 0 or stop.is_set() or verdict.reference is None or verdict.subject is None:
                    return
                deadline = Deadline.after(self._clock, IMAGE_SECONDS)
                credentials = self._credentials.of_workloads(image.namespace, inventory.pull_secrets[image])
                self._contents.read(verdict.reference, verdict.subject, credentials, policies.literal_hosts, deadline)

        with ThreadPoolExecutor(LANES, thread_name_prefix="registry") as pool:
            lanes = [pool.submit(read, lane) for lane in self._lanes(differing)]
        for lane in lanes:
            lane.result()
        for image in differing:
            answer = self.answers[image]
            if answer.verdict.subject is not None:
                self.answers[image] = replace(answer, contents=self._contents.cached(answer.verdict.subject))

    def _differs(self, image: Image, ids: Iterable[str]) -> bool:
        """Return whether a node reports a digest for an image that is not known to be the subject's."""
        answer = self.answers.get(image)
        if answer is None or answer.verdict.subject is None or not answer.verdict.policies:
            return False
        subject, contents = answer.verdict.subject, answer.contents
        return any(compare_running(one, subject, contents) is Running.UNKNOWN for one in ids)

    def _lanes(self, images: Iterable[Image]) -> list[Sequence[Image]]:
        """Return the images of each registry in the order of their turns; see the module about the order."""
        by_registry: dict[str, dict[str, list[Image]]] = {}
        for image in sorted(images, key=self._waited_since):
            by_registry.setdefault(_registry(image.text), {}).setdefault(image.namespace, []).append(image)
        lanes = [list(_take_turns(namespaces.values())) for namespaces in by_registry.values()]
        taken: Counter[str] = Counter()
        ranked: list[tuple[int, int, Sequence[Image]]] = []
        for lane in lanes:
            namespaces = {image.namespace for image in lane}
            turn = min(taken[namespace] for namespace in namespaces)
            taken.update(namespaces)
            ranked.append((min(self._failures(image) for image in lane), turn, lane))
        return [lane for *_, lane in sorted(ranked, key=lambda entry: entry[:2])]

    def _run_lane(
        self,
        images: Sequence[Image],
        inventory: Inventory,
        policies: PolicySet,
        until: Deadline,
        stop: threading.Event,
    ) -> list[tuple[Image, ImageVerdict]]:
        found = []
        for image in images:
            if until.remaining() <= 0 or stop.is_set():
                break
            # Its whole time, also at the end of the round: an image that was cut off would be an error for no reason.
            deadline = Deadline.after(self._clock, IMAGE_SECONDS)
            (verdict,) = self._verifier.verify([image.text], self._request(image, inventory, policies, deadline))
            found.append((image, verdict))
        return found

    def _request(
        self, image: Image, inventory: Inventory, policies: PolicySet, deadline: Deadline
    ) -> VerificationRequest:
        # Not all labels are known of a namespace that was made a moment ago, or is not listed: the policies that might
        # select it count.
        namespace = self._namespace(image.namespace) or Namespace(image.namespace, {}, complete=False)
        credentials = self._credentials.of_workloads(image.namespace, inventory.pull_secrets[image])
        return VerificationRequest(policies, namespace, credentials, deadline)

    def _keep(self, image: Image, verdict: ImageVerdict, *, from_memory: bool) -> None:
        before = self.answers.get(image)
        failures = 0
        # An image that a policy does not enforce anything about is admitted, though nothing is known of it.
        if verdict.verdict is Verdict.UNAVAILABLE or any(policy.undecided for policy in verdict.policies):
            failures = 1 if before is None else before.failures + 1
        # What the verifier has in memory was found before; a policy that was changed makes another result of it.
        kept = from_memory and before is not None and not failures and before.verdict.policies == verdict.policies
        self.answers[image] = Answer(
            verdict,
            before.verified_at if kept and before else self._clock.now(),
            failures,
            None if verdict.subject is None else self._contents.cached(verdict.subject),
        )

    def _waited_since(self, image: Image) -> float:
        answer = self.answers.get(image)
        return 0.0 if answer is None else answer.verified_at.timestamp()

    def _failures(self, image: Image) -> int:
        answer = self.answers.get(image)
        return 0 if answer is None else answer.failures


def _registry(text: str) -> str:
    try:
        return parse_reference(text).repository.registry
    except InvalidReferenceError:
        return ""


def _take_turns(queues: Iterable[Sequence[Image]]) -> Iterator[Image]:
    for turn in itertools.zip_longest(*queues):
        yield from (image for image in turn if image is not None)
