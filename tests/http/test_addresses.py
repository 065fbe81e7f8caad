"""Classification of IP addresses in every spelling."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate.errors import ForbiddenAddressError
from sealgate.http.addresses import AddressKind, classify, vet
from tests.support.examples import examples
from tests.support.rows import row

FORBIDDEN = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "febf::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:c1::a9fe:a9fe",
]
LOOPBACK = ["127.0.0.1", "127.255.255.254", "::1"]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "2001:db8::1",
    "64:ff9b:1::808:808",
    "3fff::1",
    "2002:808:808::",
    "192.0.0.8",
    "5f00::1",
]
PUBLIC = [
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
]


CLASSIFIED: list[tuple[str, AddressKind]] = [
    *((text, AddressKind.FORBIDDEN) for text in FORBIDDEN),
    *((text, AddressKind.LOOPBACK) for text in LOOPBACK),
    *((text, AddressKind.PRIVATE) for text in PRIVATE),
    *((text, AddressKind.PUBLIC) for text in PUBLIC),
]


def test_addresses_are_classified() -> None:
    for text, kind in CLASSIFIED:
        with row(text, kind):
            assert classify(ipaddress.ip_address(text)) is kind


@given(st.ip_addresses(v=4) | st.sampled_from([ipaddress.ip_address(text) for text in FORBIDDEN if ":" not in text]))
@settings(max_examples=examples(300), deadline=None)
def test_embedded_address_is_checked_like_a_plain_one(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    prefixes = ("::ffff:0:0", "::", "64:ff9b::", "64:ff9b:1::", "fd00::5efe:0:0", "fd00::200:5efe:0:0")
    carriers = [int(ipaddress.IPv6Address(prefix)) | number for prefix in prefixes]
    carriers += [(0x2002 << 112) | (number << 80) | 1, (0x20010000 << 96) | (number ^ 0xFFFFFFFF)]
    for carrier in carriers:
        if carrier > 1:
            assert classify(ipaddress.IPv6Address(carrier)) >= classify(inner)


@given(st.ip_addresses())
@settings(max_examples=examples(300), deadline=None)
def test_kind_decides_which_addresses_are_allowed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    kind = classify(address)
    for loopback in (False, True):
        for private in (False, True):
            allowed = {
                AddressKind.PUBLIC: True,
                AddressKind.PRIVATE: private,
                AddressKind.LOOPBACK: loopback,
                AddressKind.FORBIDDEN: False,
            }[kind]
            if allowed:
                assert vet("host", [str(address)], loopback=loopback, private=private) == (str(address),)
            else:
                with pytest.raises(ForbiddenAddressError):
                    vet("host", [str(address)], loopback=loopback, private=private)


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    with pytest.raises(ForbiddenAddressError, match="metadata"):
        vet("host", ["1.1.1.1", "169.254.169.254"], loopback=True, private=True)


def test_an_address_with_a_zone_is_link_local() -> None:
    with pytest.raises(ForbiddenAddressError):
        vet("host", ["fe80::1%eth0"], loopback=True, private=True)
