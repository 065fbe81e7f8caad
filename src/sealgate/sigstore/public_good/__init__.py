"""The trusted root of sigstore's public services (the public-good instance), as this release ships it.

It is data: `trusted_root.json` as sigstore publishes it; `root.json`, the root metadata of sigstore's TUF repository,
with which the operator begins where it fetches the trusted root; `origin.json`, which says where they came from and
when. `scripts/renew_public_good.py` replaces all three. Reading them needs no network. A log or CA that sigstore adds
later is not in the shipped trusted root until a release ships it.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import NamedTuple


class Origin(NamedTuple):
    """Where the shipped files came from.

    Attributes:
        package: the distribution on PyPI that has them ("sigstore 4.5.1").
        date: day on which it was published ("2026-10-20").
    """

    package: str
    date: str


def read_public_good_root() -> bytes:
    """Return the shipped trusted root, as JSON."""
    return _read("trusted_root.json")


def read_public_good_metadata() -> bytes:
    """Return the shipped root metadata of the TUF repository, as it was signed; it may have expired."""
    return _read("root.json")


def read_origin() -> Origin:
    """Return where the shipped files came from."""
    return Origin(**json.loads(_read("origin.json")))


def _read(name: str) -> bytes:
    return (files(__name__) / name).read_bytes()
