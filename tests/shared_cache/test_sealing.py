"""Seals bind a value to its name, its expiry and its key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealgate.registry.credentials import Credentials
from sealgate.shared_cache.sealing import MAX_VALUE_BYTES, RejectedValueError, SealingKey

KEY = SealingKey(b"k" * 32, "v1")
NAME = KEY.name("finding", ["release", "app"])


def test_sealed_value_is_opened() -> None:
    opened = KEY.open(NAME, KEY.seal(NAME, b"payload", 100.5), 100.4)
    assert (opened.payload, opened.expires_at) == (b"payload", 100.5)


@pytest.mark.parametrize("now", [100.0, 100.1, 1e9])
def test_expired_value_is_rejected(now: float) -> None:
    sealed = KEY.seal(NAME, b"payload", 100.0)
    with pytest.raises(RejectedValueError, match="expired"):
        KEY.open(NAME, sealed, now)


@pytest.mark.parametrize(
    "other", [KEY.name("finding", ["release", "other"]), KEY.name("tag", ["release", "app"]), "sealgate:finding:"]
)
def test_value_replayed_under_another_name_is_rejected(other: str) -> None:
    sealed = KEY.seal(NAME, b"payload", 100.0)
    with pytest.raises(RejectedValueError, match="not sealed"):
        KEY.open(other, sealed, 0.0)


@pytest.mark.parametrize("key", [SealingKey(b"x" * 32, "v1"), SealingKey(b"k" * 32, "v2")])
def test_value_of_another_key_or_binding_is_rejected(key: SealingKey) -> None:
    assert key.name("finding", ["release", "app"]) != NAME
    with pytest.raises(RejectedValueError, match="not sealed"):
        KEY.open(NAME, key.seal(NAME, b"payload", 100.0), 0.0)


@given(st.data())
def test_changed_value_is_rejected(data: st.DataObject) -> None:
    sealed = bytearray(KEY.seal(NAME, b"payload", 100.0))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RejectedValueError):
        KEY.open(NAME, bytes(sealed), 0.0)


@given(st.binary(max_size=200))
def test_garbage_is_rejected(value: bytes) -> None:
    with pytest.raises(RejectedValueError):
        KEY.open(NAME, value, 0.0)


def test_too_large_value_is_rejected() -> None:
    with pytest.raises(RejectedValueError, match="not a sealed value"):
        KEY.open(NAME, KEY.seal(NAME, bytes(MAX_VALUE_BYTES), 100.0), 0.0)


def test_value_of_another_version_is_rejected() -> None:
    sealed = KEY.seal(NAME, b"payload", 100.0)
    with pytest.raises(RejectedValueError, match="not a sealed value of this version"):
        KEY.open(NAME, b"\0" + sealed[1:], 0.0)


@given(st.lists(st.one_of(st.text(), st.none()), max_size=4), st.lists(st.one_of(st.text(), st.none()), max_size=4))
def test_different_parts_have_different_names(one: list[str | None], other: list[str | None]) -> None:
    assert (KEY.name("finding", one) == KEY.name("finding", other)) == (one == other)


def test_name_shows_none_of_its_parts() -> None:
    assert KEY.name("tag", ["secret-repository"]).startswith("sealgate:tag:")
    assert "secret-repository" not in KEY.name("tag", ["secret-repository"])


def test_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        SealingKey(b"k" * 31, "v1")


def test_credentials_are_identified_by_all_their_parts_in_order() -> None:
    one, other = Credentials("robot", "secret"), Credentials("robots", "ecret")
    token = Credentials("robot", "secret", "token")
    found = {KEY.identify(each) for each in [(), (one,), (other,), (token,), (one, other), (other, one)]}
    assert len(found) == 6
    assert KEY.identify((one,)) == KEY.identify((Credentials("robot", "secret"),))
    assert KEY.identify((one,)) != SealingKey(b"x" * 32, "v1").identify((one,))
