"""Address rules: which addresses a request may go to, checked after name resolution and before anything is sent.

An image reference, a redirect or a token realm is foreign text, and so is the DNS response for its name. The rules are
therefore about addresses, and the connection is made to the very addresses that were checked:

- *forbidden*, for every host: link-local addresses, metadata services of clouds, multicast, broadcast, unspecified and
  reserved addresses;
- *loopback*: only for hosts that the settings list as insecure;
- *private* (not on the public internet): only for hosts that the configuration names literally;
- *public*: for every host.

An IPv6 address that carries an IPv4 address (mapped, compatible, 6to4, NAT64, Teredo, ISATAP) is as restricted as the
more restricted of the two.
"""

from __future__ import annotations

import ipaddress
from enum import IntEnum
from typing import TYPE_CHECKING

from sealgate.errors import ForbiddenAddressError, PrivateAddressError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Second half of the message about a host that may be used only if it is listed as insecure.
NEEDS_INSECURE = "needs the host to be listed as insecure (--insecure-registry; in a cluster registries.insecure)"


class AddressKind(IntEnum):
    """Kind of an address, in ascending order of restriction."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2
    FORBIDDEN = 3


#: Metadata services of clouds, which hand out credentials, at addresses outside the ranges below.
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
#: Private in practice, though the tables of some Python versions call them global.
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
    """Return the kind of an address: the most restricted of its own and those of the IPv4 addresses that it carries."""
    kind = _classify_alone(address)
    if isinstance(address, ipaddress.IPv6Address):
        return max(kind, *(_classify_alone(inner) for inner in _carried(address)), AddressKind.PUBLIC)
    return kind


def vet(host: str, addresses: Sequence[str], *, loopback: bool, private: bool) -> tuple[str, ...]:
    """Return the addresses of a host if a request to it may go to each of them.

    Args:
        host: `host[:port]`, for the message.
        addresses: IP addresses that its name resolved to, as text.
        loopback: whether the host may have loopback addresses.
        private: whether the host may have private addresses.

    Raises:
        ForbiddenAddressError: an address is not allowed. A name that resolves to allowed and other addresses at the
            same time is an attack, so one address is enough to refuse the name.
    """
    for text in addresses:
        # A zone ("fe80::1%eth0") only ever belongs to link-local addresses.
        kind = classify(ipaddress.ip_address(text.partition("%")[0]))
        if kind is AddressKind.FORBIDDEN:
            raise _refused(host, text, "no request may go to link-local, metadata, multicast or reserved addresses")
        if kind is AddressKind.LOOPBACK and not loopback:
            raise _refused(host, text, f"a loopback address {NEEDS_INSECURE}")
        if kind is AddressKind.PRIVATE and not private:
            why = (
                "a private address needs the host to be named literally, by a policy's pattern, an authenticator or "
                "the registry settings (--private-registry; in a cluster registries.private)"
            )
            raise PrivateAddressError(_explain(host, text, why))
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
    return ForbiddenAddressError(_explain(host, address, why))


def _explain(host: str, address: str, why: str) -> str:
    return f"{quote(host)} is at {quote(address)} and is not asked: {why}"
