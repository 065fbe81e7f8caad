"""A sigstore in this process: a CA, a CT log, transparency logs of both versions and a TSA, with keys of their own.

::

    sigstore = make_sigstore()
    signed = sigstore.sign(b"payload", Recipe(subject="jane@example.com"))     # as Rekor v1 and cosign 2 do
    signed.annotations()                                                       # beside a classic layer
    signed.material()                                                          # in a bundle
    sigstore.sign(b"payload", Recipe(log="rekor2", timestamp=True))            # as Rekor v2 and cosign 3 do

Everything is really signed. What a recipe asks for wrong is signed too, with the right keys: that is what an attacker
who holds one of them, or takes material from elsewhere, can make.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.builders import der
from tests.support.signers.certificates import CertifiedKey, make_root, purposes
from tests.support.signers.private_keys import PrivateKey, new_key, spki_hash
from tests.support.signers.timestamps import NOON, TSA, make_tsa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SUBJECT = "jane@example.com"
ISSUER = "https://accounts.example.com"
IN_TOTO = "application/vnd.in-toto+json"
_ARC = "1.3.6.1.4.1.57264.1."
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REKOR1, _REKOR2 = "rekor.example.com", "log2026.example.com"


@dataclass(frozen=True)
class Recipe:
    """How one signature is made.

    Attributes:
        subject: e-mail address or URI of the signer.
        issuer: the issuer that is certified; None for no such extension.
        old_issuer: value of the old extension of the issuer; None for the same.
        facts: further extensions of the certificate, number -> text.
        names: subject alternative names instead of the subject.
        at: when it is signed, and logged.
        lifetime: of the certificate.
        purpose: of the certificate.
        sct: whether the certificate has an SCT: None, or the key that signs it ("ct", or another log's).
        sct_at: time of the SCT; None for that of the signature.
        log: "rekor1", "rekor2", or "" for no log entry.
        promise: whether an entry of Rekor v1 comes with its promise.
        proof: whether an entry comes with an inclusion proof.
        timestamp: whether there is a timestamp, by which TSA; None for none.
        stamped_at: time of the timestamp; None for that of the signature.
        logged: what the entry is about, in place of the signature: (message, payload, signature, certificate).
        change_body: changes the body before it is logged.
        change_entry: changes the entry afterwards.
    """

    subject: str = SUBJECT
    issuer: str | None = ISSUER
    old_issuer: str | None = None
    facts: Mapping[int, str] = field(default_factory=dict)
    names: tuple[x509.GeneralName, ...] = ()
    at: datetime = NOON
    lifetime: timedelta = timedelta(minutes=10)
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    sct: str | None = "ct"
    sct_at: datetime | None = None
    log: str = "rekor1"
    promise: bool = True
    proof: bool = True
    timestamp: TSA | bool | None = None
    stamped_at: datetime | None = None
    logged: Callable[[Signature], Signature] = lambda signature: signature
    change_body: Callable[[dict[str, Any]], object] = lambda body: body
    change_entry: Callable[[dict[str, Any]], object] = lambda entry: entry


@dataclass(frozen=True)
class Signature:
    """One signature.

    Attributes:
        message: the exact bytes that it is over.
        payload: of the envelope; None for a classic signature.
        signature: by the certificate's key.
        certificate: DER, or of a key its SubjectPublicKeyInfo.
    """

    message: bytes
    payload: bytes | None
    signature: bytes
    certificate: bytes

    @property
    def pem(self) -> bytes:
        """The certificate or key in PEM."""
        try:
            return x509.load_der_x509_certificate(self.certificate).public_bytes(Encoding.PEM)
        except ValueError:
            body = base64.encodebytes(self.certificate).decode()
            return f"-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n".encode()


@dataclass(frozen=True)
class SignedMaterial:
    """A signature with what is beside it.

    Attributes:
        made: the signature.
        keyless: whether it was made with a certificate.
        entry: the log entry as bundles have it; None for none.
        stamps: timestamps, DER.
    """

    made: Signature
    keyless: bool
    entry: dict[str, Any] | None
    stamps: tuple[bytes, ...]

    def material(self, version: str = "0.3") -> dict[str, Any]:
        """Return the `verificationMaterial` of a bundle."""
        certificate = {"rawBytes": _base64(self.made.certificate)}
        signer: dict[str, Any] = {"publicKey": {"hint": _base64(hashlib.sha256(self.made.certificate).digest())}}
        if self.keyless:
            chained = {"x509CertificateChain": {"certificates": [certificate]}}
            signer = {"certificate": certificate} if version == "0.3" else chained
        stamps = [{"signedTimestamp": _base64(stamp)} for stamp in self.stamps]
        return {
            **signer,
            "tlogEntries": [] if self.entry is None else [self.entry],
            "timestampVerificationData": {"rfc3161Timestamps": stamps},
        }

    def annotations(self) -> dict[str, str]:
        """Return the annotations of a classic layer, but for the signature's."""
        found = {"dev.sigstore.cosign/certificate": self.made.pem.decode()} if self.keyless else {}
        if self.entry is not None:
            payload = {
                "body": self.entry["canonicalizedBody"],
                "integratedTime": int(self.entry["integratedTime"]),
                "logIndex": int(self.entry["logIndex"]),
                "logID": base64.b64decode(self.entry["logId"]["keyId"]).hex(),
            }
            promise = self.entry["inclusionPromise"]["signedEntryTimestamp"]
            bundle = json.dumps({"SignedEntryTimestamp": promise, "Payload": payload})
            found["dev.sigstore.cosign/bundle"] = bundle
        for stamp in self.stamps:
            found["dev.sigstore.cosign/rfc3161timestamp"] = json.dumps({"SignedRFC3161Timestamp": _base64(stamp)})
        return found


@dataclass(frozen=True)
class Sigstore:
    """The services.

    Attributes:
        root: root of the CA of signers.
        ca: its intermediate.
        keys: of the logs "ct", "rekor1" and "rekor2".
        tsa: the TSA.
    """

    root: CertifiedKey
    ca: CertifiedKey
    keys: Mapping[str, PrivateKey]
    tsa: TSA

    def trusted_root(self, **periods: Mapping[str, Any]) -> dict[str, Any]:
        """Return the trusted root.

        Args:
            periods: `validFor` of "ct", "rekor1", "rekor2", "ca" and "tsa"; the year 2026 for those left out.
        """
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [self._log("rekor1", _REKOR1, periods), self._log("rekor2", _REKOR2, periods)],
            "ctlogs": [self._log("ct", "ct.example.com", periods)],
            "certificateAuthorities": [authority("ca", (self.ca.certificate, self.root.certificate), periods)],
            "timestampAuthorities": [
                authority("tsa", (*self.tsa.embedded, self.tsa.root.certificate), periods),
            ],
        }

    def sign(self, message: bytes, recipe: Recipe | None = None, payload: bytes | None = None) -> SignedMaterial:
        """Sign with a certificate.

        Args:
            message: the exact bytes that are signed.
            recipe: how.
            payload: of the DSSE envelope; None for a classic signature.
        """
        recipe = recipe or Recipe()
        key, certificate = self.certify(recipe)
        made = Signature(message, payload, key.sign(message, ec.ECDSA(SHA256())), certificate)
        return self._with_material(made, recipe, keyless=True)

    def log_key(self, made: Signature, recipe: Recipe | None = None) -> SignedMaterial:
        """Return the material of a signature by a key, which is the signature's `certificate`."""
        return self._with_material(made, recipe or Recipe(), keyless=False)

    def certify(self, recipe: Recipe) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """Return a new key and its certificate, DER."""
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = _extensions(recipe)
        serial = x509.random_serial_number()

        def issue(extensions: list[tuple[x509.ExtensionType, bool]]) -> x509.Certificate:
            end = recipe.at + recipe.lifetime
            return self.ca.issue("", extensions, key=key, begin=recipe.at, end=end, serial_number=serial).certificate

        if recipe.sct is not None:
            # The CT log signs the certificate without the SCT (RFC 6962, 3.2), which comes last.
            scts = x509.UnrecognizedExtension(_SCTS, der.octets(self._sct(issue(extensions), recipe)))
            extensions = [*extensions, (scts, False)]
        return key, issue(extensions).public_bytes(Encoding.DER)

    def _with_material(self, made: Signature, recipe: Recipe, *, keyless: bool) -> SignedMaterial:
        entry = self._entry(recipe.logged(made), recipe) if recipe.log else None
        stamps: tuple[bytes, ...] = ()
        if recipe.timestamp:
            tsa = self.tsa if recipe.timestamp is True else recipe.timestamp
            stamps = (tsa.respond(made.signature, recipe.stamped_at or recipe.at),)
        return SignedMaterial(made, keyless, entry, stamps)

    def _sct(self, bare: x509.Certificate, recipe: Recipe) -> bytes:
        key = self.keys[recipe.sct or "ct"]
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        milliseconds = ((recipe.sct_at or recipe.at) - _EPOCH) // timedelta(milliseconds=1)
        issuer = self.ca.certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        time = milliseconds.to_bytes(8, "big")
        entry = hashlib.sha256(issuer).digest() + _sized(bare.tbs_certificate_bytes, 3)
        signature = key.sign(b"\0\0" + time + b"\0\1" + entry + b"\0\0", ec.ECDSA(SHA256()))
        sct = b"\0" + spki_hash(self.keys["ct"]) + time + b"\0\0" + b"\4\3" + _sized(signature, 2)
        return _sized(_sized(sct, 2), 2)

    def _entry(self, logged: Signature, recipe: Recipe) -> dict[str, Any]:
        body = _BODIES[recipe.log, logged.payload is not None](logged)
        recipe.change_body(body)
        raw = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
        key_id = self._key_id(recipe.log)
        entry: dict[str, Any] = {
            "logIndex": "100003",
            "logId": {"keyId": _base64(key_id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "canonicalizedBody": _base64(raw),
        }
        if recipe.log == "rekor1":
            time = int(recipe.at.timestamp())
            entry["integratedTime"] = str(time)
            promised = {"body": _base64(raw), "integratedTime": time, "logID": key_id.hex(), "logIndex": 100003}
            signed = json.dumps(promised, separators=(",", ":")).encode()
            if recipe.promise:
                entry["inclusionPromise"] = {"signedEntryTimestamp": _base64(self._sign_as("rekor1", signed))}
        if recipe.proof:
            entry["inclusionProof"] = self._proof(raw, recipe.log)
        recipe.change_entry(entry)
        return entry

    def _proof(self, body: bytes, log: str) -> dict[str, Any]:
        """Return the proof that a tree of six entries has one, as the fourth."""
        leaf = _leaf(body)
        others = [_leaf(b"entry %d" % number) for number in range(5)]
        left, right = _node(others[0], others[1]), _node(others[3], others[4])
        root = _node(_node(left, _node(others[2], leaf)), right)
        origin = f"{_REKOR1} - 2605736670972794746" if log == "rekor1" else _REKOR2
        note = f"{origin}\n6\n{_base64(root)}\n"
        signature = self._key_id(log)[:4] + self._sign_as(log, note.encode())
        return {
            "logIndex": "3",
            "treeSize": "6",
            "rootHash": _base64(root),
            "hashes": [_base64(beside) for beside in (others[2], left, right)],
            "checkpoint": {"envelope": f"{note}\n\u2014 {origin.partition(' ')[0]} {_base64(signature)}\n"},
        }

    def _sign_as(self, log: str, message: bytes) -> bytes:
        key = self.keys[log]
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign(message)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key.sign(message, ec.ECDSA(SHA256()))

    def _key_id(self, log: str) -> bytes:
        key = self.keys[log]
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            return spki_hash(key)
        return hashlib.sha256(_REKOR2.encode() + b"\n\x01" + key.public_key().public_bytes_raw()).digest()

    def _log(self, name: str, host: str, periods: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        spki = self.keys[name].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        details = "PKIX_ED25519" if name == "rekor2" else "PKIX_ECDSA_P256_SHA_256"
        return {
            "baseUrl": f"https://{host}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {"rawBytes": _base64(spki), "keyDetails": details, "validFor": _period(name, periods)},
            "logId": {"keyId": _base64(self._key_id(name))},
        }


def make_sigstore(name: str = "sigstore") -> Sigstore:
    """Return a sigstore with new keys."""
    root = make_root(f"{name} root")
    ca = root.issue(f"{name} intermediate", [purposes(ExtendedKeyUsageOID.CODE_SIGNING, critical=False)], ca=True)
    keys = {
        "ct": new_key("ECDSA P-256", f"{name} ct"),
        "rekor1": new_key("ECDSA P-256", f"{name} rekor1"),
        "rekor2": new_key("Ed25519", f"{name} rekor2"),
    }
    return Sigstore(root, ca, keys, make_tsa(f"{name} tsa"))


def pae(payload: bytes) -> bytes:
    """Return what the signature of a DSSE envelope around an in-toto statement is over."""
    return b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)


def with_other_ca(sigstore: Sigstore) -> Sigstore:
    """Return the same sigstore with a CA of the same names that is not trusted."""
    other = make_sigstore()
    return replace(sigstore, root=other.root, ca=other.ca)


def _extensions(recipe: Recipe) -> list[tuple[x509.ExtensionType, bool]]:
    uri = "://" in recipe.subject
    name = x509.UniformResourceIdentifier(recipe.subject) if uri else x509.RFC822Name(recipe.subject)
    old = recipe.issuer if recipe.old_issuer is None else recipe.old_issuer
    texts: dict[int, bytes] = {} if not old else {1: old.encode()}
    texts |= {number: text.encode() for number, text in recipe.facts.items() if number < 8}
    encoded = {number: text for number, text in recipe.facts.items() if number > 8}
    encoded |= {} if recipe.issuer is None else {8: recipe.issuer}
    texts |= {number: der.element(0x0C, text.encode()) for number, text in encoded.items()}
    return [
        purposes(recipe.purpose, critical=False),
        (x509.SubjectAlternativeName(recipe.names or (name,)), True),
        *(
            (x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{_ARC}{number}"), value), False)
            for number, value in sorted(texts.items())
        ),
    ]


def _classic_v1(made: Signature) -> dict[str, Any]:
    spec = {
        "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(made.message).hexdigest()}},
        "signature": {"content": _base64(made.signature), "publicKey": {"content": _base64(made.pem)}},
    }
    return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec}


def _dsse_v1(made: Signature) -> dict[str, Any]:
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(made.payload or b"").hexdigest()},
        "signatures": [{"signature": _base64(made.signature), "verifier": _base64(made.pem)}],
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}


def _classic_v2(made: Signature) -> dict[str, Any]:
    digest = {"algorithm": "SHA2_256", "digest": _base64(hashlib.sha256(made.message).digest())}
    spec = {"hashedRekordV002": {"data": digest, "signature": _signature_v2(made)}}
    return {"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec}


def _dsse_v2(made: Signature) -> dict[str, Any]:
    digest = {"algorithm": "SHA2_256", "digest": _base64(hashlib.sha256(made.payload or b"").digest())}
    spec = {"dsseV002": {"payloadHash": digest, "signatures": [_signature_v2(made)]}}
    return {"apiVersion": "0.0.2", "kind": "dsse", "spec": spec}


def _signature_v2(made: Signature) -> dict[str, Any]:
    name = "publicKey" if made.pem.startswith(b"-----BEGIN PUBLIC") else "x509Certificate"
    verifier = {"keyDetails": "PKIX_ECDSA_P256_SHA_256", name: {"rawBytes": _base64(made.certificate)}}
    return {"content": _base64(made.signature), "verifier": verifier}


_BODIES: Mapping[tuple[str, bool], Callable[[Signature], dict[str, Any]]] = {
    ("rekor1", False): _classic_v1,
    ("rekor1", True): _dsse_v1,
    ("rekor2", False): _classic_v2,
    ("rekor2", True): _dsse_v2,
}


def authority(
    name: str, chain: tuple[x509.Certificate, ...], periods: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a CA or a TSA of a trusted root; periods as `Sigstore.trusted_root` has them."""
    encoded = [{"rawBytes": _base64(certificate.public_bytes(Encoding.DER))} for certificate in chain]
    return {
        "subject": {"organization": "example.com", "commonName": name},
        "uri": f"https://{name}.example.com",
        "certChain": {"certificates": encoded},
        "validFor": _period(name, periods),
    }


def _period(name: str, periods: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return periods.get(name, {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"})


def _leaf(body: bytes) -> bytes:
    return hashlib.sha256(b"\0" + body).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _sized(data: bytes, size: int) -> bytes:
    return len(data).to_bytes(size, "big") + data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
