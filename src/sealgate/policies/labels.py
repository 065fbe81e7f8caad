"""What a Kubernetes label can be. A selector with anything else would silently select nothing."""

from __future__ import annotations

import re

from sealgate.messages import quote

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_PREFIX = 253


def check_label_key(key: str) -> None:
    """Check a label's key: `name`, or `prefix/name` with a DNS name as prefix.

    Raises:
        ValueError: no label can have it.
    """
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > _MAX_PREFIX or not _PREFIX.fullmatch(prefix)):
        raise ValueError(f"{quote(key, 64)} is no label key: what stands before '/' must be a DNS name")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{quote(key, 64)} is no label key: {_RULE}")


def check_label_value(value: str) -> None:
    """Check a label's value; the empty one is fine.

    Raises:
        ValueError: no label can have it.
    """
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"{quote(value, 64)} is no label value: {_RULE}")


_RULE = "write at most 63 letters, digits, '-', '_' and '.', with a letter or digit first and last"
