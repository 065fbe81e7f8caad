"""How far a run over all images of a policy has come, in a file of the user, so that the next run goes on there.

A checkpoint belongs to a policy's name and content: after a change of the policy, a run begins anew. The file is
replaced whole; one that cannot be read is as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sealgate.errors import ConfigError
from sealgate.messages import quote

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec

#: Failures that are kept with their reasons.
MAX_FAILURES = 1000
_MAX_BYTES = 4 << 20


@dataclass(slots=True)
class Checkpoint:
    """How far a run has come.

    Attributes:
        after: name of the repository and tag of the last image that is done; None before the first.
        counts: images by outcome.
        failures: image and reason of the failures, `MAX_FAILURES` at most.
    """

    after: tuple[str, str] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def count(self, outcome: str) -> None:
        """Add an image with an outcome."""
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    def fail(self, name: str, why: str) -> None:
        """Keep a failure, if there is room for it."""
        if len(self.failures) < MAX_FAILURES:
            self.failures.append((name, why))


def default_checkpoint_directory() -> Path:
    """Return the directory of this user's checkpoints: `~/.local/state/sealgate/runs`."""
    home = os.path.expanduser("~")  # noqa: PTH111 - unlike Path.home() it does not fail for a user without a home directory
    return Path(os.environ.get("XDG_STATE_HOME") or Path(home, ".local", "state"), "sealgate", "runs")


class CheckpointFile:
    """The checkpoint of one policy.

    Args:
        directory: of the checkpoints; made, for this user only, when one is stored.
        name: the policy's name.
        policy: its spec.
    """

    def __init__(self, directory: Path, name: str, policy: SigningPolicySpec) -> None:
        content = json.dumps([name, policy.model_dump(mode="json")], sort_keys=True)
        self.key = hashlib.sha256(content.encode()).hexdigest()
        self._path = directory / f"{self.key}.json"

    def read(self) -> Checkpoint | None:
        """Return the checkpoint; None if there is none that can be read."""
        try:
            with self._path.open("rb") as file:
                return _parse(json.loads(file.read(_MAX_BYTES)))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def store(self, checkpoint: Checkpoint) -> None:
        """Store a checkpoint in place of the one that is there.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".new-", dir=self._path.parent)
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(checkpoint), file)
            Path(name).replace(self._path)
        except OSError as error:
            msg = f"the checkpoint {quote(self._path)} cannot be written: {quote(error.strerror)}"
            raise ConfigError(f"{msg}; set XDG_STATE_HOME to a directory that can be") from error

    def remove(self) -> None:
        """Remove the checkpoint, if there is one."""
        self._path.unlink(missing_ok=True)


def _parse(document: dict[str, Any]) -> Checkpoint:
    repository, tag = map(str, document["after"])
    counts = {str(name): int(number) for name, number in document["counts"].items()}
    return Checkpoint((repository, tag), counts, [(str(name), str(why)) for name, why in document["failures"]])
