"""Images refused by Portieris stay refused, compared with a plain implementation of its rules.

The rules are those of IBM/portieris: `helpers/wildcard/wildcard.go` for names, `FindImagePolicy` for the choice. Names
are compared with the image as it is written, so an image is admitted here only if it is with some spelling there.
"""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.convert.files import convert_texts
from sealgate.errors import PolicyError
from tests.convert.test_portieris import keyring, policy
from tests.convert.verdicts import HEX, admits, index_of
from tests.support.examples import examples

PIECES = [
    *("*", "*", "/", "docker.io/", "index.docker.io/", "icr.io/", "icr.io/shop/", "library/", "nginx", "shop", "shop/"),
    *(":*", ":v1", ":v1*", "web", "web/", "r.example.org:5000/", "*.io/", "a"),
]
names = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join),
    st.sampled_from(
        ["*", "icr.io/*", "icr.io/shop/*", "icr.io/shop/web", "docker.io/*", "nginx", "shop/*", "*:latest"]
    ),
    st.sampled_from(["icr.io/shop/web*", "icr.io/shop/web:v1", "*/web", "*.io/shop/*", "icr.io/*/web:*", "shop/*"]),
)
IMAGES = [
    *("docker.io/library/nginx", "docker.io/shop/web", "icr.io/shop/web", "icr.io/shop/web/web", "icr.io/web"),
    *("r.example.org:5000/shop/web", "icr.io/shop/webnginx", "example.org/library/nginx", "icr.io/nginx"),
]
TAGS = ["latest", "v1", "v12", "web", "nginx"]
KEYS = ("a", "b", "c")
SECRETS = "".join(f"---\n{json.dumps(keyring(f'keys.{key}'))}\n" for key in KEYS)


def requirement(key: str) -> dict[str, Any]:
    return {"type": "signedBy", "keySecret": key, "keySecretNamespace": "keys"}


asked = st.one_of(
    st.just({}),
    st.just({"trust": {"enabled": True}}),
    st.just({"simple": {"requirements": [{"type": "reject"}]}}),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique=True).map(
        lambda keys: {"simple": {"requirements": [requirement(key) for key in keys]}}
    ),
)


def glob(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text) is not None


def any_tag(pattern: str, text: str) -> bool:
    return glob(pattern, text) or glob(f"{pattern}:*", text)


def matches(name: str, image: str) -> bool:
    if "/" not in name:
        return any_tag(name, image)
    if "/" not in image:
        return False
    host, path = name.split("/", 1)
    registry, rest = image.split("/", 1)
    return glob(host, registry) and any_tag(path, rest)


def choose(repositories: list[Any], image: str) -> Any:
    best, quality = None, -1
    for one in repositories:
        name = one["name"]
        if name == image and "*" not in name:
            return one
        if matches(name, image) and len(name) - name.count("*") > quality:
            best, quality = one, len(name) - name.count("*")
    return best


def met(one: Any, signed: set[str]) -> bool:
    """Whether the policy of a repository is met; trust is not, since nothing here is signed with Notary."""
    if one is None or "trust" in one["policy"]:
        return False
    requirements = one["policy"].get("simple", {}).get("requirements", [])
    return all(each["type"] != "reject" and each["keySecret"] in signed for each in requirements)


def spellings(name: str, end: str) -> list[str]:
    written = [name]
    if name.startswith("docker.io/"):
        short = name.removeprefix("docker.io/")
        written += [f"index.{name}", short, short.removeprefix("library/")]
    ends = [end] if "@" not in end else [f"@sha256:{HEX}", *(f":{tag}@sha256:{HEX}" for tag in TAGS)]
    return [f"{one}{each}" for one in written for each in [*ends, *([""] if end == ":latest" else [])]]


@settings(max_examples=examples(1000), deadline=None)
@given(
    given_rules=st.lists(st.tuples(names, asked), min_size=1, max_size=4),
    own=st.booleans(),
    name=st.sampled_from(IMAGES),
    end=st.sampled_from([*(f":{tag}" for tag in TAGS), f"@sha256:{HEX}", f":v1@sha256:{HEX}"]),
    signed=st.sets(st.sampled_from(KEYS)),
)
def test_converted_policies_admit_no_more(  # noqa: PLR0917 - what is generated
    given_rules: list[Any],
    own: bool,  # noqa: FBT001
    name: str,
    end: str,
    signed: set[str],
) -> None:
    repositories = [{"name": one, "policy": each} for one, each in given_rules]
    sources = (
        [policy(*repositories, namespace="shop"), policy({"name": "*"}, name="all")] if own else [policy(*repositories)]
    )
    text = "".join(f"---\n{json.dumps(one)}\n" for one in sources)
    try:
        conversion = convert_texts([("policies.yaml", text)])
    except PolicyError:
        return
    verified = {
        one["metadata"]["name"]
        for one in conversion.objects
        if one["kind"] == "Authenticator"
        and "notary" not in one["spec"]
        and one["spec"]["simpleSigning"]["keyring"]["secretRef"]["name"].removeprefix("keys.") in signed
    }
    if admits(index_of(conversion, SECRETS), f"{name}{end}", verified):
        assert any(met(choose(repositories, image), signed) for image in spellings(name, end))
