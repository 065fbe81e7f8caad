"""A Notary v1 repository that signs for real, and a server for it.

`NotaryRepository` holds the metadata as plain dictionaries. A test changes what it likes and calls `publish`, which
signs every file anew with the keys it holds and links hashes and lengths; `NotarySimulator` serves what was published
beside the images themselves, as DTR does.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.support.signers.notary import (
    NOW,
    Signer,
    canonical,
    certified,
    ecdsa_signer,
    ed25519_signer,
    wire,
)
from tests.support.simulators.http_messages import Answer, encode
from tests.support.simulators.registry import RegistrySimulator
from tests.support.simulators.registry_auth import scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from tests.support.simulators.http_messages import RecordedRequest

GUN = "dtr.example.org/dev/nginx"
BASE_ROLES = ("root", "timestamp", "snapshot", "targets")
_TYPES = {"root": "Root", "timestamp": "Timestamp", "snapshot": "Snapshot"}


def moment(when: datetime) -> str:
    """Return a time as Go writes it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "789Z"


def file_hashes(data: bytes) -> dict[str, Any]:
    """Return the length and hashes of bytes as in metadata."""
    hashes = {name: base64.b64encode(hashlib.new(name, data).digest()).decode() for name in ("sha256", "sha512")}
    return {"hashes": hashes, "length": len(data)}


class NotaryRepository:
    """One repository's metadata. Change `signed` and `signers`, then `publish`.

    Attributes:
        gun: its full name.
        signed: the `signed` member of each role's file, by role.
        signers: who signs each role's file, by role.
        files: what is published, by name without `.json`: roles, `N.root`, and `role.<sha256>`.
    """

    def __init__(self, gun: str = GUN, now: datetime = NOW, root: Signer | None = None) -> None:
        self.gun = gun
        self.now = now
        self.signed: dict[str, dict[str, Any]] = {}
        self.signers: dict[str, list[Signer]] = {
            "root": [root or certified(gun)],
            "timestamp": [ed25519_signer()],
            "snapshot": [ed25519_signer()],
            "targets": [ecdsa_signer()],
        }
        self.files: dict[str, bytes] = {}
        lifetimes = {"root": 3650, "timestamp": 14, "snapshot": 1095, "targets": 1095}
        for role, days in lifetimes.items():
            self._new_file(role, days)
        self.signed["root"] |= {"consistent_snapshot": False, "keys": {}, "roles": {}}
        self.signed["snapshot"]["meta"] = {}
        self.signed["timestamp"]["meta"] = {}
        for role in BASE_ROLES:
            self.set_keys(role, *self.signers[role])

    @classmethod
    def of_files(cls, gun: str, files: Mapping[str, bytes]) -> Self:
        """Return a repository with these files published unchecked; it holds no keys."""
        repository = cls(gun, root=ed25519_signer())
        repository.signed, repository.signers = {}, {}
        for name, data in files.items():
            repository._store(name, data)
        return repository

    @classmethod
    def of_metadata(cls, gun: str, files: Mapping[str, bytes]) -> Self:
        """Return a repository with these metadata files, to be changed once it is given keys."""
        repository = cls.of_files(gun, files)
        repository.signed = {name: json.loads(data)["signed"] for name, data in files.items()}
        return repository

    # Changing it --------------------------------------------------------------------------------------------------

    def set_keys(self, role: str, *signers: Signer, threshold: int = 1) -> None:
        """Set the keys of a base role in the root, and sign with them from now on."""
        root = self.signed["root"]
        root["keys"] |= {signer.key_id: signer.entry for signer in signers}
        root["roles"][role] = {"keyids": [signer.key_id for signer in signers], "threshold": threshold}
        self.signers[role] = list(signers)

    def delegate(self, role: str, *signers: Signer, paths: Iterable[str] = ("",), threshold: int = 1) -> None:
        """Create or replace a delegated role, and sign for it with these keys from now on."""
        delegations = self.signed[role.rpartition("/")[0]]["delegations"]
        delegations["keys"] |= {signer.key_id: signer.entry for signer in signers}
        delegations["roles"] = [item for item in delegations["roles"] if item["name"] != role] + [
            {
                "name": role,
                "keyids": [signer.key_id for signer in signers],
                "threshold": threshold,
                "paths": list(paths),
            }
        ]
        self.signers[role] = list(signers)
        if role not in self.signed:
            self._new_file(role, 1095)

    def delegation(self, role: str) -> dict[str, Any]:
        """Return the entry of a delegated role in its parent's file, to be changed."""
        items: list[dict[str, Any]] = self.signed[role.rpartition("/")[0]]["delegations"]["roles"]
        return next(item for item in items if item["name"] == role)

    def sign_tag(self, tag: str, manifest: bytes, *roles: str) -> None:
        """Let roles name a tag."""
        for role in roles:
            self.signed[role]["targets"][tag] = file_hashes(manifest)

    def expire(self, role: str, when: datetime | None = None) -> None:
        """Set the expiry of a role's file, by default one second ago."""
        self.signed[role]["expires"] = moment(when or self.now - timedelta(seconds=1))

    def bump(self, *roles: str) -> None:
        """Count up the versions of these roles' files, of all but the root if none is named."""
        for role in roles or [role for role in self.signed if role != "root"]:
            self.signed[role]["version"] += 1

    def rotate_root(self, *signers: Signer, threshold: int = 1) -> None:
        """Publish the next root, with other keys, signed by the old and the new ones."""
        old = self.signers["root"]
        self.signed["root"]["version"] += 1
        self.set_keys("root", *signers, threshold=threshold)
        self.signers["root"] = [*signers, *old]
        self.bump("snapshot", "timestamp")
        self.publish()
        self.signers["root"] = list(signers)

    # Publishing it ------------------------------------------------------------------------------------------------

    def publish(self) -> Self:
        """Sign every file and link it from the one above. Versions stay as they are."""
        for role in self.signed:
            if role not in ("snapshot", "timestamp"):
                self.write(role)
                self.signed["snapshot"]["meta"][role] = file_hashes(self.files[role])
        return self.link()

    def link(self) -> Self:
        """Sign snapshot and timestamp only."""
        self.write("snapshot")
        self.signed["timestamp"]["meta"]["snapshot"] = file_hashes(self.files["snapshot"])
        self.write("timestamp")
        return self

    def write(self, role: str, signatures: list[dict[str, str]] | None = None) -> None:
        """Sign and store one file, with other signatures than the right ones if some are given."""
        if signatures is None:
            signatures = [signer.sign(canonical(self.signed[role])) for signer in self.signers[role]]
        self.store(role, wire({"signed": self.signed[role], "signatures": signatures}))

    def store(self, role: str, data: bytes) -> None:
        """Store the bytes of a file under its names."""
        self._store(role, data)
        if role == "root":
            self.files[f"{self.signed['root']['version']}.root"] = data

    def relink(self, role: str, data: bytes) -> None:
        """Store arbitrary bytes as a role's file, and list them in snapshot and timestamp."""
        self.store(role, data)
        if role == "timestamp":
            return
        if role != "snapshot":
            self.signed["snapshot"]["meta"][role] = file_hashes(data)
            self.write("snapshot")
        self.signed["timestamp"]["meta"]["snapshot"] = file_hashes(self.files["snapshot"])
        self.write("timestamp")

    def resign(self, role: str, *signatures: dict[str, str]) -> None:
        """Replace the signatures of a file, and list it in snapshot and timestamp."""
        self.write(role, list(signatures))
        self.relink(role, self.files[role])

    def message(self, role: str) -> bytes:
        """Return what a signature of a role's file is over."""
        return canonical(self.signed[role])

    def published_name(self, role: str) -> str:
        """Return the name by which clients request a file, from the snapshot or the timestamp."""
        above = "timestamp" if role == "snapshot" else "snapshot"
        digest: str = self.signed[above]["meta"][role]["hashes"]["sha256"]
        return f"{role}.{base64.b64decode(digest).hex()}"

    def copy(self) -> Self:
        """Return an independent copy of the repository."""
        twin = copy.copy(self)
        twin.signed = copy.deepcopy(self.signed)
        twin.signers = {role: list(signers) for role, signers in self.signers.items()}
        twin.files = dict(self.files)
        return twin

    def _store(self, name: str, data: bytes) -> None:
        self.files[name] = data
        self.files[f"{name}.{hashlib.sha256(data).hexdigest()}"] = data

    def _new_file(self, role: str, days: int) -> None:
        kind = _TYPES.get(role, "Targets")
        self.signed[role] = {"_type": kind, "version": 1, "expires": moment(self.now + timedelta(days=days))}
        if kind == "Targets":
            self.signed[role] |= {"targets": {}, "delegations": {"keys": {}, "roles": []}}


_TRUST = re.compile(r"/v2/(.+)/_trust/tuf/(.+)\.json")


@dataclass
class TrustServer:
    """Contents and responses of a notary server.

    Attributes:
        repositories: by full name.
        before: called with the name of each file before it is served ("root", "targets/releases.4a4a…").
    """

    repositories: dict[str, NotaryRepository] = field(default_factory=dict)
    before: Callable[[str], object] | None = None


class NotarySimulator(RegistrySimulator):
    """A registry that is a notary server as well, as DTR is; see `RegistrySimulator` for what else it does.

    Attributes:
        trust: the repositories it has trust data of.
    """

    def __init__(self, **options: Any) -> None:
        self.trust = TrustServer()
        super().__init__(**options)

    def host_repository(self, repository: NotaryRepository) -> NotaryRepository:
        """Serve a repository from now on, replacing the one of that name."""
        self.trust.repositories[repository.gun] = repository
        return repository

    def respond(self, request: RecordedRequest) -> Answer:
        """Return the faultless response to a request."""
        match = _TRUST.fullmatch(request.path)
        if match is None:
            return super().respond(request)
        with self.lock:
            scope = scope_of(request.method, match[1])
            return self.auth.refusal(request, scope, self.url) or self._serve_trust(match[1], match[2])

    @property
    def asked(self) -> list[str]:
        """The names of the requested trust files, in order, without hashes."""
        found = [_TRUST.fullmatch(request.path) for request in self.requests]
        return [re.sub(r"\.[0-9a-f]{64}$", "", match[2]) for match in found if match]

    def _serve_trust(self, gun: str, name: str) -> Answer:
        if self.trust.before is not None:
            self.trust.before(name)
        repository = self.trust.repositories.get(gun)
        if repository is None or name not in repository.files:
            body = encode({"errors": [{"code": "METADATA_NOT_FOUND", "message": "no such metadata", "detail": {}}]})
            return Answer(404, {"Content-Type": "application/json; charset=utf-8"}, body)
        return Answer(200, {"Content-Type": "application/json"}, repository.files[name])
