"""Images refused by Ratify 1 stay refused, compared with a plain implementation of its rules.

The rules are those of ratify-project/ratify 1.4: `pkg/verifier/cosign/trustpolicies.go` and notation-go for the choice
of a trust policy, `pkg/executor/core/executor.go` for the reports, `pkg/policyprovider/configpolicy` for the decision.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts
from sealgate.errors import PolicyError
from tests.convert.ratify_objects import (
    BESIDE,
    COSIGN,
    KEYED,
    NOTATION,
    config_policy,
    constraint,
    cosign,
    notation,
    template,
)
from tests.convert.verdicts import HEX, admits, index_of
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIXES = [
    "*",
    "ghcr.io/*",
    "ghcr.io/shop/*",
    "ghcr.io/shop/web*",
    "ghcr.io/shop/web:*",
    "ghcr.io/shop/web:v1",
    "ghcr.*",
]
PREFIXES += ["docker.io/library/*", "docker.io*", "ghcr.io/shop/web", f"ghcr.io/shop/web@sha256:{HEX}"]
REPOSITORIES = ["*", "ghcr.io/shop/web", "ghcr.io/shop/website", "docker.io/library/nginx"]
NAMES = ["ghcr.io/shop/web", "ghcr.io/shop/website", "ghcr.io/shop/web/a", "ghcr.io/a", "docker.io/library/nginx"]
# Most of what is drawn from all names Ratify does not load.
BY_COSIGN = [
    [["*"]],
    [["ghcr.io/shop/*"], ["*"]],
    [["ghcr.io/shop/web:*"], ["*"]],
    [["ghcr.io/shop/web*", "docker.io*"], ["*"], ["ghcr.io/a*"]],
    [["ghcr.*", "docker.io/library/*"]],
]
BY_NOTATION = [[["*"]], [["ghcr.io/shop/web"], ["*"]], [["ghcr.io/shop/web", "ghcr.io/shop/website"], ["ghcr.io/a"]]]
RULES = st.sampled_from(["any", "all"])
# What an image has for a verifier: no signature, or one by each of the signers of its trust policies that are there.
ALL = ("p0", "p1", "p2")
signatures = st.one_of(st.none(), st.just(set(ALL)), st.sets(st.sampled_from(ALL)))


def scopes_of(names: list[str], loaded: list[list[list[str]]]) -> st.SearchStrategy[list[list[str]]]:
    drawn = st.lists(st.lists(st.sampled_from(names), min_size=1, max_size=2), max_size=3)
    return st.one_of(st.just([]), *map(st.just, loaded), drawn)


def cosign_policy(policies: list[list[str]], image: str) -> str | None:
    whole = None
    for index, scopes in enumerate(policies):
        for scope in scopes:
            if scope == "*":
                whole = f"p{index}"
            elif image.startswith(scope[:-1]) if scope.endswith("*") else image == scope:
                return f"p{index}"
    return whole


def notation_policy(policies: list[list[str]], image: str) -> str | None:
    name = image.partition("@")[0].rpartition(":")[0] if "@" not in image else image.partition("@")[0]
    for wanted in (name, "*"):
        for index, scopes in enumerate(policies):
            if wanted in scopes:
                return f"p{index}"
    return None


def decide(asked: Mapping[str, str], reports: Iterable[tuple[str, bool]]) -> bool:
    """Return what the Policy says about reports, each of a type."""
    met = dict.fromkeys(asked.keys() - {"default"}, False)
    for kind, verified in reports:
        if not verified and asked.get(kind, asked.get("default", "all")) == "all":
            return False
        met[kind] = met.get(kind, False) or verified
    return bool(met) and all(met.values())


@settings(max_examples=examples(300), deadline=None)
@given(
    by_cosign=scopes_of(PREFIXES, BY_COSIGN),
    by_notation=scopes_of(REPOSITORIES, BY_NOTATION),
    asked=st.dictionaries(st.sampled_from(["default", COSIGN, NOTATION]), RULES),
    match=st.sampled_from([{}, {"namespaces": ["shop"]}, {"excludedNamespaces": ["old"]}, {"namespaces": ["s*"]}]),
    name=st.sampled_from(NAMES),
    end=st.sampled_from([":v1", ":latest", f"@sha256:{HEX}"]),
    cosigned=signatures,
    notarised=signatures,
)
def test_converted_objects_admit_no_more(  # noqa: PLR0917 - what is generated
    by_cosign: list[list[str]],
    by_notation: list[list[str]],
    asked: dict[str, str],
    match: dict[str, Any],
    name: str,
    end: str,
    cosigned: set[str] | None,
    notarised: set[str] | None,
) -> None:
    image = f"{name}{end}"
    sources = [config_policy(asked), *BESIDE, template(), constraint(**match)]
    reports: list[tuple[str, bool]] = []
    if by_cosign:
        sources.append(cosign(*({**KEYED, "scopes": scopes} for scopes in by_cosign)))
        if cosigned is not None:
            reports.append((COSIGN, cosign_policy(by_cosign, image) in cosigned))
    if by_notation:
        sources.append(notation(*({"registryScopes": scopes} for scopes in by_notation)))
        if notarised is not None:
            applied = notation_policy(by_notation, image)
            reports += [(NOTATION, applied == signer) for signer in notarised or ("stranger",)]
    try:
        conversion = convert_texts([("r.yaml", "".join(f"---\n{json.dumps(one)}\n" for one in sources))])
    except PolicyError:
        return
    verified = {f"cosign.{key}" for key in cosigned or ()} | {f"notation.{key}" for key in notarised or ()}
    if admits(index_of(conversion), image, verified):
        assert decide(asked, reports)
