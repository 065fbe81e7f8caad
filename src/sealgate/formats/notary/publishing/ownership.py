"""What the owner of a repository does with its trust data: initialise it, delegate, rotate keys, remove tags.

New keys are stored in the trust directory before anything is published: a key whose publication failed is a file too
many, a published key that was lost is a repository lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealgate.errors import InvalidKeyError, SigningError, VerificationError
from sealgate.formats.notary.errors import MissingRepositoryError
from sealgate.formats.notary.limits import LIMITS
from sealgate.formats.notary.private_keys.files import local_key
from sealgate.formats.notary.publishing import changes
from sealgate.formats.notary.publishing.file_signing import FileSigner
from sealgate.formats.notary.publishing.server_answers import check_written
from sealgate.formats.notary.wire.keys import KeyEntry, certificate_entry, read_key
from sealgate.formats.notary.wire.metadata import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from sealgate.parsing.evidence import base64_member, object_member, parse_object, text_member

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.formats.notary.private_keys.files import LocalKey
    from sealgate.formats.notary.private_keys.stores import TrustDirectory
    from sealgate.formats.notary.publishing.publisher import Publisher
    from sealgate.formats.notary.publishing.repository import RepositoryState
    from sealgate.formats.notary.wire.metadata import RoleKeys

RELEASES = "targets/releases"
_CERTIFICATE_LIFETIME = timedelta(days=3650)
#: RFC 5280, upper bound of common names.
_MAX_COMMON_NAME = 64
_MAX_KEY_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Owner:
    """Owner of one repository's trust data, with the keys in a trust directory.

    Attributes:
        publisher: writes the repository; its keys are those of `directory`.
        directory: where keys are, and new ones are stored.
    """

    publisher: Publisher
    directory: TrustDirectory

    @classmethod
    def of(cls, publisher: Publisher, directory: TrustDirectory) -> Owner:
        """Return the owner whose keys are in a directory."""
        return cls(replace(publisher, keys=directory), directory)

    @property
    def _gun(self) -> str:
        return self.publisher.gun

    def initialise(self) -> LocalKey:
        """Initialise the trust data of a repository: root and targets here, snapshot and timestamp with the server.

        The root key is the trust directory's first one, as with docker, so that one key serves many repositories.

        Returns:
            The root key.

        Raises:
            SigningError: the repository has trust data, or the server refuses this.
            ConfigError: a key cannot be stored.
            UnavailableError: the server could not be asked.
        """
        self._refuse_existing()
        root = self.directory.first(ROOT) or self._new_key(ROOT)
        keys = {
            ROOT: self._certify(root),
            TARGETS: self._new_key(TARGETS, self._gun).entry,
            SNAPSHOT: self._server_key(SNAPSHOT),
            TIMESTAMP: self._server_key(TIMESTAMP),
        }
        self.publisher.create(changes.new_repository(keys))
        return root

    def delegate(self, roles: Sequence[str], certificates: Sequence[x509.Certificate]) -> bool:
        """Let the holders of certificates sign for delegations; return whether anything changed.

        Raises:
            InvalidKeyError: a certificate cannot be used.
            SigningError: a certificate is not valid now, the targets key is missing, or the server refuses this.
            VerificationError: what is stored cannot be trusted.
            UnavailableError: the server could not be asked.
        """
        entries = [self._delegate_entry(certificate) for certificate in certificates]
        return bool(self.publisher.apply(lambda state: changes.delegate(state, roles, entries)))

    def delegations(self) -> list[RoleKeys]:
        """Return the delegations of the repository."""
        content = self.publisher.load().role(TARGETS).content
        return [] if content is None else list(content.delegations.values())

    def withdraw(self, role: str, keys: Sequence[str] = ()) -> bool:
        """Remove a delegation, or keys of it.

        Args:
            role: the delegation.
            keys: ids, canonical or as the role lists them; empty to remove the whole delegation, after its tags if
                one of its keys is held.

        Returns:
            Whether nothing is left that could come back: the delegation was emptied, or what remains is validly signed.

        Raises:
            SigningError: there is no such delegation or key, the targets key is missing, or the server refuses this.
            VerificationError: what is stored cannot be trusted.
            UnavailableError: the server could not be asked.
        """
        state = self.publisher.load()
        stored = state.role(role)
        listed = _listed_ids(stored.keys, keys, self._gun)
        clean = not keys and self._empty(role, stored.keys)
        self.publisher.apply(lambda fresh: changes.withdraw(fresh, role, listed))
        if not keys:
            return clean or stored.version == 0
        return stored.version == 0 or self.publisher.load().role(role).content is not None

    def give_snapshot_to_server(self) -> bool:
        """Let the server write the snapshot, so that delegates can publish; return whether anything changed.

        Raises:
            SigningError: the root key is missing, or the server refuses this.
            VerificationError: what is stored cannot be trusted.
            UnavailableError: the server could not be asked.
        """
        key = self._server_key(SNAPSHOT)
        return bool(self.publisher.apply(lambda state: changes.rotate_snapshot(state, key)))

    def rotate_timestamp(self) -> str:
        """Let the server make a new timestamp key, and return its id; see `give_snapshot_to_server`."""
        self._check_root_key()
        key = self._server_key(TIMESTAMP, anew=True)
        self.publisher.apply(lambda state: changes.rotate_timestamp(state, key))
        return key.key_id

    def rotate_targets(self) -> LocalKey:
        """Replace the targets key by a new one, and return it; see `give_snapshot_to_server`."""
        self._check_root_key()
        key = self._new_key(TARGETS, self._gun)
        self.publisher.apply(lambda state: changes.rotate_targets(state, key.entry))
        return key

    def rotate_root(self) -> LocalKey:
        """Replace the root key by a new one, and return it; see `give_snapshot_to_server`."""
        self._check_root_key()
        key = self._new_key(ROOT)
        entry = self._certify(key)
        self.publisher.apply(lambda state: changes.rotate_root(state, entry))
        return key

    def remove_tag(self, tag: str, roles: Sequence[str]) -> tuple[str, ...]:
        """Remove a tag from roles, and return those that named it.

        Args:
            tag: the tag.
            roles: the roles; empty for every role that names it.

        Raises:
            SigningError: a role's key is missing, or the server refuses this.
            VerificationError: what is stored cannot be trusted.
            UnavailableError: the server could not be asked.
        """
        stored = self.publisher.apply(lambda state: changes.remove_tag(state, roles or _naming(state, tag), tag))
        return tuple(role for role in stored if role != SNAPSHOT)

    def _refuse_existing(self) -> None:
        try:
            version = self.publisher.load().root.file.version
        except MissingRepositoryError:
            return
        raise SigningError(f"{self._gun} has trust data already (root version {version}); nothing was changed")

    def _check_root_key(self) -> None:
        """Raise before a new key is made if it could not be published."""
        root = self.publisher.load().root
        sources = self.publisher.context.sources
        signer = FileSigner(self._gun, self.directory, sources.clock.now(), sources.deadline)
        if not signer.holds(root.roles[ROOT]):
            listed = ", ".join(key.canonical_id for key in root.roles[ROOT].keys.values())
            msg = f"a rotation needs the root key of {self._gun} ({listed}), and {self.directory.name} does not have it"
            raise SigningError(msg)

    def _empty(self, role: str, keys: RoleKeys) -> bool:
        if sum(self.directory.has(key) for key in keys.keys.values()) < keys.threshold:
            return False
        self.publisher.apply(lambda state: changes.empty_role(state, role))
        return True

    def _new_key(self, role: str, gun: str = "") -> LocalKey:
        key = local_key(ec.generate_private_key(ec.SECP256R1()), f"the new {role} key")
        self.directory.add(key, role, gun)
        return key

    def _certify(self, key: LocalKey) -> KeyEntry:
        """Return a root key in the certificate that Notary asks for: self-signed, made out to the repository."""
        now = self.publisher.context.sources.clock.now()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _common_name(self._gun))])
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=True,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + _CERTIFICATE_LIFETIME)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(key.private, SHA256())
        )
        return certificate_entry(certificate)

    def _server_key(self, role: str, *, anew: bool = False) -> KeyEntry:
        """Return the server's key for the snapshot or the timestamp; it makes one if it has none.

        Args:
            role: the role.
            anew: whether the server makes a new one in any case. To tokens, that is an administrator's action.
        """
        server, repository = self.publisher.server, self.publisher.repository
        response = self.publisher.context.writer.send_document(
            "POST" if anew else "GET",
            f"{server.base_of(repository)}{role}.key",
            self._gun,
            actions="*" if anew else "push,pull",
            limit=_MAX_KEY_BYTES,
            ca=server.ca,
            named=server.url is not None,
        )
        check_written(response, self._gun, server.url_of(repository))
        what = f"the {role} key of the notary server"
        members = parse_object(response.body, what, limit=LIMITS.root_bytes)
        public = base64_member(object_member(members, "keyval", what), "public", what)
        return KeyEntry(text_member(members, "keytype", what), public)

    def _delegate_entry(self, certificate: x509.Certificate) -> KeyEntry:
        entry = certificate_entry(certificate)
        try:
            read_key(*entry).check_dates(self.publisher.context.sources.clock.now())
        except VerificationError as error:
            raise SigningError(f"{error.message}, so nothing was delegated to it") from error
        except InvalidKeyError as error:
            raise InvalidKeyError(f"the certificate cannot be delegated to: {error.message}") from error
        return entry


def _common_name(gun: str) -> str:
    """Return the name of a repository's root certificate: of one that is too long for X.509, as much as it holds."""
    return gun if len(gun) <= _MAX_COMMON_NAME else f"{gun[: _MAX_COMMON_NAME - 1]}*"


def _listed_ids(role: RoleKeys, wanted: Sequence[str], gun: str) -> tuple[str, ...]:
    """Return the ids under which a role lists keys."""
    for key_id in wanted:
        if not any(key_id in (key.key_id, key.canonical_id) for key in role.keys.values()):
            listed = ", ".join(key.canonical_id for key in role.keys.values()) or "none"
            raise SigningError(f"{role.name} of {gun} does not list the key {key_id}; its keys are {listed}")
    return tuple(key.key_id for key in role.keys.values() if {key.key_id, key.canonical_id}.intersection(wanted))


def _naming(state: RepositoryState, tag: str) -> list[str]:
    """Return every role, targets and its direct delegations, that names a tag."""
    content = state.role(TARGETS).content
    roles = [TARGETS, *(content.delegations if content is not None else ())]
    found = [(role, state.role(role).content) for role in roles]
    return [role for role, stored in found if stored is not None and tag in stored.entries]
