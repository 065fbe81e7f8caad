"""Exceptions: made, widened, hidden or prolonged by those who may not, and attacks by their text."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.policies.decisions import UnmatchedImages
from sealgate.policies.exceptions import MAX_IN_NAMESPACE
from sealgate_webhook.admission.policy_objects import PolicyObjectAdmission
from sealgate_webhook.admission.workloads import AdmissionRules
from sealgate_webhook.backends.cluster.exceptions import read_exception
from sealgate_webhook.exception_metrics import MAX_SERIES, OTHER, ExceptionMetrics
from tests.support.builders.objects import exception, policy
from tests.support.clocks import NOW
from tests.webhook.environment import open_environment
from tests.webhook.excepted import LONGEST, ExceptedPolicies, WallClock, stored
from tests.webhook.objects import encode, pod, review

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.verification.policy_sets import PolicySet
    from sealgate_webhook.reviews.request import AdmissionRequest
    from tests.webhook.environment import ReviewAnswer, WebhookEnvironment
    from tests.webhook.ways import Way

OTHER_DIGEST = "sha256:" + "0b" * 32
TENANT: dict[str, Any] = {"userInfo": {"username": "mallory"}}


@pytest.fixture(params=["flask", "front"])
def environment(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WebhookEnvironment]:
    way: Way = request.param
    with open_environment(tmp_path, way) as environment:
        environment.clock = WallClock()
        yield environment


@pytest.fixture
def clock(environment: WebhookEnvironment) -> WallClock:
    assert isinstance(environment.clock, WallClock)
    return environment.clock


def install(environment: WebhookEnvironment, *exceptions: dict[str, Any]) -> ExceptedPolicies:
    """Put exceptions in force beside the environment's policies, before the first request."""
    return ExceptedPolicies(environment, *map(stored, exceptions))


class NoPolicies:
    """The policies of a cluster that has none."""

    def current(self) -> PolicySet | None:
        return None

    def problem(self) -> str:
        return ""

    def authenticator(self, name: str) -> None:
        del name


class PoliciesOf(NoPolicies):
    """The policies of an environment, without an Authenticator of a cluster."""

    def __init__(self, source: ExceptedPolicies) -> None:
        self._source = source

    def current(self) -> PolicySet | None:
        return self._source.current()


class Objects:
    """The endpoints for exceptions, as the API server calls them: first the mutating one, then the validating one."""

    def __init__(self, environment: WebhookEnvironment, policies: NoPolicies | None = None) -> None:
        self.environment = environment
        #: What would become Events.
        self.changes: list[str] = []
        environment.admit_policy_object = PolicyObjectAdmission(
            policies or NoPolicies(), environment.clock, LONGEST, self._changed
        ).validate

    def apply(
        self, obj: dict[str, Any], old: dict[str, Any] | None = None, *, skip: bool = False, **members: Any
    ) -> Any:
        """Return the object as it would be stored, or the message of a denial.

        Args:
            obj: the object.
            old: as it is stored; None to create it.
            skip: whether the API server does not call the mutating webhook.
            members: further members of the request.
        """
        document = review(obj, "CREATE" if old is None else "UPDATE", namespace="", oldObject=old, **members)
        if not skip:
            response = self._post("/stamp-exceptions", document)
            document["request"]["object"] = patched(obj, response)
        response = self._post("/validate-policies", document)
        return document["request"]["object"] if response["allowed"] else response["status"]["message"]

    def _post(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        answer = self.environment.post(f"{path}?timeout=30s", encode(document)).get_json()
        response: dict[str, Any] = answer["response"]
        return response

    def _changed(self, _: AdmissionRequest, message: str) -> None:
        self.changes.append(message)


def patched(obj: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the patch of a response."""
    assert response["allowed"]
    spec = dict(obj["spec"])
    for operation in json.loads(base64.b64decode(response.get("patch", "") or "W10=")):
        assert operation["path"] == "/spec/requestedBy"
        if operation["op"] == "add":
            spec["requestedBy"] = operation["value"]
        else:
            del spec["requestedBy"]
    return {**obj, "spec": spec}


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    with open_environment(tmp_path) as environment:
        environment.clock = WallClock()
        yield Objects(environment)


# Those who may not make one ---------------------------------------------------------------------------------------


def test_attack_99_nothing_that_a_tenant_writes_into_a_pod_is_an_exception(environment: WebhookEnvironment) -> None:
    image = environment.push("team/bad", "v1")
    install(environment, exception("urgent", image.rpartition(":")[0], namespaces=["other"]))
    obj = pod(image)
    obj["metadata"] |= {
        "annotations": {"sealgate.dev/exception": "urgent"},
        "labels": {"sealgate.dev/exception": "urgent"},
        "namespace": "other",
    }
    obj["spec"]["exceptions"] = ["urgent"]
    assert not environment.validate(review(obj)).allowed


def test_attack_99_an_exception_that_no_webhook_has_seen_lifts_nothing(environment: WebhookEnvironment) -> None:
    image = environment.push("team/bad", "v1")
    policies = install(environment, exception(requested_by=None))
    assert not environment.validate(review(pod(image))).allowed
    assert "who made it" in policies.read[0].problem


# Wider than it says ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"images": [{"repository": "**"}]},
        {"images": [{"repository": "registry.example.org/shop/web"}, {"repository": "**"}]},
        {"namespaces": ["shop", "kube-public"]},
        {"expiresAt": "2026-11-22T12:00:01Z"},
        {"expiresAt": "2026-11-22T12:00:00-01:00"},
        {"reason": "another one"},
        {"ticket": "OPS-2"},
    ],
    ids=str,
)
@pytest.mark.parametrize("skip", [False, True])
def test_attack_100_an_exception_never_becomes_wider(objects: Objects, change: dict[str, Any], skip: bool) -> None:  # noqa: FBT001 - a case
    old = exception("urgent", "registry.example.org/shop/web", namespaces=["shop"])
    message = objects.apply({**old, "spec": {**old["spec"], **change}}, old, skip=skip)
    assert "make another exception" in message
    assert objects.changes == []


def test_attack_100_it_may_end_earlier(objects: Objects) -> None:
    old = exception("urgent", namespaces=["shop"])
    earlier = {**old, "spec": {**old["spec"], "expiresAt": "2026-11-21T12:00:00Z"}}
    assert objects.apply(earlier, old, userInfo={"username": "bob"}) == earlier
    assert objects.changes == ["bob changed it: it ends at 2026-11-21T12:00:00Z now"]


@pytest.mark.parametrize("end", ["2026-11-24T12:02:00Z", "2027-11-24T12:00:00Z", "9999-12-31T23:59:59Z"])
def test_attack_100_it_lasts_no_longer_than_the_installation_permits(objects: Objects, end: str) -> None:
    assert "more than 72 hours ahead" in objects.apply(exception(expires_at=end))
    assert "in the past" in objects.apply(exception(expires_at="2026-11-21T12:00:00Z"))


def test_attack_100_what_was_stored_unchecked_lasts_no_longer_either(
    environment: WebhookEnvironment, clock: WallClock
) -> None:
    image = environment.push("team/bad", "v1")
    install(environment, exception(expires_at="9999-12-31T23:59:59Z"))
    clock.advance(LONGEST.total_seconds() - 1)
    assert environment.validate(review(pod(image))).allowed
    clock.advance(1)
    assert not environment.validate(review(pod(image))).allowed


def test_attack_100_a_finalizer_does_not_keep_in_force_what_was_deleted(
    environment: WebhookEnvironment, clock: WallClock
) -> None:
    image = environment.push("team/bad", "v1")
    kept = stored(exception())
    kept["metadata"] |= {"finalizers": ["mallory.example.org/keep"]}
    first = read_exception(kept, None, LONGEST, clock)
    policies = install(environment, kept)
    assert environment.validate(review(pod(image))).allowed
    kept["metadata"] |= {"deletionTimestamp": "2026-11-21T12:00:01Z"}
    policies.put(kept)
    assert not environment.validate(review(pod(image))).allowed
    assert read_exception(kept, first, LONGEST, clock).compiled is None


@pytest.mark.parametrize("end", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_attack_100_an_end_beyond_the_calendar_is_refused(objects: Objects, clock: WallClock, end: str) -> None:
    assert "is not a time" in objects.apply(exception(expires_at=end), exception())
    assert "is not a time" in read_exception(stored(exception(expires_at=end)), None, LONGEST, clock).problem


# In another's name -------------------------------------------------------------------------------------------------


def test_attack_101_the_name_that_a_user_writes_is_replaced(objects: Objects) -> None:
    made = objects.apply(exception(requested_by="alice"), **TENANT)
    assert made["spec"]["requestedBy"] == "mallory"
    assert objects.changes[0].startswith("mallory made it until 2026-11-22T12:00:00Z: ** in default; reason: ")


def test_attack_101_the_name_is_put_back_on_every_update(objects: Objects) -> None:
    old = exception(requested_by="alice")
    for name in ("mallory", None):
        new = exception(requested_by=name, expires_at="2026-11-22T11:00:00Z")
        assert objects.apply(new, old, **TENANT)["spec"]["requestedBy"] == "alice"
        assert "mallory changed it" in objects.changes[-1]


def test_attack_101_a_name_is_not_taken_while_the_mutating_webhook_is_gone(objects: Objects) -> None:
    assert "is not you" in objects.apply(exception(requested_by="alice"), skip=True, **TENANT)
    assert "is not you" in objects.apply(exception(requested_by=None), skip=True, **TENANT)
    assert "is not you" in objects.apply(exception(requested_by=None), userInfo={"username": ""})
    old = exception(requested_by=None)
    new = exception(requested_by="alice", expires_at="2026-11-22T11:00:00Z")
    assert "requestedBy: cannot be changed" in objects.apply(new, old, skip=True, **TENANT)
    assert "requestedBy" not in objects.apply(new, old, **TENANT)["spec"]


# Hidden ------------------------------------------------------------------------------------------------------------


def test_attack_102_a_use_is_recorded_everywhere(environment: WebhookEnvironment) -> None:
    image = environment.push("team/bad", "v1")
    install(environment, exception("urgent", ticket="OPS-1"))
    answer = environment.validate(review(pod(image)))
    assert answer.allowed
    (annotation,) = answer.response["auditAnnotations"].values()
    assert annotation == f"admitted by exception urgent: NoSignature: {image}"
    assert answer.response["warnings"][0].startswith("sealgate: exception urgent: NoSignature: ")
    (line,) = (line for line in environment.lines("review") if "decision_id" in line)
    assert (line["exceptions"], line["images"][0]["exception"]) == (["urgent"], "urgent")
    assert line["policies"][0]["verdict"] == "deny"
    assert environment.metric("sealgate_exception_uses_total", exception="urgent", namespace="default") == 1
    assert environment.metric("sealgate_image_verdicts_total", verdict="warn", reason="NoSignature") == 1
    (decision,) = environment.decisions
    assert decision.exceptions == ("urgent",)
    assert "admitted by exception urgent of alice" in decision.lasting


def test_attack_102_a_use_for_an_image_that_no_policy_covers_is_recorded_too(environment: WebhookEnvironment) -> None:
    environment.unmatched = UnmatchedImages.DENY
    install(environment, exception())
    answer = environment.validate(review(pod("docker.io/library/nginx:1")))
    assert answer.allowed
    assert answer.decision_id
    assert environment.decisions[0].exceptions == ("urgent",)
    assert "admitted by exception urgent" in str(answer.response["auditAnnotations"])


def test_attack_102_other_images_do_not_push_a_use_out_of_bounded_records(environment: WebhookEnvironment) -> None:
    name = environment.registry.host
    environment.write(policy("audit", f"{name}/audit/**", action="Audit"), policy("all", f"{name}/team/**"))
    images = [environment.push(f"audit/{'x' * 100}/{number}", "v1") for number in range(25)]
    image = environment.push("team/bad", "v1")
    install(environment, exception("urgent", image.rpartition(":")[0]))
    answer = environment.validate(review(pod(*images, *[images[0]] * 40, image)))
    assert answer.allowed
    assert f"admitted by exception urgent: NoSignature: {image}" in answer.response["auditAnnotations"].values()
    (line,) = (line for line in environment.lines("review") if "decision_id" in line)
    assert "urgent" in [found.get("exception") for found in line["images"]]
    assert "exception urgent" in line["message"]
    # What an Event has room for.
    assert "exception urgent" in environment.decisions[0].lasting[:1024]


def test_attack_102_what_is_denied_all_the_same_or_tried_is_no_use(environment: WebhookEnvironment) -> None:
    image, other = environment.push("team/bad", "v1"), environment.push("team/worse", "v1")
    install(environment, exception("urgent", image.rpartition(":")[0]))
    answer = environment.validate(review(pod(image, other)))
    assert not answer.allowed
    assert f"covered by exception urgent: NoSignature: {image}" in answer.response["auditAnnotations"].values()
    assert "admitted by" not in str(answer.response)
    assert environment.validate(review(pod(image), dryRun=True)).allowed
    assert environment.metric("sealgate_exception_uses_total", exception="urgent", namespace="default") == 0


def test_attack_102_a_status_decides_nothing(environment: WebhookEnvironment) -> None:
    image = environment.push("team/bad", "v1")
    ended = exception(expires_at="2026-11-21T11:00:00Z")
    ended["status"] = {"conditions": [{"type": "Ready", "status": "True", "reason": "InForce"}]}
    install(environment, ended)
    assert not environment.validate(review(pod(image))).allowed


# Past its end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [NOW, NOW - timedelta(hours=12), NOW - timedelta(days=400)], ids=str)
def test_attack_103_an_exception_ends_on_a_clock_that_stops_or_goes_back(
    environment: WebhookEnvironment, clock: WallClock, shown: Any
) -> None:
    image = environment.push("team/bad", "v1")
    install(environment, exception(expires_at="2026-11-21T13:00:00Z"))
    assert environment.validate(review(pod(image))).allowed
    clock.shown = shown
    clock.advance(3601)
    assert not environment.validate(review(pod(image))).allowed


def test_attack_103_an_exception_ends_by_the_wall_clock_where_the_other_stood_still(
    environment: WebhookEnvironment, clock: WallClock
) -> None:
    image = environment.push("team/bad", "v1")
    install(environment, exception(expires_at="2026-11-21T13:00:00Z"))
    clock.shown = NOW + timedelta(hours=1)
    assert not environment.validate(review(pod(image))).allowed


def test_attack_103_reading_it_again_on_a_clock_that_was_put_back_prolongs_nothing(clock: WallClock) -> None:
    obj = stored(exception(expires_at="2026-11-21T13:00:00Z"))
    first = read_exception(obj, None, LONGEST, clock)
    clock.shown = NOW - timedelta(minutes=4)
    clock.advance(1800)
    later = stored(exception(expires_at="2026-11-21T12:59:59Z"))
    for again in (read_exception(obj, first, LONGEST, clock), read_exception(later, first, LONGEST, clock)):
        assert again.compiled is not None
        assert again.compiled.in_force(clock)
    clock.advance(1800)
    assert not any(
        read.compiled is None or read.compiled.in_force(clock)
        for read in (read_exception(obj, first, LONGEST, clock), read_exception(later, first, LONGEST, clock))
    )


def test_attack_103_after_a_start_with_a_clock_before_its_creation_it_is_not_in_force(clock: WallClock) -> None:
    clock.shown = NOW - timedelta(days=1)
    read = read_exception(stored(exception()), None, LONGEST, clock)
    assert read.compiled is not None
    assert not read.compiled.in_force(clock)


# Other images ------------------------------------------------------------------------------------------------------


def test_attack_104_a_made_up_tag_beside_a_digest_is_not_covered(environment: WebhookEnvironment) -> None:
    environment.push("team/app", "1.0")
    other = environment.push("team/app", "2.0")
    name, _, _ = other.rpartition(":")
    install(environment, exception("urgent", {"repository": name, "tags": ["1.*"]}))
    right, wrong = environment.digest("team/app", "1.0"), environment.digest("team/app", "2.0")
    assert right != wrong
    assert environment.validate(review(pod(f"{name}:1.0@{right}"))).allowed
    assert not environment.validate(review(pod(f"{name}:1.0@{wrong}"))).allowed
    assert not environment.validate(review(pod(f"{name}@{right}"))).allowed
    assert not environment.validate(review(pod(f"{name}:2.0"))).allowed


def test_attack_104_in_an_outage_a_tag_beside_a_digest_is_not_covered(environment: WebhookEnvironment) -> None:
    name = environment.push("team/app", "1.0").rpartition(":")[0]
    digest = environment.digest("team/app", "1.0")
    tagged, by_digest = {"repository": name, "tags": ["*"]}, {"digest": digest}
    policies = install(environment, exception("urgent", tagged))
    environment.registry.close()

    def admits(image: str) -> bool:
        return environment.validate(review(pod(image))).allowed

    # A tag alone counts as written, which the answer says.
    answer = environment.validate(review(pod(f"{name}:1.0")))
    assert answer.allowed
    assert "counts as written" in environment.decisions[-1].lasting
    assert not admits(f"{name}:1.0@{digest}")
    policies.put(stored(exception("urgent", by_digest)))
    assert admits(f"{name}:1.0@{digest}")
    assert not admits(f"{name}:1.0@{OTHER_DIGEST}")
    assert not admits(f"{name}:1.0")
    policies.put(stored(exception("urgent", name)))
    assert admits(f"{name}:1.0@{OTHER_DIGEST}")


def test_attack_104_a_digest_covers_no_tag_that_names_it_now(environment: WebhookEnvironment) -> None:
    environment.rules = AdmissionRules(require_digests=True)
    image = environment.push("team/app", "1.0")
    install(environment, exception("urgent", {"digest": environment.digest("team/app", "1.0")}))
    assert not environment.validate(review(pod(image))).allowed


def test_attack_104_a_verdict_of_before_the_exception_does_not_hide_that_its_tag_was_not_confirmed(
    environment: WebhookEnvironment,
) -> None:
    name = environment.push("team/app", "1.0").rpartition(":")[0]
    image = f"{name}:1.0@{environment.digest('team/app', '1.0')}"
    policies = install(environment)
    for _ in range(2):
        assert not environment.validate(review(pod(image))).allowed
    policies.put(stored(exception("urgent", {"repository": name, "tags": ["1.0"]})))
    assert environment.validate(review(pod(image))).allowed
    policies.put()
    assert not environment.validate(review(pod(image))).allowed


def test_attack_104_an_exception_by_tag_makes_no_image_that_is_admitted_wait_for_its_registry(
    environment: WebhookEnvironment,
) -> None:
    image = environment.sign("team/app", "1.0")
    name, digest = image.rpartition(":")[0], environment.digest("team/app", "1.0")
    policies = install(environment)
    assert environment.validate(review(pod(f"{name}@{digest}"))).allowed
    policies.put(stored(exception("urgent", {"repository": name, "tags": ["*"]})))
    asked = len(environment.registry.requests)
    # Verified before, with a tag that is not in the cache.
    assert environment.validate(review(pod(f"{image}@{digest}"))).allowed
    assert len(environment.registry.requests) == asked


@pytest.mark.parametrize("image", ["sealgate.invalid/canary:1", "UPPER/case", "a b", ""])
def test_attack_104_what_is_refused_before_policies_is_refused(environment: WebhookEnvironment, image: str) -> None:
    install(environment, exception("urgent", "**", "sealgate.invalid/canary"))
    assert not environment.validate(review(pod(image))).allowed


def test_attack_104_an_exception_lifts_nothing_of_other_images_and_namespaces(environment: WebhookEnvironment) -> None:
    one, other = environment.push("team/one", "v1"), environment.push("team/other", "v1")
    install(environment, exception("urgent", one.rpartition(":")[0], namespaces=["shop"]))

    def answer(*images: str, namespace: str) -> ReviewAnswer:
        return environment.validate(review(pod(*images), namespace=namespace))

    assert answer(one, namespace="shop").allowed
    assert not answer(other, namespace="shop").allowed
    assert not answer(one, other, namespace="shop").allowed
    assert not answer(one, namespace="shop-2").allowed
    assert not answer(one, namespace="default").allowed


def test_attack_104_every_denial_of_its_images_is_lifted(environment: WebhookEnvironment) -> None:
    environment.rules = AdmissionRules(require_digests=True)
    environment.unmatched = UnmatchedImages.DENY
    host = environment.registry.host
    damaged = policy("damaged", f"{host}/damaged/**", action="Enforce")
    policies = install(environment)
    unsigned, signed = environment.push("team/bad", "v1"), environment.sign("team/good", "v1")
    # Denied, without a digest, by a policy that cannot be read, unavailable, unmatched.
    damaged_one = environment.sign("damaged/app", "v1")
    images = [unsigned, signed, damaged_one, f"{host}/team/absent:1", "docker.io/library/nginx"]
    policies.put(unreadable=damaged)
    for image in images:
        assert not environment.validate(review(pod(image))).allowed
    policies.put(stored(exception("urgent")), unreadable=damaged)
    for image in images:
        assert environment.validate(review(pod(image))).allowed, image


# Text and numbers --------------------------------------------------------------------------------------------------

HOSTILE = "x\r\nlevel=info msg=forged \x1b[31m\u202e" + "y" * 500


def test_attack_105_hostile_text_of_an_exception_stays_one_bounded_line(
    objects: Objects, environment: WebhookEnvironment
) -> None:
    fields: dict[str, Any] = {"reason": HOSTILE, "ticket": HOSTILE[:200]}
    objects.apply(exception("urgent", requested_by=HOSTILE, **fields), userInfo={"username": HOSTILE})
    image = environment.push("team/bad", "v1")
    install(environment, exception("urgent", requested_by=HOSTILE, **fields))
    answer = environment.validate(review(pod(image)))
    assert answer.allowed
    texts = [objects.changes[0], *answer.response["warnings"], environment.decisions[0].lasting]
    for text in texts:
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 1024


def test_attack_120_a_namespace_has_a_bounded_number_of_exceptions(environment: WebhookEnvironment) -> None:
    """Each costs every image of the namespace, so that hundreds would make reviews there miss their deadline."""
    image = environment.push("team/bad", "v1")
    later = NOW + timedelta(seconds=1)
    others = [stored(exception(f"other-{number}", "elsewhere.example.org/**")) for number in range(MAX_IN_NAMESPACE)]
    late = stored(exception("a-late-one", image.rpartition(":")[0]), later)
    policies = ExceptedPolicies(environment, *others, late)
    objects = Objects(environment, PoliciesOf(policies))
    assert not environment.validate(review(pod(image))).allowed
    denied = objects.apply(exception("another"))
    assert "spec.namespaces: default has 50 exceptions" in denied
    assert "delete those that are not needed any more" in denied
    assert isinstance(objects.apply(exception("elsewhere", namespaces=["shop"])), dict)
    policies.put(*others[1:], late)
    assert environment.validate(review(pod(image))).allowed


def test_attack_105_exceptions_that_come_and_go_take_bounded_memory() -> None:
    metrics = ExceptionMetrics()
    for number in range(3 * MAX_SERIES):
        metrics.used([f"exception-{number}"], "shop")
    uses, _ = metrics.collect()
    assert len(uses.samples) == MAX_SERIES + 1
    assert {sample.value for sample in uses.samples if sample.labels["exception"] == OTHER} == {2 * MAX_SERIES}
