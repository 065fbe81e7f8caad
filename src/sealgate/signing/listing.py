"""Listing the signatures that images have: of an index, those of the index and of the manifest of every platform.

Several authenticators may judge one stored signature; it is listed once. What cannot be read is listed with the reason.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sealgate.clocks import Deadline
from sealgate.errors import SealgateError
from sealgate.findings import SeenSignature
from sealgate.formats.interface import Image, Sources
from sealgate.formats.inventory import stored_signatures, unjudged_signatures
from sealgate.formats.signing import SigningContext
from sealgate.formats.stored import StoredSignature
from sealgate.policies.signing import is_attached
from sealgate.reasons import TRANSIENT_REASONS, Reason
from sealgate.references import parse_reference
from sealgate.service_secrets import NoServiceSecrets
from sealgate.signing.targets import resolve_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.clocks import Clock
    from sealgate.formats.interface import Check
    from sealgate.references import Reference, Repository
    from sealgate.registry.client import RegistryClient
    from sealgate.registry.credentials import CredentialProvider
    from sealgate.service_secrets import ServiceSecrets
    from sealgate.trusted_state.stores import TrustedState

#: Tags of one repository that are listed concurrently.
CONCURRENCY = 8
#: Limit for the tags of one repository.
MAX_TAGS = 100_000


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one authenticator says of one stored signature.

    Attributes:
        authenticator: name of the authenticator.
        seen: what it says.
    """

    authenticator: str
    seen: SeenSignature


@dataclass(frozen=True, slots=True)
class ListedSignature:
    """One stored signature, or a source that could not be read.

    Attributes:
        format: name of the format.
        stored: what is stored; with the details of the authenticator that accepts it, if one does.
        judgements: what each authenticator says, in the order of their names; empty if none has judged it.
    """

    format: str
    stored: StoredSignature
    judgements: tuple[Judgement, ...] = ()

    @property
    def result(self) -> SeenSignature | None:
        """The judgement that counts; None if the signature was read and no authenticator has judged it."""
        return self.stored.judged

    @property
    def id(self) -> str:
        """Identifies it among all stored signatures (64 hex digits); empty if it is not one that can be deleted.

        It does not depend on other signatures, authenticators, or the order in which they are listed.
        """
        if self.stored.removal is None:
            return ""
        identity = json.dumps([self.format, self.stored.removal.name, self.stored.part])
        return hashlib.sha256(identity.encode()).hexdigest()

    @property
    def fingerprints(self) -> frozenset[str]:
        """The fingerprints of keys that are known to have made it, since an authenticator has them."""
        seen = (self.result, *(judgement.seen for judgement in self.judgements))
        return frozenset(each.fingerprint for each in seen if each is not None and each.fingerprint is not None)

    @property
    def verified(self) -> bool:
        """Whether an authenticator accepts it."""
        return self.result is not None and self.result.reason is Reason.VERIFIED

    @property
    def unavailable(self) -> bool:
        """Whether it could not be judged this time, so that a retry makes sense."""
        return self.result is not None and self.result.reason in TRANSIENT_REASONS


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One image with its signatures.

    Attributes:
        image: the image.
        index: the image that was named, of which this is the manifest of a platform; None for the one that was named.
        signatures: its signatures, by format and in the order found.
        platforms: why the manifests of an index could not be listed; None if they are, or it is not an index.
    """

    image: Image
    index: Image | None
    signatures: tuple[ListedSignature, ...]
    platforms: SealgateError | None = None


@dataclass(frozen=True, slots=True)
class ListedTag:
    """One tag of a repository.

    Attributes:
        name: `registry/path:tag`, as the registry lists the tag.
        listed: the image that it names, with its signatures; None if it could not be resolved.
        error: why not.
    """

    name: str
    listed: ListedImage | None
    error: SealgateError | None = None


@dataclass(frozen=True, slots=True)
class ListingRun:
    """Authenticators, and everything that is the same for all images of a run.

    Attributes:
        client: reaches registries.
        credentials: for each repository.
        clock: source of the time.
        checks: the check of each authenticator by its name, or why it cannot be used; may be empty.
        state: store of the highest versions of trust data seen.
        timeout: seconds for each image; greater than 0.
        named_hosts: hosts that the policies name literally; they may have private addresses, as the image's may.
        secrets: credentials for the stores that the authenticators name.
    """

    client: RegistryClient
    credentials: CredentialProvider
    clock: Clock
    checks: Mapping[str, Check | SealgateError]
    state: TrustedState
    timeout: float
    named_hosts: frozenset[str] = frozenset()
    secrets: ServiceSecrets = field(default_factory=NoServiceSecrets)

    def list_image(self, reference: Reference) -> list[ListedImage]:
        """Return an image with its signatures; of an index, then the manifests of its platforms with theirs.

        Raises:
            VerificationError: its manifest cannot be verified, or is malformed.
            UnavailableError: the registry could not be asked, or does not have it (and its subclasses).
        """
        named = self.resolve(reference)
        problem: SealgateError | None = None
        platforms: list[Image] = []
        try:
            platforms = self._platforms(named)
        except SealgateError as error:
            problem = error
        first = ListedImage(named, None, self.signatures(named), problem)
        return [first, *(ListedImage(image, named, self.signatures(image)) for image in platforms)]

    def resolve(self, reference: Reference) -> Image:
        """Return an image with its digest; errors as for `list_image`."""
        (image,) = resolve_targets(reference, self.context(reference).sources.registry, recursive=False)
        return image

    def list_repository(self, repository: Repository, progress: Callable[[int, int], object]) -> list[ListedTag]:
        """Return every tag of a repository with the signatures of its image, in the registry's order.

        Tags that hold signatures and the like are left out; the platforms of an index are not listed.

        Args:
            repository: the repository.
            progress: called with the number of tags that are done, and of all.

        Raises:
            VerificationError: there are more than `MAX_TAGS`, or the list is malformed.
            UnavailableError: the registry could not be asked (and its subclasses).
        """
        deadline = Deadline.after(self.clock, self.timeout)
        lists = self.client.tag_lists(self.credentials, deadline, self.named_hosts | {repository.registry})
        tags = [tag for tag in lists.tags(repository, MAX_TAGS) if not is_attached(tag)]
        pool = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="list")
        try:
            listed = []
            for each in pool.map(lambda tag: self._list_tag(repository, tag), tags):
                listed.append(each)
                progress(len(listed), len(tags))
            return listed
        finally:
            # On Ctrl-C the command must not wait for what is under way.
            pool.shutdown(wait=False, cancel_futures=True)

    def _list_tag(self, repository: Repository, tag: str) -> ListedTag:
        name = f"{repository.name}:{tag}"
        try:
            image = self.resolve(parse_reference(name))
        except SealgateError as error:
            return ListedTag(name, None, error)
        return ListedTag(name, ListedImage(image, None, self.signatures(image)))

    def _platforms(self, named: Image) -> list[Image]:
        """Return the manifests of an index, each named by its digest, since the tag is the index's."""
        pinned = replace(named.reference, digest=named.digest)
        _, *found = resolve_targets(pinned, self.context(pinned).sources.registry, recursive=True)
        return [Image(replace(pinned, tag=None, digest=image.digest), image.digest) for image in found]

    def signatures(self, image: Image) -> tuple[ListedSignature, ...]:
        """Return the signatures of exactly one digest, by format and in the order found."""
        merged: dict[tuple[str, str, str], ListedSignature] = {}
        for name, check in sorted(self.checks.items()):
            for listed in self._judged_by(name, check, image):
                _merge(merged, listed, name)
        for stored in unjudged_signatures(self.checks.values(), image, self.context(image.reference).sources):
            _merge(merged, ListedSignature("cosign", stored), "")
        return tuple(merged.values())

    def _judged_by(self, name: str, check: Check | SealgateError, image: Image) -> list[ListedSignature]:
        if isinstance(check, SealgateError):
            seen = SeenSignature(f"authenticator {name}", check.reason, check.message)
            return [ListedSignature("", StoredSignature(seen.source, seen), (Judgement(name, seen),))]
        return [
            ListedSignature(check.format, stored, (Judgement(name, stored.judged),) if stored.judged else ())
            for stored in stored_signatures(check, image, self.context(image.reference).sources)
        ]

    def context(self, reference: Reference) -> SigningContext:
        """Return reads and writes for one image, with a deadline of their own."""
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


def _merge(merged: dict[tuple[str, str, str], ListedSignature], listed: ListedSignature, authenticator: str) -> None:
    """Add a signature to those listed so far; of one that is there already, add what is said of it.

    Sources without a location are not known to be the same for two authenticators.
    """
    key = (listed.format, listed.stored.location or authenticator, listed.stored.source)
    known = merged.setdefault(key, listed)
    if known is not listed:
        stored = max(known, listed, key=_says_more).stored
        merged[key] = ListedSignature(known.format, stored, (*known.judgements, *listed.judgements))


def _says_more(listed: ListedSignature) -> tuple[bool, bool]:
    return listed.verified, listed.result is not None and listed.result.fingerprint is not None
