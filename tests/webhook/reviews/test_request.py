"""Decoding of AdmissionReview requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.workloads.kinds import POD
from sealgate_webhook.reviews.request import (
    MAX_REVIEW_BYTES,
    MAX_VALUES,
    AdmissionRequest,
    MalformedReviewError,
    UnusableReviewError,
    decode_review,
)
from tests.support.examples import examples
from tests.webhook.objects import UID, encode, pod, review


def test_only_deciding_fields_are_read() -> None:
    new, old = pod("app:2"), pod("app:1")
    members = {"subResource": "ephemeralcontainers", "dryRun": True, "futureField": {"a": [1]}}
    document = review(new, "UPDATE", oldObject=old, **members)
    assert decode_review(encode(document)) == AdmissionRequest(
        uid=UID,
        group="",
        kind="Pod",
        subresource="ephemeralcontainers",
        namespace="default",
        name="web",
        operation="UPDATE",
        object={"metadata": {"": None}, "spec": new["spec"]},
        old_object={"metadata": {"": None}, "spec": old["spec"]},
        dry_run=True,
        username="alice",
    )


def test_new_images_are_found_once() -> None:
    request = decode_review(encode(review(pod("app:2", "tool:1"), "UPDATE", oldObject=pod("app:1", "tool:1"))))
    images = request.new_images(POD)
    assert [image.image for image in images] == ["app:2"]
    assert request.new_images(POD) is images


def test_what_is_validated_of_a_policy_object_is_kept() -> None:
    obj = {"apiVersion": "sealgate.dev/v1alpha1", "kind": "Authenticator", "spec": {"cosign": {"keys": [{}]}}}
    new = {**obj, "metadata": {"name": "a", "managedFields": [{}]}, "status": {"keys": []}}
    request = decode_review(encode(review(new, "UPDATE", oldObject={**obj, "spec": {}})), None)
    assert (request.object, request.old_object) == ({**obj, "metadata": {"name": "a"}}, None)
    assert decode_review(encode(review(new, "DELETE", oldObject=obj)), None).object is None


def test_spec_that_has_not_changed_is_not_kept_however_large_it_is() -> None:
    obj = {"apiVersion": "sealgate.dev/v1alpha1", "kind": "Authenticator", "spec": {"a": [0] * 20_000}}
    request = decode_review(encode(review(obj, "UPDATE", oldObject=obj)), None)
    assert request.object is not None
    assert request.old_object is not None
    assert request.object.get("spec") == request.old_object.get("spec")
    with pytest.raises(UnusableReviewError, match="the object is too large"):
        decode_review(encode(review(obj, "UPDATE", oldObject={**obj, "spec": {"a": [1] * 20_000}})), None)


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
def test_operation_without_images_keeps_no_object(operation: str) -> None:
    request = decode_review(encode(review(pod("app"), operation, oldObject=pod("app"))))
    assert (request.object, request.old_object) == (None, None)


@pytest.mark.parametrize("info", [None, [], {}, {"username": None}])
def test_user_may_be_missing(info: object) -> None:
    assert not decode_review(encode(review(pod("app"), userInfo=info))).username


@pytest.mark.parametrize("missing", ["namespace", "name", "subResource", "object", "oldObject", "dryRun"])
def test_missing_members_are_empty(missing: str) -> None:
    document = review(pod("app"))
    document["request"].pop(missing, None)
    field = {"subResource": "subresource", "oldObject": "old_object", "dryRun": "dry_run"}.get(missing, missing)
    assert not getattr(decode_review(encode(document)), field)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{}{}", "not JSON"),
        (b"{} x", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": -Infinity}', "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b"\xff", "not JSON"),
        (b'"\xff"', "invalid unicode"),
        (b'"\xed\xa0\x80"', "invalid unicode"),
        (rb'"\ud800"', "not JSON"),
        (b'"\x00"', "control character"),
        (b"[1,]", "trailing comma"),
        ("{}".encode("utf-16"), "not JSON"),
        (b"[" * 200_000, "recursion limit exceeded"),
        (b'{"a":' * 201 + b"1" + b"}" * 201, "recursion limit exceeded"),
        (b"[]", "no object"),
        (b'"text"', "no object"),
        (b"null", "no object"),
        (b"{}", "is None None"),
    ],
)
def test_body_that_is_not_a_review_is_malformed(body: bytes, said: str) -> None:
    with pytest.raises(MalformedReviewError, match=said):
        decode_review(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind": "AdmissionReview", "kind": "AdmissionReview"}',
        b'{"request": {"uid": "1", "uid": "2"}}',
        b'{"request": {"object": {"spec": {"containers": [{"image": "good", "image": "bad"}]}}}}',
        rb'{"request": {"uid": "1", "\u0075id": "2"}}',
    ],
)
def test_duplicate_key_is_refused_at_any_depth(body: bytes) -> None:
    with pytest.raises(MalformedReviewError, match="duplicate key"):
        decode_review(body)


def test_long_duplicate_key_is_not_repeated_in_full() -> None:
    key = b'"' + b"k" * 100_000 + b'"'
    with pytest.raises(MalformedReviewError) as caught:
        decode_review(b"{" + key + b":1," + key + b":2}")
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize("unit", [b"{},", b"[],", b'"",', b'{"":{}},', b"0,"])
def test_body_of_too_many_values_is_not_decoded(unit: bytes) -> None:
    """They fit into the bytes of a review, and would take thirty times as many."""
    body = b"[" + unit * (MAX_REVIEW_BYTES // len(unit) - 1) + b"0]"
    with pytest.raises(MalformedReviewError, match=f"at most {MAX_VALUES} are decoded"):
        decode_review(body)


def test_brackets_and_quotes_of_a_large_text_count_little() -> None:
    script = 'if [ "$a" ]; then echo "{}"; fi\n' * 10_000
    document = review(pod("app"))
    document["request"]["object"]["spec"]["containers"][0]["args"] = [script]
    assert decode_review(encode(document)).object is not None


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "Pod"},
        {"kind": None},
        {"apiVersion": "admission.k8s.io/v1beta1"},
        {"apiVersion": "v1"},
        {"apiVersion": ["admission.k8s.io/v1"]},
    ],
)
def test_only_admission_review_v1_is_accepted(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedReviewError, match=r"only admission\.k8s\.io/v1 AdmissionReview is understood"):
        decode_review(encode({**review(pod("app")), **change}))


@pytest.mark.parametrize("request_", [None, [], "text", 1])
def test_a_review_without_a_request_is_malformed(request_: object) -> None:
    with pytest.raises(MalformedReviewError, match="has no request"):
        decode_review(encode({**review(None), "request": request_}))


@pytest.mark.parametrize("uid", [None, "", 7, [], "x" * 257])
def test_a_request_without_a_uid_is_malformed(uid: object) -> None:
    with pytest.raises(MalformedReviewError, match="no uid"):
        decode_review(encode(review(pod("app"), uid=uid)))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"kind": None}, "the kind of its object"),
        ({"kind": "Pod"}, "the kind of its object"),
        ({"kind": {"kind": 1}}, "kind is not text"),
        ({"kind": {"kind": "Pod", "group": []}}, "group is not text"),
        ({"operation": None}, "is no operation"),
        ({"operation": "PATCH"}, "PATCH is no operation"),
        ({"operation": "create"}, "create is no operation"),
        ({"operation": "X\nY"}, r"X\\nY is no operation"),
        ({"namespace": 1}, "namespace is not text"),
        ({"name": {}}, "name is not text"),
        ({"subResource": []}, "subResource is not text"),
        ({"object": []}, "object is not an object"),
        ({"object": "Pod"}, "object is not an object"),
        ({"oldObject": 1}, "oldObject is not an object"),
    ],
)
def test_invalid_request_keeps_its_uid(members: dict[str, Any], said: str) -> None:
    with pytest.raises(UnusableReviewError, match=said) as caught:
        decode_review(encode(review(pod("app"), **members)))
    assert caught.value.uid == UID


def test_foreign_text_in_messages_is_escaped() -> None:
    document = {**review(None), "kind": "\x1b[31mPod\n"}
    with pytest.raises(MalformedReviewError) as caught:
        decode_review(encode(document))
    assert caught.value.message.isprintable()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(200))
@given(st.binary(max_size=64))
def test_arbitrary_bytes_raise_only_declared_errors(body: bytes) -> None:
    with pytest.raises(MalformedReviewError):
        decode_review(body)


@settings(max_examples=examples(200))
@given(st.sampled_from(sorted(review(pod("app"))["request"])), _JSON)
def test_arbitrary_requests_raise_only_declared_errors(member: str, value: Any) -> None:
    document = review(pod("app"))
    document["request"][member] = value
    try:
        request = decode_review(json.dumps(document).encode())
    except (MalformedReviewError, UnusableReviewError):
        return
    assert request.operation in {"CREATE", "UPDATE", "DELETE", "CONNECT"}
