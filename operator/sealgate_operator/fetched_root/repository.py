"""One round of a TUF client: newer metadata, and the trusted root that it names.

python-tuf verifies (TUF specification, section 5.3 to 5.6); requests go through sealgate's HTTP policy. Only a process
that fetches imports this module.
"""

from __future__ import annotations

import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tuf.api.exceptions import DownloadError, DownloadHTTPError, RepositoryError
from tuf.api.metadata import Metadata
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from sealgate.errors import InvalidKeyError, SealgateError
from sealgate.messages import quote
from sealgate.sigstore.trusted_root import parse_trusted_root
from sealgate_operator.fetched_root.state import MAX_FILE_BYTES, METADATA, TARGET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sealgate.http.interface import Services
    from sealgate_operator.fetched_root.state import Anchor, FetchedRoot

#: New root metadata that one round follows; the next round goes on.
_MAX_ROTATIONS: Final = 64
_OK: Final = 200
_MAX_MESSAGE: Final = 400


@dataclass(frozen=True, slots=True)
class Round:
    """The result of a round.

    Attributes:
        state: what is known now. Verified metadata is kept even if a later step failed: it keeps older one out.
        problem: why the round failed, for a person; empty if it succeeded.
    """

    state: FetchedRoot
    problem: str = ""


class PolicyFetcher(FetcherInterface):
    """Downloads through sealgate's HTTP policy: bounded, no redirect to another host, one deadline.

    Args:
        services: sends the requests.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            response = self._services.request("GET", url, limit=MAX_FILE_BYTES)
        except SealgateError as error:
            raise DownloadError(error.message) from error
        if response.status != _OK:
            raise DownloadHTTPError(f"{quote(url, 200)} answers with status {response.status}", response.status)
        return iter((response.body,))


def fetch(state: FetchedRoot, anchor: Anchor, mirror: str, services: Services, now: datetime) -> Round:
    """Update what is known of a repository.

    Args:
        state: what is known of it.
        anchor: with what trust begins, where nothing is known.
        mirror: URL of the repository: its metadata is there, its targets are below `targets/`.
        services: sends the requests, and limits how long they take together.
        now: when the round is, in UTC.
    """
    try:
        with tempfile.TemporaryDirectory() as name:
            return _fetch(Path(name), state, anchor, mirror, services, now)
    except OSError as error:
        return Round(state, f"no temporary files can be written: {quote(error.strerror or error)}")


def _fetch(  # noqa: PLR0913, PLR0917 - those of `fetch`, and where
    folder: Path, state: FetchedRoot, anchor: Anchor, mirror: str, services: Services, now: datetime
) -> Round:
    for file, content in state.metadata.items():
        (folder / file).write_bytes(content)
    problem, root = "", state.trusted_root
    try:
        root = _update(folder, anchor, mirror, services, root)
    except Exception as error:  # noqa: BLE001 - a mirror must not be able to end the process
        problem = f"{quote(mirror, 200)}: {_describe(error)}"
    metadata = {file: (folder / file).read_bytes() for file in METADATA if (folder / file).exists()}
    known = replace(state, metadata=metadata)
    return Round(known, problem) if problem else Round(replace(known, trusted_root=root, fetched_at=now))


def expiry(state: FetchedRoot) -> datetime | None:
    """Return when the first of the metadata expires, in UTC; None where there is none."""
    ends = []
    for content in state.metadata.values():
        with suppress(RepositoryError):
            ends.append(Metadata.from_bytes(content).signed.expires)
    return min(ends, default=None)


def _update(folder: Path, anchor: Anchor, mirror: str, services: Services, known: bytes | None) -> bytes:
    updater = Updater(
        metadata_dir=str(folder),
        metadata_base_url=mirror,
        target_base_url=f"{mirror.rstrip('/')}/targets",
        fetcher=PolicyFetcher(services),
        config=_config(),
        bootstrap=None if (folder / METADATA[0]).exists() else anchor.root,
    )
    updater.refresh()
    target = updater.get_targetinfo(TARGET)
    if target is None:
        raise RepositoryError(f"its targets do not have {TARGET}")
    path = str(folder / "target")
    if known is not None:
        Path(path).write_bytes(known)
    content = Path(updater.find_cached_target(target, path) or updater.download_target(target, path)).read_bytes()
    root = parse_trusted_root(content)
    if not root.authorities and not root.logs:
        raise InvalidKeyError("the trusted root has neither a CA nor a log, so that nothing could be verified with it")
    return content


def _config() -> UpdaterConfig:
    return UpdaterConfig(
        max_root_rotations=_MAX_ROTATIONS,
        # Only the repository's own targets count, not those of roles that it delegates to.
        max_delegations=0,
        root_max_length=MAX_FILE_BYTES,
        timestamp_max_length=MAX_FILE_BYTES,
        snapshot_max_length=MAX_FILE_BYTES,
        targets_max_length=MAX_FILE_BYTES,
    )


def _describe(error: Exception) -> str:
    said = error.message if isinstance(error, SealgateError) else str(error)
    return quote(said or type(error).__name__, _MAX_MESSAGE)
