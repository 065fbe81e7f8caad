"""Images refused by kritis stay refused after the conversion, compared with a plain implementation of its rules.

The rules are those of grafeas/kritis: `pkg/kritis/review/review.go` for policies and their own patterns, and Alibaba
Cloud's hook for AdmissionAllowlists, whose patterns have a `*` anywhere that is letters, digits, `-` and `_`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.findings import Finding, Outcome
from sealgate.policies.decisions import UnmatchedImages, Verdict, decide
from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.reasons import Reason
from sealgate.references import Digest, parse_reference
from tests.convert.kritis_conversions import DIGEST, convert, convert_and_load, specs
from tests.support.examples import examples
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from sealgate.convert.results import Conversion

SPACES = ["prod", "dev"]
AUTHORITIES = ["one", "two", "three"]
KEY = b64encode(public_pem(new_key("ECDSA P-256")).encode()).decode()
PATTERNS = [
    "r.example.org/a",
    "r.example.org/a:1",
    "r.example.org/a*",
    "r.example.org/team/*",
    "r.example.org/team/a:v*",
    "r.example.org/*",
    "nginx",
    "nginx*",
    "nginx:1*",
    "*",
    "r.example.org/t*m/a",
    "r.example.org/team/**",
]
IMAGES = [
    "r.example.org/a",
    "r.example.org/a:1",
    "r.example.org/a:2",
    "r.example.org/ab:1",
    f"r.example.org/a{DIGEST}",
    "r.example.org/team/a:v1",
    "r.example.org/team/a:v1.2",
    "r.example.org/team/a:w",
    "r.example.org/team/b/c:1",
    "r.example.org/t.m/a:latest",
    "r.example.org/tom/a",
    "nginx",
    "nginx:1.2",
    "nginx-x:1",
    "evil.example/nginx:1",
    "team/nginx:1",
]


def authority(space: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "kritis.grafeas.io/v1beta1",
        "kind": "AttestationAuthority",
        "metadata": {"name": name, "namespace": space},
        "spec": {"noteReference": f"projects/{space}", "publicKeyData": KEY},
    }


policies = st.builds(
    lambda space, names, patterns: (space, sorted(names), patterns),
    st.sampled_from(SPACES),
    st.sets(st.sampled_from(AUTHORITIES), min_size=1),
    st.lists(st.sampled_from(PATTERNS), max_size=3),
)
allowlists = st.lists(st.tuples(st.sampled_from([None, *SPACES]), st.sampled_from(PATTERNS)), max_size=3)


def objects(given_policies: list[Any], allowed: list[Any]) -> list[dict[str, Any]]:
    made = [authority(space, name) for space in SPACES for name in AUTHORITIES]
    for number, (space, names, patterns) in enumerate(given_policies):
        spec: dict[str, Any] = {"attestationAuthorityNames": names}
        if patterns:
            spec["admissionAllowlistPatterns"] = [{"namePattern": pattern} for pattern in patterns]
        metadata = {"name": f"p{number}", "namespace": space}
        made.append(
            {
                "apiVersion": "kritis.grafeas.io/v1beta1",
                "kind": "GenericAttestationPolicy",
                "metadata": metadata,
                "spec": spec,
            }
        )
    patterns = [{"namePattern": pattern, **({"namespace": space} if space else {})} for space, pattern in allowed]
    if patterns:
        metadata = {"name": "allowed"}
        made.append(
            {
                "apiVersion": "kritis.grafeas.io/v1beta1",
                "kind": "AdmissionAllowlist",
                "metadata": metadata,
                "spec": {"patterns": patterns},
            }
        )
    return made


def allowed_by_policy(image: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return image.startswith(pattern[:-1]) and image.rfind("/") < len(pattern) - 1
    return image == pattern


def allowed_by_list(image: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        head = re.escape(re.sub(r"\*+$", "", pattern)).replace(r"\*", "[A-Za-z0-9_-]*")
        return re.fullmatch(f"{head}[^/]*", image) is not None
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[A-Za-z0-9_-]*"), image) is not None


def spellings(image: str) -> list[str]:
    """Every spelling of an image, since the author of the pod chooses one."""
    reference = parse_reference(image)
    names = [reference.name]
    if reference.name.startswith("docker.io/library/"):
        names += [reference.name.removeprefix("docker.io/"), reference.name.removeprefix("docker.io/library/")]
    elif reference.name.startswith("docker.io/"):
        names.append(reference.name.removeprefix("docker.io/"))
    if reference.digest is not None:
        return [f"{name}@{reference.digest}" for name in names]
    tag = reference.effective_tag
    return [f"{name}:{tag}" for name in names] + (names if tag == "latest" else [])


def plainly_admitted(given_policies: list[Any], allowed: list[Any], space: str, image: str, attested: set[str]) -> bool:
    here = [found for found in given_policies if found[0] == space]
    if not here:
        return True
    for name in spellings(image):
        if any(allowed_by_policy(name, pattern) for found in here for pattern in found[2]):
            return True
        if any(bound in (None, space) and allowed_by_list(name, pattern) for bound, pattern in allowed):
            return True
    return any(set(names) <= attested for _, names, _ in here)


def admitted(conversion: Conversion, index: PolicyIndex, space: str, image: str, attested: set[str]) -> bool:
    reference = parse_reference(image)
    results = []
    for match in index.match(reference, Namespace(space)):
        findings = []
        for name in match.policy.authenticators:
            key = name.removeprefix(f"{space}.")
            good = key in attested
            outcome = (Outcome.VERIFIED, Reason.VERIFIED) if good else (Outcome.REFUSED, Reason.NO_SIGNATURE)
            findings.append(Finding(name, "grafeas", *outcome, "message", (key,) if good else ()))
        results.append((match, findings))
    unmatched = UnmatchedImages.ADMIT if conversion.unmatched == "admit" else UnmatchedImages.DENY
    verdict = decide(image, reference, Digest("sha256:" + "4a" * 32), results, unmatched)
    return verdict.verdict is Verdict.ADMIT


@settings(max_examples=examples(200), deadline=None)
@given(
    given_policies=st.lists(policies, max_size=3),
    allowed=allowlists,
    space=st.sampled_from(SPACES),
    image=st.sampled_from(IMAGES),
    attested=st.sets(st.sampled_from(AUTHORITIES)),
)
def test_a_converted_set_admits_no_more_than_kritis(
    given_policies: list[Any], allowed: list[Any], space: str, image: str, attested: set[str]
) -> None:
    conversion, index = convert_and_load(*objects(given_policies, allowed))
    if admitted(conversion, index, space, image, attested):
        assert plainly_admitted(given_policies, allowed, space, image, attested)


def test_the_patterns_of_a_policy_are_carried_over_for_its_namespace() -> None:
    made = objects([("prod", ["one"], ["r.example.org/a*", "r.example.org/t*m/a"]), ("dev", ["one"], [])], [])
    conversion = convert(*made)
    assert specs(conversion)["prod.p0"]["excludeImages"] == [{"repository": "r.example.org/a*"}]
    assert "excludeImages" not in specs(conversion)["dev.p1"]
    assert "is literal unless it is the last character" in "\n".join(map(str, conversion.notes))
