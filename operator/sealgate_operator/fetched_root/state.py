"""What is kept of a TUF repository between two rounds, and its encoding as the data of a ConfigMap. Pure.

The metadata is kept exactly as it was signed, because TUF compares versions with it: an older one is refused after a
restart too (TUF specification, section 5).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sealgate.clocks import timestamp
from sealgate.errors import UnavailableError
from sealgate.parsing import strict_json
from sealgate.parsing.strict_json import MalformedError
from sealgate.reasons import Reason
from sealgate.sigstore.public_good import read_public_good_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The metadata of the top-level roles, by file name.
METADATA: Final = ("root.json", "timestamp.json", "snapshot.json", "targets.json")
#: The target, and the member of the ConfigMap with it.
TARGET: Final = "trusted_root.json"
#: The most bytes of one file. Five of them leave two thirds of a ConfigMap's 1 MiB free.
MAX_FILE_BYTES: Final = 65536
_STATE: Final = "state.json"


@dataclass(frozen=True, slots=True)
class Anchor:
    """The root metadata with which trust in a repository begins.

    Attributes:
        root: the file, as it was signed.
        name: names the repository: another name begins anew, without the versions that were seen.
    """

    root: bytes
    name: str

    @classmethod
    def public_good(cls) -> Anchor:
        """Return that of sigstore's public services. A release that ships a newer one goes on with what was seen."""
        return cls(read_public_good_metadata(), "PublicGood")

    @classmethod
    def of(cls, root: bytes) -> Anchor:
        """Return that of another repository."""
        return cls(root, f"sha256:{hashlib.sha256(root).hexdigest()}")


@dataclass(frozen=True, slots=True)
class FetchedRoot:
    """What was fetched from one repository.

    Attributes:
        anchor: name of its anchor.
        metadata: newest verified metadata by file name, of `METADATA`; empty before the first round.
        trusted_root: the last good trusted root, JSON; None before the first one.
        fetched_at: when a round last succeeded; None before that.
    """

    anchor: str
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    trusted_root: bytes | None = None
    fetched_at: datetime | None = None

    def encode(self) -> dict[str, str]:
        """Return the data of a ConfigMap."""
        state = {"anchor": self.anchor, "fetchedAt": timestamp(self.fetched_at) if self.fetched_at else ""}
        files = {name: content.decode() for name, content in self.metadata.items()}
        if self.trusted_root is not None:
            files[TARGET] = self.trusted_root.decode()
        return {_STATE: json.dumps(state), **files}


@dataclass(frozen=True, slots=True)
class Known:
    """What the operator knows of the fetched trusted root.

    Attributes:
        trusted_root: the last good one, JSON; None before the first.
        fetched_at: when a round last succeeded; None before that.
        problem: why the last round failed; empty if it succeeded, or none was made since the start.
    """

    trusted_root: bytes | None
    fetched_at: datetime | None
    problem: str = ""


def decode(data: Mapping[str, str], anchor: str) -> FetchedRoot:
    """Return what the data of a ConfigMap says; nothing fetched where it is empty, or of another anchor.

    Args:
        data: the data.
        anchor: name of the anchor.

    Raises:
        UnavailableError: it is damaged. To begin anew would admit older metadata.
    """
    if not data:
        return FetchedRoot(anchor)
    what = "state.json of the fetched trusted root"
    try:
        state = strict_json.parse_object(data.get(_STATE, "").encode(), what, limit=MAX_FILE_BYTES)
        found = strict_json.text_member(state, "anchor", what)
        at = strict_json.text_member(state, "fetchedAt", what)
        fetched_at = _read_time(at) if at else None
    except (MalformedError, ValueError) as error:
        message = f"it is damaged ({error}); restore it, or remove its data to begin anew"
        raise UnavailableError(message, reason=Reason.STATE_UNAVAILABLE) from error
    if found != anchor:
        return FetchedRoot(anchor)
    metadata = {name: data[name].encode() for name in METADATA if name in data}
    root = data.get(TARGET)
    return FetchedRoot(anchor, metadata, None if root is None else root.encode(), fetched_at)


def _read_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("fetchedAt has no time zone")
    return time
