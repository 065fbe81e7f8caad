"""Images refused by policy-controller stay refused, compared with a plain implementation of its rules.

The rules are those of sigstore/policy-controller: `pkg/apis/glob/glob.go` for globs, `pkg/webhook/validator.go` for the
rest: all matching policies, any authority, and no policy means denied.
"""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts, to_yaml
from sealgate.errors import PolicyError
from sealgate.findings import Finding, Outcome
from sealgate.policies.decisions import UnmatchedImages, Verdict, decide
from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.reasons import Reason
from sealgate.references import Digest, parse_reference
from tests.support.builders.cluster_image_policies import KEY
from tests.support.builders.cluster_image_policies import cluster_image_policy as policy
from tests.support.builders.policy_files import load_policy_texts
from tests.support.examples import examples

HEX = "4a" * 32
PIECES = [
    *("*", "*", "**", "/", "/", "index.docker.io/", "docker.io/", "ghcr.io/", "library/", "nginx", "team/"),
    *("app", "-", "a", ":", "v1", "io", ".", "r.example.org:5000/", "example", "localhost/", "sha256:", "g"),
]
NAMES = [
    *("docker.io/library/nginx", "docker.io/team/app", "docker.io/team/a/b", "ghcr.io/team/app", "ghcr.io/team/a-app"),
    *("ghcr.io/app", "r.example.org:5000/team/app", "r.example.org/app", "docker.example/app", "localhost/app"),
    *(
        "ghcr.io/library/nginx",
        "index.example.io/nginx",
        "ghcr.io/team/docker.io/app",
        "ghcr.io/g/v1",
        "xdocker.io/a/b",
    ),
]
globs = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=7).map("".join),
    st.sampled_from(["**", "*", "*/*", "ghcr.io/team/*", "index.docker.io/**", "*.io/**", "**/app*", "ghcr.io/**:**"]),
)
authorities = st.sampled_from(
    [
        KEY,
        {"static": {"action": "pass"}},
        {"static": {"action": "fail"}},
        {**KEY, "attestations": [{"name": "a", "predicateType": "vuln", "policy": {"type": "cue", "data": "x"}}]},
    ]
)


def matches(glob: str, name: str) -> bool:
    """Whether a glob matches an image that is pinned to a digest, as policy-controller compares them."""
    glob = {"*": "index.docker.io/library/*", "*/*": "index.docker.io/*/*"}.get(glob, glob)
    expression = glob.replace(".", r"\.").replace("**", "#").replace("*", "[^/]*").replace("#", ".*")
    full = f"index.{name}" if name.startswith("docker.io/") else name
    return re.search(f"^{expression}$", f"{full}@sha256:{HEX}") is not None


def converted(*objects: Any) -> Any:
    text = "".join(f"---\n{json.dumps(one)}\n" for one in objects)
    conversion = convert_texts([("source.yaml", text)])
    return PolicyIndex(load_policy_texts({"converted.yaml": to_yaml(conversion)}).policies)


@settings(max_examples=examples(600), deadline=None)
@given(glob=globs, name=st.sampled_from(NAMES))
def test_a_glob_covers_exactly_what_it_covered(glob: str, name: str) -> None:
    try:
        index = converted(policy(KEY, glob=glob))
    except PolicyError:
        return
    reference = parse_reference(f"{name}@sha256:{HEX}")
    assert bool(index.match(reference, Namespace("shop"))) == matches(glob, name)


def admits(index: PolicyIndex, image: str, signed: set[str]) -> bool:
    reference = parse_reference(image)
    results = []
    for match in index.match(reference, Namespace("shop")):
        findings = [
            Finding(name, "cosign", Outcome.VERIFIED, Reason.VERIFIED, "message", (name,))
            if name in signed
            else Finding(name, "cosign", Outcome.REFUSED, Reason.NO_SIGNATURE, "message", ())
            for name in match.policy.authenticators
        ]
        results.append((match, findings))
    verdict = decide(image, reference, Digest(f"sha256:{HEX}"), results, UnmatchedImages.DENY)
    return verdict.verdict is not Verdict.DENY


def plainly_admits(sources: list[Any], name: str, signed: set[str]) -> bool:
    found = [one for one in sources if matches(one["spec"]["images"][0]["glob"], name)]
    return bool(found) and all(_met(one, signed) or one["spec"].get("mode") == "warn" for one in found)


def _met(source: Any, signed: set[str]) -> bool:
    return any(
        one.get("static", {}).get("action") == "pass"
        or ("static" not in one and f"{source['metadata']['name']}.authority-{index}" in signed)
        for index, one in enumerate(source["spec"]["authorities"])
    )


@settings(max_examples=examples(300), deadline=None)
@given(
    given_policies=st.lists(
        st.tuples(globs, st.lists(authorities, min_size=1, max_size=2), st.sampled_from(["enforce", "warn"])),
        min_size=1,
        max_size=3,
    ),
    name=st.sampled_from(NAMES),
    tag=st.sampled_from([f"@sha256:{HEX}", ":v1", ""]),
    signed=st.sets(st.sampled_from([f"p{number}.authority-{index}" for number in range(3) for index in range(2)])),
)
def test_a_converted_set_admits_no_more(given_policies: list[Any], name: str, tag: str, signed: set[str]) -> None:
    sources = [
        policy(*each, name=f"p{number}", glob=glob, mode=mode)
        for number, (glob, each, mode) in enumerate(given_policies)
    ]
    try:
        index = converted(*sources)
    except PolicyError:
        return
    if admits(index, f"{name}{tag}", signed):
        assert plainly_admits(sources, name, signed)
