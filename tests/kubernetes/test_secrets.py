from __future__ import annotations

import pytest

from sealgate.kubernetes.secrets import InvalidBase64Error, decode, secret_data

SECRET = {"data": {"good": "eWVz", "bad": "!"}}


def test_invalid_values_are_empty_by_default() -> None:
    assert secret_data(SECRET) == {"good": b"yes", "bad": b""}


def test_invalid_values_raise_on_request() -> None:
    with pytest.raises(InvalidBase64Error):
        secret_data(SECRET, on_invalid="raise")


@pytest.mark.parametrize("text", ["!", "eWVz!", "eWV", "é"])
def test_text_that_is_not_base64_raises_on_request(text: str) -> None:
    assert decode(text) == b""
    with pytest.raises(InvalidBase64Error):
        decode(text, on_invalid="raise")


@pytest.mark.parametrize("secret", [{}, {"data": None}, {"data": {}}])
def test_a_secret_without_data_is_empty(secret: dict[str, object]) -> None:
    assert secret_data(secret) == {}
