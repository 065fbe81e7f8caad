"""Properties of arbitrary text and of every valid reference."""

from __future__ import annotations

import contextlib
import re
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import InvalidReferenceError
from sealgate.references import MAX_REGISTRY_LENGTH, parse_digest, parse_reference, parse_registry, parse_repository
from tests.references.docker_grammar import docker_parts
from tests.support.examples import examples

_LOWER = string.ascii_lowercase + string.digits
_ALPHANUMERIC = string.ascii_letters + string.digits
# Texts of an alphabet, because Hypothesis takes several times as long to make one that a regular expression matches.
_END = st.sampled_from(_ALPHANUMERIC)
_LABELS = st.one_of(_END, st.tuples(_END, st.text(_ALPHANUMERIC + "-", max_size=5), _END).map("".join))
_HOSTS = st.one_of(
    st.sampled_from(
        ["docker.io", "index.docker.io", "registry-1.docker.io", "localhost", "LOCALHOST", "10.0.0.1", "127.1", "HOST"]
    ),
    st.lists(_LABELS, min_size=1, max_size=3).map(".".join),
    st.ip_addresses(v=6).map(lambda address: f"[{address.exploded.upper()}]"),
)
_PORTS = st.one_of(st.just(""), st.sampled_from([":443", ":0443", ":0"]), st.integers(0, 70_000).map(lambda p: f":{p}"))
_WORDS = st.text(_LOWER, min_size=1, max_size=4)
_SEPARATORS = st.sampled_from([".", "_", "__", "-", "--", "---"])
_COMPONENTS = st.one_of(_WORDS, st.tuples(_WORDS, _SEPARATORS, _WORDS).map("".join))
_PATHS = st.lists(_COMPONENTS, min_size=1, max_size=4).map("/".join)
_TAGS = st.one_of(
    st.just(""),
    st.tuples(st.just(":"), st.sampled_from(_ALPHANUMERIC + "_"), st.text(_ALPHANUMERIC + "_.-", max_size=9)).map(
        "".join
    ),
)
_DIGESTS = st.one_of(st.just(""), st.binary(min_size=32, max_size=32).map(lambda value: f"@sha256:{value.hex()}"))
_REGISTRIES = st.one_of(st.just(""), st.tuples(_HOSTS, _PORTS).map(lambda parts: "".join(parts) + "/"))
REFERENCES = st.tuples(_REGISTRIES, _PATHS, _TAGS, _DIGESTS).map("".join)
_MUTATED = st.tuples(REFERENCES, st.integers(0, 80), st.text(max_size=2)).map(
    lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
)


@settings(max_examples=examples(400))
@given(st.one_of(REFERENCES, _MUTATED))
def test_normalisation_is_idempotent(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReferenceError:
        return

    assert parse_reference(str(reference)) == reference
    assert parse_repository(reference.name) == reference.repository
    assert parse_registry(reference.repository.registry) == reference.repository.registry


@settings(max_examples=examples(300))
@given(st.one_of(st.text(), st.text("aZ0.:/@[]-_ \n%", max_size=30), _MUTATED))
def test_only_the_declared_error_is_raised(text: str) -> None:
    for parse in (parse_reference, parse_registry, parse_repository, parse_digest):
        with contextlib.suppress(InvalidReferenceError):
            parse(text)


@settings(max_examples=examples(200))
@given(_LABELS, _LABELS, _PATHS, _TAGS, _DIGESTS)
def test_reference_accepted_by_docker_is_accepted(first: str, second: str, path: str, tag: str, digest: str) -> None:
    host = f"{first}.{second}x.example"

    reference = parse_reference(f"{host}/{path}{tag}{digest}")

    assert reference.repository == (host.lower(), path)


def _is_refused_on_purpose(domain: str, path: str, tag: str | None, digest: str | None) -> bool:
    """Return whether docker accepts it and sealgate refuses it, for a reason named in `sealgate.references`."""
    host, _, port = domain.rpartition(":") if re.search(r":[0-9]+$", domain) else (domain, "", "443")
    last = host.lower().rpartition(".")[2]
    return (
        (digest is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", digest))
        or len(domain) > MAX_REGISTRY_LENGTH
        or port.startswith("0")
        or int(port) > 65535
        or host.startswith("[")
        or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is not None
        or (not set(domain) & set(".:") and domain.lower() != "localhost")
        or (path in ("library/sha256", "library/sha384", "library/sha512") and tag is not None)
        or (domain != "docker.io" and domain.lower().endswith("docker.io") and "/" not in path)
        or (domain != "docker.io" and domain.lower().endswith("docker.io:443") and "/" not in path)
    )


@settings(max_examples=examples(500))
@given(st.one_of(REFERENCES, _MUTATED, st.text("aA0.:/@-_ [", max_size=20)))
def test_agrees_with_docker_except_on_purpose(text: str) -> None:
    parts = docker_parts(text)
    try:
        reference = parse_reference(text)
    except InvalidReferenceError:
        assert parts is None or _is_refused_on_purpose(*parts)
        return

    assert parts is not None
    domain, path, tag, digest = parts
    assert (reference.repository.path, reference.tag, reference.digest) == (path, tag, digest)
    assert reference.repository.registry == parse_registry(domain)


@settings(max_examples=examples(200))
@given(REFERENCES)
def test_name_contains_no_separators_of_its_parts(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReferenceError:
        return

    registry, path = reference.repository
    assert "/" not in registry
    assert not set(path) & set(":@[]")
    assert registry == registry.lower()
    assert not registry.endswith(":443") or "." not in registry
