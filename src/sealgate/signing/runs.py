"""A run of one signer over many images: several repositories at a time, one image of a repository at a time.

The failure of one image does not stop the others. What another machine may have replaced (`SigningResult.contested`) is
signed again at the end of the run, some seconds after it was stored: that changes nothing where the signature is still
there, and adds it again where it was dropped.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from sealgate.clocks import Deadline
from sealgate.errors import SealgateError
from sealgate.formats.interface import Image, Sources
from sealgate.formats.signing import SigningContext, SigningOutcome
from sealgate.service_secrets import NoServiceSecrets
from sealgate.signing.targets import resolve_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sealgate.clocks import Clock
    from sealgate.formats.signing import Signer, SigningResult
    from sealgate.references import Reference
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.service_secrets import ServiceSecrets
    from sealgate.signing.locks import RepositoryLocks
    from sealgate.trusted_state.stores import TrustedState

#: Repositories that are written concurrently.
CONCURRENCY = 8
#: Seconds after the last write when contested signatures are checked once more.
RECHECK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class SignedImage:
    """The result for one image.

    Attributes:
        reference: as the user named it, normalised.
        image: with its digest; None if it could not be resolved.
        result: the signature that is there; None if there is none.
        error: why it was not signed, or (beside a result) why the second check failed.
    """

    reference: Reference
    image: Image | None = None
    result: SigningResult | None = None
    error: SealgateError | None = None


@dataclass(frozen=True, slots=True)
class SigningRun:
    """A signer, and everything that is the same for all images of a run.

    Attributes:
        client: reaches registries; it must not read from mirrors, which may be older than what is extended.
        credentials: the signer's credentials for each repository.
        clock: source of the time.
        signer: signs.
        locks: one writer at a time on this machine.
        state: store of the highest versions of trust data seen.
        timeout: seconds for each image; greater than 0.
        named_hosts: hosts that the user names besides those of the images; they may have private addresses.
        secrets: credentials for the service that the signer stores signatures in.
    """

    client: RegistryClient
    credentials: CredentialProvider
    clock: Clock
    signer: Signer
    locks: RepositoryLocks
    state: TrustedState
    timeout: float
    named_hosts: frozenset[str] = frozenset()
    secrets: ServiceSecrets = field(default_factory=NoServiceSecrets)

    def sign_all(
        self, references: Sequence[Reference], *, recursive: bool, progress: Callable[[int, int], object]
    ) -> list[SignedImage]:
        """Sign images and return a result for each, in the order of the references.

        Args:
            references: the images.
            recursive: whether to sign every platform of an index too.
            progress: called with the number of images that are done and of all that are known; from several threads.
        """
        pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="sign")
        try:
            resolved = list(pool.map(lambda reference: self._resolve(reference, recursive=recursive), references))
            images = [image for found in resolved for image in found]
            outcomes = self._by_lock(pool, images, self._sign, progress)
            return self._recheck(pool, outcomes)
        finally:
            # On Ctrl-C the command must not wait for what is under way.
            pool.shutdown(wait=False, cancel_futures=True)

    def sign_one(self, reference: Reference, turn: AbstractContextManager[object] | None = None) -> SignedImage:
        """Sign one image, and if another machine may replace the signature, check it once more some seconds later.

        Args:
            reference: with a digest, or with a tag that is resolved once.
            turn: held while the image is signed, so that no timeout runs while another one of its repository is; None
                where images come one after another.
        """
        (resolved,) = self._resolve(reference, recursive=False)
        if resolved.image is None:
            return resolved
        with turn or nullcontext():
            signed = self._sign(resolved)
        if not _may_be_replaced(signed):
            return signed
        self.clock.sleep(RECHECK_SECONDS)
        with turn or nullcontext():
            return self._sign_again(signed)

    def _recheck(self, pool: ThreadPoolExecutor, outcomes: list[SignedImage]) -> list[SignedImage]:
        """Sign again what another machine may have replaced meanwhile."""
        contested = [number for number, each in enumerate(outcomes) if _may_be_replaced(each)]
        if contested:
            self.clock.sleep(RECHECK_SECONDS)
            images = [outcomes[number] for number in contested]
            checked = self._by_lock(pool, images, self._sign_again, lambda _done, _total: None)
            for number, each in zip(contested, checked, strict=True):
                outcomes[number] = each
        return outcomes

    def _by_lock(
        self,
        pool: ThreadPoolExecutor,
        images: Sequence[SignedImage],
        work: Callable[[SignedImage], SignedImage],
        progress: Callable[[int, int], object],
    ) -> list[SignedImage]:
        """Work on images, those with one lock one after the other, so that no timeout runs while waiting for a lock."""
        groups: dict[str | int, list[int]] = defaultdict(list)
        outcomes = dict(enumerate(images))
        for number, each in enumerate(images):
            if each.image is not None:
                groups[self.signer.lock_name(each.image) or number].append(number)
        finished = count(len(images) - sum(map(len, groups.values())) + 1)

        def work_on(numbers: list[int]) -> None:
            for number in numbers:
                outcomes[number] = work(images[number])
                progress(next(finished), len(images))

        for group in as_completed([pool.submit(work_on, numbers) for numbers in groups.values()]):
            group.result()
        return [outcomes[number] for number in range(len(images))]

    def _resolve(self, reference: Reference, *, recursive: bool) -> list[SignedImage]:
        try:
            registry = self._context(reference).sources.registry
            return [
                SignedImage(reference, image) for image in resolve_targets(reference, registry, recursive=recursive)
            ]
        except SealgateError as error:
            return [SignedImage(reference, error=error)]

    def _sign(self, each: SignedImage) -> SignedImage:
        assert each.image is not None  # noqa: S101 - for the type checker: only resolved images are signed
        context = self._context(each.reference)
        try:
            with self.locks.hold(self.signer.lock_name(each.image), context.sources.deadline):
                return SignedImage(each.reference, each.image, self.signer.sign(each.image, context))
        except SealgateError as error:
            return SignedImage(each.reference, each.image, error=error)

    def _sign_again(self, each: SignedImage) -> SignedImage:
        again = self._sign(each)
        if again.result is None or each.result is None:
            return replace(each, error=again.error)
        dropped = again.result.outcome is SigningOutcome.SIGNED
        repairs = each.result.repairs + again.result.repairs + dropped
        return replace(each, result=replace(again.result, outcome=SigningOutcome.SIGNED, repairs=repairs))

    def _context(self, reference: Reference) -> SigningContext:
        deadline = Deadline.after(self.clock, self.timeout)
        hosts = self.named_hosts | {reference.repository.registry}
        sources = Sources(
            registry=self.client.session(self.credentials, deadline, hosts),
            services=self.client.services(deadline),
            clock=self.clock,
            deadline=deadline,
            state=self.state,
            secrets=self.secrets,
        )
        return SigningContext(sources, self.client.writer(self.credentials, deadline, hosts))


def _may_be_replaced(each: SignedImage) -> bool:
    result = each.result
    return result is not None and result.contested and result.outcome is SigningOutcome.SIGNED
