"""Strict decoding of AdmissionReviews (`admission.k8s.io/v1`).

The body is JSON of up to 7 MiB from any client that can reach the port. It is parsed in one pass that refuses what two
readers could read differently (a duplicate key, `NaN`, bytes that are not UTF-8), and only the members that
matter for the decision are kept (`sealgate_webhook.reviews.kept`).

Decoded JSON takes many times its size: `DECODED_BYTES_PER_BYTE` says how many times, and `MAX_VALUES` bounds it for
large bodies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import jiter

from sealgate.errors import InvalidInputError, InvalidWorkloadError
from sealgate.messages import quote
from sealgate.policies.limits import ObjectTooLargeError
from sealgate.workloads.images import changed_images
from sealgate.workloads.kinds import BUILT_IN
from sealgate_webhook.reviews.kept import keep, keep_policy_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate.workloads.images import ContainerImage
    from sealgate.workloads.kinds import WorkloadKind, WorkloadKinds

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"

#: The policy objects whose changes are compared with what they were.
EXCEPTION: Final = "VerificationException"

#: The most bytes of one review: an object of the 3 MiB the API server takes, its old self, and what is around them.
MAX_REVIEW_BYTES: Final = 7 << 20
MAX_UID_LENGTH: Final = 256

#: The most values of one body: an old and a new object of 1.5 MiB each, the most that Kubernetes stores, have fewer.
#: Objects, lists and strings count one, and numbers, which take less memory, a quarter. What looks like one inside of a
#: string counts too, because only characters are counted, which takes less than a thousandth of the time of decoding.
MAX_VALUES: Final = 1 << 18
#: The most memory of a decoded body, in bytes for each byte of it. 37 was measured for objects inside of objects.
DECODED_BYTES_PER_BYTE: Final = 40
#: The most memory of any decoded body, in bytes. 50 MiB was measured for `MAX_VALUES` different keys.
MAX_DECODED_BYTES: Final = 56 << 20

OPERATIONS: Final = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
_WITH_IMAGES: Final = frozenset({"CREATE", "UPDATE"})


class MalformedReviewError(InvalidInputError):
    """The body is not an answerable AdmissionReview: HTTP 400."""


class UnusableReviewError(InvalidInputError):
    """An AdmissionReview that can be answered, but not understood: a denial.

    Args:
        message: what is wrong with it.
        uid: of the request, for the answer.
    """

    def __init__(self, message: str, *, uid: str) -> None:
        super().__init__(message)
        self.uid = uid


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """The parts of an AdmissionRequest that decide anything.

    Attributes:
        uid: names the request; the answer carries it back.
        group: API group of the object ("" for the core group).
        kind: kind of the object ("Pod").
        subresource: "ephemeralcontainers", "scale", ...; empty for the object itself.
        namespace: of the object; empty for what has none.
        name: of the object; empty where it is yet to be generated.
        operation: CREATE, UPDATE, DELETE or CONNECT.
        object: what is kept of the object as it will be; None on DELETE.
        old_object: what is kept of the object as it is; None on CREATE.
        dry_run: whether nothing will come of it, so nothing may be left behind for it either.
        username: the user who sent the request to the API server; empty if the review does not say.
    """

    uid: str
    group: str
    kind: str
    subresource: str
    namespace: str
    name: str
    operation: str
    object: Mapping[str, Any] | None
    old_object: Mapping[str, Any] | None
    dry_run: bool = False
    username: str = ""
    _images: dict[WorkloadKind, Sequence[ContainerImage]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def new_images(self, kind: WorkloadKind) -> Sequence[ContainerImage]:
        """Return the images that the request brings: all of a new object, the changed ones of an old one.

        They are determined once: a request that waits is decided several times.

        Args:
            kind: the object's kind.

        Raises:
            InvalidWorkloadError: there is no object, or its images cannot be determined.
        """
        images = self._images.get(kind)
        if images is None:
            if self.object is None:
                raise InvalidWorkloadError(f"the {quote(self.operation)} request has no object")
            before = self.old_object if self.operation == "UPDATE" else None
            images = self._images[kind] = changed_images(self.object, before, kind)
        return images


def decode_review(body: bytes, kinds: WorkloadKinds | None = BUILT_IN) -> AdmissionRequest:
    """Read a review.

    Args:
        body: the review, at most `MAX_REVIEW_BYTES`.
        kinds: the kinds whose images are read. Of the objects only the fields that admission reads are kept, and
            nothing if the operation brings no images. None for policy objects (`kept.keep_policy_object`).

    Raises:
        MalformedReviewError: it is not JSON, not an AdmissionReview of version v1, has no uid, or has more than
            `MAX_VALUES` values.
        UnusableReviewError: it has a uid, but the request cannot be understood.
    """
    document = _parse(body)
    if not isinstance(document, dict):
        raise MalformedReviewError("the body is JSON but no object; post an AdmissionReview")
    if document.get("kind") != KIND or document.get("apiVersion") != API_VERSION:
        raise MalformedReviewError(
            f"the body is {quote(document.get('apiVersion'))} {quote(document.get('kind'))}; "
            f"only {API_VERSION} {KIND} is understood (admissionReviewVersions: [v1])"
        )
    request = document.get("request")
    if not isinstance(request, dict):
        raise MalformedReviewError("the AdmissionReview has no request")
    uid = request.get("uid")
    if not isinstance(uid, str) or not 0 < len(uid) <= MAX_UID_LENGTH:
        raise MalformedReviewError("the request has no uid that could be answered")
    return _read_request(uid, request, kinds)


def _read_request(uid: str, request: Mapping[str, Any], kinds: WorkloadKinds | None) -> AdmissionRequest:
    kind = request.get("kind")
    if not isinstance(kind, dict):
        raise UnusableReviewError("the request does not say the kind of its object", uid=uid)
    operation = _text(request, "operation", uid)
    if operation not in OPERATIONS:
        raise UnusableReviewError(f"{quote(operation)} is no operation of an AdmissionReview", uid=uid)
    group, name_of_kind = _text(kind, "group", uid), _text(kind, "kind", uid)
    obj, old = _object(request, "object", uid), _object(request, "oldObject", uid)
    if kinds is not None and operation in _WITH_IMAGES:
        found = kinds.find(group, name_of_kind)
        obj, old = _kept(obj, found, uid), _kept(old, found, uid)
    elif kinds is not None or operation not in _WITH_IMAGES:
        obj = old = None
    else:
        obj, old = _kept_policy(obj, old, uid, name_of_kind)
    return AdmissionRequest(
        uid,
        group,
        name_of_kind,
        _text(request, "subResource", uid),
        _text(request, "namespace", uid),
        _text(request, "name", uid),
        operation,
        obj,
        old,
        request.get("dryRun") is True,
        _username(request, uid),
    )


def _kept(obj: Mapping[str, Any] | None, kind: WorkloadKind | None, uid: str) -> Mapping[str, Any] | None:
    try:
        return None if obj is None else keep(obj, kind)
    except InvalidWorkloadError as error:
        raise UnusableReviewError(error.message, uid=uid) from error


def _kept_policy(
    obj: Mapping[str, Any] | None, old: Mapping[str, Any] | None, uid: str, kind: str
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    try:
        return keep_policy_object(obj, old, with_old=kind == EXCEPTION)
    except ObjectTooLargeError as error:
        raise UnusableReviewError(error.message, uid=uid) from error


def _username(request: Mapping[str, Any], uid: str) -> str:
    info = request.get("userInfo")
    return _text(info, "username", uid) if isinstance(info, dict) else ""


def _text(parent: Mapping[str, Any], key: str, uid: str) -> str:
    value = parent.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnusableReviewError(f"the request's {key} is not text", uid=uid)
    return value


def _object(request: Mapping[str, Any], key: str, uid: str) -> Mapping[str, Any] | None:
    value = request.get(key)
    if value is not None and not isinstance(value, dict):
        raise UnusableReviewError(f"the request's {key} is not an object", uid=uid)
    return value


def _count_values(body: bytes) -> int:
    return body.count(b"{") + body.count(b"[") + body.count(b'"') // 2 + body.count(b",") // 4


def _parse(body: bytes) -> object:
    # A value takes a byte at least, so that most bodies need not be counted.
    values = _count_values(body) if len(body) > MAX_VALUES else 0
    if values > MAX_VALUES:
        raise MalformedReviewError(
            f"the body has about {values} values, and at most {MAX_VALUES} are decoded; make the object smaller"
        )
    try:
        return jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        # jiter's message has a position and, of the body, the duplicate key.
        raise MalformedReviewError(f"the body is not JSON that is accepted: {quote(error)}") from error
