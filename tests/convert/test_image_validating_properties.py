"""Images refused by ImageValidatingPolicies stay refused, compared with a plain implementation of Kyverno's rules.

The rules are those of kyverno/kyverno: `pkg/cel/matching/image.go`, where a glob is compared with the image as it is
written, and `pkg/cel/libs/imageverify/impl.go`, which counts the attestors that have signed.
"""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts
from sealgate.errors import PolicyError
from tests.convert.test_image_validating import KEY, policy, signatures
from tests.convert.verdicts import HEX, admits, index_of
from tests.support.examples import examples

GLOBS = ["*", "ghcr.io/*", "ghcr.io/shop/*", "ghcr.io/shop/web:*", "ghcr.io/shop/web:v1*", "*/web*", "*shop*"]
GLOBS += [
    "nginx*",
    "docker.io/library/*",
    "library/nginx*",
    "*:v1",
    "ghcr.io/sh?p/*",
    "*@sha256:*",
    "shop/*",
    "ngin?:*",
]
IMAGES = ["ghcr.io/shop/web:v1", "ghcr.io/shop/web:v2", f"ghcr.io/shop/web@sha256:{HEX}", "ghcr.io/shop/a/b:v1"]
IMAGES += ["nginx", "nginx:v1", "library/nginx:v1", "docker.io/library/nginx:v1", "docker.io/nginx:v1", "shop/web:v1"]
IMAGES += ["r.example.org:5000/shop/web:v1", f"ghcr.io/shop/web:v1@sha256:{HEX}"]
LOST = {"certificate": {"cert": {"value": "x"}}}

validations = st.tuples(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
    st.sampled_from(["> 0", ">= 1", ">= 2", "> 2"]),
)


def matched(globs: list[str], image: str) -> bool:
    expressions = (re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".") for glob in globs)
    return not globs or any(re.fullmatch(expression, image) for expression in expressions)


def met(names: list[str], above: str, signed: set[str]) -> bool:
    count, number = len(signed & set(names)), int(above.split()[1])
    return count > number if above.startswith("> ") else count >= number


@settings(max_examples=examples(400), deadline=None)
@given(
    globs=st.lists(st.sampled_from(GLOBS), max_size=2),
    asked=st.lists(validations, min_size=1, max_size=2),
    lost=st.booleans(),
    image=st.sampled_from(IMAGES),
    signed=st.sets(st.sampled_from("abc")),
)
def test_a_converted_policy_admits_no_more(
    globs: list[str],
    asked: list[Any],
    lost: bool,  # noqa: FBT001
    image: str,
    signed: set[str],
) -> None:
    source = policy(
        *({"cosign": KEY}, {"cosign": KEY}, {"cosign": LOST if lost else KEY}),
        matchImageReferences=[{"glob": glob} for glob in globs],
        validations=[signatures(*names, above=above) for names, above in asked],
    )
    try:
        conversion = convert_texts([("policy.yaml", json.dumps(source))])
    except PolicyError:
        return
    verified = {f"p.{name}" for name in signed}
    if admits(index_of(conversion), image, verified, unmatched="Admit"):
        assert not matched(globs, image) or all(met(names, above, signed) for names, above in asked)
