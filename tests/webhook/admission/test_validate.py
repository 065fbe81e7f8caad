"""`POST /validate`: admitted and denied reviews, and their messages."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.policies.decisions import UnmatchedImages
from sealgate.verification.settings import VerifierSettings
from sealgate.workloads.kinds import BUILT_IN, WorkloadKind
from tests.support.builders.objects import authenticator, policy
from tests.support.clocks import FakeClock
from tests.support.signers.private_keys import new_key
from tests.webhook.environment import UNKNOWN_NAMESPACES, namespace
from tests.webhook.objects import GROUPS, pod, review, workload

if TYPE_CHECKING:
    from sealgate.verification.policy_sets import PolicySet
    from tests.webhook.environment import WebhookEnvironment

KINDS = sorted(GROUPS)


def test_signed_image_is_admitted_and_its_digest_audited(
    environment: WebhookEnvironment,
) -> None:
    answer = environment.validate(review(pod(environment.sign("team/app", "v1"))))
    digest = environment.digest("team/app", "v1")
    assert answer.response == {
        "uid": answer.response["uid"],
        "allowed": True,
        "auditAnnotations": {"container.main-0": f"{environment.registry.host}/team/app@{digest}"},
    }


def test_unsigned_image_is_denied_with_policy_and_reason(
    environment: WebhookEnvironment,
) -> None:
    image = environment.push("team/app", "v1")
    answer = environment.validate(review(pod(image)))
    assert not answer.allowed
    status = answer.response["status"]
    assert (status["status"], status["code"], status["reason"]) == ("Failure", 403, "Forbidden")
    for part in ("spec.containers[0]", image, "policy all", "release", "no cosign signature"):
        assert part in answer.message
    assert "\n" not in answer.message


def test_every_refused_image_has_its_own_line_with_its_fields(environment: WebhookEnvironment) -> None:
    good, bad, worse = (
        environment.sign("team/good", "v1"),
        environment.push("team/bad", "v1"),
        environment.push("team/worse", "v1"),
    )
    answer = environment.validate(review(pod(good, bad, init=(worse, bad))))
    lines = answer.message.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"spec.initContainers[0]: {worse}: ")
    assert lines[1].startswith(f"spec.initContainers[1], spec.containers[1]: {bad}: ")


def test_list_of_fields_of_an_image_is_bounded(environment: WebhookEnvironment) -> None:
    answer = environment.validate(review(pod(*[environment.push("team/bad", "v1")] * 5)))
    assert answer.message.startswith("spec.containers[0], spec.containers[1], spec.containers[2] and 2 more: ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", ["containers", "init", "volumes"])
def test_unsigned_image_is_found_in_every_kind_and_field(
    environment: WebhookEnvironment, kind: str, field: str
) -> None:
    good, bad = environment.sign("team/good", "v1"), environment.push("team/bad", "v1")
    lists = {} if field == "containers" else {field: (bad,)}
    images = (good, bad) if field == "containers" else (good,)
    assert not environment.validate(review(workload(kind, *images, **lists))).allowed
    assert environment.validate(review(workload(kind, good, init=(good,), volumes=(good,)))).allowed


def test_unmatched_image_is_answered_as_configured(environment: WebhookEnvironment) -> None:
    environment.write(policy("elsewhere", "registry.example.com/**"))
    answer = environment.validate(review(pod("docker.io/library/nginx:1")))
    assert answer.allowed
    assert "auditAnnotations" not in answer.response
    assert "warnings" not in answer.response


def test_unmatched_images_may_be_denied(environment: WebhookEnvironment) -> None:
    environment.unmatched = UnmatchedImages.DENY
    answer = environment.validate(review(pod("docker.io/library/nginx:1")))
    assert not answer.allowed
    assert "no verification policy covers it" in answer.message


def test_a_reference_that_does_not_parse_is_denied(environment: WebhookEnvironment) -> None:
    answer = environment.validate(review(pod("UPPER/case image\n")))
    assert not answer.allowed
    assert "is not an image reference" in answer.message
    assert answer.message.isprintable()


def test_warn_policy_admits_with_a_kubectl_warning(environment: WebhookEnvironment) -> None:
    environment.write(policy("soft", f"{environment.registry.host}/**", action="Warn"))
    image = environment.push("team/app", "v1")
    answer = environment.validate(review(pod(image)))
    assert answer.allowed
    (warning,) = answer.response["warnings"]
    assert warning.startswith(f"sealgate: soft: NoSignature: spec.containers[0]: {image}: admitted with a warning")
    assert answer.response["auditAnnotations"]["container.main-0"] == f"not verified: NoSignature: {image}"


def test_warnings_stay_within_the_limits_of_kubernetes(environment: WebhookEnvironment) -> None:
    environment.write(policy("soft", f"{environment.registry.host}/**", action="Warn"))
    answer = environment.validate(review(pod(*(environment.push(f"team/app-{n}", "v1") for n in range(40)))))
    warnings = answer.response["warnings"]
    assert all(len(warning) <= 256 for warning in warnings)
    assert sum(map(len, warnings)) <= 4096
    assert warnings[-1] == f"sealgate: {40 - len(warnings) + 1} more images did not meet a policy that only warns"


def test_a_policy_that_only_audits_admits_and_records(environment: WebhookEnvironment) -> None:
    environment.write(policy("quiet", f"{environment.registry.host}/**", action="Audit"))
    image = environment.push("team/app", "v1")
    answer = environment.validate(review(pod(image)))
    assert answer.allowed
    assert "warnings" not in answer.response
    assert answer.response["auditAnnotations"]["container.main-0"] == f"not verified: NoSignature: {image}"


def test_a_policy_only_for_other_namespaces_does_not_count(environment: WebhookEnvironment) -> None:
    selector = {"matchLabels": {"env": "production"}}
    environment.write(
        policy("production", f"{environment.registry.host}/**", namespaceSelector=selector),
        namespace("shop", env="production"),
        namespace("test", env="test"),
    )
    image = environment.push("team/app", "v1")
    assert not environment.validate(review(pod(image), namespace="shop")).allowed
    assert environment.validate(review(pod(image), namespace="test")).allowed
    # No file has its labels.
    assert not environment.validate(review(pod(image), namespace="unheard-of")).allowed


def test_namespace_is_selected_by_its_name_label(environment: WebhookEnvironment) -> None:
    selector = {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
    environment.write(policy("shop", f"{environment.registry.host}/**", namespaceSelector=selector))
    image = environment.push("team/app", "v1")
    assert not environment.validate(review(pod(image), namespace="shop")).allowed
    assert environment.validate(review(pod(image), namespace="test")).allowed


def test_an_authenticator_that_does_not_exist_denies(environment: WebhookEnvironment) -> None:
    stranger = new_key("ECDSA P-256", "stranger")
    environment.write(
        authenticator("stranger", stranger),
        policy("both", f"{environment.registry.host}/**", authenticators=("release", "stranger")),
    )
    assert not environment.validate(review(pod(environment.sign("team/app", "v1")))).allowed


# Operations and kinds that are not verified -------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
def test_delete_and_connect_are_not_verified(environment: WebhookEnvironment, operation: str) -> None:
    image = environment.push("team/app", "v1")
    for obj, old in ((None, pod(image)), (pod(image), None), ({"nonsense": 1}, None)):
        assert environment.validate(review(obj, operation, oldObject=old)).allowed
    assert not environment.registry.requests


@pytest.mark.parametrize(
    ("version", "kind", "subresource"),
    [
        ("autoscaling/v1", "Scale", "scale"),
        ("v1", "Binding", "binding"),
        ("policy/v1", "Eviction", "eviction"),
        ("v1", "ConfigMap", ""),
        ("example.com/v1", "Deployment", ""),
        ("batch.volcano.sh/v1alpha1", "Job", ""),
    ],
)
def test_kinds_that_hold_no_pods_are_admitted_without_work(
    environment: WebhookEnvironment, version: str, kind: str, subresource: str
) -> None:
    obj = {**workload("Deployment", environment.push("team/app", "v1")), "apiVersion": version, "kind": kind}
    assert environment.validate(review(obj, "UPDATE", subResource=subresource)).allowed
    assert not environment.registry.requests


def test_configured_custom_kinds_are_verified(environment: WebhookEnvironment) -> None:
    environment.kinds = BUILT_IN.with_custom([WorkloadKind.custom("argoproj.io", "Rollout", ["spec.template.spec"])])
    rollout = {
        **workload("Deployment", environment.push("team/app", "v1")),
        "apiVersion": "argoproj.io/v1",
        "kind": "Rollout",
    }
    answer = environment.validate(review(rollout))
    assert not answer.allowed
    assert answer.message.startswith("spec.template.spec.containers[0]: ")


# Updates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_that_changes_no_image_is_admitted_without_work(environment: WebhookEnvironment, kind: str) -> None:
    image = environment.push("team/app", "v1")
    old = workload(kind, image, init=(image,), volumes=(image,))
    new = {**old, "metadata": {"name": "web", "labels": {"changed": "yes"}}}
    assert environment.validate(review(new, "UPDATE", oldObject=old)).allowed
    assert not environment.registry.requests


@pytest.mark.parametrize("kind", KINDS)
def test_an_update_brings_only_its_changed_images(environment: WebhookEnvironment, kind: str) -> None:
    unsigned, signed = environment.push("team/old", "v1"), environment.sign("team/app", "v2")
    old = workload(kind, unsigned, environment.push("team/app", "v1"))
    assert environment.validate(review(workload(kind, unsigned, signed), "UPDATE", oldObject=old)).allowed
    refused = environment.validate(review(workload(kind, signed, unsigned), "UPDATE", oldObject=old))
    assert not refused.allowed
    assert unsigned in refused.message


def test_update_without_an_old_object_verifies_all_images(environment: WebhookEnvironment) -> None:
    assert not environment.validate(review(pod(environment.push("team/app", "v1")), "UPDATE", oldObject=None)).allowed


def test_update_with_an_invalid_old_object_verifies_all_images(environment: WebhookEnvironment) -> None:
    old = {"kind": "Pod", "spec": {"containers": "all of them"}}
    assert not environment.validate(review(pod(environment.push("team/app", "v1")), "UPDATE", oldObject=old)).allowed


@pytest.mark.parametrize("subresource", ["resize", "status"])
def test_subresources_of_pods_that_change_no_image_are_admitted(
    environment: WebhookEnvironment, subresource: str
) -> None:
    old = pod(environment.push("team/app", "v1"))
    new = {**old, "status": {"phase": "Running"}}
    assert environment.validate(review(new, "UPDATE", oldObject=old, subResource=subresource)).allowed


# What cannot be judged ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (None, "has no object"),
        ({"apiVersion": "v1", "kind": "Pod"}, "spec is missing"),
        ({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": "nginx"}}, "must be a list"),
        ({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "image": 1}]}}, "must be text"),
        ({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a"}]}}, "is empty"),
        ({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": 5, "image": "a"}]}}, "name must be text"),
    ],
)
def test_object_with_undeterminable_images_is_denied(
    environment: WebhookEnvironment, obj: dict[str, Any] | None, said: str
) -> None:
    answer = environment.validate(review(obj))
    assert answer.code == 403
    assert said in answer.message


def test_a_request_that_names_no_namespace_is_denied(environment: WebhookEnvironment) -> None:
    answer = environment.validate(review(pod(environment.sign("team/app", "v1")), namespace=""))
    assert answer.code == 403
    assert "names no namespace" in answer.message


def test_unknown_operation_is_denied(environment: WebhookEnvironment) -> None:
    answer = environment.validate(review(pod(environment.sign("team/app", "v1")), "REPLACE"))
    assert answer.code == 403
    assert "REPLACE is no operation" in answer.message


def test_ephemeral_containers_in_a_kind_of_their_own_are_denied(environment: WebhookEnvironment) -> None:
    old_way = {"apiVersion": "v1", "kind": "EphemeralContainers", "ephemeralContainers": []}
    answer = environment.validate(review(old_way, "UPDATE", subResource="ephemeralcontainers"))
    assert answer.code == 403
    assert "EphemeralContainers" in answer.message


def test_without_policies_every_review_is_denied_with_a_reason(environment: WebhookEnvironment) -> None:
    class NotYet:
        def current(self) -> PolicySet | None:
            return None

        def problem(self) -> str:
            return "the policy files have not been read yet"

    environment.policies = NotYet()
    answer = environment.validate(review(pod("nginx")))
    assert answer.code == 503
    assert "no policies are loaded yet: the policy files have not been read yet" in answer.message


def test_namespace_with_unknown_labels_is_denied(environment: WebhookEnvironment) -> None:
    environment.namespaces = UNKNOWN_NAMESPACES
    answer = environment.validate(review(pod(environment.sign("team/app", "v1"))))
    assert answer.code == 503
    assert answer.message == "the labels of namespace default are not known yet; try again"


def test_unreachable_registry_denies_as_unavailable(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    environment.registry.faults.status("/manifests/", 503)
    answer = environment.validate(review(pod(image)))
    assert answer.code == 503
    assert answer.response["status"]["reason"] == "ServiceUnavailable"
    assert "could not be verified" in answer.message


def test_one_refused_image_among_unavailable_ones_is_forbidden(environment: WebhookEnvironment) -> None:
    missing, unsigned = environment.sign("team/gone", "v1"), environment.push("team/app", "v1")
    environment.registry.faults.status("/gone/", 503)
    assert environment.validate(review(pod(missing, unsigned))).code == 403


def test_unavailable_image_is_retried_immediately(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    environment.registry.faults.status("/manifests/", 503)
    assert not environment.validate(review(pod(image))).allowed
    environment.registry.faults.clear()
    assert environment.validate(review(pod(image))).allowed


def test_second_review_of_an_image_needs_no_request(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    assert environment.validate(review(pod(image))).allowed
    environment.registry.requests.clear()
    assert environment.validate(review(pod(image))).allowed
    assert not environment.registry.requests


def test_image_of_many_containers_is_verified_once(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    assert environment.validate(review(pod(*[image] * 20, init=(image,)))).allowed
    assert (
        environment.metric("sealgate_verifications_total", format="cosign", outcome="verified", reason="Verified") == 1
    )


def test_at_most_256_different_images_are_verified_at_once(environment: WebhookEnvironment) -> None:
    answer = environment.validate(review(pod(*(f"{environment.registry.host}/team/app:{n}" for n in range(257)))))
    assert answer.code == 403
    assert answer.message == "the object has 257 different images, and at most 256 are verified at once"
    assert not environment.registry.requests


def test_exhausted_budget_is_reported_with_a_retry_time(environment: WebhookEnvironment) -> None:
    environment.clock = FakeClock()
    environment.verifier_settings = VerifierSettings(verifications_per_minute=1, burst=1)
    assert environment.validate(review(pod(environment.sign("team/app", "v1")))).allowed
    answer = environment.validate(review(pod(environment.sign("team/app", "v2"))))
    assert answer.code == 503
    assert "retry in 60 s" in answer.message


def test_review_is_answered_before_the_api_server_times_out(environment: WebhookEnvironment) -> None:
    """The registry accepts connections and never responds; the deadline of the URL decides."""
    environment.clock = clock = FakeClock()
    image = environment.sign("team/app", "v1")
    hanging = environment.registry.faults.hang("/v2/")
    with ThreadPoolExecutor(1) as pool:
        review_under_way = pool.submit(environment.validate, review(pod(image)), "timeout=1s")
        asked = hanging.hit.wait(150)
        clock.advance(0.8)
        answer = review_under_way.result(150)
    assert asked
    assert answer.code == 503
    assert "ran out of time" in answer.message


def test_a_review_that_gave_up_leaves_its_work_to_the_next(environment: WebhookEnvironment) -> None:
    image = environment.sign("team/app", "v1")
    go = threading.Event()
    environment.registry.faults.wait_for("/manifests/", go)
    assert environment.validate(review(pod(image)), "timeout=300ms").code == 503
    go.set()
    assert environment.validate(review(pod(image))).allowed


# Log and metrics ----------------------------------------------------------------------------------------------------


def test_a_review_is_one_line_in_the_log(environment: WebhookEnvironment) -> None:
    signed, unsigned = environment.sign("team/app", "v1"), environment.push("team/bad", "v1")
    answer = environment.validate(review(pod(signed, unsigned)))
    (line,) = environment.lines("review")
    seconds = line.pop("duration_seconds")
    assert seconds > 0
    assert line.pop("time").endswith("Z")
    assert line == {
        "msg": "review",
        "level": "info",
        "endpoint": "validate",
        "uid": answer.response["uid"],
        "operation": "CREATE",
        "kind": "Pod",
        "namespace": "default",
        "name": "web",
        "result": "denied",
        "reason": "deny",
        "decision_id": answer.decision_id,
        "decision_version": 1,
        "action": "Enforce",
        "user": "alice",
        "dry_run": False,
        "policies": [{"policy": "all", "action": "Enforce", "verdict": "deny", "reason": "NoSignature"}],
        "policy_count": 1,
        "message": answer.message,
        "image_count": 2,
        "images": [
            {
                "image": signed,
                "verdict": "admit",
                "reason": "Verified",
                "digest": environment.digest("team/app", "v1"),
            },
            {
                "image": unsigned,
                "verdict": "deny",
                "reason": "NoSignature",
                "digest": environment.digest("team/bad", "v1"),
            },
        ],
    }


@pytest.mark.parametrize("action", ["Enforce", "Warn", "Audit"])
def test_unmet_policy_of_any_action_makes_a_decision_with_one_id(environment: WebhookEnvironment, action: str) -> None:
    environment.write(policy("p", f"{environment.registry.host}/**", action=action))
    signed, unsigned = environment.sign("team/app", "v1"), environment.push("team/bad", "v1")
    answers = [environment.validate(review(pod(signed, unsigned))) for _ in range(2)]
    assert answers[0].decision_id
    assert [line["decision_id"] for line in environment.lines("review")] == [answer.decision_id for answer in answers]
    assert len({answer.decision_id for answer in answers}) == 2
    assert [decision.decision_id for decision in environment.decisions] == [answer.decision_id for answer in answers]
    texts = environment.denials if action == "Enforce" else environment.would_be_denials
    assert len(texts) == 2
    assert len(set(texts)) == 1


def test_review_without_objection_has_no_decision_id(environment: WebhookEnvironment) -> None:
    assert not environment.validate(review(pod(environment.sign("team/app", "v1")))).decision_id
    assert not environment.mutate(review(pod(environment.push("team/bad", "v1")))).decision_id
    assert not any("decision_id" in line for line in environment.lines("review"))


def test_log_line_names_the_subresource(environment: WebhookEnvironment) -> None:
    environment.validate(review(pod(environment.sign("team/app", "v1")), "UPDATE", subResource="ephemeralcontainers"))
    (line,) = environment.lines("review")
    assert line["subresource"] == "ephemeralcontainers"


def test_the_log_line_of_a_review_with_many_images_is_bounded(environment: WebhookEnvironment) -> None:
    environment.validate(review(pod(*(f"docker.io/library/nginx:{n}" for n in range(100)))))
    (line,) = environment.lines("review")
    assert len(line["images"]) == 20
    assert line["image_count"] == 100


def test_reviews_and_images_are_counted_by_outcome(environment: WebhookEnvironment) -> None:
    signed, unsigned = environment.sign("team/app", "v1"), environment.push("team/bad", "v1")
    environment.validate(review(pod(signed, unsigned)))
    environment.validate(review(pod(signed)))
    assert environment.metric("sealgate_admission_reviews_total", endpoint="validate", result="denied") == 1
    assert environment.metric("sealgate_admission_reviews_total", endpoint="validate", result="allowed") == 1
    assert environment.metric("sealgate_image_verdicts_total", verdict="admit", reason="Verified") == 2
    assert environment.metric("sealgate_image_verdicts_total", verdict="deny", reason="NoSignature") == 1
    assert environment.metric("sealgate_admission_review_duration_seconds_count", endpoint="validate") == 2
    assert environment.metric("sealgate_cache_hits_total", cache="finding") == 1
    assert environment.metric("sealgate_cache_misses_total", cache="tag") == 2
    assert environment.metric("sealgate_admission_reviews_in_flight") == 0
    assert environment.metric("sealgate_registry_requests_total", host=environment.registry.host, code="200") > 0
    assert environment.metric("sealgate_verification_policies") == 1
    assert environment.metric("sealgate_authenticators", state="ready") == 1
