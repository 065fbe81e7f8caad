"""A policy or an authenticator that cannot be read must not count as one that is not there."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.client.configuration import Configuration

from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.clocks import SystemClock
from sealgate.kubernetes.client import KubernetesAPI
from sealgate.policies.decisions import Coverage, UnmatchedImages, Verdict, decide
from sealgate.policies.matching import Match, Namespace, PolicyIndex, compile_policy
from sealgate.policies.unreadable import compile_unreadable
from sealgate.process.logs import configure_logs
from sealgate.references import parse_reference
from sealgate.service_secrets import NoServiceSecrets
from sealgate_webhook.backends.cluster.policies import AUTHENTICATORS, POLICIES, ClusterPolicies
from sealgate_webhook.metrics import Metrics
from tests.kubernetes.conftest import running
from tests.support.builders.objects import authenticator, policy
from tests.support.examples import examples
from tests.support.simulators.kubernetes import KubernetesSimulator
from tests.webhook.environment import open_environment
from tests.webhook.objects import pod, review

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.findings import Finding
    from tests.webhook.environment import ReviewAnswer, WebhookEnvironment
    from tests.webhook.ways import Way

HERE = Namespace("team", {"env": "prod"})
TAGGED = "registry.example.org/shop/app:v1"
FUTURE = {"from": "a later release"}


class Cluster:
    """A webhook that follows the policies of a simulated API server."""

    def __init__(self, environment: WebhookEnvironment, api_server: KubernetesSimulator) -> None:
        self.environment = environment
        self.images = f"{environment.registry.host}/team/**"
        self._api_server = api_server

    def judge(self, image: str, *objects: dict[str, Any]) -> ReviewAnswer:
        """Return the answer about an image under these policies and the authenticator `release`."""
        log = configure_logs("json")
        api = KubernetesAPI(Configuration(host=self._api_server.url))
        self._api_server.put(AUTHENTICATORS, authenticator("release", self.environment.key))
        for found in objects:
            self._api_server.put(AUTHENTICATORS if found["kind"] == "Authenticator" else POLICIES, found)
        policies = ClusterPolicies(
            api, self.environment.unmatched, timedelta(hours=72), NoServiceSecrets(), SystemClock(), Metrics(log), log
        )
        self.environment.policies = policies
        with running(policies.tasks(), self._api_server):
            waiting = threading.Event()
            while policies.current() is None:
                waiting.wait(0.02)
            return self.environment.validate(review(pod(image)))


@pytest.fixture
def cluster(tmp_path: Path, way: Way) -> Iterator[Cluster]:
    with open_environment(tmp_path, way) as environment, KubernetesSimulator() as api_server:
        yield Cluster(environment, api_server)


BROKEN: dict[str, Any] = {
    "a field of a later release": lambda images: policy("broken", images, future=FUTURE),
    "a pattern that does not compile": lambda images: policy("broken", f"{images}{{"),
    "a pattern that can never match": lambda _: policy("broken", "https://registry.example.org/**"),
    "tags that are not text": lambda images: (
        policy("broken") | {"spec": _spec(images=[{"repository": images, "tags": [1]}])}
    ),
    "no images": lambda _: policy("broken", images=[]),
    "an action of a later release": lambda images: policy("broken", images, action="Quarantine"),
    "no requirement": lambda images: policy("broken", images) | {"spec": {"images": [{"repository": images}]}},
    "a selector of a later release": lambda images: policy("broken", images, namespaceSelector=FUTURE),
    "exclusions of a later release": lambda images: policy(
        "broken", images, excludeImages=[{"repository": images, "when": "always"}]
    ),
    "a list for a spec": lambda _: policy("broken") | {"spec": []},
}


def _spec(**spec: Any) -> dict[str, Any]:
    return {"require": {"authenticators": ["release"]}, **spec}


@pytest.mark.parametrize("defect", BROKEN)
def test_attack_45_unreadable_policy_admits_no_image(cluster: Cluster, defect: str) -> None:
    answer = cluster.judge(cluster.environment.sign("team/app", "v1"), BROKEN[defect](cluster.images))

    assert (answer.allowed, answer.code) == (False, 403)
    assert "policy broken cannot be read" in answer.message
    assert "kubectl delete vpol broken" in answer.message


@pytest.mark.parametrize("action", ["Warn", "Audit"])
def test_attack_45_an_action_that_can_be_read_counts(cluster: Cluster, action: str) -> None:
    answer = cluster.judge(
        cluster.environment.push("team/app", "v1"), policy("broken", cluster.images, action=action, future=FUTURE)
    )

    assert answer.allowed
    assert ("warnings" in answer.response) == (action == "Warn")


def test_attack_45_unreadable_exemption_exempts_nothing(cluster: Cluster) -> None:
    cluster.environment.unmatched = UnmatchedImages.DENY
    answer = cluster.judge(
        cluster.environment.push("team/app", "v1"), policy("broken", cluster.images, action="Exempt", future=FUTURE)
    )

    assert not answer.allowed
    assert "no verification policy covers it" in answer.message


def test_attack_45_an_unreadable_authenticator_is_met_by_nothing(cluster: Cluster) -> None:
    broken = authenticator("broken", cluster.environment.key)
    broken["spec"]["cosign"]["future"] = FUTURE
    image = cluster.environment.sign("team/app", "v1")

    answer = cluster.judge(image, broken, policy("needs-it", cluster.images, authenticators=("broken",)))
    assert not answer.allowed
    assert "Authenticator cannot be used" in answer.message


def test_attack_45_other_images_and_namespaces_are_left_alone(cluster: Cluster) -> None:
    elsewhere = {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}
    answer = cluster.judge(
        cluster.environment.push("other/app", "v1"),
        policy("broken", cluster.images, future=FUTURE),
        policy("broken-elsewhere", "**", future=FUTURE, namespaceSelector=elsewhere),
    )
    assert answer.allowed


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "**", "registry.example.org/{", "v*", "Enforce"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["repository", "tags", "matchLabels", "matchExpressions", "x"]), inner, max_size=2
        )
    ),
    max_leaves=5,
)
IMAGES = [TAGGED, "registry.example.org/other:v1", "docker.io/library/nginx", f"{TAGGED}@sha256:{'4a' * 32}"]


ORDER = [Verdict.ADMIT, Verdict.WARN, Verdict.DENY]


@settings(max_examples=examples(150), deadline=None)
@given(
    field=st.sampled_from(["require", "count", "future"]),
    junk=JUNK,
    action=st.sampled_from(["Enforce", "Warn", "Audit", "Exempt"]),
    tags=st.sampled_from([None, ["v*"], ["dev"]]),
    image=st.sampled_from(IMAGES),
    unmatched=st.sampled_from(UnmatchedImages),
)
def test_attack_45_unreadable_policy_counts_as_an_unmet_one(
    field: str, junk: Any, action: str, tags: list[str] | None, image: str, unmatched: UnmatchedImages
) -> None:
    selector = {"repository": "registry.example.org/shop/**", **({} if tags is None else {"tags": tags})}
    good = policy("p", authenticators=["none"], action=action, images=[selector])
    broken = {**good, "spec": {**good["spec"], field: junk}}
    reference = parse_reference(image)

    def verdict(index: PolicyIndex) -> Verdict:
        results: list[tuple[Match, list[Finding]]] = [(match, []) for match in index.match(reference, HERE)]
        found = decide(image, reference, None, results, unmatched)
        # Findings that are missing count as unavailable: that nothing meets the policy is what is asked for.
        return Verdict.DENY if found.verdict is Verdict.UNAVAILABLE else found.verdict

    readable = verdict(PolicyIndex([VerificationPolicy.model_validate(good)]))
    unreadable = verdict(PolicyIndex([], [compile_unreadable("p", broken, "it is broken")]))
    assert ORDER.index(unreadable) >= ORDER.index(readable)


def test_an_unreadable_policy_covers_its_images() -> None:
    value = policy("p", "registry.example.org/shop/**", future=FUTURE)
    compiled = compile_unreadable("p", value, "future: not a field")
    reference = parse_reference(TAGGED)
    verdict = decide(TAGGED, reference, None, [(Match(compiled), [])], UnmatchedImages.ADMIT)

    assert (verdict.verdict, verdict.coverage, verdict.reason) == (Verdict.DENY, Coverage.COVERED, "InvalidPolicy")


@pytest.mark.parametrize(
    ("images", "covered"),
    [
        ([{"repository": "registry.example.org/shop/**"}], [True, False]),
        ([{"repository": "registry.example.org/other", "x": 1}], [False, True]),
        ([{"repository": "registry.example.org/shop/app", "tags": ["dev"]}], [False, False]),
        ([{"repository": "registry.example.org/shop/app", "tags": ["dev", "/"]}], [True, False]),
        ([{"repository": "registry.example.org/shop/app", "tags": ["dev"], "x": 1}], [True, False]),
        ([{"repository": "registry.example.org/shop/app", "tags": []}], [True, False]),
        ([{"repository": 1}], [True, True]),
        ([{"repository": "registry.example.org/{"}], [True, True]),
        (["registry.example.org/other"], [True, True]),
        ([], [True, True]),
        (None, [True, True]),
        ({"repository": "registry.example.org/other"}, [True, True]),
    ],
)
def test_what_cannot_be_read_counts_as_the_widest_it_could_say(images: object, covered: list[bool]) -> None:
    value = policy("p", images=images, future=FUTURE)
    index = PolicyIndex([], [compile_unreadable("p", value, "future: not a field")])

    found = [bool(index.match(parse_reference(image), HERE)) for image in (TAGGED, "registry.example.org/other:v1")]
    assert found == covered


def test_a_readable_policy_has_no_problem() -> None:
    assert compile_policy(VerificationPolicy.model_validate(policy("p"))).problem == ""
