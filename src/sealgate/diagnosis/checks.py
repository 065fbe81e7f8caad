"""The result of one check: an outcome, what was found, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """Result of a check, in ascending order of severity but for the last, which says nothing about the matter."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_CHECKED = "notChecked"


class Area(Enum):
    """What a check is about, in the order of the output."""

    CLUSTER = "cluster"
    VERSIONS = "versions"
    WEBHOOKS = "webhooks"
    CERTIFICATES = "certificates"
    OBJECTS = "objects"
    REGISTRIES = "registries"
    STORES = "stores"
    KMS = "kms"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. All texts are one line; what comes from a cluster or server in them is escaped.

    Attributes:
        area: what it is about.
        name: the object, host or component that was checked.
        outcome: the result.
        message: what was found.
        remedy: what to do; empty if there is nothing to do.
    """

    area: Area
    name: str
    outcome: Outcome
    message: str
    remedy: str = ""
