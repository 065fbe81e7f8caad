"""Images refused by OpenShift stay refused, compared with a plain implementation of its rules.

The rules are those of openshift/api, `config/v1/types_image_policy.go`: the most specific scope applies, and all
policies of it; an ImagePolicy holds in its namespace, outside the scopes of ClusterImagePolicies, as
`ScopeIsNestedInsideScope` of openshift/runtime-utils says; other images are admitted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts
from tests.convert.test_openshift import KEY, policy
from tests.convert.verdicts import admits, index_of
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

SCOPES = ["quay.io", "quay.io/shop", "quay.io/shop/web", "quay.io/shop/web:v1", "*.example.org", "a.example.org/shop"]
SCOPES += ["a.example.org/shop/web:v1", "b.example.org:5000/a:v1"]
IMAGES = ["quay.io/shop/web:v1", "quay.io/shop/web:v2", "quay.io/shopping/web:v1", "quay.io/a:v1"]
IMAGES += ["a.example.org/shop/web:v1", "b.example.org:5000/a:v1", "example.org/a:v1"]
ROOTS = [KEY, {"policyType": "PKI"}]

policies = st.tuples(st.lists(st.sampled_from(SCOPES), min_size=1, max_size=3, unique=True), st.sampled_from(ROOTS))


def covers(scope: str, image: str) -> bool:
    """Whether a scope covers an image, or another scope."""
    name = image.rpartition(":")[0] if ":" in image.rpartition("/")[2] else image
    if scope.startswith("*."):
        return image.partition("/")[0].partition(":")[0].endswith(scope[1:]) or image == scope
    return scope in {image, name} or image.startswith(f"{scope}/")


def nested(scope: str, outer: str) -> bool:
    """Whether a scope is left out for one of a ClusterImagePolicy."""
    if scope == outer or scope.startswith(f"{outer}/"):
        return True
    host = scope.partition(":" if ":" in scope else "/")[0]
    return outer.startswith("*.") and "/" not in host and host.endswith(outer[1:])


def required(given_policies: Sequence[Any], image: str) -> list[Any]:
    """Return the roots of trust of the most specific scope that covers an image."""
    found = [scope for scopes, _ in given_policies for scope in scopes if covers(scope, image)]
    best = max(found, key=lambda scope: (not scope.startswith("*"), len(scope)), default="")
    return [root for scopes, root in given_policies if best in scopes]


@settings(max_examples=examples(400), deadline=None)
@given(
    cluster=st.lists(policies, max_size=3),
    own=st.lists(policies, min_size=1, max_size=2),
    image=st.sampled_from(IMAGES),
    namespace=st.sampled_from(["shop", "other"]),
    signed=st.booleans(),
)
def test_converted_policies_admit_no_more(
    cluster: list[Any],
    own: list[Any],
    image: str,
    namespace: str,
    signed: bool,  # noqa: FBT001
) -> None:
    sources = [policy(*scopes, root=root, name=f"c{number}") for number, (scopes, root) in enumerate(cluster)]
    sources += [
        policy(*scopes, root=root, name=f"n{number}", namespace="shop") for number, (scopes, root) in enumerate(own)
    ]
    conversion = convert_texts([("policies.yaml", "".join(f"---\n{json.dumps(one)}\n" for one in sources))])
    above = [scope for scopes, _ in cluster for scope in scopes]
    there = [([one for one in scopes if not any(nested(one, scope) for scope in above)], root) for scopes, root in own]
    roots = required([*cluster, *there] if namespace == "shop" else cluster, image)
    names = {one["metadata"]["name"] for one in conversion.objects if signed and one["kind"] == "Authenticator"}
    unmatched = conversion.unmatched.capitalize()
    if admits(index_of(conversion), image, names, unmatched=unmatched, namespace=namespace):
        assert all(root is KEY and signed for root in roots)
