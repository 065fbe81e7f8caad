"""Parsing and normalisation of image references."""

from __future__ import annotations

import pytest

from sealgate.errors import InvalidReferenceError
from sealgate.reasons import Reason
from sealgate.references import (
    MAX_LENGTH,
    MAX_PATH_LENGTH,
    Repository,
    parse_digest,
    parse_reference,
    parse_registry,
    parse_repository,
)
from tests.support.rows import row

HEX = "4a" * 32
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "registry", "path", "tag", "digest"),
    [
        ("nginx", "docker.io", "library/nginx", None, None),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27", None),
        ("library/nginx", "docker.io", "library/nginx", None, None),
        ("grafana/grafana:11", "docker.io", "grafana/grafana", "11", None),
        ("docker.io/nginx", "docker.io", "library/nginx", None, None),
        ("quay.io/nginx", "quay.io", "nginx", None, None),
        ("localhost/app", "localhost", "app", None, None),
        ("localhost:5000/team/app:v1", "localhost:5000", "team/app", "v1", None),
        ("registry:5000/app", "registry:5000", "app", None, None),
        ("10.0.0.1:5000/app", "10.0.0.1:5000", "app", None, None),
        ("[2001:db8::1]:5000/app:v1", "[2001:db8::1]:5000", "app", "v1", None),
        (f"registry.example.org/app@{DIGEST}", "registry.example.org", "app", None, DIGEST),
        (f"registry.example.org/app:v1@{DIGEST}", "registry.example.org", "app", "v1", DIGEST),
        ("quay.io/a/b/d__e/f-g--h.i_j:_x.Y-z", "quay.io", "a/b/d__e/f-g--h.i_j", "_x.Y-z", None),
        ("localhost:5000", "docker.io", "library/localhost", "5000", None),
        (f"{HEX}:v1", "docker.io", f"library/{HEX}", "v1", None),
    ],
)  # fmt: skip
def test_a_reference_is_read_as_docker_reads_it(
    text: str, registry: str, path: str, tag: str | None, digest: str | None
) -> None:
    reference = parse_reference(text)

    assert reference.repository == Repository(registry, path)
    assert (reference.tag, reference.digest) == (tag, digest)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("Registry.Example.ORG/app:V1", "registry.example.org/app:V1"),
        ("registry.example.org:443/app", "registry.example.org/app"),
        ("REGISTRY.example.org:443/app", "registry.example.org/app"),
        ("index.docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/grafana/grafana", "docker.io/grafana/grafana"),
        ("registry-1.docker.io/library/nginx", "docker.io/library/nginx"),
        ("Index.Docker.IO:443/grafana/grafana", "docker.io/grafana/grafana"),
        ("[2001:DB8:0:0:0:0:0:1]/app", "[2001:db8::1]/app"),
        ("[::1]:443/app", "[::1]/app"),
        ("LOCALHOST:443/app", "localhost/app"),
        ("registry:443/app", "registry:443/app"),
    ],
)
def test_spellings_of_one_registry_are_folded(text: str, normalised: str) -> None:
    assert str(parse_reference(text)) == normalised


def test_other_ports_are_other_registries() -> None:
    assert parse_reference("registry.example.org:80/app").repository.registry == "registry.example.org:80"
    assert parse_reference("registry.example.org:4443/app").repository.registry == "registry.example.org:4443"


OUTSIDE_THE_GRAMMAR: list[str] = [
    "",
    "/",
    "/app",
    "app/",
    "registry.example.org/",
    "registry.example.org//app",
    "registry.example.org/app/",
    "registry.example.org/App",
    "registry.example.org/app:",
    "registry.example.org/app:.x",
    "registry.example.org/app:a/b",
    f"registry.example.org/app:{'x' * 129}",
    "registry.example.org/app@",
    "registry.example.org/app@sha256:4a4a",
    f"registry.example.org/app@sha256:{HEX.upper()}",
    f"registry.example.org/app@sha512:{HEX}{HEX}",
    f"registry.example.org/app@{DIGEST}@{DIGEST}",
    f"registry.example.org/app@{DIGEST}:v1",
    "registry.example.org/-app",
    "registry.example.org/app-",
    "registry.example.org/a..b",
    "registry.example.org/a___b",
    "registry.example.org/.",
    "registry.example.org/..",
    "registry.example.org/../app",
    "-registry.example.org/app",
    "registry-.example.org/app",
    "registry..example.org/app",
    ".example.org/app",
    "user:password@registry.example.org/app",
    "https://registry.example.org/app",
    "[::1/app",
    "::1/app",
    "[::1]",
    "[::1%25eth0]/app",
    "[::g]/app",
    "[1:2:3:4:5:6:7:8:9]/app",
    "registry.example.org:/app",
    "registry.example.org:port/app",
    "registry.example.org:5000:5000/app",
]


def test_text_outside_the_grammar_is_refused() -> None:
    for text in OUTSIDE_THE_GRAMMAR:
        with row(text):
            with pytest.raises(InvalidReferenceError) as caught:
                parse_reference(text)

            assert caught.value.reason is Reason.INVALID_REFERENCE
            assert caught.value.message


@pytest.mark.parametrize("before", ["library/", "registry.example.org/", f"{'a' * 63}.{'b' * 63}.example.org:5000/"])
def test_path_is_limited_to_255_characters_for_any_registry(before: str) -> None:
    room = MAX_PATH_LENGTH - (len(before) if before == "library/" else 0)
    tag = "t" * 128

    reference = parse_reference(f"{before}{'x' * room}:{tag}@{DIGEST}")
    assert (len(reference.repository.path), reference.tag) == (MAX_PATH_LENGTH, tag)
    with pytest.raises(InvalidReferenceError, match="longer than 255"):
        parse_reference(f"{before}{'x' * (room + 1)}:{tag}@{DIGEST}")


def test_path_of_docker_hub_is_measured_after_library_is_added() -> None:
    room = MAX_PATH_LENGTH - len("library/")
    assert len(parse_reference("x" * room).repository.path) == MAX_PATH_LENGTH
    with pytest.raises(InvalidReferenceError, match="longer than 255"):
        parse_reference("x" * (room + 1))


def test_text_longer_than_any_reference_is_refused_unread() -> None:
    with pytest.raises(InvalidReferenceError, match=f"longer than {MAX_LENGTH}") as caught:
        parse_reference("x" * (MAX_LENGTH + 1))

    assert len(caught.value.message) < MAX_LENGTH


def test_effective_tag_is_the_one_a_kubelet_pulls() -> None:
    assert parse_reference("nginx").effective_tag == "latest"
    assert parse_reference("nginx:1").effective_tag == "1"
    assert parse_reference(f"nginx@{DIGEST}").effective_tag is None
    assert parse_reference(f"nginx:1@{DIGEST}").effective_tag == "1"


def test_a_repository_has_neither_tag_nor_digest() -> None:
    assert parse_repository("Quay.io/app").name == "quay.io/app"
    for text in ("quay.io/app:v1", f"quay.io/app@{DIGEST}"):
        with pytest.raises(InvalidReferenceError, match="neither tag nor digest"):
            parse_repository(text)


def test_a_digest_is_sha256_in_lower_case_hex() -> None:
    assert parse_digest(DIGEST) == DIGEST
    for text in (HEX, "", f"sha256:{HEX}a", f"{DIGEST}\n", f"sha256:{'g' * 64}", f"SHA256:{HEX}"):
        with pytest.raises(InvalidReferenceError, match="not a digest"):
            parse_digest(text)


def test_a_registry_may_stand_alone() -> None:
    assert parse_registry("Registry.Example.org:443") == "registry.example.org"
    assert parse_registry("registry-1.docker.io") == "docker.io"
    assert parse_registry("registry") == "registry"
    for text in ("", "registry/app", "https://registry", "re gistry", "x" * 300):
        with pytest.raises(InvalidReferenceError, match="not a registry"):
            parse_registry(text)
