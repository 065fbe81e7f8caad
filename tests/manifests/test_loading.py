"""Loading of policy files, and reports of every problem in them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sealgate.errors import PolicyError
from sealgate.manifests.loading import PolicyFiles, load_policy_files
from sealgate.reasons import Reason
from tests.support.builders.objects import authenticator, exception, policy
from tests.support.builders.policy_files import load_policy_texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sealgate.errors import Problem

GOOD = """\
apiVersion: sealgate.dev/v1alpha1
kind: Authenticator
metadata:
  name: release
spec:
  cosign:
    keys:
    - pem: |
        -----BEGIN PUBLIC KEY-----
    - secretRef: {name: keys, key: release.pem}
---
apiVersion: sealgate.dev/v1alpha1
kind: VerificationPolicy
metadata:
  name: production
spec:
  images:
  - repository: "quay.io/**"
  require:
    authenticators: [release]
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: anywhere}
stringData:
  release.pem: some key
"""


def load(*objects: dict[str, Any] | str) -> PolicyFiles:
    return load_policy_texts({"f.yaml": as_text(*objects)})


def as_text(*objects: dict[str, Any] | str) -> str:
    return "\n---\n".join(obj if isinstance(obj, str) else yaml.safe_dump(obj) for obj in objects)


def problems(*objects: dict[str, Any] | str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load(*objects)
    assert caught.value.reason is Reason.INVALID_POLICY
    return [str(problem) for problem in caught.value.problems]


def one_problem(*objects: dict[str, Any] | str) -> str:
    (problem,) = problems(*objects)
    return problem


def test_objects_are_read_with_the_secrets_that_they_name() -> None:
    files = load(GOOD)

    assert [authenticator.metadata.name for authenticator in files.authenticators] == ["release"]
    assert [policy.metadata.name for policy in files.policies] == ["production"]
    assert files.secrets == {"keys": {"release.pem": b"some key"}}
    assert files.notes == ()
    assert files.files == ("f.yaml",)


def test_objects_of_all_texts_are_sorted_by_name() -> None:
    texts = {f"{name}.yaml": as_text(policy(name), authenticator(f"key-{name}")) for name in "cab"}

    files = load_policy_texts({**texts, "keys.yaml": as_text(authenticator())})

    assert [policy.metadata.name for policy in files.policies] == ["a", "b", "c"]
    assert [a.metadata.name for a in files.authenticators] == ["key-a", "key-b", "key-c", "release"]


def test_lists_are_read_like_their_items() -> None:
    inner = {"apiVersion": "sealgate.dev/v1alpha1", "kind": "AuthenticatorList", "items": [authenticator()]}
    files = load({"apiVersion": "v1", "kind": "List", "items": [policy("p"), inner]})

    assert len(files.policies) == len(files.authenticators) == 1


def test_the_data_of_a_secret_is_decoded_and_string_data_wins() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys"},
        "data": {"a": base64.b64encode(b"\0\xff").decode(), "b": "YQ==", "c": "Y\nQ=\r\n="},
        "stringData": {"b": "plain"},
    }

    assert load(GOOD, {**secret, "metadata": {"name": "x"}}).secrets["x"] == {"a": b"\0\xff", "b": b"plain", "c": b"a"}


ROOT = {"configMapRef": {"name": "sigstore", "key": "root.json"}}
KEYLESS = authenticator("ci", spec={"cosign": {"keyless": {"identities": [{"issuer": "i", "subject": "s"}]}}})


def config_map(namespace: str = "sealgate-system", name: str = "sigstore", **members: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **members}


def keyless() -> dict[str, Any]:
    return {**KEYLESS, "spec": {"cosign": {**KEYLESS["spec"]["cosign"], "trustedRoot": ROOT}}}


def test_config_maps_that_an_authenticator_names_are_read() -> None:
    data = {"data": {"root.json": "{}"}, "binaryData": {"other": "/w=="}}
    others = [config_map(name="app", namespace=namespace, data={"x": 1}) for namespace in ("a", "b")]
    files = load({**config_map(), **data}, *others, keyless(), policy("p", authenticators=["ci"]))
    assert files.config_maps == {"sigstore": {"root.json": b"{}", "other": b"\xff"}}
    assert [note.partition(": ")[2] for note in files.notes] == ["skipped: ConfigMap app, v1"] * 2


@pytest.mark.parametrize(
    ("objects", "field", "message"),
    [
        ([], "spec.cosign.trustedRoot.configMapRef.name", "no ConfigMap named sigstore among the files"),
        ([config_map(data={"x": ""})], "spec.cosign.trustedRoot.configMapRef.key", "has no key root.json"),
        ([config_map(data={"root.json": 1})], 'data."root.json"', "must be text"),
        ([config_map(binaryData={"root.json": "?"})], 'binaryData."root.json"', "must be base64"),
        ([config_map(data={"root.json": ""}), config_map("b")], "metadata.name", "duplicate ConfigMap sigstore"),
    ],
)
def test_problems_of_config_maps_are_reported(objects: list[dict[str, Any]], field: str, message: str) -> None:
    found = one_problem(*objects, keyless(), policy("p", authenticators=["ci"]))
    assert field in found
    assert message in found


def test_the_labels_of_namespaces_are_read() -> None:
    team = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": {"env": "production"}}}
    bare = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bare"}}

    assert load(GOOD, team, bare).namespaces == {"team": {"env": "production"}, "bare": {}}


def test_foreign_objects_are_skipped_and_noted() -> None:
    files = load(
        GOOD,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x\ny"}},
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"apiVersion": "v2", "kind": "Secret", "metadata": {"name": "s"}},
    )

    assert files.notes == (
        "f.yaml:37: skipped: Deployment, apps/v1",
        "f.yaml:41: skipped: Secret s, v2",
        "f.yaml:29: skipped: ConfigMap x\\ny, v1",
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"kind": "VerificationPolicies"},
            ":2: kind: VerificationPolicies is not a kind of sealgate.dev/v1alpha1 (did you mean VerificationPol",
        ),
        ({"kind": "SignPolicy"}, "kind: SignPolicy is not a kind of sealgate.dev/v1alpha1"),
        (
            {"kind": "Whatever"},
            "is not a kind of sealgate.dev/v1alpha1 (the kinds are: Authenticator, SigningPolicy, VerificationExc",
        ),
        (
            {"apiVersion": "sealgate.dev/v1"},
            ":1: apiVersion: sealgate.dev/v1 is not an apiVersion of VerificationPolicy (write sealg",
        ),
        ({"apiVersion": "example.org/v1"}, "apiVersion: example.org/v1 is not an apiVersion of VerificationPolicy"),
        (
            {"apiVersion": "sealgate.dev/v2", "kind": "Other"},
            "apiVersion: sealgate.dev/v2 is not known (write sealgate.dev/v1alpha1)",
        ),
        ({"apiVersion": None}, "apiVersion: is required, as text"),
        ({"kind": None}, "kind: is required, as text"),
        (
            {"kind": 5},
            "kind: is required, as text (sealgate's are sealgate.dev/v1alpha1, Authenticator, SigningPolicy,",
        ),
        ({"metadata": None}, "metadata.name: is required, as text"),
        ({"metadata": {"name": 5}}, "metadata.name: is required, as text"),
        ({"metadata": {"name": "Upper"}}, "metadata.name: Upper does not have the required form"),
    ],
)
def test_an_object_that_is_not_quite_ours_is_a_problem(change: dict[str, Any], problem: str) -> None:
    assert problem in one_problem({**policy("p"), **change}, authenticator())


@pytest.mark.parametrize("text", ["- a\n", "text\n", "5\n"])
def test_document_that_is_not_an_object_is_a_problem(text: str) -> None:
    assert "f.yaml:29: must be an object" in one_problem(GOOD, text)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            {"action": "enforce"},
            "spec.action: enforce is not one of Enforce, Warn, Audit, Exempt (did you mean Enforce?)",
        ),
        ({"action": "Block"}, "spec.action: Block is not one of Enforce, Warn, Audit"),
        ({"excludedImages": []}, "spec.excludedImages: unknown field (did you mean excludeImages?)"),
        (
            {"zzz": 1},
            "spec.zzz: unknown field (the fields are: action, excludeImages, images, namespaceSelector, require)",
        ),
        ({"images": []}, "spec.images: tuple should have at least 1 item"),
        ({"images": None}, "spec.images: must be a list, not nothing"),
        ({"images": "**"}, "spec.images: must be a list, not **"),
        ({"images": {}}, "spec.images: must be a list, not an object"),
        ({"images": [["**"]]}, "spec.images[0]: must be an object, not a list"),
        (
            {"images": [{"repo": "**", "repository": "**"}]},
            "spec.images[0].repo: unknown field (did you mean repository?)",
        ),
        ({"images": [{"repository": 5}]}, "spec.images[0].repository: must be text, not 5 (put it in quotes)"),
        (
            {"images": [{"repository": "**", "tags": [1.27]}]},
            "spec.images[0].tags[0]: must be text, not 1.27 (put it in quotes)",
        ),
        (
            {"images": [{"repository": "**", "tags": [True]}]},
            "spec.images[0].tags[0]: must be text, not true (put it in quotes)",
        ),
        ({"images": [{}]}, "spec.images[0].repository: is required"),
        ({"images": [{"repository": "nginx"}]}, "spec.images[0].repository: nginx can never match"),
        ({"images": [{"repository": "{a"}]}, "spec.images[0].repository: {a is not an image pattern"),
        ({"images": [{"repository": "**", "tags": ["a/b"]}]}, "spec.images[0].tags[0]: a/b is not an image pattern"),
        (
            {"excludeImages": [{"repository": "**"}, {"repository": "x"}]},
            "spec.excludeImages[1].repository: x can never match",
        ),
        (
            {"require": {"authenticators": ["release-kee"]}},
            "require.authenticators[0]: there is no Authenticator named release-kee (did you mean release?)",
        ),
        ({"require": {"authenticators": ["xyz"]}}, "there is no Authenticator named xyz (there are: release)"),
        ({"require": {"authenticators": ["release"], "count": 2}}, "spec.require: can never be met"),
        (
            {"require": {"authenticators": ["release"], "count": "1"}},
            "spec.require.count: must be a whole number, not 1",
        ),
        (
            {"require": {"authenticators": ["release"], "count": 0}},
            "spec.require.count: should be greater than or equal to 1",
        ),
        (
            {"namespaceSelector": {"matchLabels": {"a.b/c": 5}}},
            'spec.namespaceSelector.matchLabels."a.b/c": must be text, not 5',
        ),
        (
            {"namespaceSelector": {"matchLabel": {}}},
            "spec.namespaceSelector.matchLabel: unknown field (did you mean matchLabels?)",
        ),
        (
            {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]}},
            "operator: in is not one of In, NotIn, Exists, DoesNotExist (did you mean In?)",
        ),
    ],
)
def test_policy_problem_has_its_field_and_a_correction(spec: dict[str, Any], problem: str) -> None:
    assert problem in one_problem(policy("p", **spec), authenticator())


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"cosin": {}}, "spec.cosin: unknown field (did you mean cosign?)"),
        (
            {"cosign": {"keys": [{"pem": "x"}], "annotations": {"a": 1}}},
            "spec.cosign.annotations.a: must be text, not 1",
        ),
        (
            {"cosign": {"keys": [{"pem": "x"}], "matchRepository": "yes"}},
            "spec.cosign.matchRepository: must be true or false, not yes",
        ),
        ({"cosign": {"keys": [{"pem": "x", "algorithm": "ECDSA_SHA256"}]}}, "(did you mean ECDSA_SHA_256?)"),
        ({"cosign": {"keys": [{"pem": "x", "secretRef": {"name": "keys", "key": "a"}}]}}, "has pem and secretRef"),
        (
            {"cosign": {"keys": [{"secretRef": {"name": "kes", "key": "a"}}]}},
            "keys[0].secretRef.name: there is no Secret named kes among the files (did you mean keys?)",
        ),
        (
            {"cosign": {"keys": [{"secretRef": {"name": "keys", "key": "b"}}]}},
            "spec.cosign.keys[0].secretRef.key: the Secret keys has no key b (it has: a)",
        ),
        ({"cosign": {"keys": [{"secretRef": {"name": "keys"}}]}}, "spec.cosign.keys[0].secretRef.key: is required"),
        (
            {"cosign": {"keys": [{"secretRef": {"name": 5, "key": "a"}}]}},
            "spec.cosign.keys[0].secretRef.name: must be text, not 5",
        ),
        ({"cosign": None}, "has no format"),
    ],
)
def test_authenticator_problem_has_its_field(spec: dict[str, Any], problem: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"a": "b"}}

    assert any(problem in found for found in problems(policy("p"), authenticator(spec={**spec}), secret))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"data": {"a": "%%%"}}, "data.a: must be base64 (encode it, or move the plain text to stringData)"),
        ({"data": {"a.pem": "a"}}, 'data."a.pem": must be base64'),
        ({"data": {"a": 5}}, "data.a: must be base64"),
        ({"data": ["a"]}, "data: must be an object"),
        ({"stringData": {"a": 5}}, "stringData.a: must be text (put it in quotes)"),
        ({"kind": "Namespace", "metadata": {"name": "x", "labels": {"a": True}}}, "metadata.labels.a: must be text"),
        ({"kind": "Namespace", "metadata": {"name": "x", "labels": "a"}}, "metadata.labels: must be an object"),
        ({"metadata": {}}, "metadata.name: is required"),
    ],
)
def test_secret_or_namespace_problem_has_its_field(change: dict[str, Any], problem: str) -> None:
    assert problem in one_problem(GOOD, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, **change})


def test_duplicate_name_is_reported_with_both_positions() -> None:
    problem = one_problem(GOOD, policy("production"))

    assert problem.startswith("f.yaml:")
    assert "metadata.name: duplicate VerificationPolicy production; the first is in f.yaml:12" in problem


def test_the_same_name_may_be_used_by_different_kinds() -> None:
    assert len(load(GOOD, policy("release")).policies) == 2


def test_all_problems_are_reported_in_line_order() -> None:
    text = """\
apiVersion: sealgate.dev/v1alpha1
kind: Authenticator
metadata: {name: release}
spec:
  cosign:
    keys: [{secretRef: {name: nowhere, key: k}}]
    anotations: {}
---
apiVersion: sealgate.dev/v1alpha1
kind: VerificationPolicy
metadata: {name: p}
spec:
  action: warn
  images:
  - repository: nginx
  - repository: nginx
    repository: redis
  require:
    authenticators: [release-kei, release]
    count: 3
---
kind: Authenticator
"""

    assert [line.split(" ")[:2] for line in problems(text)] == [
        ["f.yaml:6:", "spec.cosign.keys[0].secretRef.name:"],
        ["f.yaml:7:", "spec.cosign.anotations:"],
        ["f.yaml:13:", "spec.action:"],
        ["f.yaml:15:", "spec.images[0].repository:"],
        ["f.yaml:16:", "spec.images[1].repository:"],
        ["f.yaml:17:", "spec.images[1].repository:"],
        ["f.yaml:18:", "spec.require:"],
        ["f.yaml:19:", "spec.require.authenticators[0]:"],
        ["f.yaml:22:", "apiVersion:"],
    ]


def test_invalid_authenticator_is_not_also_reported_missing() -> None:
    assert "there is no Authenticator" not in one_problem(policy("p"), authenticator(spec={"cosign": {"keys": []}}))


def test_further_checks_add_problems_with_the_lines_of_the_files() -> None:
    def check(files: PolicyFiles) -> Iterator[Problem]:
        for found in files.authenticators:
            name = found.metadata.name
            yield files.problem("Authenticator", name, "spec.cosign.keys[0].pem", "is no key", "paste it again")
            yield files.problem("Authenticator", name, "spec.cosign.keys[1].pem", "is no key either")
        yield files.problem("Authenticator", "unheard-of", "spec", "is not there")

    with pytest.raises(PolicyError) as caught:
        load_policy_texts({"f.yaml": GOOD}, checks=[check])

    assert [str(problem) for problem in caught.value.problems] == [
        "f.yaml:8: spec.cosign.keys[0].pem: is no key (paste it again)",
        "f.yaml:10: spec.cosign.keys[1].pem: is no key either",
        "unheard-of: spec: is not there",
    ]
    assert str(caught.value) == "3 problems in 2 policy files"


def test_further_checks_get_the_well_formed_objects() -> None:
    seen: list[int] = []

    def check(files: PolicyFiles) -> list[Problem]:
        seen.append(len(files.authenticators))
        return []

    with pytest.raises(PolicyError, match=r"^1 problem in f\.yaml$"):
        load_policy_texts({"f.yaml": as_text(GOOD, policy("q", action="x"))}, checks=[check])

    assert seen == [1]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n", "apiVersion: v1\nkind: ConfigMap\n"])
def test_input_without_sealgate_objects_is_a_problem(text: str) -> None:
    assert (
        "no Authenticator, SigningPolicy, VerificationException or VerificationPolicy in f.yaml (1 files read)"
        in one_problem(text)
    )


def test_exceptions_are_checked_and_noted_as_in_force_in_a_cluster_only() -> None:
    files = load(authenticator(), policy(), exception("urgent"))
    assert [note.partition(": ")[2] for note in files.notes] == [
        "VerificationException urgent is in force in a cluster only"
    ]
    assert "spec.images[0].repository: " in one_problem(authenticator(), policy(), exception("urgent", "a/{b"))
    assert "exactly one of repository and digest" in one_problem(authenticator(), policy(), exception("urgent", {}))


def test_authenticators_without_policies_are_valid_with_a_note() -> None:
    assert load(authenticator()).notes == ("there is no VerificationPolicy, so no image has to be verified",)


def test_no_texts_are_a_problem() -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy_files([])

    assert "in no files" in str(caught.value.problems[0])


def test_untrusted_text_never_breaks_a_line() -> None:
    objects = [
        policy("p", action="x\nok", images=[{"repository": "a\n\x1b[2Jb"}]) | {"f\n\x1b": 1},
        {**authenticator(), "kind": "X\ny"},
    ]

    for problem in problems(*objects):
        assert "\n" not in problem
        assert "\x1b" not in problem


def test_misplaced_key_is_not_shown() -> None:
    secret = "MHcCAQEEIDsecret" * 20  # noqa: S105 - a placeholder for a pasted private key

    found = one_problem(policy("p", action=secret), authenticator())

    assert "secret" not in found
    assert "spec.action: text of 320 characters is not one of" in found


def test_json_is_read_as_well(tmp_path: Path) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [policy("p"), authenticator()]}
    (tmp_path / "all.json").write_text(json.dumps(listed, indent="\t"))

    assert len(load_policy_files([tmp_path]).policies) == 1
