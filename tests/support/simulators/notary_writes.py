"""What a notary server does with posted metadata, as the real one was observed (notary-server 0.7.0).

It parses each file, writes it again in Go's form and hashes *that* for the snapshot and timestamp that it signs, but
stores and serves the posted bytes.
"""

from __future__ import annotations

import email.message
import email.parser
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support.signers.notary import Signer, ed25519_signer, wire
from tests.support.simulators.http_messages import Answer, encode
from tests.support.simulators.notary import NotaryRepository, NotarySimulator, file_hashes, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.simulators.http_messages import RecordedRequest

_FILES = re.compile(r"/v2/(.+)/_trust/tuf/")
_KEY = re.compile(r"/v2/(.+)/_trust/tuf/(snapshot|timestamp)\.key")
#: The members that Go's structs know, by `_type`; others are lost when the server writes a file again.
_KNOWN = {
    "Root": {"_type", "consistent_snapshot", "expires", "keys", "roles", "version"},
    "Targets": {"_type", "delegations", "expires", "targets", "version"},
    "Snapshot": {"_type", "expires", "meta", "version"},
}


@dataclass
class TrustWrites:
    """The writing side of a notary server.

    Attributes:
        repositories: by full name; shared with the reading side.
        answers: answers to the next POSTs, instead of storing anything; taken from the front.
        before: called before each POST is handled: another writer.
        keys: the server's keys, by repository and role.
        posted: the names of the files of each POST.
    """

    repositories: dict[str, NotaryRepository]
    answers: list[Answer] = field(default_factory=list)
    before: Callable[[], object] | None = None
    keys: dict[tuple[str, str], Signer] = field(default_factory=dict)
    posted: list[list[str]] = field(default_factory=list)

    def key(self, gun: str, role: str) -> Signer:
        """Return the server's key for the snapshot or timestamp of a repository."""
        return self.keys.setdefault((gun, role), ed25519_signer())

    def store(self, gun: str, request: RecordedRequest) -> Answer:
        """Return the answer to a POST of files."""
        files = posted_files(request)
        self.posted.append(list(files))
        if self.before is not None:
            before, self.before = self.before, None
            before()
        if self.answers:
            return self.answers.pop(0)
        repository = self.repositories.get(gun) or NotaryRepository.of_files(gun, {})
        refusal = self._refusal(repository, files, gun)
        if refusal is not None:
            return refusal
        self.repositories[gun] = repository
        for role, raw in files.items():
            repository.signed[role] = json.loads(raw)["signed"]
            repository.store(role, raw)
        self._link(repository, files, gun)
        return Answer(200)

    def _refusal(self, repository: NotaryRepository, files: dict[str, bytes], gun: str) -> Answer | None:
        for role, raw in files.items():
            stored = repository.signed.get(role, {}).get("version", 0)
            if json.loads(raw)["signed"]["version"] <= stored:
                return refused(400, "VERSION", {})
        root = json.loads(files["root"])["signed"] if "root" in files else repository.signed["root"]
        if "snapshot" not in files and not self._holds(gun, root):
            return refused(400, "INVALID_UPDATE", {"Name": "ErrBadHierarchy", "Error": {"Missing": "snapshot"}})
        return None

    def _holds(self, gun: str, root: dict[str, Any]) -> bool:
        key = self.keys.get((gun, "snapshot"))
        return key is not None and key.key_id in root["roles"]["snapshot"]["keyids"]

    def _link(self, repository: NotaryRepository, files: dict[str, bytes], gun: str) -> None:
        signed = repository.signed
        if "snapshot" not in files:
            snapshot = signed.setdefault("snapshot", {"_type": "Snapshot", "version": 0, "meta": {}})
            snapshot["meta"] |= {role: file_hashes(go_form(raw)) for role, raw in files.items()}
            self._write(repository, "snapshot", gun)
        snapshot_raw = repository.files["snapshot"]
        timestamp = signed.setdefault("timestamp", {"_type": "Timestamp", "version": 0, "meta": {}})
        timestamp["meta"]["snapshot"] = file_hashes(go_form(snapshot_raw) if "snapshot" in files else snapshot_raw)
        self._write(repository, "timestamp", gun)

    def _write(self, repository: NotaryRepository, role: str, gun: str) -> None:
        repository.signed[role]["version"] += 1
        repository.signed[role]["expires"] = moment(datetime(2099, 1, 1, tzinfo=UTC))
        repository.signers[role] = [self.key(gun, role)]
        repository.write(role)


class WritableNotary(NotarySimulator):
    """A registry and notary server that takes posted metadata, as DTR does.

    Attributes:
        writes: the writing side.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.writes = TrustWrites(self.trust.repositories)

    def respond(self, request: RecordedRequest) -> Answer:
        """Return the response to a request."""
        files, key = _FILES.fullmatch(request.path), _KEY.fullmatch(request.path)
        posts = request.method == "POST"
        match = key or (files if posts else None)
        if match is None:
            return super().respond(request)
        with self.lock:
            actions = "*" if key is not None and posts else "push,pull"
            refusal = self.auth.refusal(request, f"repository:{match[1]}:{actions}", self.url)
            if refusal is not None:
                return refusal
            if key is not None:
                if posts:
                    self.writes.keys.pop((key[1], key[2]), None)
                entry = self.writes.key(key[1], key[2]).entry
                return Answer(200, {"Content-Type": "text/plain; charset=utf-8"}, encode(entry))
            return self.writes.store(match[1], request)


def refused(status: int, code: str, detail: object) -> Answer:
    """Return an error as the server words it."""
    return Answer(
        status,
        {"Content-Type": "application/json; charset=utf-8"},
        encode({"errors": [{"code": code, "message": f"{code} as a sentence", "detail": detail}]}),
    )


def go_form(raw: bytes) -> bytes:
    """Return a file as Go writes what it has read of it."""
    document = json.loads(raw)
    signed = document["signed"]
    signed = {name: value for name, value in signed.items() if name in _KNOWN[signed["_type"]]}
    if signed["_type"] == "Targets":
        signed.setdefault("delegations", {"keys": {}, "roles": []})
    return b'{"signed":' + wire(signed) + b',"signatures":' + wire(document["signatures"]) + b"}"


def posted_files(request: RecordedRequest) -> dict[str, bytes]:
    """Return the parts of a multipart body by their file names."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser().parsebytes(head + request.body)
    parts = [part for part in message.walk() if not part.is_multipart()]
    return {_name(part): bytes(part.get_payload(decode=True)) for part in parts}


def _name(part: email.message.Message) -> str:
    return (part.get_filename() or "").removesuffix(".json")
