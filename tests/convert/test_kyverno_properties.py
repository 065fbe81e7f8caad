"""Images refused by verifyImages rules stay refused, compared with a plain implementation of Kyverno's counting.

The rules are those of kyverno/kyverno, `pkg/engine/internal/imageverifier.go`: every attestor set needs `count` of its
entries, all if there is none, and an image that no rule covers is admitted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts, to_yaml
from sealgate.errors import PolicyError
from sealgate.findings import Finding, Outcome
from sealgate.policies.decisions import UnmatchedImages, Verdict, decide
from sealgate.policies.matching import Namespace, PolicyIndex
from sealgate.reasons import Reason
from sealgate.references import Digest, parse_reference
from tests.convert.test_kyverno import policy, rule
from tests.support.builders.policy_files import load_policy_texts
from tests.support.examples import examples
from tests.support.signers.private_keys import new_key, public_pem

if TYPE_CHECKING:
    from sealgate.convert.results import Conversion

IMAGE = "ghcr.io/shop/web:1"
KEYS = [public_pem(new_key("ECDSA P-256", f"kyverno-{number}")) for number in range(3)]

entries = st.one_of(
    st.sampled_from(range(3)).map(lambda key: {"keys": {"publicKeys": KEYS[key], "rekor": {"ignoreTlog": True}}}),
    st.just({"certificates": {"cert": "x"}}),
)
sets = st.builds(
    lambda found, count: {"entries": found, **({"count": count} if count else {})},
    st.lists(entries, min_size=1, max_size=3),
    st.integers(min_value=0, max_value=3),
)


def admitted(conversion: Conversion, signed: set[int]) -> bool:
    index = PolicyIndex(load_policy_texts({"converted.yaml": to_yaml(conversion)}).policies)
    pems = {
        one["metadata"]["name"]: one["spec"]["cosign"]["keys"][0]["pem"]
        for one in conversion.objects
        if one["kind"] == "Authenticator"
    }
    results = []
    for match in index.match(parse_reference(IMAGE), Namespace("shop")):
        findings = [
            Finding(name, "cosign", Outcome.VERIFIED, Reason.VERIFIED, "message", (pems[name],))
            if any(pems[name].strip() == KEYS[key].strip() for key in signed)
            else Finding(name, "cosign", Outcome.REFUSED, Reason.NO_SIGNATURE, "message", ())
            for name in match.policy.authenticators
        ]
        results.append((match, findings))
    verdict = decide(IMAGE, parse_reference(IMAGE), Digest("sha256:" + "4a" * 32), results, UnmatchedImages.ADMIT)
    return verdict.verdict is Verdict.ADMIT


def plainly_admitted(attestors: list[Any], signed: set[int]) -> bool:
    return all(
        sum("keys" in one and KEYS.index(one["keys"]["publicKeys"]) in signed for one in found["entries"])
        >= (found.get("count") or len(found["entries"]))
        for found in attestors
    )


@settings(max_examples=examples(300), deadline=None)
@given(attestors=st.lists(sets, min_size=1, max_size=3), signed=st.sets(st.sampled_from(range(3))))
def test_a_converted_rule_admits_no_more(attestors: list[Any], signed: set[int]) -> None:
    source = json.dumps(policy(rule(attestors=attestors)))
    try:
        conversion = convert_texts([("source.yaml", source)])
    except PolicyError:
        return
    if admitted(conversion, signed):
        assert plainly_admitted(attestors, signed)
