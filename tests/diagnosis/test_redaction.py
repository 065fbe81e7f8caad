"""Redaction leaves what helps, and replaces what is secret."""

from __future__ import annotations

from typing import Any

import pytest

from sealgate.diagnosis.redaction import MAX_DEPTH, REDACTED, redact_object, redact_text, redact_value


@pytest.mark.parametrize(
    "text",
    [
        "Secret dew cannot be read: the API server answered 403",
        "the token service of registry.example.org did not respond; try again",
        "holds no cosign signature of sha256:4a4a",
        "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
        "https://registry.example.org/v2/shop/web/manifests/v1",
        "secretRef release-key/cosign.pub",
        'http_requests_total{code="200"} 7',
    ],
)
def test_messages_without_secrets_stay(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ann:p@ss@registry.example.org/v2", f"https://{REDACTED}@registry.example.org/v2"),
        ("https://s.example.org/blob?sig=x&y=z rest", f"https://s.example.org/blob?{REDACTED} rest"),
        ("password: x, next: y", f"password: {REDACTED}, next: y"),
        ('{"token": "x", "next": "y"}', f'{{"token": {REDACTED}, "next": "y"}}'),
        ("Authorization: Token x to y\nnext", f"Authorization: {REDACTED}\nnext"),
        ("authorization=AWS4-HMAC-SHA256 Credential=a/b, Signature=x", f"authorization={REDACTED}"),
        ("Cookie: theme=dark; session=x", f"Cookie: {REDACTED}"),
        ('{"Authorization": "Token x", "next": "y"}', f'{{"Authorization": {REDACTED}, "next": "y"}}'),
        ('"credentials": ["x", "y"], "next": "y"', f'"credentials": {REDACTED}, "next": "y"'),
        ("GET /token?account=ann&x=y 200", f"GET /token?{REDACTED} 200"),
        (f"https://AWS:{'x' * 5000}@registry.example.org/v2", f"https://{REDACTED}@registry.example.org/v2"),
        (f'{{"token": "{"x" * 5000}", "next": "y"}}', f'{{"token": {REDACTED}, "next": "y"}}'),
        (f"password={'x' * 5000}, next", f"password={REDACTED}, next"),
        ("LTAI5tAAAAAAAAAA is the key", f"{REDACTED} is the key"),
    ],
)
def test_only_the_secret_is_replaced(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_members_with_names_of_secrets_are_replaced_and_references_stay() -> None:
    value = {"credentialsSecret": {"name": "dew"}, "tlsSecret": "tls", "password": "x", "nested": [{"apiKey": 1}]}
    assert redact_value(value) == {
        "credentialsSecret": {"name": "dew"},
        "tlsSecret": "tls",
        "password": REDACTED,
        "nested": [{"apiKey": REDACTED}],
    }


def test_nothing_below_the_name_of_a_secret_stays() -> None:
    value = {"tokens": ["x", {"id": 1}], "credentials": {"user": "x", "set": True}, "auth": None}
    assert redact_value(value) == {
        "tokens": [REDACTED, {"id": REDACTED}],
        "credentials": {"user": REDACTED, "set": True},
        "auth": None,
    }


def test_values_that_are_nested_too_deeply_are_replaced() -> None:
    value: Any = "x"
    for _ in range(MAX_DEPTH + 10):
        value = [value]
    shown = redact_value(value)
    for _ in range(MAX_DEPTH + 1):
        (shown,) = shown
    assert shown == REDACTED


@pytest.mark.parametrize("kind", ["Secret", "ServiceAccount", ""])
def test_kinds_that_bundles_do_not_have_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="does not have"):
        redact_object({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}})
