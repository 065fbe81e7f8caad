"""Policy files that attack their readers, or that two readers would read differently."""

from __future__ import annotations

import pytest

from sealgate.errors import PolicyError
from tests.support.builders.policy_files import load_policy_texts


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_policy_texts({"f.yaml": text})
    return [str(problem) for problem in caught.value.problems]


def test_attack_33_aliases_that_unfold_into_billions_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]

    assert any("those repeated by aliases too" in problem for problem in problems("\n".join(lines)))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "a:\n "])
def test_attack_33_deep_nesting_is_refused(opening: str) -> None:
    text = "".join(" " * depth + "a:\n" for depth in range(1000)) if opening == "a:\n " else opening * 100_000

    assert any("deep" in problem or "not YAML" in problem for problem in problems(text))


def test_attack_33_endless_numbers_are_refused() -> None:
    assert any("not a valid number" in problem for problem in problems(f"a: {'9' * 100_000}"))


def test_attack_33_no_tag_builds_an_object() -> None:
    for tag in ("!!python/object/apply:os.system", "!!python/name:os.system", "!!python/module:os"):
        assert any("Kubernetes does not know the tag" in problem for problem in problems(f"a: {tag} [true]"))


@pytest.mark.parametrize(
    ("first", "second"),
    [("action: Enforce", "action: Audit"), ("require: {authenticators: [a, b]}", "require: {authenticators: [a]}")],
)
def test_attack_33_a_key_that_is_there_twice_is_refused(first: str, second: str) -> None:
    """Readers differ in which of the two they take, so a review could see the other one."""
    text = f"""\
apiVersion: sealgate.dev/v1alpha1
kind: VerificationPolicy
metadata: {{name: p}}
spec:
  images: [{{repository: "**"}}]
  {first}
  {second}
"""

    assert any("duplicate key" in problem for problem in problems(text))


def test_attack_33_a_merge_key_changes_nothing_in_secret() -> None:
    text = """\
base: &base {action: Audit}
---
apiVersion: sealgate.dev/v1alpha1
kind: VerificationPolicy
metadata: {name: p}
spec:
  <<: {action: Audit}
  images: [{repository: "**"}]
  require: {authenticators: [a]}
"""

    assert any("merge keys (<<) are not read" in problem for problem in problems(text))


@pytest.mark.parametrize(
    ("name", "value"), [("count", "yes"), ("count", "1.0"), ("count", "'1'"), ("count", "0x0"), ("authenticators", "a")]
)
def test_attack_09_nothing_is_made_to_fit(name: str, value: str) -> None:
    text = f"""\
apiVersion: sealgate.dev/v1alpha1
kind: VerificationPolicy
metadata: {{name: p}}
spec:
  images: [{{repository: "**"}}]
  require: {{{"" if name == "authenticators" else "authenticators: [a], "}{name}: {value}}}
"""

    assert any(f"spec.require.{name}" in problem for problem in problems(text))


def test_attack_40_nothing_in_a_file_writes_lines_of_its_own() -> None:
    text = 'apiVersion: "sealgate.dev/v1\\nok"\nkind: "a\\e[2J"\n"k\\r\\n": {"\\0": 1}\n'

    for problem in problems(text):
        assert problem.isprintable()
