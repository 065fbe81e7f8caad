"""Responses to AdmissionReviews, for the API server, users and the audit log.

Everything is bounded: a message to 16 KiB, warnings to what Kubernetes passes on (256 characters each, 4,096 in
all), audit annotations to 64 of each kind with keys that Kubernetes takes. What `name_decision` adds has room in these
bounds.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from sealgate.decision_ids import FIELD, LENGTH
from sealgate.messages import quote, shorten
from sealgate.policies.decisions import Verdict, objection
from sealgate.reasons import Reason
from sealgate_webhook.reviews.request import API_VERSION, KIND

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.policies.decisions import ImageVerdict
    from sealgate.workloads.images import ContainerImage

#: Around a decision's id, as the last line of a denial, and at the end of a warning.
_LINE: Final = "\ndecision id: {}"
_SUFFIX: Final = " (decision {})"
_SUFFIX_LENGTH: Final = len(_SUFFIX.format("")) + LENGTH
MAX_MESSAGE: Final = 16_384 - len(_LINE.format("")) - LENGTH
MAX_WARNING: Final = 256 - _SUFFIX_LENGTH
MAX_WARNINGS: Final = 4096
MAX_ANNOTATIONS: Final = 64 - 1
MAX_ANNOTATION_KEY: Final = 63
#: What a warning names instead of a policy: neither can be the name of one.
_ALL_POLICIES: Final = "all policies"
_UNMATCHED: Final = "unmatchedImages"
#: The most characters of a policy's name in a warning, so that the reason is in it too.
MAX_NAME: Final = 80
#: The most fields of one image that a message names; it counts the rest.
MAX_PLACES: Final = 3

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_REFUSED: Final = (403, "Forbidden")
_UNAVAILABLE: Final = (503, "ServiceUnavailable")


@dataclass(frozen=True, slots=True)
class AdmissionResponse:
    """The response to a request.

    Attributes:
        allowed: whether the request is admitted.
        code: HTTP status of a denial that the client sees: 403 refused, 503 could not be determined.
        reason: Kubernetes' name of the code.
        message: one line for each refused image.
        warnings: shown by kubectl.
        annotations: for the audit log, without the webhook's name in front.
        patch: operations of a JSON patch.
    """

    allowed: bool
    code: int = 200
    reason: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    patch: Sequence[Mapping[str, str]] = ()


ALLOWED: Final = AdmissionResponse(allowed=True)


def deny(message: str, *, unavailable: bool = False) -> AdmissionResponse:
    """Return a denial.

    Args:
        message: the reason and what to do; foreign text already quoted.
        unavailable: whether a retry may succeed (503) or the request is refused (403).
    """
    code, reason = _UNAVAILABLE if unavailable else _REFUSED
    return AdmissionResponse(allowed=False, code=code, reason=reason, message=shorten(message, MAX_MESSAGE))


def warn(message: str, reason: str) -> AdmissionResponse:
    """Return a response that admits an unverified object with a warning.

    Args:
        message: why it was not verified; foreign text in it already quoted.
        reason: the same for the audit log, one word.
    """
    annotations = {"object": f"not verified: {reason}"}
    return AdmissionResponse(
        allowed=True,
        warnings=bound_warnings([f"sealgate: {_ALL_POLICIES}: {reason}: admitted with a warning: {message}"]),
        annotations=annotations,
    )


def respond_to_verdicts(
    images: Sequence[ContainerImage], verdicts: Sequence[ImageVerdict], note: str = "", now: float | None = None
) -> AdmissionResponse:
    """Return the response that follows from verdicts: denied if any image is.

    Args:
        images: every image of the request, with its field.
        verdicts: one for each different image text among them.
        note: the last line of a denial; empty for none.
        now: `Clock.monotonic` seconds, for the age of cached refusals; None to say nothing about it.
    """
    refused = [verdict for verdict in verdicts if verdict.verdict in (Verdict.DENY, Verdict.UNAVAILABLE)]
    annotations = _annotations(images, {verdict.image: verdict for verdict in verdicts}, allowed=not refused)
    stale = {verdict.image: verdict.stale_since for verdict in verdicts if verdict.stale_since is not None}
    if stale and now is not None:
        annotations |= stale_annotations(images, stale, now)
    if not refused:
        warned = [verdict for verdict in verdicts if verdict.verdict is Verdict.WARN]
        if not warned:
            return AdmissionResponse(allowed=True, annotations=annotations)
        fields_by_image = _fields_by_image(images)
        return AdmissionResponse(
            allowed=True,
            warnings=bound_warnings(_warning(_where(fields_by_image, verdict), verdict, now) for verdict in warned),
            annotations=annotations,
        )
    fields_by_image = _fields_by_image(images)
    unavailable = all(verdict.verdict is Verdict.UNAVAILABLE for verdict in refused)
    code, reason = _UNAVAILABLE if unavailable else _REFUSED
    message = _lines(
        (f"{_where(fields_by_image, verdict)}: {verdict.message}{_age(verdict, now)}" for verdict in refused), note
    )
    return AdmissionResponse(allowed=False, code=code, reason=reason, message=message, annotations=annotations)


def name_decision(response: AdmissionResponse, decision_id: str) -> AdmissionResponse:
    """Return a response that names its decision in the message, in each warning and in an audit annotation.

    Args:
        response: a response of this module, within its bounds.
        decision_id: id of the decision.
    """
    return replace(
        response,
        message=response.message + _LINE.format(decision_id) if response.message else "",
        warnings=tuple(warning + _SUFFIX.format(decision_id) for warning in response.warnings),
        annotations={FIELD: decision_id, **response.annotations},
    )


def objections(images: Sequence[ContainerImage], verdicts: Iterable[ImageVerdict]) -> str:
    """Return what would deny the images of an admitted request, one line for each; empty if nothing would.

    Args:
        images: every image of the request, with its field.
        verdicts: one for each different image text among them; none of them denies.
    """
    found = [(verdict, text) for verdict in verdicts if (text := objection(verdict))]
    fields_by_image = _fields_by_image(images) if found else {}
    return _lines((f"{_where(fields_by_image, verdict)}: {text}" for verdict, text in found), "")


def stale_annotations(images: Iterable[ContainerImage], since: Mapping[str, float], now: float) -> dict[str, str]:
    """Return, for each container whose image's registry is unreachable, how old the answer is that counts instead.

    Args:
        images: every image of the request, with its field.
        since: image as written -> when its registry answered, in `Clock.monotonic` seconds; others have no annotation.
        now: `Clock.monotonic` seconds.
    """
    annotations: dict[str, str] = {}
    for index, image in enumerate(images):
        if image.image in since and len(annotations) < MAX_ANNOTATIONS:
            age = max(round(now - since[image.image]), 0)
            key = _key(image, index, annotations, "stale.")
            annotations[key] = f"{quote(image.image)}: the registry cannot be reached; it answered {age} s ago"
    return annotations


def encode_response(uid: str, answer: AdmissionResponse) -> bytes:
    """Encode a response as an AdmissionReview.

    Args:
        uid: uid of the request.
        answer: the response.
    """
    response: dict[str, Any] = {"uid": uid, "allowed": answer.allowed}
    if not answer.allowed:
        response["status"] = {
            "status": "Failure",
            "code": answer.code,
            "reason": answer.reason,
            "message": answer.message,
        }
    if answer.warnings:
        response["warnings"] = answer.warnings
    if answer.annotations:
        response["auditAnnotations"] = answer.annotations
    if answer.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(_ENCODER.encode(answer.patch).encode()).decode()
    return _ENCODER.encode({"apiVersion": API_VERSION, "kind": KIND, "response": response}).encode()


def _fields_by_image(images: Iterable[ContainerImage]) -> Mapping[str, list[str]]:
    """Return the fields of each image text, as the author of the object knows them."""
    fields_by_image: dict[str, list[str]] = {}
    for image in images:
        fields_by_image.setdefault(image.image, []).append(
            image.field.removesuffix(".image.reference").removesuffix(".image")
        )
    return fields_by_image


def _where(fields_by_image: Mapping[str, Sequence[str]], verdict: ImageVerdict) -> str:
    found = fields_by_image[verdict.image]
    rest = len(found) - MAX_PLACES
    return ", ".join(found[:MAX_PLACES]) + (f" and {rest} more" if rest > 0 else "")


def _lines(lines: Iterable[str], note: str) -> str:
    """Return lines as one text, the note last; what is too much is counted."""
    kept: list[str] = []
    size = dropped = 0
    for line in lines:
        size += len(line) + 1
        if size > MAX_MESSAGE - len(note) - 64:
            dropped += 1
        else:
            kept.append(line)
    if dropped:
        kept.append(f"and {dropped} more images were refused")
    if note:
        kept.append(note)
    return "\n".join(kept)


def _age(verdict: ImageVerdict, now: float | None) -> str:
    """Return what follows a message that rests on a cached refusal."""
    return "" if verdict.cached is None or now is None else f"; {verdict.cached.describe(now)}"


def _warning(where: str, verdict: ImageVerdict, now: float | None) -> str:
    """Return a warning that begins with policy and reason. Its end, the age of a cached refusal, is not cut off."""
    age = _age(verdict, now)
    begin = f"sealgate: {_warning_policy(verdict)}: {verdict.reason}"
    return shorten(f"{begin}: {where}: {verdict.message}", MAX_WARNING - len(age)) + age


def _warning_policy(verdict: ImageVerdict) -> str:
    """Return the policy that warns, with the number of further ones; the exception that admits the image instead."""
    if verdict.exception is not None:
        return shorten(f"exception {verdict.exception.name}", MAX_NAME)
    names = [policy.name for policy in verdict.policies if not policy.met and policy.action != "Audit"]
    if not names:
        return _UNMATCHED if verdict.reason is Reason.NO_POLICY_MATCHES else _ALL_POLICIES
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return shorten(quote(names[0], MAX_NAME), MAX_NAME) + more


def bound_warnings(warnings: Iterable[str]) -> tuple[str, ...]:
    """Return warnings within what Kubernetes passes on; those left out are counted."""
    kept: list[str] = []
    size = dropped = 0
    for warning in warnings:
        text = shorten(warning, MAX_WARNING)
        size += len(text) + _SUFFIX_LENGTH
        if size > MAX_WARNINGS - MAX_WARNING - _SUFFIX_LENGTH:
            dropped += 1
        else:
            kept.append(text)
    if dropped:
        kept.append(f"sealgate: {dropped} more images did not meet a policy that only warns")
    return tuple(kept)


def _annotations(
    images: Iterable[ContainerImage], verdicts: Mapping[str, ImageVerdict], *, allowed: bool
) -> dict[str, str]:
    """Return for each container (or volume) what was verified, or why it was admitted all the same.

    There is room for `MAX_ANNOTATIONS`; those that an exception admits come first.
    """
    annotations: dict[str, str] = {}
    for index, image in sorted(enumerate(images), key=lambda each: verdicts[each[1].image].exception is None):
        if len(annotations) == MAX_ANNOTATIONS:
            break
        verdict = verdicts[image.image]
        if verdict.exception is not None:
            # In a denial, which other images caused, it is not a use: auditors count what was admitted.
            begin = "admitted by" if allowed else "covered by"
            text = f"{begin} exception {verdict.exception.name}: {verdict.reason}: {quote(image.image)}"
            annotations[_key(image, index, annotations)] = text
        elif verdict.verified and verdict.reference is not None and verdict.reason is not Reason.NOT_PINNED:
            annotations[_key(image, index, annotations)] = f"{verdict.reference.name}@{verdict.subject}"
        elif verdict.policies:
            annotations[_key(image, index, annotations)] = f"not verified: {verdict.reason}: {quote(image.image)}"
    return annotations


def _key(image: ContainerImage, index: int, taken: Mapping[str, str], prefix: str = "") -> str:
    """Return a key with the container's name in it, or its number where the name does not do."""
    key = f"{prefix}{image.kind}.{image.container}"
    if len(key) <= MAX_ANNOTATION_KEY and key not in taken and _KEY.fullmatch(key):
        return key
    return f"{prefix}image.{index}"
