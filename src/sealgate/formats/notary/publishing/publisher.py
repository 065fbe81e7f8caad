"""Publishing changes of a repository's trust data: on fresh files, read back, and repeated on conflicts.

A notary server has no locks. A writer whose files are older than the stored ones is refused, and then the *change* must
be applied again to what is stored now; posting the old files with a higher version would drop what the other writer
added. So a change is a function of the repository's state, and `Publisher.apply` calls it anew in each attempt.

Nothing that a server answers proves that readers will find the files (see `wire.writing`), so what was posted is read
back the way a verifier reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from urllib3.filepost import encode_multipart_formdata

from sealgate.clocks import jittered
from sealgate.errors import ConflictError, NotFoundError, SigningError, UnavailableError, VerificationError
from sealgate.formats.notary.errors import RootChangedError
from sealgate.formats.notary.limits import LIMITS
from sealgate.formats.notary.publishing.file_signing import FileSigner, NewFile
from sealgate.formats.notary.publishing.repository import RepositoryState
from sealgate.formats.notary.publishing.server_answers import check_written
from sealgate.formats.notary.reader import TrustReader
from sealgate.formats.notary.roots import read_root
from sealgate.formats.notary.trusted_metadata import TrustedMetadata
from sealgate.formats.notary.wire.metadata import ROOT, SNAPSHOT
from sealgate.formats.notary.wire.writing import file_entry
from sealgate.parsing.evidence import object_member
from sealgate.trusted_state.records import TrustRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sealgate.formats.notary.locations import NotaryServer
    from sealgate.formats.notary.pins import RootPin
    from sealgate.formats.notary.publishing.file_signing import KeyStore
    from sealgate.formats.notary.roots import Root
    from sealgate.formats.signing import SigningContext
    from sealgate.references import Repository

    #: Makes the files that change a repository; none if it is already as it should be.
    Change = Callable[[RepositoryState], Sequence[NewFile]]

#: Attempts against other writers: with eight at once and a database behind the server, four were needed.
MAX_ATTEMPTS = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_ROOT_LIFETIME = timedelta(days=3650)
#: Of targets, delegations and snapshots.
_LIFETIME = timedelta(days=1095)
_MULTIPART_TYPE = "application/octet-stream"


class SignedFileBytes(NamedTuple):
    """A file ready to be posted.

    Attributes:
        raw: the exact bytes.
        version: of the file.
    """

    raw: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Publisher:
    """Writes the trust data of one repository.

    Attributes:
        repository: the repository.
        server: its notary server.
        pin: what its root must be.
        keys: the private keys to sign with.
        context: reads and writes, clock and deadline.
    """

    repository: Repository
    server: NotaryServer
    pin: RootPin
    keys: KeyStore
    context: SigningContext

    @property
    def gun(self) -> str:
        """Full name of the repository."""
        return self.repository.name

    def load(self) -> RepositoryState:
        """Return the repository's state, of which nothing is fetched yet."""
        return RepositoryState(self.fetch, self.gun, self.pin, self._record, self.context.sources.clock.now())

    def apply(self, change: Change) -> Mapping[str, SignedFileBytes]:
        """Apply a change to the newest state and publish it.

        Args:
            change: called once for each attempt, with a fresh state.

        Returns:
            The files that were stored, by role; empty if there was nothing to change.

        Raises:
            SigningError: a key is missing, the server refuses the files, or other writers are always faster.
            VerificationError: what is stored cannot be trusted, or what was stored cannot be read back.
            UnavailableError: the server or a key could not be asked.
        """
        conflict: ConflictError | None = None
        for attempt in range(MAX_ATTEMPTS):
            self._pause(attempt)
            state = self.load()
            files = list(change(state))
            if not files:
                return {}
            try:
                return self._publish(files, state)
            except ConflictError as error:
                conflict = error
        msg = f"other writers kept changing the trust data of {self.gun} in {MAX_ATTEMPTS} attempts; try again"
        raise ConflictError(msg) from conflict

    def create(self, files: Sequence[NewFile]) -> Mapping[str, SignedFileBytes]:
        """Publish the first files of a repository; see `apply`."""
        signed = self._sign(files)
        self._post(signed)
        self._read_back(signed)
        return signed

    def fetch(self, name: str, limit: int) -> bytes:
        """Fetch a file of the repository by its name without `.json`."""
        return self.server.fetch(self.context.sources.registry, self.repository, name, limit)

    @property
    def _record(self) -> TrustRecord:
        return self.context.sources.state.load(self.server.key_of(self.repository))

    @property
    def _signer(self) -> FileSigner:
        sources = self.context.sources
        return FileSigner(self.gun, self.keys, sources.clock.now(), sources.deadline)

    def _publish(self, files: Sequence[NewFile], state: RepositoryState) -> Mapping[str, SignedFileBytes]:
        signed = self._sign(files)
        self._store_trusted_root(state.root)
        root = self._root_after(signed, state)
        if self._signer.holds(root.roles[SNAPSHOT]):
            signed[SNAPSHOT] = self._sign_snapshot(signed, state, root)
        self._post(signed)
        self._read_back(signed)
        return signed

    def _store_trusted_root(self, root: Root) -> None:
        """Store a root as trusted before anything is written under it, so that a later read refuses any other."""
        record = TrustRecord({ROOT: root.file.version}, root.file.raw)
        self.context.sources.state.advance(self.server.key_of(self.repository), record)

    def _sign(self, files: Sequence[NewFile]) -> dict[str, SignedFileBytes]:
        now = self.context.sources.clock.now()
        return {
            file.role: self._sign_one(file, now + (_ROOT_LIFETIME if file.role == ROOT else _LIFETIME))
            for file in files
        }

    def _sign_one(self, file: NewFile, expires: datetime) -> SignedFileBytes:
        return SignedFileBytes(self._signer.sign(file, expires), file.version)

    def _root_after(self, signed: Mapping[str, SignedFileBytes], state: RepositoryState) -> Root:
        if ROOT not in signed:
            return state.root
        return read_root(signed[ROOT].raw, f"the new root file of {self.gun}", LIMITS.root_bytes)

    def _sign_snapshot(
        self, signed: Mapping[str, SignedFileBytes], state: RepositoryState, root: Root
    ) -> SignedFileBytes:
        """Sign the next snapshot: new entries for the new files, all others as they are.

        Its version is one more than that of the snapshot that was read: if another writer's came between, the server
        refuses this one.
        """
        meta = {
            **object_member(state.snapshot.members, "meta", state.snapshot.what),
            **{role: file_entry(file.raw) for role, file in signed.items()},
        }
        file = NewFile(SNAPSHOT, {"meta": meta}, state.snapshot.version + 1, (root.roles[SNAPSHOT],))
        return self._sign_one(file, self.context.sources.clock.now() + _LIFETIME)

    def _post(self, files: Mapping[str, SignedFileBytes]) -> None:
        fields = [("files", (role, file.raw, _MULTIPART_TYPE)) for role, file in files.items()]
        body, content_type = encode_multipart_formdata(fields)
        try:
            response = self.context.writer.send_document(
                "POST",
                self.server.base_of(self.repository),
                self.gun,
                body=body,
                headers={"Content-Type": content_type},
                ca=self.server.ca,
                named=self.server.url is not None,
            )
            check_written(response, self.gun, self.server.url_of(self.repository))
        except UnavailableError:
            if not self._is_stored(files):
                raise

    def _is_stored(self, files: Mapping[str, SignedFileBytes]) -> bool:
        """Return whether files are stored although the answer to their POST was lost."""
        try:
            self._read_back(files)
        except (VerificationError, SigningError, UnavailableError):
            return False
        return True

    def _read_back(self, posted: Mapping[str, SignedFileBytes]) -> None:
        """Read what was posted as a verifier does, and store its versions as trusted state.

        Another writer may have published since; then a file is newer than the posted one, and was made from it.
        """
        record = self._record
        try:
            reader = self._read(record)
            served = [_is_served(reader, role, file) for role, file in posted.items()]
        except (NotFoundError, VerificationError) as error:
            msg = (
                f"the notary server accepted the trust data of {self.gun}, but it cannot be read back: "
                f"{error.message}; do not rely on it, and report the server's version to sealgate's maintainers"
            )
            raise VerificationError(msg, reason=error.reason) from error
        if not all(served):
            raise ConflictError(f"the trust data of {self.gun} was replaced by another writer's older files")
        self.context.sources.state.advance(self.server.key_of(self.repository), reader.record)

    def _read(self, record: TrustRecord) -> TrustReader:
        try:
            return self._start(record)
        except RootChangedError:
            return self._start(record)

    def _start(self, record: TrustRecord) -> TrustReader:
        now = self.context.sources.clock.now()
        reader = TrustReader(self.fetch, TrustedMetadata(self.gun, self.pin, record, now))
        reader.start()
        return reader

    def _pause(self, attempt: int) -> None:
        self.context.sources.deadline.check(f"publishing the trust data of {self.gun}")
        if attempt:
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
            pause = jittered(longest, 0.5, 1.0)
            self.context.sources.clock.sleep(pause)


def _is_served(reader: TrustReader, role: str, posted: SignedFileBytes) -> bool:
    """Return whether readers get the posted file of a role, or a newer one."""
    if role not in (ROOT, SNAPSHOT):
        file = reader.targets(role).file
        return file.raw == posted.raw or file.version > posted.version
    version = reader.record.version(role)
    # The snapshot that is read has the hash that the timestamp lists, and lists every other file.
    return (
        version > posted.version or (version == posted.version and role == SNAPSHOT) or reader.record.root == posted.raw
    )
