"""Defects: the recorded repository, spoilt in one way at a time, and signed anew."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.data.notary.recording import ADMIN, GUN, RELEASES, Fixture, Notary, manifest_of, root_certificate, save
from tests.support.signers.notary import (
    Signer,
    canonical,
    certified,
    ecdsa_signer,
    ed25519_signer,
    key_id,
    load_signer,
    rsa_key,
    wire,
)
from tests.support.simulators.notary import NotaryRepository, file_hashes

if TYPE_CHECKING:
    from collections.abc import Callable


class FrugalRepository(NotaryRepository):
    """Leaves a file as it is unless its content or its signers have changed, so that fixtures share most files."""

    def write(self, role: str, signatures: list[dict[str, str]] | None = None) -> None:
        """Sign and store one file."""
        if signatures is None and role in self.files:
            document = json.loads(self.files[role])
            signers = [signer.key_id for signer in self.signers[role]]
            if (
                document["signed"] == self.signed[role]
                and [item["keyid"] for item in document["signatures"]] == signers
            ):
                return
        super().write(role, signatures)


class Defective:
    """The recorded repository with all keys at hand, to be broken in one way.

    Attributes:
        repository: its metadata.
        spec: the authenticator.
        now: when it is verified.
        root: who signs its root.
        mallory: a stranger.
        folder: for files of tools.
    """

    def __init__(self, recorded: Fixture, notary: Notary) -> None:
        """Replace the keys that only the server has."""
        files = recorded["files"]
        self.folder = notary.folder
        self.now = datetime.fromisoformat(recorded["time"])
        self.spec: dict[str, Any] = json.loads(json.dumps(recorded["spec"]))
        self.repository = FrugalRepository.of_metadata(GUN, {name: files[name] for name in files if "." not in name})
        self.repository.now = self.now
        (leaf,) = x509.load_pem_x509_certificates(root_certificate(files))
        public = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.root = Signer(notary.private_key(key_id("ecdsa", public)), (leaf,))
        (targets,) = self.repository.signed["root"]["roles"]["targets"]["keyids"]
        self.repository.signers["targets"] = [Signer(notary.private_key(targets))]
        self.repository.set_keys("root", self.root)
        self.repository.set_keys("timestamp", ed25519_signer())
        self.repository.set_keys("snapshot", ed25519_signer())
        for name, role in (("alice", RELEASES), ("bob", ADMIN)):
            key, certificate = notary.folder / f"{name}.key", notary.folder / f"{name}.crt"
            self.repository.signers[role] = [load_signer(key.read_text(), certificate.read_text())]
        self.repository.publish()
        self.mallory = self.certified("mallory")

    def copy(self) -> Defective:
        """Return the same, to be broken in another way."""
        twin = copy.copy(self)
        twin.repository = self.repository.copy()
        twin.spec = copy.deepcopy(self.spec)
        return twin

    def certified(self, name: str, **options: Any) -> Signer:
        """Return a signer with a certificate that is valid when the fixture is verified."""
        return certified(name, begins=self.now - timedelta(days=1), **options)

    def signature(self, role: str) -> dict[str, str]:
        """Return the right signature of a role's file as it is now."""
        return self.repository.signers[role][0].sign(canonical(self.repository.signed[role]))

    def rewrite(self, role: str, change: Callable[[str], str]) -> None:
        """Change the text of a file, which breaks its signature as well if it is read at all."""
        data = change(self.repository.files[role].decode()).encode("utf-8", "surrogateescape")
        if role == "timestamp":
            self.repository.store(role, data)
        else:
            self.repository.relink(role, data)

    def replace_root(self, *signers: Signer, threshold: int = 1) -> None:
        """Let the root be signed by others."""
        self.repository.set_keys("root", *signers, threshold=threshold)
        self.repository.publish()

    def pin(self, *signers: Signer) -> None:
        """Pin certificates."""
        self.spec["root"] = {"pem": "".join(signer.certificate_pem for signer in signers)}


_DEFECTS: dict[str, tuple[str, Callable[[Defective], None]]] = {}


def defect(name: str, expect: str) -> Callable[[Callable[[Defective], None]], Callable[[Defective], None]]:
    """Register a defect: the name of the fixture, and the reason of the refusal."""

    def register(spoil: Callable[[Defective], None]) -> Callable[[Defective], None]:
        _DEFECTS[name] = (expect, spoil)
        return spoil

    return register


def break_everything(recorded: Fixture, notary: Notary) -> None:
    """Write one fixture for each defect; `none` has all files, the others only those that differ from its."""
    sound = Defective(recorded, notary)
    save("broken", "none", recorded | {"spec": sound.spec, "files": _served(sound), "expect": "Verified"})
    for name, (expect, spoil) in _DEFECTS.items():
        case = sound.copy()
        spoil(case)
        files = {key: data for key, data in _served(case).items() if data != sound.repository.files.get(key)}
        save("broken", name, {"expect": expect, "spec": case.spec, "files": files})


def _served(case: Defective) -> dict[str, bytes]:
    """Return the files but for what a server knows by itself: which file has which hash."""
    return {name: data for name, data in case.repository.files.items() if not _goes_without_saying(name, data)}


def _goes_without_saying(name: str, data: bytes) -> bool:
    role, _, digest = name.rpartition(".")
    return role != "" and digest in ("root", _as_hex(file_hashes(data)))


def _as_base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


# The root --------------------------------------------------------------------------------------------------------


@defect("root-swapped-for-another", "UnknownKey")
def _(case: Defective) -> None:
    case.replace_root(case.certified(GUN))


@defect("root-without-signatures", "InvalidSignature")
def _(case: Defective) -> None:
    case.repository.resign("root")


@defect("root-signed-by-a-stranger-in-the-name-of-its-key", "InvalidSignature")
def _(case: Defective) -> None:
    forged = case.mallory.sign(canonical(case.repository.signed["root"])) | {"keyid": case.root.key_id}
    case.repository.resign("root", forged)


@defect("root-certificate-for-another-repository", "RepositoryMismatch")
def _(case: Defective) -> None:
    other = case.certified("dtr.example.org/dev/nginx-evil", private=case.root.private)
    case.replace_root(other)
    case.spec["root"] = {"pem": case.root.public_pem}


@defect("root-certificate-for-another-wildcard", "RepositoryMismatch")
def _(case: Defective) -> None:
    case.replace_root(case.certified("dtr.example.org/ops/*", private=case.root.private))
    case.spec["root"] = {"pem": case.root.public_pem}


@defect("root-certificate-expired", "Expired")
def _(case: Defective) -> None:
    old = case.certified(GUN, ends=case.now - timedelta(seconds=1))
    case.replace_root(old)
    case.pin(old)


@defect("root-certificate-not-yet-valid", "Expired")
def _(case: Defective) -> None:
    early = certified(GUN, begins=case.now + timedelta(days=2))
    case.replace_root(early)
    case.pin(early)


@defect("root-certificate-signed-with-sha1", "InvalidSignature")
def _(case: Defective) -> None:
    key, certificate = case.folder / "sha1.key", case.folder / "sha1.crt"
    subject = "/CN=" + GUN.replace("/", r"\/")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha1", "-days", "3650", "-subj", subject]
    extension = ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command, *extension, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    weak = load_signer(key.read_text(), certificate.read_text())
    case.replace_root(weak)
    case.pin(weak)


@defect("root-certificate-of-an-authority", "MalformedEvidence")
def _(case: Defective) -> None:
    authority = case.certified(GUN, authority=True)
    case.replace_root(authority)
    case.pin(authority)


@defect("root-certificate-bundle-with-two-leaves", "MalformedEvidence")
def _(case: Defective) -> None:
    both = Signer(case.root.private, (*case.root.certificates, *case.mallory.certificates))
    case.replace_root(both)


@defect("root-certificate-bundle-with-the-leaf-last", "MalformedEvidence")
def _(case: Defective) -> None:
    authority = case.certified("authority", authority=True)
    leaf = case.certified(GUN, issuer=authority)
    case.replace_root(Signer(authority.private, (*authority.certificates, *leaf.certificates)))
    case.spec["root"] = {"ca": {"pem": authority.certificate_pem}}


@defect("root-certificate-by-another-authority", "UnknownKey")
def _(case: Defective) -> None:
    authority, stranger = (case.certified("authority", authority=True) for _ in range(2))
    case.replace_root(case.certified(GUN, issuer=stranger))
    case.spec["root"] = {"ca": {"pem": authority.certificate_pem}}


@defect("root-certified-outside-the-prefix", "UnknownKey")
def _(case: Defective) -> None:
    authority = case.certified("authority", authority=True)
    case.replace_root(case.certified(GUN, issuer=authority))
    case.spec["root"] = {"ca": {"pem": authority.certificate_pem, "gunPrefix": "dtr.example.org/dev/ngin"}}


@defect("root-certificate-by-what-is-no-authority", "UnknownKey")
def _(case: Defective) -> None:
    authority = case.certified("authority", authority=True)
    employee = certified("employee", issuer=authority, begins=case.now - timedelta(days=1))
    leaf = case.certified(GUN, issuer=employee)
    case.replace_root(Signer(leaf.private, leaf.certificates[:1]))
    case.spec["root"] = {"ca": {"pem": authority.certificate_pem}}


@defect("root-key-without-certificate", "MalformedEvidence")
def _(case: Defective) -> None:
    case.replace_root(case.root.bare)
    case.spec["root"] = {"pem": case.root.public_pem}


@defect("root-expired", "Expired")
def _(case: Defective) -> None:
    case.repository.expire("root")
    case.repository.publish()


@defect("root-threshold-of-zero", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["root"]["roles"]["root"]["threshold"] = 0
    case.repository.publish()


@defect("root-signed-by-one-of-the-two-it-needs", "InvalidSignature")
def _(case: Defective) -> None:
    other = case.certified(GUN)
    case.replace_root(case.root, other, threshold=2)
    case.pin(case.root, other)
    case.repository.resign("root", case.signature("root"))


@defect("root-signed-twice-by-one-key", "InvalidSignature")
def _(case: Defective) -> None:
    case.replace_root(case.root, threshold=2)
    case.repository.resign("root", case.signature("root"), case.signature("root"))


@defect("root-signed-by-one-key-under-two-certificates", "InvalidSignature")
def _(case: Defective) -> None:
    again = case.certified(GUN, private=case.root.private)
    case.replace_root(case.root, again, threshold=2)
    case.pin(case.root, again)


@defect("root-without-the-timestamp-role", "MalformedEvidence")
def _(case: Defective) -> None:
    del case.repository.signed["root"]["roles"]["timestamp"]
    case.repository.publish()


# The timestamp and the snapshot ----------------------------------------------------------------------------------


@defect("timestamp-expired", "Expired")
def _(case: Defective) -> None:
    case.repository.expire("timestamp")
    case.repository.link()


@defect("timestamp-signed-by-a-stranger", "UnknownKey")
def _(case: Defective) -> None:
    case.repository.signers["timestamp"] = [case.mallory]
    case.repository.link()


@defect("timestamp-changed-after-it-was-signed", "InvalidSignature")
def _(case: Defective) -> None:
    case.rewrite("timestamp", lambda text: text.replace('"version":', '"version":1'))


@defect("timestamp-without-a-snapshot", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["timestamp"]["meta"] = {}
    case.repository.write("timestamp")


@defect("timestamp-of-another-type", "TypeMismatch")
def _(case: Defective) -> None:
    case.repository.signed["timestamp"]["_type"] = "Snapshot"
    case.repository.link()


@defect("snapshot-expired", "Expired")
def _(case: Defective) -> None:
    case.repository.expire("snapshot")
    case.repository.link()


@defect("snapshot-signed-with-the-timestamp-key", "UnknownKey")
def _(case: Defective) -> None:
    case.repository.signers["snapshot"] = case.repository.signers["timestamp"]
    case.repository.link()


@defect("snapshot-other-than-the-timestamp-says", "MalformedEvidence")
def _(case: Defective) -> None:
    promised = case.repository.published_name("snapshot")
    case.repository.bump("snapshot")
    case.repository.write("snapshot")
    case.repository.files[promised] = case.repository.files["snapshot"]


@defect("snapshot-longer-than-the-timestamp-says", "EvidenceTooLarge")
def _(case: Defective) -> None:
    case.repository.signed["timestamp"]["meta"]["snapshot"]["length"] -= 1
    case.repository.write("timestamp")


@defect("snapshot-with-another-sha512", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["timestamp"]["meta"]["snapshot"]["hashes"]["sha512"] = _as_base64("00" * 64)
    case.repository.write("timestamp")


@defect("snapshot-about-another-root", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["snapshot"]["meta"]["root"] = file_hashes(b"another root")
    case.repository.link()


@defect("snapshot-missing-on-the-server", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["timestamp"]["meta"]["snapshot"] = file_hashes(b"not on the server")
    case.repository.write("timestamp")


@defect("snapshot-without-targets", "MalformedEvidence")
def _(case: Defective) -> None:
    del case.repository.signed["snapshot"]["meta"]["targets"]
    case.repository.link()


# Targets and delegations -----------------------------------------------------------------------------------------


@defect("targets-expired", "Expired")
def _(case: Defective) -> None:
    case.repository.expire("targets")
    case.repository.publish()


@defect("targets-signed-by-a-stranger", "UnknownKey")
def _(case: Defective) -> None:
    case.repository.signers["targets"] = [case.mallory]
    case.repository.publish()


@defect("targets-other-than-the-snapshot-says", "MalformedEvidence")
def _(case: Defective) -> None:
    promised = case.repository.published_name("targets")
    case.repository.bump("targets")
    case.repository.write("targets")
    case.repository.files[promised] = case.repository.files["targets"]


@defect("targets-key-under-the-id-of-another", "UnknownKey")
def _(case: Defective) -> None:
    root = case.repository.signed["root"]
    (good,) = root["roles"]["targets"]["keyids"]
    root["keys"][good] = case.mallory.entry
    forged = case.mallory.sign(canonical(case.repository.signed["targets"])) | {"keyid": good}
    case.repository.publish()
    case.repository.resign("targets", forged)


@defect("targets-key-of-an-unknown-type", "UnknownKey")
def _(case: Defective) -> None:
    root = case.repository.signed["root"]
    (good,) = root["roles"]["targets"]["keyids"]
    entry = {**root["keys"].pop(good), "keytype": "ecdsa-next"}
    other = key_id("ecdsa-next", base64.b64decode(entry["keyval"]["public"]))
    root["keys"][other] = entry
    root["roles"]["targets"]["keyids"] = [other]
    case.repository.publish()


@defect("releases-expired", "Expired")
def _(case: Defective) -> None:
    case.repository.expire(RELEASES)
    case.repository.publish()


@defect("admin-expired", "Expired")
def _(case: Defective) -> None:
    case.repository.expire(ADMIN)
    case.repository.publish()


@defect("releases-signed-by-one-of-the-two-it-needs", "InvalidSignature")
def _(case: Defective) -> None:
    case.repository.delegate(RELEASES, *case.repository.signers[RELEASES], case.mallory, threshold=2)
    case.repository.signers[RELEASES] = case.repository.signers[RELEASES][:1]
    case.repository.publish()


@defect("releases-signed-by-one-key-bare-and-in-a-certificate", "InvalidSignature")
def _(case: Defective) -> None:
    (alice,) = case.repository.signers[RELEASES]
    case.repository.delegate(RELEASES, alice, alice.bare, threshold=2)
    case.repository.publish()


@defect("releases-threshold-of-zero", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.delegation(RELEASES)["threshold"] = 0
    case.repository.publish()


@defect("releases-without-keys", "UnknownKey")
def _(case: Defective) -> None:
    case.repository.delegation(RELEASES)["keyids"] = []
    case.repository.publish()


@defect("releases-not-delegated", "NoSignature")
def _(case: Defective) -> None:
    delegations = case.repository.signed["targets"]["delegations"]
    delegations["roles"] = [item for item in delegations["roles"] if item["name"] != RELEASES]
    case.repository.publish()


@defect("releases-not-in-the-snapshot", "NoSignature")
def _(case: Defective) -> None:
    del case.repository.signed["snapshot"]["meta"][RELEASES]
    case.repository.link()


@defect("releases-outside-their-paths", "NoSignature")
def _(case: Defective) -> None:
    case.repository.delegation(RELEASES)["paths"] = ["release-"]
    case.repository.publish()


@defect("releases-without-paths", "NoSignature")
def _(case: Defective) -> None:
    del case.repository.delegation(RELEASES)["paths"]
    case.repository.publish()


@defect("releases-served-under-the-name-of-admin", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.files[case.repository.published_name(ADMIN)] = case.repository.files[RELEASES]


@defect("releases-signed-with-the-key-of-admin", "UnknownKey")
def _(case: Defective) -> None:
    case.repository.signers[RELEASES] = case.repository.signers[ADMIN]
    case.repository.publish()


@defect("admin-signed-by-a-key-outside-the-policy", "UnknownKey")
def _(case: Defective) -> None:
    case.repository.delegate(ADMIN, case.mallory)
    case.repository.publish()


@defect("admin-certificate-expired", "Expired")
def _(case: Defective) -> None:
    old = case.certified("bob", ends=case.now - timedelta(days=1) + timedelta(seconds=1))
    case.repository.delegate(ADMIN, old)
    case.spec["roles"][1]["keys"] = [{"pem": old.public_pem}]
    case.repository.publish()


@defect("tag-only-in-targets", "NoSignature")
def _(case: Defective) -> None:
    for role in (RELEASES, ADMIN):
        case.repository.signed["targets"]["targets"]["1.4"] = case.repository.signed[role]["targets"].pop("1.4")
    case.repository.publish()


@defect("tag-only-in-releases", "NoSignature")
def _(case: Defective) -> None:
    del case.repository.signed[ADMIN]["targets"]["1.4"]
    case.repository.publish()


@defect("tag-with-another-digest-in-admin", "DigestMismatch")
def _(case: Defective) -> None:
    case.repository.sign_tag("1.4", manifest_of("another layer"), ADMIN)
    case.repository.publish()


@defect("tag-with-another-digest", "DigestMismatch")
def _(case: Defective) -> None:
    case.repository.sign_tag("1.4", manifest_of("another layer"), RELEASES, ADMIN)
    case.repository.publish()


@defect("tag-with-another-length", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed[ADMIN]["targets"]["1.4"]["length"] += 1
    case.repository.publish()


@defect("tag-with-another-sha512", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed[ADMIN]["targets"]["1.4"]["hashes"]["sha512"] = _as_base64("00" * 64)
    case.repository.publish()


@defect("tag-with-a-short-hash", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed[ADMIN]["targets"]["1.4"]["hashes"]["sha256"] = _as_base64("00" * 31)
    case.repository.publish()


@defect("delegation-that-is-no-child", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.delegation(ADMIN)["name"] = "targets/releases/admin"
    case.repository.publish()


@defect("delegation-named-like-a-path", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.delegation(ADMIN)["name"] = "targets/../../admin"
    case.repository.publish()


@defect("delegation-named-twice", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["targets"]["delegations"]["roles"].append(dict(case.repository.delegation(ADMIN)))
    case.repository.publish()


# Signatures and keys ---------------------------------------------------------------------------------------------


@defect("signature-method-unknown", "InvalidSignature")
def _(case: Defective) -> None:
    case.repository.resign(RELEASES, case.signature(RELEASES) | {"method": "ecdsa-sha1"})


@defect("signature-method-of-another-key-type", "InvalidSignature")
def _(case: Defective) -> None:
    case.repository.resign(RELEASES, case.signature(RELEASES) | {"method": "rsapss"})


@defect("signature-ecdsa-too-short", "InvalidSignature")
def _(case: Defective) -> None:
    signature = case.signature(RELEASES)
    short = base64.b64encode(base64.b64decode(signature["sig"])[:-1]).decode()
    case.repository.resign(RELEASES, signature | {"sig": short})


@defect("signature-ecdsa-in-der", "InvalidSignature")
def _(case: Defective) -> None:
    signature = case.signature(RELEASES)
    raw = base64.b64decode(signature["sig"])
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    case.repository.resign(RELEASES, signature | {"sig": base64.b64encode(der).decode()})


@defect("signature-ecdsa-of-zeros", "InvalidSignature")
def _(case: Defective) -> None:
    case.repository.resign(RELEASES, case.signature(RELEASES) | {"sig": base64.b64encode(bytes(64)).decode()})


@defect("signature-rsa-pss-with-another-salt", "InvalidSignature")
def _(case: Defective) -> None:
    (bob,) = case.repository.signers[ADMIN]
    assert isinstance(bob.private, rsa.RSAPrivateKey)
    message = canonical(case.repository.signed[ADMIN])
    value = bob.private.sign(message, padding.PSS(padding.MGF1(SHA256()), 20), SHA256())
    case.repository.resign(ADMIN, case.signature(ADMIN) | {"sig": base64.b64encode(value).decode()})


@defect("signature-rsa-pkcs1-called-pss", "InvalidSignature")
def _(case: Defective) -> None:
    (bob,) = case.repository.signers[ADMIN]
    pkcs1 = bob.sign(canonical(case.repository.signed[ADMIN]), "rsapkcs1v15")
    case.repository.resign(ADMIN, pkcs1 | {"method": "rsapss"})


@defect("key-rsa-of-1024-bits", "UnknownKey")
def _(case: Defective) -> None:
    weak = case.certified("bob", private=rsa_key(bits=1024))
    case.repository.delegate(ADMIN, weak)
    case.spec["roles"][1]["keys"] = [{"keyId": weak.canonical_id}]
    case.repository.publish()


@defect("key-on-another-curve", "UnknownKey")
def _(case: Defective) -> None:
    odd = ecdsa_signer(ec.SECP256K1())
    case.repository.delegate(ADMIN, odd)
    case.spec["roles"][1]["keys"] = [{"keyId": odd.canonical_id}]
    case.repository.publish()


@defect("signatures-without-number", "EvidenceTooLarge")
def _(case: Defective) -> None:
    case.repository.resign(RELEASES, *[case.signature(RELEASES)] * 129)


# Files that are not what they should be --------------------------------------------------------------------------


@defect("file-with-a-member-twice", "MalformedEvidence")
def _(case: Defective) -> None:
    case.rewrite("targets", lambda text: text.replace('"version":', '"version":1,"version":', 1))


@defect("file-with-something-after-it", "MalformedEvidence")
def _(case: Defective) -> None:
    case.rewrite("targets", lambda text: text + "{}")


@defect("file-with-a-version-that-is-no-integer", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["targets"]["version"] = 2.5
    case.repository.publish()


@defect("file-with-version-zero", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["targets"]["version"] = 0
    case.repository.publish()


@defect("file-with-a-version-that-nothing-can-follow", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["targets"]["version"] = 2**31
    case.repository.publish()


@defect("file-with-an-expiry-that-is-no-time", "MalformedEvidence")
def _(case: Defective) -> None:
    case.repository.signed["targets"]["expires"] = "2999-02-30T00:00:00Z"
    case.repository.publish()


@defect("file-nested-too-deeply", "MalformedEvidence")
def _(case: Defective) -> None:
    case.rewrite(
        "targets", lambda text: text.replace('"signed":{', '"signed":{"a":' + "[" * 5000 + "]" * 5000 + ",", 1)
    )


@defect("file-that-is-a-web-page", "MalformedEvidence")
def _(case: Defective) -> None:
    case.rewrite("timestamp", lambda _: "<!doctype html><title>Sign in</title>")


@defect("file-that-is-not-text", "MalformedEvidence")
def _(case: Defective) -> None:
    case.rewrite("timestamp", lambda _: "\udcff\udcfe")


@defect("file-without-signatures", "MalformedEvidence")
def _(case: Defective) -> None:
    case.rewrite("timestamp", lambda _: wire({"signed": case.repository.signed["timestamp"]}).decode())


def _as_hex(entry: dict[str, Any]) -> str:
    return base64.b64decode(entry["hashes"]["sha256"]).hex()
