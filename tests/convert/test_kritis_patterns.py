"""Conversion of allowlist patterns: none admits more images than in kritis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from sealgate.convert.kritis.patterns import NoSelectorError, exclusion_of
from sealgate.errors import InvalidReferenceError
from sealgate.policies.matching import Namespace
from sealgate.references import parse_reference
from tests.convert.kritis_conversions import DIGEST, convert, convert_and_load, excluded, notes, problems, specs
from tests.support.builders.kritis import allowlist, attestation_policy, authority, kritis
from tests.support.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

REGISTRY = "registry.example.org"
PATTERNS = [
    (f"{REGISTRY}/acs/*", [f"{REGISTRY}/acs/pause:3.5", f"{REGISTRY}/acs/a"], [f"{REGISTRY}/acs/a/b", "acs/a"]),
    (f"{REGISTRY}/acs/**", [f"{REGISTRY}/acs/pause:3.5"], [f"{REGISTRY}/acs/a/b", f"{REGISTRY}/acs/a/b/c"]),
    (f"{REGISTRY}/***", [f"{REGISTRY}/a.b:3.5"], [f"{REGISTRY}/acs/a", f"{REGISTRY}/acs/a/b/c"]),
    (f"{REGISTRY}/app", [f"{REGISTRY}/app", f"{REGISTRY}/app:latest"], [f"{REGISTRY}/app:v1", f"{REGISTRY}/app-x"]),
    (f"{REGISTRY}/app:v1", [f"{REGISTRY}/app:v1"], [f"{REGISTRY}/app", f"{REGISTRY}/app:v1{DIGEST}"]),
    (
        f"{REGISTRY}/app:*",
        [f"{REGISTRY}/app:v1", f"{REGISTRY}/app"],
        [f"{REGISTRY}/apps:v1", f"{REGISTRY}/app{DIGEST}", f"{REGISTRY}/app:v1{DIGEST}"],
    ),
    (f"{REGISTRY}/app:v*", [f"{REGISTRY}/app:v1.2"], [f"{REGISTRY}/app:1"]),
    (f"{REGISTRY}/app:v*-x", [f"{REGISTRY}/app:v1-x"], [f"{REGISTRY}/app:v1.2-x", f"{REGISTRY}/app:v1"]),
    (f"{REGISTRY}/app*", [f"{REGISTRY}/app:v1", f"{REGISTRY}/app-x:v1{DIGEST}"], [f"{REGISTRY}/app/x"]),
    (f"{REGISTRY}/a*p*", [f"{REGISTRY}/a-p.x:v1"], [f"{REGISTRY}/a.p", f"{REGISTRY}/a/p"]),
    (f"{REGISTRY}/*/app", [f"{REGISTRY}/team/app"], [f"{REGISTRY}/team/app:v1", f"{REGISTRY}/a/b/app"]),
    (f"{REGISTRY}/**/app", [f"{REGISTRY}/team/app"], [f"{REGISTRY}/a/b/app", f"{REGISTRY}/te.am/app"]),
    ("nginx", ["nginx", "docker.io/library/nginx:latest"], ["nginx:1", f"{REGISTRY}/nginx"]),
    ("nginx*", ["nginx:1", "nginx-x"], ["team/nginx"]),
    ("**", ["nginx:1"], ["team/nginx", f"{REGISTRY}/nginx"]),
    ("team/*", ["team/app:1"], ["app:1", f"{REGISTRY}/team/app:1"]),
    ("docker.io/*/app", ["team/app"], ["docker.io/te.am/app", "docker.io/a/b/app"]),
    ("index.docker.io/nginx*", ["nginx:1"], [f"{REGISTRY}/nginx"]),
    (
        "registry*.*.aliyuncs.com/acs/*",
        ["registry-vpc.cn-hangzhou.aliyuncs.com/acs/pause:3.5", "registry.cn-beijing.aliyuncs.com/acs/a.b"],
        [
            "registry.cn-hangzhou.aliyuncs.com/other/pause",
            "registry.evil.com/acs/pause",
            # Registries that any customer can open under the same domain.
            "registry-mine-registry.cn-hangzhou.cr.aliyuncs.com/acs/pause",
            "registry.a.b.aliyuncs.com/acs/pause",
        ],
    ),
    (
        "**.cr.aliyuncs.com/acs/*",
        ["x.cr.aliyuncs.com/acs/app"],
        ["evil.example.com/y.cr.aliyuncs.com/acs/app", "evil.example.cr.aliyuncs.com/acs/app"],
    ),
    ("localhost:5000/*", ["localhost:5000/app:1"], ["localhost:5001/app:1"]),
    ("REGISTRY.example.org/app:v1", [f"{REGISTRY}/app:v1"], []),
]


@pytest.mark.parametrize(("pattern", "inside", "outside"), PATTERNS, ids=[pattern[0] for pattern in PATTERNS])
def test_converted_pattern_excludes_the_same_images(pattern: str, inside: list[str], outside: list[str]) -> None:
    conversion = convert(authority(), attestation_policy("signed", "qa"), allowlist(pattern))
    assert [image for image in inside if not excluded(conversion, image)] == []
    assert [image for image in outside if excluded(conversion, image)] == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (f"{REGISTRY}/app{DIGEST}", "digest"),
        ("registry.*/app", "other owners"),
        ("registry.*.com/app", "other owners"),
        ("*.com:5000/app", "other owners"),
        ("registry*:5000/app", "other owners"),
        ("*/app", "match a registry"),
        ("local*/app", "match a registry"),
        ("{evil.example.com,x}.cr.aliyuncs.com/*", "is literal"),
        (f"{REGISTRY}/{{a,b}}/*", "is literal"),
        (f"{REGISTRY}/a?c*", "is literal"),
        (f"{REGISTRY}/app:{{v1,v2}}", "is literal"),
        (f"{REGISTRY}/app:?", "is literal"),
        (f"{REGISTRY}/[ab]*", "is literal"),
        (f"{REGISTRY}/app:", "empty"),
        (f"{REGISTRY}/app:{'v' * 129}", "longer than"),
        (f"{REGISTRY}/app:{'v' * 60}*{'v' * 67}", "longer than"),
        (f"{REGISTRY}/{'a' * 500}", "longer than"),
        (f"{REGISTRY}/a b", "."),
        (f"{REGISTRY}/App", "."),
        (f"{REGISTRY}//app", "."),
    ],
)
def test_uncovered_pattern_is_dropped_and_reported(pattern: str, why: str) -> None:
    with pytest.raises(NoSelectorError, match=why):
        exclusion_of(pattern)
    conversion = convert(authority(), attestation_policy("signed", "qa"), allowlist(pattern))
    (spec,) = specs(conversion).values()
    assert "excludeImages" not in spec
    assert "not converted, so these images must be attested" in notes(conversion)


def test_image_with_more_dots_gets_its_own_policy() -> None:
    conversion = convert(
        authority(), attestation_policy("signed", "qa"), allowlist("registry*.*.aliyuncs.com/acs/*", "nginx*")
    )
    found = specs(conversion)
    # It comes first, so that the other policy is never applied alone.
    assert list(found) == ["default.signed.more-dots", "default.signed"]
    assert found["default.signed.more-dots"] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
        "images": [{"repository": "registry*.*.*.aliyuncs.com/acs/*"}],
        "excludeImages": [{"repository": "docker.io/library/nginx*"}],
        "require": {"authenticators": ["default.qa"]},
    }
    assert "whose names end in .more-dots" in notes(conversion)


def test_exact_pattern_allows_an_image_with_more_dots() -> None:
    conversion = convert(
        authority(),
        attestation_policy("signed", "qa"),
        allowlist("registry*.*.aliyuncs.com/acs/*", "registry.a.b.aliyuncs.com/acs/*"),
    )
    assert excluded(conversion, "registry.a.b.aliyuncs.com/acs/pause:1")
    assert not excluded(conversion, "registry.a.c.aliyuncs.com/acs/pause:1")


def test_a_pattern_for_a_namespace_holds_there_alone() -> None:
    conversion = convert(
        *(authority(namespace=space) for space in ("a", "b")),
        *(attestation_policy("signed", "qa", namespace=space) for space in ("a", "b")),
        allowlist(("nginx*", "a"), "busybox*", ("redis*", "c")),
    )
    assert excluded(conversion, "nginx", "a")
    assert not excluded(conversion, "nginx", "b")
    assert excluded(conversion, "busybox", "a")
    assert excluded(conversion, "busybox", "b")
    assert "the namespace c has no policy" in notes(conversion)


@pytest.mark.parametrize("wildcard", ["*", "*-x*-y*-z"])
def test_excess_patterns_are_reported(wildcard: str) -> None:
    patterns = [f"{REGISTRY}/app{number}{wildcard}" for number in range(257)]
    conversion = convert(authority(), attestation_policy("signed", "qa"), allowlist(*patterns))
    kept = 256 if wildcard == "*" else 85
    assert len(specs(conversion)["default.signed"]["excludeImages"]) == kept
    assert f"only the first {kept} of 257" in notes(conversion)
    assert not excluded(conversion, f"{REGISTRY}/app0.1-x-y-z") or wildcard == "*"


@pytest.mark.parametrize("patterns", ["nginx", ["nginx"], [{"namePattern": ""}], [{}]])
def test_invalid_allowlist_is_refused(patterns: Any) -> None:
    assert "spec.patterns" in problems(authority(), kritis("AdmissionAllowlist", "x", {"patterns": patterns}))


@pytest.mark.parametrize("space", [["a"], 5, {"a": 1}])
def test_invalid_namespace_is_refused(space: Any) -> None:
    listed = {"patterns": [{"namePattern": "nginx*", "namespace": space}]}
    assert "spec.patterns[0].namespace" in problems(authority(), kritis("AdmissionAllowlist", "x", listed))


# No further image is admitted: compared with a plain implementation of the hook's rule. -----------------------------


def hook_allows(pattern: str, image: str) -> bool:
    """Return whether the documented hook admits an image: the last `*` matches all but `/`, the others words."""
    if not pattern:
        return not image
    if pattern == "*":
        return "/" not in image
    if pattern[0] != "*":
        return image[:1] == pattern[0] and hook_allows(pattern[1:], image[1:])
    word = re.match(r"[A-Za-z0-9_-]*", image)
    assert word is not None
    return any(hook_allows(pattern[1:], image[length:]) for length in range(word.end() + 1))


def spellings(image: str) -> Iterator[str]:
    """Yield every way to write an image that means exactly the same: the same registry, repository, tag and digest."""
    reference = parse_reference(image)
    registry, path = reference.repository
    names = [reference.name]
    if registry == "docker.io":
        names += [path, f"index.docker.io/{path}", f"registry-1.docker.io/{path}"]
        names += [name.replace("library/", "", 1) for name in names if path.startswith("library/")]
    if ":" not in registry:
        names += [f"{registry}:443/{path}"]
    digest = f"@{reference.digest}" if reference.digest else ""
    tags = {f":{reference.tag}" if reference.tag else ""}
    if not digest and reference.effective_tag == "latest":
        tags = {"", ":latest"}
    for written in (f"{name}{tag}{digest}" for name in names for tag in tags):
        try:
            same = parse_reference(written)
        except InvalidReferenceError:
            continue
        if (same.name, same.effective_tag, same.digest) == (reference.name, reference.effective_tag, reference.digest):
            yield written


HOSTS = ["registry.example.org", "r.cr.aliyuncs.com", "docker.io", "localhost", "a.b:5000", "index.docker.io", "team"]
PARTS = ["a", "acs", "app", "library", "localhost", "te.am", "v1", "latest", "x-y", "a.b", "nginx"]
specials = st.sampled_from(["*", "*", "*", "**", "***", "?", "{", "}", ",", "{a,b}", ".", "-", ":", "/", "[", " "])
pieces = st.lists(st.sampled_from(PARTS) | specials, min_size=1, max_size=4).map("".join)
hosts = st.sampled_from(HOSTS) | st.tuples(
    st.sampled_from(["*", "**", "r*.*", "a*", "*."]), st.sampled_from([*HOSTS, ""])
).map("".join)
names = st.tuples(hosts, st.lists(pieces, min_size=1, max_size=3)).map(lambda parts: "/".join([parts[0], *parts[1]]))
patterns = st.one_of(
    names,
    pieces,
    st.tuples(names | pieces, pieces | st.just("*")).map(":".join),
    st.tuples(st.sampled_from(["*", "local*", "l*t"]), pieces).map("/".join),
)
runs = st.sampled_from(["", "a", "x-y", "a_b", ".", "a.b", "evil.example.com/y", "a/b", "b:v1", "v1.2", "localhost"])


def alike(pattern: str) -> st.SearchStrategy[str]:
    """Draw an image that is similar to a pattern, under either meaning of the wildcards."""
    texts = [
        runs if part[0] == "*" else st.sampled_from(["a", "b", "ab", part]) if part[0] in "?{" else st.just(part)
        for part in re.findall(r"\*+|\?|\{[^}]*\}|[^*?{]+|\{", pattern)
    ]
    ends = st.sampled_from(["", "", ":latest", ":v1", DIGEST, f":v1{DIGEST}"])
    images = st.tuples(st.sampled_from(["", "", "docker.io/"]), *texts, ends).map("".join)
    return images | images.map(lambda image: re.sub(r":[^/]*$", "", image) + DIGEST)


@settings(max_examples=examples(300), deadline=None)
@given(data=st.data(), listed=st.lists(patterns, min_size=1, max_size=3))
def test_excluded_images_were_allowed(data: st.DataObject, listed: list[str]) -> None:
    _, index = convert_and_load(authority(), attestation_policy("signed", "qa"), allowlist(*listed))
    for pattern in listed:
        for image in data.draw(st.lists(alike(pattern), min_size=1, max_size=6)):
            try:
                reference = parse_reference(image)
            except InvalidReferenceError:
                continue
            if not index.match(reference, Namespace("default")):
                event("excluded")
                assert any(hook_allows(each, same) for each in listed for same in spellings(image)), image


def allowed(pattern: str) -> st.SearchStrategy[str]:
    """Draw an image that the hook admits."""
    words, ends = (
        st.sampled_from(["a", "ab", "a-b", "0a"]),
        st.sampled_from(["a", "a.b", "a:v1", f"a:v1{DIGEST}", "a-b"]),
    )
    parts = re.findall(r"\*+$|\*+|[^*]+", pattern)
    texts = [st.just(part) if part[0] != "*" else words for part in parts[:-1]]
    texts.append(st.just(parts[-1]) if parts[-1][0] != "*" else ends)
    return st.tuples(*texts).map("".join)


components = st.sampled_from(["acs", "x*", "*", "**", "a*b", "*-x", "te.am", "v*1*2"])
usual = st.tuples(
    st.sampled_from(["registry.example.org", "registry*.*.example.org", "docker.io", "r.example.org:5000"]),
    st.lists(components, max_size=2).map(lambda parts: "".join(f"{part}/" for part in parts)),
    st.sampled_from(["app", "*", "**", "app*", "app-*"]),
).map(lambda parts: f"{parts[0]}/{parts[1]}{parts[2]}")


@settings(max_examples=examples(150), deadline=None)
@given(data=st.data(), pattern=usual)
def test_images_allowed_by_typical_patterns_are_excluded(data: st.DataObject, pattern: str) -> None:
    _, index = convert_and_load(authority(), attestation_policy("signed", "qa"), allowlist(pattern))
    assert not index.match(parse_reference(data.draw(allowed(pattern))), Namespace("default"))
