"""A TUF repository, really signed, and served over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined] # its __all__ is computed
from tuf.api.metadata import (  # type: ignore[attr-defined] # its __all__ is computed
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from tests.support.simulators.http import HTTPSimulator
from tests.support.simulators.http_messages import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLES = ("root", "targets", "snapshot", "timestamp")
TARGET = "trusted_root.json"


class TUFRepository(HTTPSimulator):
    """A repository with one key for each role and consistent snapshots, as that of sigstore.

    Args:
        content: what it publishes as `trusted_root.json`.
        options: those of `HTTPSimulator`.

    Attributes:
        signers: the key of each role.
        lifetime: of the metadata that is published next; negative for metadata that has expired.
        target: name of the target.
    """

    def __init__(self, content: bytes = b"{}", **options: Any) -> None:
        self.signers = {role: CryptoSigner.generate_ed25519() for role in ROLES}
        self.lifetime = timedelta(days=1)
        self.target = TARGET
        self._versions = dict.fromkeys(ROLES, 0)
        super().__init__(**options)
        self.rotate()
        self.initial = self.documents["/1.root.json"].body
        self.publish(content)

    @property
    def _expires(self) -> datetime:
        return (datetime.now(UTC) + self.lifetime).replace(microsecond=0)

    def rotate(self, *roles: str, by: CryptoSigner | None = None) -> None:
        """Publish new root metadata.

        Args:
            roles: those that get new keys.
            by: signs in place of the keys of before; None for these.
        """
        old = by or self.signers["root"]
        self.signers |= {role: CryptoSigner.generate_ed25519() for role in roles}
        version = self._next("root")
        root = Root(version=version, expires=self._expires, consistent_snapshot=True)
        for role, signer in self.signers.items():
            root.add_key(signer.public_key, role)
        signed = Metadata(root)
        for signer in (old, self.signers["root"]):
            signed.sign(signer, append=True)
        self._serve(f"/{version}.root.json", signed.to_bytes())

    def publish(self, content: bytes, *, by: Mapping[str, CryptoSigner] | None = None) -> None:
        """Publish a target with new metadata.

        Args:
            content: of the target.
            by: keys that sign in place of those of a role.
        """
        signers = self.signers | dict(by or {})
        target = TargetFile.from_data(self.target, content, ["sha256"])
        self._serve(f"/targets/{target.hashes['sha256']}.{self.target}", content)
        version = self._next("targets")
        targets = Metadata(Targets(version=version, expires=self._expires, targets={self.target: target}))
        targets.sign(signers["targets"])
        self._serve(f"/{version}.targets.json", targets.to_bytes())
        meta = {"targets.json": MetaFile(version=version)}
        version = self._next("snapshot")
        snapshot = Metadata(Snapshot(version=version, expires=self._expires, meta=meta))
        snapshot.sign(signers["snapshot"])
        self._serve(f"/{version}.snapshot.json", snapshot.to_bytes())
        newest = Timestamp(
            version=self._next("timestamp"), expires=self._expires, snapshot_meta=MetaFile(version=version)
        )
        timestamp = Metadata(newest)
        timestamp.sign(signers["timestamp"])
        self._serve("/timestamp.json", timestamp.to_bytes())

    def copy(self) -> dict[str, Answer]:
        """Return everything that it serves, for `serve_again`."""
        return dict(self.documents)

    def serve_again(self, documents: dict[str, Answer]) -> None:
        """Serve what was served before, and nothing newer."""
        with self.lock:
            self.documents = dict(documents)

    def spoil(self, path: str, content: bytes) -> None:
        """Serve something else at the paths that end so."""
        with self.lock:
            self.documents |= {known: Answer(200, {}, content) for known in self.documents if known.endswith(path)}

    def _next(self, role: str) -> int:
        self._versions[role] += 1
        return self._versions[role]

    def _serve(self, path: str, content: bytes) -> None:
        with self.lock:
            self.documents[path] = Answer(200, {}, content)
