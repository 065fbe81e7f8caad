"""Workloads and what they use, as plain values.

A workload is the topmost object that made a Pod, such as a Deployment, a CronJob, or the Pod itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sealgate.workloads.kinds import WorkloadKind


class Image(NamedTuple):
    """An image in a namespace, which is verified once however many workloads use it.

    Attributes:
        namespace: name of the namespace.
        text: the reference as written; longer than any reference if it was cut.
    """

    namespace: str
    text: str


class Workload(NamedTuple):
    """A workload.

    Attributes:
        api_version: `apiVersion`.
        kind: kind ("Deployment").
        namespace: its namespace.
        name: its name.
        uid: its uid.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(slots=True)
class Usage:
    """What a workload uses, as far as it was found.

    Attributes:
        images: reference as written -> each `imageID` that nodes report for it; empty where no node has begun it.
        problems: why images of it are not known, one line each, escaped.
        cut: whether images were left out because there are too many.
    """

    images: dict[str, set[str]] = field(default_factory=dict)
    problems: set[str] = field(default_factory=set)
    cut: bool = False


@dataclass(slots=True)
class Inventory:
    """What was found.

    Attributes:
        workloads: the workloads.
        pull_secrets: for each image, what the pod specs that use it name, at most `MAX_POD_SPECS` different ones; see
            `pull_secrets_of`.
        unread: kind that could not be listed -> why, one line, escaped.
        left_out: number of workloads that were left out because there are too many.
    """

    workloads: dict[Workload, Usage] = field(default_factory=dict)
    pull_secrets: dict[Image, dict[tuple[tuple[str, ...], str], None]] = field(default_factory=dict)
    unread: dict[WorkloadKind, str] = field(default_factory=dict)
    left_out: int = 0
