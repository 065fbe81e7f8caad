"""A Notary v1 repository that signs for real, and a server for it.

`NotaryRepository` holds the metadata as plain dictionaries. A test changes what it likes and calls `publish`, which
signs every file anew with the keys it holds and links hashes and lengths; `NotarySimulator` serves what was published
beside the images themselves, as DTR does. Canonical JSON and key ids are made here by other means than in sealgate.
"""

from __future__ import annotations

import base64
import copy
import functools
import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from tests.support.http_messages import Answer, encode
from tests.support.registry_auth import scope_of
from tests.support.registry_simulator import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from tests.support.http_messages import RecordedRequest

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

GUN = "dtr.example.org/dev/nginx"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BASE_ROLES = ("root", "timestamp", "snapshot", "targets")
_TYPES = {"root": "Root", "timestamp": "Timestamp", "snapshot": "Snapshot"}
_METHODS = {"ecdsa": "ecdsa", "rsa": "rsapss", "ed25519": "eddsa"}


def canonical(value: Any) -> bytes:
    """Return the bytes that are signed; good for anything without control characters."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def wire(value: Any) -> bytes:
    """Return a file's bytes as Go writes them: `<`, `>` and `&` escaped."""
    text = canonical(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()


def key_id(kind: str, public: bytes) -> str:
    entry = {"keytype": kind, "keyval": {"private": None, "public": base64.b64encode(public).decode()}}
    return hashlib.sha256(canonical(entry)).hexdigest()


@dataclass(frozen=True)
class Signer:
    """A private key, and how metadata shows it.

    Attributes:
        private: the key.
        certificates: what it comes in, the signer's own first; empty for a bare key.
    """

    private: PrivateKey
    certificates: tuple[x509.Certificate, ...] = ()

    @property
    def bare(self) -> Self:
        """The same key without certificate."""
        return type(self)(self.private)

    @property
    def type(self) -> str:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            return "ecdsa"
        return "rsa" if isinstance(self.private, rsa.RSAPrivateKey) else "ed25519"

    @property
    def kind(self) -> str:
        return f"{self.type}-x509" if self.certificates else self.type

    @property
    def public(self) -> bytes:
        if self.certificates:
            return "".join(self.certificate_pems).encode()
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def certificate_pems(self) -> list[str]:
        return [certificate.public_bytes(Encoding.PEM).decode() for certificate in self.certificates]

    @property
    def certificate_pem(self) -> str:
        return self.certificate_pems[0]

    @property
    def public_pem(self) -> str:
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def private_pem(self) -> str:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def fingerprint(self) -> str:
        der = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return "sha256:" + hashlib.sha256(der).hexdigest()

    @property
    def key_id(self) -> str:
        return key_id(self.kind, self.public)

    @property
    def canonical_id(self) -> str:
        return self.bare.key_id

    @property
    def entry(self) -> dict[str, Any]:
        """The key as it stands in `keys`."""
        public = base64.b64encode(self.public).decode()
        return {"keytype": self.kind, "keyval": {"private": None, "public": public}}

    def sign(self, message: bytes, method: str | None = None) -> dict[str, str]:
        """Return a signature as it stands in `signatures`."""
        method = method or _METHODS[self.type]
        return {
            "keyid": self.key_id,
            "method": method,
            "sig": base64.b64encode(self.raw(message, method.lower())).decode(),
        }

    def raw(self, message: bytes, method: str | None = None) -> bytes:
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            r, s = utils.decode_dss_signature(self.private.sign(message, ec.ECDSA(SHA256())))
            size = (self.private.key_size + 7) // 8
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        if isinstance(self.private, rsa.RSAPrivateKey):
            if method == "rsapkcs1v15":
                return self.private.sign(message, padding.PKCS1v15(), SHA256())
            return self.private.sign(message, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
        return self.private.sign(message)


@functools.cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return an RSA key, the same for the same number: making them takes long."""
    del number
    return rsa.generate_private_key(65537, bits)


def ecdsa_signer(curve: ec.EllipticCurve | None = None) -> Signer:
    return Signer(ec.generate_private_key(curve or ec.SECP256R1()))


def ed25519_signer() -> Signer:
    return Signer(ed25519.Ed25519PrivateKey.generate())


def certified(
    name: str,
    private: PrivateKey | None = None,
    *,
    issuer: Signer | None = None,
    authority: bool = False,
    begins: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=3650),
    algorithm: SHA256 | SHA384 | None = None,
) -> Signer:
    """Return a signer with a certificate, its own or certified by another (whose certificates then follow)."""
    private = private or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificates[0].subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    hashing = None if isinstance(private, ed25519.Ed25519PrivateKey) else algorithm or SHA256()
    certificate = builder.sign(issuer.private if issuer else private, hashing)
    # As bundles have it: the intermediate authorities follow, the topmost does not.
    above = issuer.certificates if issuer and issuer.certificates[0].issuer != issuer.certificates[0].subject else ()
    return Signer(private, (certificate, *above))


def load_signer(private_pem: str, certificate_pem: str | None = None) -> Signer:
    """Return a signer from PEM; a notary key file's headers are taken out by the caller."""
    private = load_pem_private_key(private_pem.encode(), None)
    assert isinstance(private, PrivateKey)
    certificates = x509.load_pem_x509_certificates(certificate_pem.encode()) if certificate_pem else []
    return Signer(private, tuple(certificates))


def moment(when: datetime) -> str:
    """Return a time as Go writes it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "789Z"


def file_hashes(data: bytes) -> dict[str, Any]:
    """Return what metadata says about some bytes."""
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
        """Return a repository with these files published, whatever is in them; it holds no keys."""
        repository = cls(gun)
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
        """Say in the root who may sign for a base role, and let them sign from now on."""
        root = self.signed["root"]
        root["keys"] |= {signer.key_id: signer.entry for signer in signers}
        root["roles"][role] = {"keyids": [signer.key_id for signer in signers], "threshold": threshold}
        self.signers[role] = list(signers)

    def delegate(self, role: str, *signers: Signer, paths: Iterable[str] = ("",), threshold: int = 1) -> None:
        """Delegate to a role, anew or in place of what it was, and let these sign for it from now on."""
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
        """Let a role's file end, a second ago if nothing else is said."""
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
        """Store bytes as a role's file, whatever they are, and let snapshot and timestamp vouch for them."""
        self.store(role, data)
        if role == "timestamp":
            return
        if role != "snapshot":
            self.signed["snapshot"]["meta"][role] = file_hashes(data)
            self.write("snapshot")
        self.signed["timestamp"]["meta"]["snapshot"] = file_hashes(self.files["snapshot"])
        self.write("timestamp")

    def resign(self, role: str, *signatures: dict[str, str]) -> None:
        """Give a file these signatures, and let snapshot and timestamp vouch for it."""
        self.write(role, list(signatures))
        self.relink(role, self.files[role])

    def message(self, role: str) -> bytes:
        """Return what a signature of a role's file is over."""
        return canonical(self.signed[role])

    def published_name(self, role: str) -> str:
        """Return the name by which the snapshot, or the timestamp, makes people ask for a file."""
        above = "timestamp" if role == "snapshot" else "snapshot"
        digest: str = self.signed[above]["meta"][role]["hashes"]["sha256"]
        return f"{role}.{base64.b64decode(digest).hex()}"

    def copy(self) -> Self:
        """Return a repository that is the same now, and goes its own way."""
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
    """What a notary server has, and how it answers.

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
        """Serve a repository from now on, in place of what it had under that name."""
        self.trust.repositories[repository.gun] = repository
        return repository

    def respond(self, request: RecordedRequest) -> Answer:
        """Return the right answer to a request."""
        match = _TRUST.fullmatch(request.path)
        if match is None:
            return super().respond(request)
        with self.lock:
            scope = scope_of(request.method, match[1])
            return self.auth.refusal(request, scope, self.url) or self._serve_trust(match[1], match[2])

    @property
    def asked(self) -> list[str]:
        """The names of the trust files asked for, in order, without hashes."""
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
