"""Which addresses a request may go to, decided after the name is resolved and before anything is sent.

An image reference, a redirect or a token realm is foreign text, and resolving its name is in foreign hands too. So
the decision is about addresses, and the connection is then made to the very addresses that were vetted:

- *forbidden* to everybody: link-local addresses, the metadata services of clouds, multicast, broadcast, unspecified
  and reserved addresses;
- *loopback*: only for hosts that the settings list as insecure;
- *private* (whatever is not on the public internet): only for hosts that somebody named literally;
- *public*: for all.

An IPv6 address that carries an IPv4 address (mapped, compatible, 6to4, NAT64, Teredo, ISATAP) is as bad as the
worse of the two.
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from typing import TYPE_CHECKING

from sealgate.errors import ForbiddenAddressError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressKind(IntEnum):
    """What an address is; the higher, the fewer may go there."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2
    FORBIDDEN = 3


#: Addresses at which clouds answer their machines with credentials, where no general range covers them already.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle Cloud
        "fd00:42::42",  # Scaleway
        "fd00:c1::a9fe:a9fe",  # Oracle Cloud
        "fd00:ec2::23",  # AWS EKS pod identity
        "fd00:ec2::123",  # AWS time
        "fd00:ec2::253",  # AWS DNS
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
    )
)
_FORBIDDEN = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # "this network"; Linux connects 0.0.0.0 to itself
        "169.254.0.0/16",  # link-local, and almost every cloud's metadata
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/128",  # unspecified
        "fe80::/10",  # link-local
        "ff00::/8",  # multicast
    )
)
_LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
#: Private by use, though the tables of some Pythons call them global.
_PRIVATE = (
    ipaddress.ip_network("192.0.0.0/24"),  # protocol assignments
    ipaddress.ip_network("2002::/16"),  # 6to4, which nothing routes any more
    ipaddress.ip_network("64:ff9b:1::/48"),  # local NAT64
    ipaddress.ip_network("fec0::/10"),  # site-local, the older private range
    ipaddress.ip_network("5f00::/16"),  # segment routing inside one network
    ipaddress.ip_network("3fff::/20"),  # documentation
)
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.ip_network("::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_LOW_32 = 0xFFFF_FFFF


def classify(address: IPAddress) -> AddressKind:
    """Return what an address is, the IPv4 addresses that it carries included."""
    kind = _classify_alone(address)
    if isinstance(address, ipaddress.IPv6Address):
        return max(kind, *(_classify_alone(inner) for inner in _carried(address)), AddressKind.PUBLIC)
    return kind


def vet(host: str, addresses: Sequence[str], *, loopback: bool, private: bool) -> tuple[str, ...]:
    """Return the addresses of a host if a request may go to every one of them.

    Args:
        host: `host[:port]`, for the message.
        addresses: what its name resolved to.
        loopback: whether loopback addresses are fine for it.
        private: whether private addresses are fine for it.

    Raises:
        ForbiddenAddressError: one of them is not for it. A name that resolves to good and bad addresses at once is
            a trick, so one bad address refuses the name.
    """
    for text in addresses:
        # A zone ("fe80::1%eth0") only ever belongs to link-local addresses.
        kind = classify(ipaddress.ip_address(text.partition("%")[0]))
        if kind is AddressKind.FORBIDDEN:
            raise _refused(host, text, "no request may go to link-local, metadata, multicast or reserved addresses")
        if kind is AddressKind.LOOPBACK and not loopback:
            raise _refused(host, text, "a loopback address needs the host to be listed as insecure")
        if kind is AddressKind.PRIVATE and not private:
            why = (
                "a private address needs the host to be named literally, by a policy's pattern, an authenticator or "
                "the registry settings"
            )
            raise _refused(host, text, why)
    return tuple(addresses)


def _classify_alone(address: IPAddress) -> AddressKind:
    if address in _METADATA or any(address in network for network in _FORBIDDEN):
        return AddressKind.FORBIDDEN
    if any(address in network for network in _LOOPBACK):
        return AddressKind.LOOPBACK
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return AddressKind.PUBLIC  # it is nothing but the IPv4 address that it carries
    if not address.is_global or any(address in network for network in _PRIVATE):
        return AddressKind.PRIVATE
    return AddressKind.PUBLIC


def _carried(address: ipaddress.IPv6Address) -> Iterator[ipaddress.IPv4Address]:
    low = ipaddress.IPv4Address(int(address) & _LOW_32)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _COMPATIBLE and int(address) > 1:
        yield low
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if any(address in network for network in _NAT64) or (int(address) >> 32) & _LOW_32 in _ISATAP:
        yield low


def _refused(host: str, address: str, why: str) -> ForbiddenAddressError:
    return ForbiddenAddressError(f"{quote(host)} is at {quote(address)} and is not asked: {why}")
