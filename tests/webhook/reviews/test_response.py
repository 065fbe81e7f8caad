"""AdmissionReview responses are bounded, with keys and codes that Kubernetes accepts."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.decision_ids import PATTERN, new_decision_id
from sealgate.policies.decisions import ImageVerdict, PolicyResult, Verdict
from sealgate.reasons import Reason
from sealgate.references import Digest, Reference, Repository
from sealgate.workloads.images import ContainerImage, ImageKind
from sealgate_webhook.reviews.response import (
    AdmissionResponse,
    bound_warnings,
    deny,
    encode_response,
    name_decision,
    respond_to_verdicts,
)
from tests.support.examples import examples

DIGEST = Digest("sha256:" + "a" * 64)
#: As in k8s.io/apimachinery: the name part of a qualified name.
QUALIFIED_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")


def verdict_on(image: str, verdict: Verdict, *, met: bool = False, message: str = "why") -> ImageVerdict:
    reference = Reference(Repository("registry.example.com", "app"), None, None)
    reason = Reason.VERIFIED if met else Reason.NO_SIGNATURE
    return ImageVerdict(
        image, reference, DIGEST, verdict, reason, message, (PolicyResult("p", "Enforce", int(met), 1, ()),)
    )


def container(image: str, name: str = "main", kind: ImageKind = "container", index: int = 0) -> ContainerImage:
    return ContainerImage(image, f"spec.containers[{index}].image", name, kind)


@pytest.mark.parametrize(
    ("verdicts", "allowed", "code"),
    [
        ((Verdict.ADMIT,), True, 200),
        ((Verdict.ADMIT, Verdict.WARN), True, 200),
        ((Verdict.ADMIT, Verdict.DENY), False, 403),
        ((Verdict.WARN, Verdict.UNAVAILABLE), False, 503),
        ((Verdict.UNAVAILABLE, Verdict.DENY), False, 403),
        ((Verdict.UNAVAILABLE, Verdict.UNAVAILABLE), False, 503),
    ],
)
def test_the_worst_verdict_decides(verdicts: tuple[Verdict, ...], allowed: bool, code: int) -> None:  # noqa: FBT001 - a table
    for order in (verdicts, verdicts[::-1]):
        images = [container(f"app:{n}", f"c-{n}") for n in range(len(order))]
        answer = respond_to_verdicts(images, [verdict_on(f"app:{n}", verdict) for n, verdict in enumerate(order)])
        assert (answer.allowed, answer.code) == (allowed, code)


def test_long_message_is_truncated_visibly() -> None:
    images = [container(f"app:{n}", f"c-{n}", index=n) for n in range(256)]
    answer = respond_to_verdicts(
        images, [verdict_on(image.image, Verdict.DENY, message="x" * 1000) for image in images]
    )
    assert len(answer.message) <= 16_384
    lines = answer.message.splitlines()
    assert lines[-1] == f"and {256 - len(lines) + 1} more images were refused"


def test_a_single_message_is_cut_too() -> None:
    named = name_decision(deny("x" * 20_000), new_decision_id())
    assert len(named.message) == 16_384
    assert named.message.splitlines()[0].endswith("xxx...")


@pytest.mark.parametrize(("length", "count"), [(1000, 40), (150, 25), (10, 1)])
def test_warnings_with_their_decision_stay_within_the_limits_of_kubernetes(length: int, count: int) -> None:
    decision_id = new_decision_id()
    response = AdmissionResponse(allowed=True, warnings=bound_warnings("x" * length for _ in range(count)))
    warnings = name_decision(response, decision_id).warnings
    assert all(warning.endswith(f" (decision {decision_id})") for warning in warnings)
    assert max(map(len, warnings)) <= 256
    assert sum(map(len, warnings)) <= 4096


def test_an_image_volume_is_named_by_its_volume() -> None:
    image = ContainerImage("app:1", "spec.volumes[2].image.reference", "data", "volume")
    assert respond_to_verdicts([image], [verdict_on("app:1", Verdict.DENY)]).message == "spec.volumes[2]: why"
    verified = respond_to_verdicts([image], [verdict_on("app:1", Verdict.ADMIT, met=True)])
    assert verified.annotations == {"volume.data": f"registry.example.com/app@{DIGEST}"}


def test_there_are_at_most_64_annotations() -> None:
    images = [container(f"app:{n}", f"c-{n}") for n in range(100)]
    verdicts = [verdict_on(image.image, Verdict.ADMIT, met=True) for image in images]
    annotations = name_decision(respond_to_verdicts(images, verdicts), new_decision_id()).annotations
    assert len(annotations) == 64
    assert PATTERN.fullmatch(annotations["decision_id"])


@settings(max_examples=examples(100))
@given(st.lists(st.text(max_size=80) | st.just("main"), min_size=1, max_size=6))
def test_annotation_keys_are_valid_and_distinct_for_any_names(names: list[str]) -> None:
    images = [container("app:1", name, index=n) for n, name in enumerate(names)]
    annotations = respond_to_verdicts(images, [verdict_on("app:1", Verdict.ADMIT, met=True)]).annotations
    assert len(annotations) == len(names)
    for key in annotations:
        assert len(key) <= 63
        assert QUALIFIED_NAME.fullmatch(key)


@settings(max_examples=examples(100))
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_response_is_encoded_as_json(uid: str, message: str) -> None:
    document = json.loads(
        encode_response(uid, AdmissionResponse(allowed=False, code=403, reason="Forbidden", message=message))
    )
    assert document["response"]["uid"] == uid
    assert document["response"]["status"]["message"] == message


def test_plain_admission_has_no_message() -> None:
    assert json.loads(encode_response("1", AdmissionResponse(allowed=True))) == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "1", "allowed": True},
    }
