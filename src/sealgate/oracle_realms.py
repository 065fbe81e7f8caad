"""Realms of Oracle Cloud: groups of regions, each with a domain of its own.

Source: the regions of Oracle's SDK (oci 2.189, `oci.regions_definitions`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The domain of each realm, which is the second part of every OCID.
REALM_DOMAINS: Final[Mapping[str, str]] = {
    "oc1": "oraclecloud.com",
    "oc2": "oraclegovcloud.com",
    "oc3": "oraclegovcloud.com",
    "oc4": "oraclegovcloud.uk",
    "oc8": "oraclecloud8.com",
    "oc9": "oraclecloud9.com",
    "oc10": "oraclecloud10.com",
    "oc14": "oraclecloud14.com",
}


def realm_of(ocid: str) -> str:
    """Return the realm that an OCID names ("oc1"); empty if it names none."""
    return "".join(ocid.split(".")[2:3])
