"""Images refused by Connaisseur stay refused, compared with a plain implementation of its rules.

The rules are those of sse-secure-systems/connaisseur: `internal/config/config.go` and `internal/policy/match.go` for
the choice of the rule, `internal/validator/cosignvalidator/cosign_validator.go` for the counting. A tag beside a digest
proves nothing to either: an image with a digest is admitted if it is admitted there with some tag.
"""

from __future__ import annotations

import json
import re
from itertools import takewhile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts
from sealgate.errors import PolicyError
from tests.convert.test_connaisseur import PEMS, UNLOGGED
from tests.convert.verdicts import HEX, admits, index_of
from tests.support.examples import examples

PIECES = [
    *("*", "*", "/", "/", "docker.io/", "index.docker.io/", "ghcr.io/", "ghcr.io/shop/", "library/", "nginx", "shop"),
    *(":*", ":v1", "web", "web/", "-", "r.example.org:5000/", ".io/", "@sha256:" + HEX),
]
NAMES = [
    *("docker.io/library/nginx", "docker.io/shop/web", "ghcr.io/shop/web", "ghcr.io/shop/web/web", "ghcr.io/nginx"),
    *("r.example.org:5000/shop/web", "xghcr.io/shop/web", "ghcr.io/web/ghcr.io/shop/web", "ghcr.io/shop/webnginx"),
    *("ghcr.io/docker.io/library/nginx", "example.org/library/nginx"),
]
TAGS = ["latest", "v1", "v12", "web", "nginx"]
patterns = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join),
    st.sampled_from(["*:*", "*", "docker.io/*:*", "ghcr.io/*", "ghcr.io/shop/*:*", "ghcr.io/shop/web:*", "*:latest"]),
    st.sampled_from(["library/nginx:*", "docker.io/library/*:v1", "ghcr.io/shop/*:v1", "ghcr.io/*/web:*", "*/*"]),
)
ROOTS = [{"name": name, "key": pem} for name, pem in zip("abc", PEMS, strict=True)]
VALIDATORS = [
    {"name": "allow", "type": "static", "approve": True},
    {"name": "deny", "type": "static", "approve": False},
    {"name": "v", "type": "cosign", "trustRoots": ROOTS},
]
rules = st.one_of(
    st.sampled_from([{"validator": "allow"}, {"validator": "deny"}]),
    st.sampled_from("abc").map(lambda name: {"validator": "v", "with": {**UNLOGGED, "trustRoot": name}}),
    st.builds(
        lambda threshold, required: {
            "validator": "v",
            "with": {**UNLOGGED, "trustRoot": "*", "threshold": threshold, "required": required},
        },
        st.sampled_from([0, 1, 2, 3]),
        st.lists(st.sampled_from("abc"), max_size=3, unique=True),
    ),
)


def common(one: str, other: str) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))


def choose(policy: list[Any], text: str) -> Any:
    """Return the rule that Connaisseur applies to a full name, or None."""
    best, best_key = None, None
    for rule in policy:
        pattern = rule["pattern"]
        if not re.search(".*".join(re.escape(part) for part in pattern.split("*")), text):
            continue
        parts, image = pattern.split("/"), text.split("/")
        prefixes = [common(one, other) for one, other in zip(parts, image, strict=False)]
        key = (len(parts), prefixes, [len(part) for part in parts])
        if best_key is None or key >= best_key:
            best, best_key = rule, key
    return best


def met(rule: Any, signed: set[str]) -> bool:
    if rule is None or rule["validator"] != "v":
        return rule is not None and rule["validator"] == "allow"
    options = rule["with"]
    if options["trustRoot"] != "*":
        return options["trustRoot"] in signed
    required, threshold = options["required"], options["threshold"]
    asked = set("abc") if threshold > len(required) or not required else set(required)
    needed = threshold or (0 if required else len(asked))
    counted = len(signed & asked)
    return counted >= max(needed, 1) and set(required) <= signed


def plainly_admits(policy: list[Any], name: str, end: str, signed: set[str]) -> bool:
    full = f"index.{name}" if name.startswith("docker.io/") else name
    ends = [end] if "@" not in end else [f"@sha256:{HEX}", *(f":{tag}@sha256:{HEX}" for tag in TAGS)]
    return any(met(choose(policy, f"{full}{one}"), signed) for one in ends)


@settings(max_examples=examples(1000), deadline=None)
@given(
    given_rules=st.lists(st.tuples(patterns, rules), min_size=1, max_size=4),
    name=st.sampled_from(NAMES),
    end=st.sampled_from([*(f":{tag}" for tag in TAGS), f"@sha256:{HEX}", f":v1@sha256:{HEX}"]),
    signed=st.sets(st.sampled_from("abc")),
)
def test_converted_values_admit_no_more(given_rules: list[Any], name: str, end: str, signed: set[str]) -> None:
    policy = [{"pattern": pattern, **rule} for pattern, rule in given_rules]
    source = {"application": {"validators": VALIDATORS, "policy": policy}}
    try:
        conversion = convert_texts([("values.yaml", json.dumps(source))])
    except PolicyError:
        return
    if admits(index_of(conversion), f"{name}{end}", {f"v.{root}" for root in signed}):
        assert plainly_admits(policy, name, end, signed)
