"""Limits for the responses of a notary server; beyond them an image is refused, before it costs much."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one verification.

    Attributes:
        root_bytes: of one root file.
        timestamp_bytes: of the timestamp file.
        snapshot_bytes: of the snapshot file.
        targets_bytes: of the file of targets or of one delegation; a tag takes about 250 bytes.
        keys: that one file may list.
        rotations: roots between the last trusted one and the newest.
        attempts: readings from the start, when another replica has meanwhile seen something newer.
    """

    root_bytes: int = 1 << 20
    timestamp_bytes: int = 1 << 20
    snapshot_bytes: int = 4 << 20
    targets_bytes: int = 16 << 20
    keys: int = 256
    rotations: int = 64
    attempts: int = 3


LIMITS = Limits()
