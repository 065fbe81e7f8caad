"""What cosign signs and stores: classic payloads, and bundles made with a key (a DSSE envelope and a hint at the key).

What is built here has the members, and their order, that cosign 3 writes. Certificates, transparency log entries and
timestamps may be beside it; `sealgate.sigstore` reads them where an authenticator accepts identities or requires a log.
To others they prove nothing.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.messages import quote
from sealgate.parsing.evidence import (
    as_object,
    base64_member,
    list_member,
    malformed,
    object_member,
    optional_text,
    parse_object,
    text_member,
)
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.references import Digest


#: `critical.type` of a classic payload. cosign ignores it; it separates image signatures from other uses of a key.
SIGNATURE_TYPE = "cosign container image signature"
#: The predicate of a bundle that is an image signature and not an attestation.
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
#: Versions of the in-toto statement; cosign 2 writes the older one into bundles.
STATEMENT_TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")


#: The type of a layer that is a classic signature.
PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
#: The type of a referrer with classic layers.
CLASSIC_REFERRER_TYPE = "application/vnd.dev.cosign.artifact.sig.v1+json"
#: The annotation of a classic layer that holds its signature.
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
#: The annotation of a bundle's manifest, and of its descriptor, that says what the statement inside is about.
PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType"
#: The annotation of a manifest that says when it was made.
CREATED_ANNOTATION = "org.opencontainers.image.created"


#: The type of what an envelope of a statement holds.
IN_TOTO = "application/vnd.in-toto+json"
#: The type of a layer that is an envelope: a classic attestation.
ENVELOPE_TYPE = "application/vnd.dsse.envelope.v1+json"
#: The type of a referrer with such layers.
ATTESTATION_REFERRER_TYPE = "application/vnd.dev.cosign.artifact.att.v1+json"
#: The annotation of such a layer that says what the statement inside is about.
ENVELOPE_ANNOTATION = "predicateType"


BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
#: The version of a bundle by its type, which is also that of its layer and its manifest.
BUNDLE_VERSIONS: Mapping[str, str] = {
    "application/vnd.dev.sigstore.bundle+json;version=0.1": "0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2": "0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3": "0.3",
    BUNDLE_TYPE: "0.3",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """A parsed bundle; nothing in it is verified.

    Attributes:
        envelope: what is signed, with its signatures.
        hint: base64 of the SHA-256 of the signer's public key, as the bundle says; empty if it says none.
        keyless: whether it brings a certificate instead of naming a key.
        version: "0.1", "0.2" or "0.3".
        material: certificates, log entries and timestamps, as `sealgate.sigstore.material` reads them.
    """

    envelope: Envelope
    hint: str
    keyless: bool
    version: str
    material: Mapping[str, object]


def parse_bundle(data: bytes, what: str) -> Bundle:
    """Take a bundle apart.

    Args:
        data: the exact bytes.
        what: what they are, for messages ("the bundle").

    Raises:
        VerificationError: it is malformed, of another version, or no envelope is in it.
    """
    bundle = parse_object(data, what)
    media_type = text_member(bundle, "mediaType", what)
    version = BUNDLE_VERSIONS.get(media_type)
    if version is None:
        msg = f"{what} says it is {quote(media_type, 100)}; bundles of the versions 0.1 to 0.3 are supported"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
    if "messageSignature" in bundle:
        msg = f"{what} signs a file (messageSignature), not an image"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
    material = object_member(bundle, "verificationMaterial", what)
    return Bundle(
        envelope=parse_envelope(object_member(bundle, "dsseEnvelope", what), what),
        hint=_hint(material, what),
        keyless="certificate" in material or "x509CertificateChain" in material,
        version=version,
        material=material,
    )


def build_payload(repository: str, digest: str, annotations: Mapping[str, str]) -> bytes:
    """Return the classic payload of an image, as it is signed.

    Args:
        repository: the image's repository as references have it; it becomes the payload's `docker-reference`.
        digest: the image's digest.
        annotations: the payload's optional members; may be empty.
    """
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": digest},
        "type": SIGNATURE_TYPE,
    }
    return _json({"critical": critical, "optional": dict(sorted(annotations.items())) or None})


def build_statement(repository: str, digest: str, annotations: Mapping[str, str]) -> bytes:
    """Return the in-toto statement about an image, the payload of a bundle's envelope.

    cosign 3 leaves out the subject's name. It is here so that verification can compare it with the image's repository.

    Args:
        repository: the image's repository as references have it.
        digest: the image's digest, SHA-256.
        annotations: of the statement's subject; may be empty.
    """
    subject = {
        "name": repository,
        "digest": {"sha256": digest.removeprefix("sha256:")},
        "annotations": dict(sorted(annotations.items())),
    }
    return _json({"_type": STATEMENT_TYPES[0], "subject": [subject], "predicateType": SIGN_PREDICATE, "predicate": {}})


def build_attestation(repository: str, digest: str, predicate_type: str, predicate: object) -> bytes:
    """Return an in-toto statement that attests something about an image, the payload of an envelope.

    Args:
        repository: the image's repository as references have it.
        digest: the image's digest, SHA-256.
        predicate_type: what the predicate is.
        predicate: any JSON value.
    """
    subject = {"name": repository, "digest": {"sha256": digest.removeprefix("sha256:")}}
    return _json(
        {"_type": STATEMENT_TYPES[0], "subject": [subject], "predicateType": predicate_type, "predicate": predicate}
    )


def build_envelope(statement: bytes, signature: bytes) -> bytes:
    """Return an envelope around a signed statement, as a layer has it; arguments as for `build_bundle`."""
    return _json(_envelope(statement, signature))


def _envelope(statement: bytes, signature: bytes) -> dict[str, object]:
    return {"payload": _base64(statement), "payloadType": IN_TOTO, "signatures": [{"sig": _base64(signature)}]}


def build_bundle(fingerprint: str, statement: bytes, signature: bytes) -> bytes:
    """Return a bundle around a signed statement.

    Args:
        fingerprint: of the key that signed, as findings have it.
        statement: the payload of the envelope.
        signature: over `pre_authentication_encoding(IN_TOTO, statement)`.
    """
    material = {"publicKey": {"hint": key_hint(fingerprint)}}
    return _json(
        {"mediaType": BUNDLE_TYPE, "verificationMaterial": material, "dsseEnvelope": _envelope(statement, signature)}
    )


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def key_hint(fingerprint: str) -> str:
    """Return the hint that bundles carry for the key with that fingerprint."""
    return base64.b64encode(bytes.fromhex(fingerprint.removeprefix("sha256:"))).decode("ascii")


def _hint(material: Mapping[str, object], what: str) -> str:
    if "publicKey" not in material:
        return ""
    return optional_text(object_member(material, "publicKey", what), "hint", what) or ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed envelope; nothing in it is verified.

    Attributes:
        payload_type: as written.
        payload: decoded bytes.
        signatures: decoded, in order, at least one.
    """

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]

    @property
    def signed(self) -> bytes:
        """The exact bytes that each signature is over."""
        return pre_authentication_encoding(self.payload_type, self.payload)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what a DSSE signature is made over: `DSSEv1 len(type) type len(payload) payload`, lengths in bytes.

    >>> pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    name = payload_type.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def parse_envelope(members: Mapping[str, object], what: str) -> Envelope:
    """Take an envelope apart. Key IDs in it are ignored, because only the policy names keys.

    Args:
        members: the JSON object.
        what: what they belong to, for messages ("the bundle").

    Raises:
        VerificationError: it is malformed, or has no signature.
    """
    signatures = tuple(
        base64_member(as_object(item, f"a signature of {what}"), "sig", what)
        for item in list_member(members, "signatures", what)
    )
    if not signatures:
        raise malformed(what, "its envelope has no signature")
    return Envelope(text_member(members, "payloadType", what), base64_member(members, "payload", what), signatures)


def signature_tag(digest: Digest) -> str:
    """Return the tag under which cosign stores the classic signatures of a digest: `sha256-<hex>.sig`."""
    return f"{digest.replace(':', '-')}.sig"


def attestation_tag(digest: Digest) -> str:
    """Return the tag under which cosign stores the classic attestations of a digest: `sha256-<hex>.att`."""
    return f"{digest.replace(':', '-')}.att"
