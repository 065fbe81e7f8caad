"""Policies from files, reloaded whenever they change.

Files are polled once a second, which also detects changes that file notifications do not report reliably: a ConfigMap
that is replaced by swapping a symbolic link, a network file system. A set of files with an error in it is rejected as a
whole, and the last valid one stays in force.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from sealgate.errors import PolicyError, SealgateError
from sealgate.keys.resolvers import KMSKeyReader
from sealgate.manifests.policies import load_standalone, standalone_policies
from sealgate.messages import quote
from sealgate.policies.matching import Namespace

if TYPE_CHECKING:
    import threading
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.clocks import Clock
    from sealgate.manifests.loading import PolicyFiles
    from sealgate.policies.decisions import UnmatchedImages
    from sealgate.verification.policy_sets import PolicySet
    from sealgate_webhook.metrics import Metrics

#: Seconds between two polls of the files.
POLL_SECONDS: Final = 1.0
#: Seconds after which invalid files are read again although unchanged: the cause may lie elsewhere.
RETRY_SECONDS: Final = 30.0
#: The most problems of an invalid set that are logged.
MAX_LOGGED_PROBLEMS: Final = 20
#: Namespaces without an object among the files that are kept, the least recently reviewed dropped first.
MAX_UNKNOWN_NAMESPACES: Final = 1024

_Signature = tuple[tuple[str, int, int, int], ...]


class RefreshableKMSKeys(KMSKeyReader, Protocol):
    """Cached keys of the `kms` entries of policy files. Thread-safe.

    The webhook imports no KMS code; the process that starts it passes an implementation in.
    """

    def refresh(self, authenticators: Iterable[Authenticator], secrets: Mapping[str, Mapping[str, bytes]]) -> None:
        """Fetch every key that is due; a key that cannot be fetched is not an error.

        Args:
            authenticators: the authenticators in force.
            secrets: decoded data of the Secrets that hold credentials, by the Secret's name.

        Raises:
            ConfigError: a CA bundle of the settings does not parse.
        """

    def state(self) -> Hashable:
        """Return a value that changes whenever `public_keys` would return something else."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Everything that one state of the files says."""

    files: PolicyFiles
    policies: PolicySet
    namespaces: Mapping[str, Namespace]
    #: What the KMS keys were that the policies were made ready with.
    keys: Hashable


class PolicyFilesSource:
    """Policies, and labels of namespaces, from files.

    Args:
        paths: files and folders.
        unmatched: what happens to an image that no policy matches.
        clock: source of the time.
        metrics: counts reloads.
        log: gets a line for every reload, with the problems of a rejected one.
        kms: cached keys of the entries that name a KMS.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a source of policies is built from
        self,
        paths: Sequence[Path],
        unmatched: UnmatchedImages,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
        kms: RefreshableKMSKeys,
    ) -> None:
        self._kms = kms
        self._paths = tuple(paths)
        self._unmatched = unmatched
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._signature: _Signature = ()
        #: When bad files are read again, and what was said about them.
        self._retry_at = inf
        self._complaint: tuple[_Signature, str] | None = None
        self._snapshot: _Snapshot | None = None

    def load(self) -> None:
        """Read the files, whether they changed or not.

        Raises:
            SealgateError: something is wrong with them; what was in force stays so.
        """
        # The signature comes first: a change while the files are read is then detected by the next poll.
        self._signature = _signature_of(self._paths)
        self._put_in_force(load_standalone(self._paths))

    def poll(self) -> None:
        """Read the files again if they changed; if they are bad now, keep what is in force and say so."""
        try:
            if _signature_of(self._paths) != self._signature or self._clock.monotonic() >= self._retry_at:
                self.load()
            elif self._snapshot is not None and self._kms.state() != self._snapshot.keys:
                self._put_in_force(self._snapshot.files)
        except Exception as error:  # noqa: BLE001 - after any error, the policies in force stay
            self._refuse(error)

    def watch(self, stop: threading.Event) -> None:
        """Poll the files until `stop` is set."""
        while not stop.wait(POLL_SECONDS):
            self.poll()

    def keep_keys(self, stop: threading.Event) -> None:
        """Refresh the keys in KMSs when they are due, until `stop` is set."""
        while not stop.is_set():
            try:
                if self._snapshot is not None:
                    files = self._snapshot.files
                    self._kms.refresh(files.authenticators, files.secrets)
            except Exception as error:  # noqa: BLE001 - keys that are not refreshed expire; the task must go on
                self._log.error("KMS keys not refreshed; will retry", exc_info=error)
            stop.wait(POLL_SECONDS)

    def current(self) -> PolicySet | None:
        """Return the newest good set; None until there is one."""
        return None if self._snapshot is None else self._snapshot.policies

    def problem(self) -> str:
        """Return why there is none yet; empty when there is one."""
        return "" if self._snapshot else "the policy files have not been read yet"

    def literal_hosts(self) -> frozenset[str]:
        """Return the registries that the policies in force name literally."""
        return self._snapshot.policies.literal_hosts if self._snapshot else frozenset()

    def get(self, name: str) -> Namespace:
        """Return a namespace with the labels of its object among the files; without one its labels are not known."""
        known = self._snapshot.namespaces.get(name) if self._snapshot else None
        return known or _unknown(name)

    def cached(self, name: str) -> Namespace | None:
        """Return the same: all of them are in memory."""
        return self.get(name)

    def _put_in_force(self, files: PolicyFiles) -> None:
        # The state first: keys that change meanwhile are then seen the next time.
        keys = self._kms.state()
        policies = standalone_policies(files, self._unmatched, self._kms)
        namespaces = {name: Namespace(name, labels) for name, labels in files.namespaces.items()}
        self._snapshot = _Snapshot(files, policies, namespaces, keys)
        self._retry_at, self._complaint = inf, None
        # After the snapshot, so that the metrics are true.
        unusable = sum(isinstance(check, SealgateError) for check in policies.checks.values())
        self._metrics.policies_loaded(
            len(files.policies), len(files.authenticators), unusable, self._clock.now().timestamp()
        )
        self._log.info(
            "policies loaded", policies=len(files.policies), authenticators=len(files.authenticators), unusable=unusable
        )

    def _refuse(self, error: Exception) -> None:
        self._retry_at = self._clock.monotonic() + RETRY_SECONDS
        complaint = (self._signature, str(error))
        if complaint == self._complaint:
            return
        self._complaint = complaint
        self._metrics.policies_refused()
        if isinstance(error, SealgateError):
            found = error.problems if isinstance(error, PolicyError) else ()
            problems = [quote(problem, 512) for problem in found[:MAX_LOGGED_PROBLEMS]]
            self._log.error("policies invalid; keeping the last valid ones", error=error.message, problems=problems)
        else:
            self._log.error("policies unreadable; keeping the last valid ones", exc_info=error)


@lru_cache(MAX_UNKNOWN_NAMESPACES)
def _unknown(name: str) -> Namespace:
    """Return a namespace whose labels are not known; each review asks for it several times."""
    return Namespace(name, complete=False)


def _signature_of(paths: Sequence[Path]) -> _Signature:
    """Return a value that changes when any of the files does."""
    return tuple(entry for path in paths for entry in _entries(path, frozenset()))


def _entries(path: Path, above: frozenset[str]) -> Iterator[tuple[str, int, int, int]]:
    """Yield path, time, inode and size of a file, or of everything in a folder; links are followed, loops are not."""
    try:
        status = path.stat()
        inside = sorted(path.iterdir()) if stat.S_ISDIR(status.st_mode) else []
    except OSError:
        # Gone, or not to be read: that is a state like any other, and leaving it is a change.
        yield str(path), 0, 0, 0
        return
    yield str(path), status.st_mtime_ns, status.st_ino, status.st_size
    real = os.path.realpath(path)
    if real not in above:
        for entry in inside:
            if not entry.name.startswith("."):
                yield from _entries(entry, above | {real})
