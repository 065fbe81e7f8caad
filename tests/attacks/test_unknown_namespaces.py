"""A namespace of which not all labels are known: policies that may select it hold, and permit nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.api.v1alpha1.selectors import NAME_LABEL, LabelSelector
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.policies.decisions import UnmatchedImages
from sealgate.policies.matching import Namespace, PolicyIndex, Selection, select
from sealgate.references import parse_reference
from tests.cli import objects as cli_objects
from tests.cli.shop import Shop, open_shop
from tests.support.builders.objects import policy
from tests.support.examples import examples
from tests.support.simulators.registry import RegistrySimulator
from tests.webhook.environment import namespace
from tests.webhook.objects import pod, review

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.webhook.environment import WebhookEnvironment

PROD = {"matchLabels": {"env": "prod"}}
MAY_SELECT: list[dict[str, Any]] = [
    PROD,
    {"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod"]}]},
    {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["dev"]}]},
    {"matchExpressions": [{"key": "env", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]},
    {"matchLabels": {NAME_LABEL: "team-a", "env": "prod"}},
]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with RegistrySimulator() as registry:
        yield open_shop(registry, tmp_path)


@pytest.mark.parametrize("selector", MAY_SELECT, ids=json.dumps)
def test_attack_46_policy_that_may_select_it_must_be_met(
    environment: WebhookEnvironment, selector: dict[str, Any]
) -> None:
    environment.write(policy("labelled", f"{environment.registry.host}/**", namespaceSelector=selector))

    assert not environment.validate(review(pod(environment.push("team/app", "v1")), namespace="team-a")).allowed
    assert environment.validate(review(pod(environment.sign("team/good", "v1")), namespace="team-a")).allowed


@pytest.mark.parametrize("selector", MAY_SELECT, ids=json.dumps)
def test_attack_46_policy_that_may_select_it_covers_nothing(
    environment: WebhookEnvironment, selector: dict[str, Any]
) -> None:
    environment.unmatched = UnmatchedImages.DENY
    environment.write(policy("labelled", f"{environment.registry.host}/**", namespaceSelector=selector))

    answer = environment.validate(review(pod(environment.sign("team/good", "v1")), namespace="team-a"))
    assert not answer.allowed
    assert "no verification policy covers it" in answer.message


@pytest.mark.parametrize("selector", MAY_SELECT, ids=json.dumps)
def test_attack_46_exemption_that_may_select_it_exempts_nothing(
    environment: WebhookEnvironment, selector: dict[str, Any]
) -> None:
    environment.unmatched = UnmatchedImages.DENY
    environment.write(policy("labelled", "**", action="Exempt", namespaceSelector=selector))

    assert not environment.validate(review(pod(environment.push("team/app", "v1")), namespace="team-a")).allowed


def test_attack_46_the_name_of_a_namespace_is_known(environment: WebhookEnvironment) -> None:
    elsewhere = {"matchLabels": {NAME_LABEL: "elsewhere"}}
    environment.write(policy("named", f"{environment.registry.host}/**", namespaceSelector=elsewhere))
    image = environment.push("team/app", "v1")

    assert environment.validate(review(pod(image), namespace="team-a")).allowed
    assert not environment.validate(review(pod(image), namespace="elsewhere")).allowed


def test_attack_46_namespace_among_the_files_has_its_labels(environment: WebhookEnvironment) -> None:
    environment.write(
        policy("labelled", f"{environment.registry.host}/**", namespaceSelector=PROD),
        namespace("shop", env="prod"),
        namespace("lab", env="dev"),
        namespace("bare"),
    )
    image = environment.push("team/app", "v1")

    assert not environment.validate(review(pod(image), namespace="shop")).allowed
    assert environment.validate(review(pod(image), namespace="lab")).allowed
    assert environment.validate(review(pod(image), namespace="bare")).allowed


def test_attack_46_verify_without_namespace_meets_label_policies(shop: Shop, tmp_path: Path) -> None:
    by_label, by_name = ({"matchLabels": {key: "prod"}} for key in ("env", NAME_LABEL))
    for selector in (by_label, by_name):
        cli_objects.write(
            tmp_path / "policies/strict.yaml",
            policy("strict", authenticators=["qa-key"], namespaceSelector=selector),
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}},
        )
        assert shop.verify(shop.image("signed")).exit_code == 1
        # The Namespace object says which labels it has.
        assert shop.verify(shop.image("signed"), "--namespace", "default").exit_code == 0
        assert shop.verify(shop.image("signed"), "--namespace-label", "env=prod").exit_code == 1


def test_attack_46_labels_of_the_command_line_are_known_labels(shop: Shop, tmp_path: Path) -> None:
    selector = {"matchLabels": {"env": "prod", "tier": "front"}}
    cli_objects.write(
        tmp_path / "policies/strict.yaml", policy("strict", authenticators=["qa-key"], namespaceSelector=selector)
    )
    assert shop.verify(shop.image("signed"), "--namespace-label", "env=prod").exit_code == 1
    assert shop.verify(shop.image("signed"), "--namespace-label", "env=dev").exit_code == 0


def test_attack_46_namespace_among_manifests_bypasses_no_policy(shop: Shop, tmp_path: Path) -> None:
    """`kubectl apply` of a Namespace leaves the labels that the object does not mention."""
    cli_objects.write(
        tmp_path / "policies/strict.yaml", policy("strict", authenticators=["qa-key"], namespaceSelector=PROD)
    )
    pod_of_shop = cli_objects.pod("a", shop.image("signed"), namespace="shop")
    for labels, code in (({}, 1), ({"team": "shop"}, 1), ({"env": "dev"}, 0)):
        text = cli_objects.dump(cli_objects.namespace("shop", **labels), pod_of_shop)
        assert shop.verify("-f", "-", "--namespace", "shop", stdin=text).exit_code == code


KEYS = ["a", "b", "c"]
LABELS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["1", "2"]))


@st.composite
def _expression(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]))
    values = draw(st.lists(st.sampled_from(["1", "2"]), min_size=1, max_size=2))
    return {"key": draw(st.sampled_from(KEYS)), "operator": operator} | (
        {"values": values} if operator in ("In", "NotIn") else {}
    )


SELECTORS = st.builds(
    lambda labels, expressions: {"matchLabels": labels, "matchExpressions": expressions},
    LABELS,
    st.lists(_expression(), max_size=2),
)


@settings(max_examples=examples(200), deadline=None)
@given(SELECTORS, LABELS, st.sets(st.sampled_from(KEYS)))
def test_attack_46_partial_labels_never_contradict_all_labels(
    selector: dict[str, Any], labels: dict[str, str], hidden: set[str]
) -> None:
    parsed = LabelSelector.model_validate(selector)
    truth = select(parsed, labels)
    known = {key: value for key, value in labels.items() if key not in hidden}

    assert truth is not Selection.MAYBE
    assert select(parsed, known, complete=False) in (truth, Selection.MAYBE)


@settings(max_examples=examples(200), deadline=None)
@given(SELECTORS, LABELS, st.sets(st.sampled_from(KEYS)), st.sampled_from(["Enforce", "Exempt"]))
def test_attack_46_less_knowledge_asks_for_more_and_permits_less(
    selector: dict[str, Any], labels: dict[str, str], hidden: set[str], action: str
) -> None:
    value = policy("p", action=action, namespaceSelector=selector)
    index = PolicyIndex([VerificationPolicy.model_validate(value)])
    known = {key: found for key, found in labels.items() if key not in hidden}
    some, everything = Namespace("n", known, complete=False), Namespace("n", labels)

    matched, truth = (bool(index.match(parse_reference("nginx"), found)) for found in (some, everything))
    assert truth >= matched if action == "Exempt" else matched >= truth
