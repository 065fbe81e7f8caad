"""Strict decoding of AdmissionReviews (`admission.k8s.io/v1`).

The body is JSON of up to 7 MiB from any client that can reach the port. It is parsed in one pass that refuses what two
readers could read differently (a duplicate key, `NaN`, bytes that are not UTF-8), and only the members that
matter for the decision are read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sealgate.errors import InvalidInputError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"

#: The most bytes of one review: an object of the 3 MiB the API server takes, its old self, and what is around them.
MAX_REVIEW_BYTES: Final = 7 << 20
MAX_UID_LENGTH: Final = 256

OPERATIONS: Final = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})


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
        object: the object as it will be; None on DELETE.
        old_object: the object as it is; None on CREATE.
        dry_run: whether nothing will come of it, so nothing may be left behind for it either.
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


def decode_review(body: bytes) -> AdmissionRequest:
    """Read a review.

    Raises:
        MalformedReviewError: it is not JSON, not an AdmissionReview of version v1, or has no uid.
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
    return _read_request(uid, request)


def _read_request(uid: str, request: Mapping[str, Any]) -> AdmissionRequest:
    kind = request.get("kind")
    if not isinstance(kind, dict):
        raise UnusableReviewError("the request does not say the kind of its object", uid=uid)
    operation = _text(request, "operation", uid)
    if operation not in OPERATIONS:
        raise UnusableReviewError(f"{quote(operation)} is no operation of an AdmissionReview", uid=uid)
    return AdmissionRequest(
        uid,
        _text(kind, "group", uid),
        _text(kind, "kind", uid),
        _text(request, "subResource", uid),
        _text(request, "namespace", uid),
        _text(request, "name", uid),
        operation,
        _object(request, "object", uid),
        _object(request, "oldObject", uid),
        request.get("dryRun") is True,
    )


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


def _parse(body: bytes) -> object:
    try:
        return _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        raise MalformedReviewError("the body is not UTF-8") from error
    except RecursionError as error:
        raise MalformedReviewError("the body is nested too deeply") from error
    except ValueError as error:
        # The decoder's message has a position, or a number that is too long, and no more of the body.
        raise MalformedReviewError(f"the body is not JSON: {quote(error)}") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add() returns None, which is what makes this work
        raise ValueError(f"duplicate key {quote(twice, 64)}")
    return members


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


# Not `sealgate.parsing.strict_json`: its checks of numbers and depth take three to five times as long, in the hot path.
_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_refuse_constant)
