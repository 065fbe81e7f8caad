"""Walking around a pattern by writing an image in another way."""

from __future__ import annotations

import pytest

from sealgate.errors import InvalidReferenceError
from sealgate.references import parse_reference

DIGEST = "sha256:" + "4a" * 32


@pytest.mark.parametrize("host", ["GOOD.com", "good.COM", "Good.Com:443", "good.com:443"])
def test_attack_22_upper_case_and_https_port_name_one_registry(host: str) -> None:
    assert parse_reference(f"{host}/app").name == "good.com/app"


@pytest.mark.parametrize(
    "port", ["0443", "00443", "0", "05000", "65536", "99999", "443443443443", "+443", "4_43", "\uff14\uff14\uff13"]
)
def test_attack_22_a_port_has_one_spelling(port: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse_reference(f"good.com:{port}/app")


@pytest.mark.parametrize("host", ["good.com.", "good.com.:443", "good..com", ".good.com"])
def test_attack_22_a_trailing_dot_is_refused(host: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse_reference(f"{host}/app")


@pytest.mark.parametrize(
    "text",
    [
        "nginx",
        "library/nginx",
        "docker.io/nginx",
        "docker.io/library/nginx",
        "index.docker.io/nginx",
        "index.docker.io/library/nginx",
        "registry-1.docker.io/library/nginx",
        "DOCKER.IO/library/nginx",
        "docker.io:443/library/nginx",
    ],
)
def test_attack_22_docker_hub_has_one_name(text: str) -> None:
    assert parse_reference(text).name == "docker.io/library/nginx"


@pytest.mark.parametrize("text", ["registry-1.docker.io/nginx", "docker.io:443/nginx", "Docker.io/nginx"])
def test_attack_22_library_is_added_only_where_docker_adds_it(text: str) -> None:
    with pytest.raises(InvalidReferenceError, match=r"write docker\.io/library/nginx"):
        parse_reference(text)


@pytest.mark.parametrize("host", ["[2001:DB8::1]", "[2001:db8:0::0001]", "[2001:0db8:0000:0000:0000:0000:0000:0001]"])
def test_attack_22_an_ipv6_address_has_one_spelling(host: str) -> None:
    assert parse_reference(f"{host}:443/app").name == "[2001:db8::1]/app"


@pytest.mark.parametrize(
    "host",
    [
        "[::ffff:a00:1]",
        "[::ffff:10.0.0.1]",
        "10.1",
        "10.0.1",
        "010.0.0.1",
        "0x0a000001:5000",
        "0x0a.0.0.1",
        "167772161:5000",
        "10.0.0.1.",
        "10.0.0.256",
        "10.0.0.0x1",
        "10.0.0.1.1",
    ],
)
def test_attack_22_an_ipv4_address_has_one_spelling(host: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse_reference(f"{host}/app")


def test_attack_22_punycode_is_its_own_name_unicode_is_refused() -> None:
    assert parse_reference("xn--gd-jka.com/app").name == "xn--gd-jka.com/app"
    for host in ("göd.com", "ɡood.com", "good。com", "good.cоm", "GOOD.com\u200b", "ＧＯＯＤ.com"):  # noqa: RUF001 - the letters that look alike are the attack
        with pytest.raises(InvalidReferenceError):
            parse_reference(f"{host}/app")


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\0"])
def test_attack_22_white_space_is_refused_wherever_it_stands(blank: str) -> None:
    for text in (f"{blank}good.com/app", f"good.com/app{blank}", f"good.com{blank}/app", f"good.com/app:v1{blank}"):
        with pytest.raises(InvalidReferenceError):
            parse_reference(text)
    with pytest.raises(InvalidReferenceError):
        parse_reference(f"good.com/app@{DIGEST}{blank}")


@pytest.mark.parametrize("text", ["good%2ecom/app", "good.com%2fapp", "good.com/%61pp", "good.com/app%3av1"])
def test_attack_22_percent_encoding_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        parse_reference(text)


@pytest.mark.parametrize(
    "text", ["4a" * 32, DIGEST, "sha256:4a4a", "sha512:4a4a", "sha256:latest", f"sha256:4a4a@{DIGEST}"]
)
def test_attack_22_the_id_of_an_image_on_the_node_is_no_reference(text: str) -> None:
    """A kubelet would run the image with that id without asking any registry."""
    with pytest.raises(InvalidReferenceError, match="on a node"):
        parse_reference(text)


@pytest.mark.parametrize("text", ["GOOD/app", "Nginx/app", "GOOD/library/app"])
def test_attack_22_registry_without_dot_or_port_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError, match="lower case"):
        parse_reference(text)


def test_attack_22_a_registry_without_a_dot_keeps_its_port() -> None:
    """Without it, `grafana:443/grafana` would be pulled from another registry than it names."""
    reference = parse_reference("grafana:443/grafana")

    assert reference.repository.registry == "grafana:443"
    assert str(reference) == "grafana:443/grafana"


def test_attack_22_a_good_registry_in_the_path_is_only_a_path() -> None:
    assert parse_reference("evil.com/good.com/app").repository.registry == "evil.com"
    assert parse_reference("good.com.evil.com/app").repository.registry == "good.com.evil.com"
    assert parse_reference("evil/good.com/app").repository == ("docker.io", "evil/good.com/app")
    for text in ("evil.com@good.com/app", "good.com:5000@evil.com/app", "good.com#@evil.com/app"):
        with pytest.raises(InvalidReferenceError):
            parse_reference(text)


def test_attack_22_tag_beside_a_digest_does_not_change_the_image() -> None:
    reference = parse_reference(f"good.com/app:v1@{DIGEST}")

    assert (reference.name, reference.tag, reference.digest) == ("good.com/app", "v1", DIGEST)


def test_attack_39_no_reference_reaches_another_path() -> None:
    for text in ("good.com/../app", "good.com/app:../x", "good.com/app@sha256:../" + "4" * 61, "good.com/a/./b"):
        with pytest.raises(InvalidReferenceError):
            parse_reference(text)


def test_attack_40_an_image_name_cannot_write_into_a_message() -> None:
    with pytest.raises(InvalidReferenceError) as caught:
        parse_reference("x\nlevel=info msg=admitted \x1b[2J" + "y" * 2000)

    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 1000
