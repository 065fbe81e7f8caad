"""Distinguished names: one reading of each, or none."""

from __future__ import annotations

import pytest

from sealgate.distinguished_names import parse_distinguished_name


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("C=US, ST=WA, O=acme", {"C": "US", "ST": "WA", "O": "acme"}),
        (" c = US ,s=WA,O = acme rockets ", {"C": "US", "ST": "WA", "O": "acme rockets"}),
        (r"O=Acme\, Inc., CN=a\\b\;c", {"O": "Acme, Inc.", "CN": r"a\b;c"}),
        (r"O=\ acme\ ", {"O": " acme "}),
        ("CN=a=b", {"CN": "a=b"}),
        (r"CN=\#1", {"CN": "#1"}),
    ],
)
def test_name_is_read(text: str, attributes: dict[str, str]) -> None:
    assert parse_distinguished_name(text) == attributes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not one of"),
        ("acme", "not one of"),
        ("X=1", "not one of"),
        ("1.2.3=a", "not one of"),
        ("O=a, O=b", "O twice"),
        ("ST=a, S=b", "ST twice"),
        ("O=", "empty O"),
        ("O=a,", "not one of"),
        ("O=a+CN=b", r"has \+ in O"),
        ("O=a;CN=b", "has ; in O"),
        ("O=#0403", "hexadecimal"),
        ("O=a\\", "backslash"),
        (r"O=\61", "backslash"),
    ],
)
def test_name_with_several_readings_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_distinguished_name(text)
