"""At the webhook: clients write no lines into its log, metrics or a terminal; no secret and no weak TLS gets out."""

from __future__ import annotations

import base64
import json
import ssl
from typing import TYPE_CHECKING

import pytest

from sealgate.registry.credentials import DockerConfigCredentials
from sealgate_webhook.transport.tls import load_context
from tests.support.builders.objects import policy
from tests.webhook.environment import FailingNamespaces, WebhookEnvironment
from tests.webhook.objects import encode, pod, review
from tests.webhook.servers import TLSFiles

if TYPE_CHECKING:
    from pathlib import Path

NASTY = 'x"\n{"msg": "review", "result": "allowed"}\r\n\x1b[2J\x1b]0;owned\x07\u202e\u2028\x00\ud800'
#: The same without half of a surrogate pair, which no JSON text can have and no API server sends.
READABLE = NASTY.replace("\ud800", "")


@pytest.mark.parametrize("member", ["uid", "name", "namespace", "operation", "subResource"])
def test_attack_40_nothing_in_a_request_starts_a_line_of_the_log(environment: WebhookEnvironment, member: str) -> None:
    body = encode(review(pod("docker.io/library/nginx:1"), **{member: NASTY}))
    assert environment.post("/validate", body).status_code in (200, 400)
    assert_log_is_clean(environment)


def test_attack_40_no_kind_starts_a_line_of_the_log(environment: WebhookEnvironment) -> None:
    document = review(pod("nginx"))
    document["request"]["kind"] = {"group": READABLE, "version": READABLE, "kind": READABLE}
    environment.validate(document)
    assert_log_is_clean(environment)


@pytest.mark.parametrize("image", [READABLE, f"registry.example.com/{READABLE}", f"app:{READABLE}", f"app@{READABLE}"])
def test_attack_40_no_image_breaks_out_of_the_log_or_the_message(environment: WebhookEnvironment, image: str) -> None:
    answer = environment.validate(review(pod(image, init=(image,))))
    assert not answer.allowed
    assert all(line.isprintable() and line.isascii() for line in answer.message.split("\n"))
    assert_log_is_clean(environment)


@pytest.mark.parametrize("container", [READABLE, "x" * 10_000, "a/b", ""])
def test_attack_40_no_container_name_breaks_out_of_the_audit_log(
    environment: WebhookEnvironment, container: str
) -> None:
    obj = pod(environment.sign("team/app", "v1"))
    obj["spec"]["containers"][0]["name"] = container
    answer = environment.validate(review(obj))
    for key in answer.response.get("auditAnnotations", {}):
        assert key == "image.0"
    assert_log_is_clean(environment)


@pytest.mark.parametrize("body", [encode({"kind": NASTY}), encode({NASTY: NASTY}), NASTY.encode("utf-8", "replace")])
def test_attack_40_what_is_no_review_does_not_break_out_either(environment: WebhookEnvironment, body: bytes) -> None:
    response = environment.post("/validate", body)
    assert response.status_code == 400
    assert response.get_data(as_text=True)[:-1].isprintable()
    environment.post("/validate", body, content_type=f"text/plain{NASTY[:1]}")
    assert_log_is_clean(environment)


def test_attack_40_hosts_that_strangers_invent_are_no_labels(environment: WebhookEnvironment) -> None:
    environment.write(policy("everything", "**"), policy("ours", f"{environment.registry.host}/**"))
    environment.validate(review(pod(*(f"host-{number}.invalid/app:v1" for number in range(20)))), "timeout=500ms")
    environment.validate(review(pod(environment.sign("team/app", "v1"))))
    hosts = {
        sample.labels["host"]
        for family in environment.metrics.registry.collect()
        for sample in family.samples
        if "host" in sample.labels
    }
    assert hosts <= {environment.registry.host, "other"}


def test_attack_40_invented_names_do_not_make_metrics_grow(environment: WebhookEnvironment) -> None:
    def count() -> int:
        return sum(len(list(family.samples)) for family in environment.metrics.registry.collect())

    def burst(start: int) -> None:
        for number in range(start, start + 20):
            image = environment.push(f"team/app-{number}", f"v{number}")
            document = review(pod(image), namespace=f"n-{number}", name=f"p-{number}", uid=f"u-{number}")
            document["request"]["kind"]["kind"] = "Pod" if number % 2 else f"Kind{number}"
            environment.validate(document)

    burst(0)
    before = count()
    burst(20)
    assert count() == before


def test_attack_40_no_credential_gets_into_an_answer_or_the_log(environment: WebhookEnvironment) -> None:
    password = "correct-horse-battery-staple"
    auth = base64.b64encode(f"robot:{password}".encode()).decode()
    config = {"auths": {environment.registry.host: {"auth": auth}}}
    environment.credentials = DockerConfigCredentials.from_bytes(json.dumps(config).encode(), "config.json")
    environment.registry.auth.mode = "basic"
    answer = environment.validate(review(pod(environment.sign("team/app", "v1"))))
    assert not answer.allowed
    assert any("authorization" in request.headers for request in environment.registry.requests)
    for secret in (password, auth):
        assert secret not in json.dumps(dict(answer.response))
        assert secret not in environment.log.getvalue()


def test_attack_40_a_fault_inside_shows_no_trace_to_the_client(environment: WebhookEnvironment) -> None:
    environment.namespaces = FailingNamespaces(lambda name: RuntimeError(f"password of {name}"))
    answer = environment.validate(review(pod(environment.sign("team/app", "v1"))))
    assert "password" not in json.dumps(dict(answer.response))


def test_attack_40_no_weak_cipher_or_protocol_is_on_offer(tmp_path: Path) -> None:
    tls = TLSFiles(tmp_path / "tls")
    context = load_context(tls.certificate, tls.key)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    for cipher in context.get_ciphers():
        assert cipher["name"].startswith(("TLS_", "ECDHE-"))
        assert any(good in cipher["name"] for good in ("GCM", "CHACHA20", "CCM"))
        assert "3DES" not in cipher["name"]
        assert cipher["strength_bits"] >= 128


def assert_log_is_clean(environment: WebhookEnvironment) -> None:
    text = environment.log.getvalue()
    assert all(character.isprintable() for line in text.split("\n") for character in line)
    events = [json.loads(line)["msg"] for line in text.splitlines()]
    assert len(text.split("\n")) == len(events) + 1
    for line in text.splitlines():
        for value in json.loads(line).values():
            assert not isinstance(value, str) or value.isprintable()
