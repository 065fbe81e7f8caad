"""Admission of workloads: extracts the images of a request, and derives the response from their verdicts.

Independent of HTTP. `validate` decides, `mutate` patches. Each reads the policies in force once and keeps to them. A
request that cannot be decided is denied: no error leads to an admitted object.

Which requests add images:

- CREATE and UPDATE of a Pod, of anything that holds a pod template, and of kinds that the configuration names;
  DELETE and CONNECT add none;
- of an UPDATE only the images that the old object did not have in the same field. That needs no list of
  subresources: `pods/ephemeralcontainers` adds images and is verified, `pods/status` and `pods/resize` change none;
- where digests are required, an image of a Pod that Enforce policies cover is admitted only with one. `mutate` adds
  it, and may fail to: a registry may be slow or down, or a later webhook may restore the tag. `validate` does not rely
  on it;
- objects that are not Pods may be exempted or only warned about (`Workloads`); the Pods that they make never are;
- an exception that is in force lifts what is left of the denial of an image (`sealgate.policies.lifting`), and
  nothing that is refused before the images are verified;
- the canary's image (`sealgate.canary`) is refused under all policies;
- kinds without images (`Scale`, `Binding`, `Eviction`, custom resources that are not configured) are admitted without
  work. Only the group and kind that the request states count, never the object's own: the API server writes the
  former, and a `Job` of another group is not Kubernetes' own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealgate import canary
from sealgate.errors import InvalidReferenceError, InvalidWorkloadError, SealgateError, UnavailableError
from sealgate.messages import quote
from sealgate.policies.decisions import Verdict, Workloads, require_digest, soften
from sealgate.policies.lifting import lift
from sealgate.references import parse_reference
from sealgate.verification.requests import VerificationRequest
from sealgate.workloads.kinds import BUILT_IN, POD
from sealgate_webhook.admission.outcome import (
    NO_IMAGES_IN_KIND,
    NO_IMAGES_IN_OPERATION,
    NO_NEW_IMAGES,
    NOT_VERIFIED,
    NOTHING_TO_PIN,
    AdmissionOutcome,
)
from sealgate_webhook.reviews.patches import pin, pin_operations
from sealgate_webhook.reviews.response import (
    AdmissionResponse,
    deny,
    objections,
    respond_to_verdicts,
    stale_annotations,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.clocks import Deadline
    from sealgate.policies.decisions import ImageVerdict
    from sealgate.policies.matching import Match
    from sealgate.references import Reference
    from sealgate.verification.policy_sets import PolicySet
    from sealgate.verification.tag_resolution import Resolved
    from sealgate.workloads.images import ContainerImage
    from sealgate.workloads.kinds import WorkloadKind, WorkloadKinds
    from sealgate_webhook.admission.sources import CredentialSource, ImageVerifier, Namespaces, PolicySource
    from sealgate_webhook.reviews.request import AdmissionRequest

#: The most different images of one object; no sensible one comes near it, and each may cost its registry requests.
MAX_IMAGES: Final = 256
#: Operations that bring images. DELETE brings none, CONNECT (exec, attach, port-forward) neither.
OPERATIONS_WITH_IMAGES: Final = frozenset({"CREATE", "UPDATE"})


#: The last line of a denial of anything but a Pod.
_TEMPLATE_NOTE: Final = "only Pods must be verified where the chart's webhook.workloads is Warn or Ignore, not Enforce"


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """Admission settings of an installation, beside its policies.

    Attributes:
        require_digests: whether a Pod is admitted only if every image that Enforce policies cover and that the request
            brings names a digest; needs a `MutatingWebhookConfiguration` for `/mutate`.
        workloads: what happens to a denied object that is not a Pod.
    """

    require_digests: bool = False
    workloads: Workloads = Workloads.ENFORCE


DEFAULT_RULES: Final = AdmissionRules()


class Admission:
    """Validates and mutates requests. One for each process; thread-safe.

    With a `MemoryVerifier` and `CachedNamespaces` it answers the requests whose answers are in memory in the same way,
    and raises `NotInMemoryError` for all others.

    Args:
        verifier: verifies images.
        policies: the policies in force.
        namespaces: labels of namespaces.
        credentials: for the registries.
        kinds: the kinds whose images are verified.
        rules: admission settings of the installation.
    """

    def __init__(
        self,
        verifier: ImageVerifier,
        policies: PolicySource,
        namespaces: Namespaces,
        credentials: CredentialSource,
        kinds: WorkloadKinds = BUILT_IN,
        rules: AdmissionRules = DEFAULT_RULES,
    ) -> None:
        self._verifier = verifier
        self._policies = policies
        self._namespaces = namespaces
        self._credentials = credentials
        self._kinds = kinds
        self._rules = rules

    def validate(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        """Decide about a request.

        Args:
            request: the request.
            deadline: by when the response must be on its way.
        """
        try:
            return self._validate(request, deadline)
        except UnavailableError as error:
            return self._refuse(request, f"{error.message}; try again", error.reason, unavailable=True)
        except SealgateError as error:
            return self._refuse(request, error.message, error.reason)

    def mutate(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        """Pin the tags of a Pod to the digests that they name now. Never denies; a tag that cannot be pinned stays.

        Args:
            request: the request.
            deadline: by when the response must be on its way.
        """
        policies = self._policies.current()
        if not _is_pod(request) or request.operation not in OPERATIONS_WITH_IMAGES or policies is None:
            return NOTHING_TO_PIN
        try:
            images = request.new_images(POD)
            review = self._request(request, policies, deadline)
        except SealgateError:
            # The validating call follows and reports the error.
            return NOTHING_TO_PIN
        resolved = self._resolve(images, review)
        pinned = {text: pin(text, reference, named.digest) for text, (reference, named) in resolved.items()}
        operations = pin_operations(images, pinned)
        if not operations:
            return NOTHING_TO_PIN
        stale = {text: named.stale_since for text, (_, named) in resolved.items() if named.stale_since is not None}
        annotations = stale_annotations(images, stale, deadline.clock.monotonic())
        response = AdmissionResponse(allowed=True, annotations=annotations, patch=operations)
        return AdmissionOutcome(response, "pinned", stale_tags=tuple(stale))

    def _validate(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        if request.operation not in OPERATIONS_WITH_IMAGES:
            return NO_IMAGES_IN_OPERATION
        kind = self._kind(request)
        if kind is None:
            return NO_IMAGES_IN_KIND
        workloads = Workloads.ENFORCE if _brings_pod(request) else self._rules.workloads
        if workloads is Workloads.IGNORE:
            return NOT_VERIFIED
        images = request.new_images(kind)
        if not images:
            return NO_NEW_IMAGES
        texts = _distinct(images)
        refusal = _refusal_of(texts)
        if refusal is not None:
            return self._refuse(request, *refusal)
        policies = self._policies.current()
        if policies is None:
            raise UnavailableError(f"no policies are loaded yet: {self._policies.problem()}")
        verdicts = self._verifier.verify(texts, self._request(request, policies, deadline))
        if self._rules.require_digests and _brings_pod(request):
            verdicts = tuple(require_digest(verdict) for verdict in verdicts)
        elif workloads is Workloads.WARN:
            verdicts = tuple(soften(verdict) for verdict in verdicts)
        # What an exception admits comes first: no number of other images pushes it out of the bounded records.
        verdicts = tuple(
            sorted((lift(verdict, deadline.clock) for verdict in verdicts), key=lambda each: each.exception is None)
        )
        note = "" if _brings_pod(request) else _TEMPLATE_NOTE
        response = respond_to_verdicts(images, verdicts, note, deadline.clock.monotonic())
        if response.allowed:
            lasting = objections(images, verdicts)
        else:
            lasting = respond_to_verdicts(images, verdicts, note).message
        return AdmissionOutcome(response, _worst(verdicts), verdicts, lasting)

    def _refuse(
        self, request: AdmissionRequest, message: str, reason: str, *, unavailable: bool = False
    ) -> AdmissionOutcome:
        """Refuse a request whose images could not be verified one by one; warn instead where that is chosen."""
        if _brings_pod(request):
            return AdmissionOutcome(deny(message, unavailable=unavailable), reason)
        if self._rules.workloads is Workloads.WARN:
            return AdmissionOutcome(warn(message, reason), reason, lasting=message)
        return AdmissionOutcome(deny(f"{message}\n{_TEMPLATE_NOTE}", unavailable=unavailable), reason)

    def _kind(self, request: AdmissionRequest) -> WorkloadKind | None:
        if request.subresource == "ephemeralcontainers" and not _is_pod(request):
            # Kubernetes before 1.23 sent a kind of its own here, which would bring its images past us.
            raise InvalidWorkloadError(f"ephemeral containers as {quote(request.kind)} are not understood")
        return self._kinds.find(request.group, request.kind)

    def _request(self, request: AdmissionRequest, policies: PolicySet, deadline: Deadline) -> VerificationRequest:
        if not request.namespace:
            raise InvalidWorkloadError("the request names no namespace, so it is unknown which policies select it")
        namespace = self._namespaces.get(request.namespace)
        credentials = self._credentials.provider(request)
        return VerificationRequest(policies, namespace, credentials, deadline, self._policies.current)

    def _resolve(
        self, images: Iterable[ContainerImage], review: VerificationRequest
    ) -> Mapping[str, tuple[Reference, Resolved]]:
        """Return each image without a digest that a policy is about and that can be resolved, with its digest."""
        references: dict[str, Reference] = {}
        for text in _distinct(images)[:MAX_IMAGES]:
            try:
                reference = parse_reference(text)
            except InvalidReferenceError:
                continue
            if reference.repository == canary.REPOSITORY:
                continue
            if reference.digest is None and _any_required(review.policies.index.match(reference, review.namespace)):
                references[text] = reference
        digests = self._verifier.resolve(references.values(), review)
        return {text: (reference, digests[reference]) for text, reference in references.items() if reference in digests}


def _is_pod(request: AdmissionRequest) -> bool:
    return (request.group, request.kind) == (POD.group, POD.kind)


def _brings_pod(request: AdmissionRequest) -> bool:
    """Return whether the request is about a Pod, including requests for ephemeral containers of any stated kind."""
    return _is_pod(request) or request.subresource == "ephemeralcontainers"


def _refusal_of(texts: Sequence[str]) -> tuple[str, str] | None:
    """Return why images are refused before policies and exceptions, which therefore cannot admit them; else None."""
    if len(texts) > MAX_IMAGES:
        message = f"the object has {len(texts)} different images, and at most {MAX_IMAGES} are verified at once"
        return message, "too many images"
    return (canary.TEXT, "canary") if any(map(canary.is_reserved, texts)) else None


def _any_required(matches: Iterable[Match]) -> bool:
    """Return whether a policy may have to be met; an image that is only exempt costs no request."""
    return any(match.policy.action != "Exempt" for match in matches)


def _distinct(images: Iterable[ContainerImage]) -> list[str]:
    return list(dict.fromkeys([image.image for image in images]))


def _worst(verdicts: Iterable[ImageVerdict]) -> Verdict:
    found = {verdict.verdict for verdict in verdicts}
    return next(verdict for verdict in _WORST_FIRST if verdict in found)


_WORST_FIRST = (Verdict.DENY, Verdict.UNAVAILABLE, Verdict.WARN, Verdict.ADMIT)
