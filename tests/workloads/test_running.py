from __future__ import annotations

from typing import Any

import pytest

from sealgate.workloads.images import extract_images
from sealgate.workloads.kinds import BUILT_IN, POD, WorkloadKind
from sealgate.workloads.running import MAX_IMAGE_ID, Running, compare_running, image_id_of, running_ids, runs_nothing

JOB, REPLICA_SET = BUILT_IN.find("batch", "Job"), BUILT_IN.find("apps", "ReplicaSet")
SUBJECT, PLATFORM, OTHER = (f"sha256:{digit * 64}" for digit in "abc")


@pytest.mark.parametrize(
    "image_id",
    [
        f"registry.example.org/app@{SUBJECT}",
        f"mirror.example.org/other@{SUBJECT}",
        f"docker-pullable://registry.example.org/app@{SUBJECT}",
        f"docker://{SUBJECT}",
        SUBJECT,
    ],
)
def test_the_digest_of_the_subject_matches_in_any_form(image_id: str) -> None:
    assert compare_running(image_id, SUBJECT) is Running.MATCH


def test_the_digest_of_a_platform_matches_if_it_is_known() -> None:
    assert compare_running(f"app@{PLATFORM}", SUBJECT, {PLATFORM}) is Running.MATCH
    assert compare_running(f"app@{PLATFORM}", SUBJECT) is Running.UNKNOWN


def test_another_digest_differs_only_if_all_digests_are_known() -> None:
    assert compare_running(f"app@{OTHER}", SUBJECT) is Running.UNKNOWN
    assert compare_running(f"app@{OTHER}", SUBJECT, {PLATFORM}) is Running.DIFFERS


@pytest.mark.parametrize(
    "image_id",
    [
        "",
        "app:v1",
        f"app@{OTHER}x",
        "app@sha512:" + "a" * 128,
        f"app@{SUBJECT}\n",
        f"{SUBJECT}@app",
        "x" * MAX_IMAGE_ID,
    ],
)
def test_text_without_a_digest_is_unknown(image_id: str) -> None:
    assert compare_running(image_id, SUBJECT, {PLATFORM}) is Running.UNKNOWN


def test_image_that_was_not_resolved_is_unknown() -> None:
    assert compare_running(f"app@{OTHER}", None, {PLATFORM}) is Running.UNKNOWN


def test_status_is_read_by_kind_and_name_of_the_container() -> None:
    pod: dict[str, Any] = {
        "spec": {
            "initContainers": [{"name": "a", "image": "init"}],
            "containers": [{"name": "a", "image": "main"}, {"name": "b", "image": "waiting"}],
            "volumes": [{"name": "a", "image": {"reference": "volume"}}],
        },
        "status": {
            "initContainerStatuses": [{"name": "a", "imageID": "one"}],
            "containerStatuses": [{"name": "a", "imageID": "two"}, {"name": "b", "imageID": ""}],
        },
    }
    found = {image.image: image_id_of(image, running_ids(pod)) for image in extract_images(pod, POD)}
    assert found == {"init": "one", "main": "two", "waiting": None, "volume": None}


@pytest.mark.parametrize("status", [None, "text", {"containerStatuses": "a"}, {"containerStatuses": [1, {"name": 1}]}])
def test_status_of_another_shape_has_no_ids(status: object) -> None:
    assert running_ids({"status": status}) == {}


@pytest.mark.parametrize(
    ("kind", "obj", "ended"),
    [
        (POD, {"status": {"phase": "Succeeded"}}, True),
        (POD, {"status": {"phase": "Running"}}, False),
        (POD, {}, False),
        (POD, {"status": {"phase": ["Succeeded"]}}, False),
        (WorkloadKind.custom("example.org", "Pod", (), ("image",)), {"status": "Succeeded"}, False),
        (WorkloadKind.custom("example.org", "Pod", (), ("image",)), {"status": {"phase": "Succeeded"}}, False),
        (JOB, {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}, True),
        (JOB, {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}, True),
        (JOB, {"status": {"conditions": [{"type": "Suspended", "status": "True"}]}}, False),
        (JOB, {"status": {"conditions": [{"type": "Complete", "status": "False"}]}}, False),
        (JOB, {"status": {"conditions": ["Complete", None]}}, False),
        (JOB, {"status": {"conditions": "Complete"}}, False),
        (REPLICA_SET, {"metadata": {"ownerReferences": [{}]}, "spec": {"replicas": 0}}, True),
        (REPLICA_SET, {"metadata": {"ownerReferences": [{}]}, "spec": {"replicas": 1}}, False),
        (REPLICA_SET, {"spec": {"replicas": 0}}, False),
    ],
)
def test_what_has_ended_runs_nothing(kind: WorkloadKind, obj: dict[str, Any], *, ended: bool) -> None:
    assert runs_nothing(obj, kind) is ended
