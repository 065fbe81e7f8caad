"""Images, policies and recorded verdicts of other admission tools, in `tests/data/peers`.

Policies are written as their users write them, with words in capitals for what differs from run to run: `REGISTRY` for
the address of the registry with the images, `RELEASE_KEY` for a public key in PEM, and so on; see `filled`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from sealgate.references import Digest
from tests.support.builders.cosign_layouts import entries, load_layout
from tests.support.simulators.notary import NotaryRepository, NotarySimulator
from tests.support.simulators.openshift import OpenShiftSimulator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DATA = Path(__file__).parents[2] / "data" / "peers"
_SIGSTORE = DATA.parent / "sigstore"
_LAYOUTS = (DATA / "images", DATA / "notary" / "images", _SIGSTORE / "recorded")
VERDICTS = "verdicts.json"
TRUSTED_ROOT = _SIGSTORE / "trusted_root.json"
#: The registry in the signatures that name one; tools that know mirrors ask the real one in its place.
REGISTRY = "registry.example.org"


@dataclass(frozen=True)
class Peer:
    """How a peer is asked about images.

    Attributes:
        name: of its folder in `DATA`.
        by_tag: whether images are named by tag; by digest otherwise.
        mirrored: whether its images are in `REGISTRY`, whose mirror it asks; otherwise in the registry that serves.
        namespace: in which the images are used.
        policies_of: the peer whose policies it has; empty for its own.
    """

    name: str
    by_tag: bool = False
    mirrored: bool = False
    namespace: str = "default"
    policies_of: str = ""

    @property
    def files(self) -> dict[str, Path]:
        """The files with its policies, by their names."""
        found = sorted((DATA / (self.policies_of or self.name)).iterdir())
        return {path.stem: path for path in found if path.is_file() and path.name != VERDICTS}

    def host(self, registry: str) -> str:
        """Return what it calls a registry."""
        return REGISTRY if self.mirrored else registry

    def image(self, repository: str, registry: str) -> str:
        """Return the reference of an image."""
        suffix = ":1" if self.by_tag else f"@{image_digests()[repository]}"
        return f"{self.host(registry)}/{repository}{suffix}"

    def policy(self, path: Path, registry: str, notary: str = "") -> str:
        """Return the policy of a file, for a registry and the address of a notary server."""
        return filled(path.read_text().replace("NOTARY_URL", notary), self.host(registry))

    def verdicts(self) -> Mapping[str, Any]:
        """Return its recording: `tool`, and `policies` with what each said about each image.

        An image has an empty text where it was admitted, else the message of its denial.
        """
        recording: Mapping[str, Any] = json.loads((DATA / self.name / VERDICTS).read_text())
        return recording


PEERS = {
    peer.name: peer
    for peer in (
        Peer("connaisseur", by_tag=True),
        Peer("containers", by_tag=True, mirrored=True),
        Peer("containers-sigstore", by_tag=True, mirrored=True),
        Peer("kyverno", by_tag=True),
        Peer("kyverno-images"),
        Peer("openshift", by_tag=True, mirrored=True),
        Peer("openshift-team", by_tag=True, mirrored=True, namespace="team", policies_of="openshift"),
        Peer("policy-controller"),
        Peer("portieris", by_tag=True, mirrored=True),
        Peer("portieris-digests", mirrored=True),
        Peer("portieris-notary", by_tag=True),
        Peer("ratify"),
    )
}


class PeerRegistry(OpenShiftSimulator, NotarySimulator):
    """A registry with the extension for signatures, which is a notary server as well."""


def serve_images(*, tls: bool = False) -> PeerRegistry:
    """Return a registry, without the referrers API, that has all images with all their signatures."""
    registry = PeerRegistry(referrers_api=False, tls=tls)
    for layout in _LAYOUTS:
        load_layout(layout, registry)
    digests = image_digests()
    for repository, messages in json.loads((DATA / "simple-signing.json").read_text()).items():
        for message in messages:
            registry.sign(Digest(digests[repository]), base64.b64decode(message))
    for repository, files in json.loads((DATA / "notary" / "trust.json").read_text()).items():
        encoded = {name: text.encode() for name, text in files.items()}
        registry.host_repository(NotaryRepository.of_files(f"{registry.host}/{repository}", encoded))
    return registry


@cache
def image_digests() -> dict[str, str]:
    """Return the digest of every image, by its repository; each has the tag `1`."""
    return {
        name.removesuffix(":1"): entry["digest"]
        for layout in _LAYOUTS
        for name, entry in entries(layout).items()
        if name.endswith(":1")
    }


def filled(text: str, registry: str) -> str:
    """Return a policy with addresses, keys and issuers instead of the words for them.

    Keys become quoted texts of YAML and JSON; those whose word ends in BASE64 are encoded.
    """
    for word, value in _words(registry):
        text = text.replace(word, value)
    return text


def _words(registry: str) -> Iterable[tuple[str, str]]:
    issuers = json.loads((_SIGSTORE / "issuers.json").read_text())
    keys = {
        "RELEASE_KEY": DATA / "keys" / "release.pub",
        "STRANGER_KEY": DATA / "keys" / "stranger.pub",
        "LOGGED_KEY": _SIGSTORE / "release.pub",
        "RELEASE_GPG": DATA / "keys" / "release.asc",
        "STRANGER_GPG": DATA / "keys" / "stranger.asc",
        "RELEASE_RSA": DATA / "keys" / "release-rsa.asc",
        "STRANGER_RSA": DATA / "keys" / "stranger-rsa.asc",
        "NOTARY_ROOT": DATA / "keys" / "notary-first.pub",
        "NOTARY_SECOND_ROOT": DATA / "keys" / "notary-second.pub",
        "NOTARY_ALICE": DATA / "keys" / "notary-alice.pub",
        "NOTARY_BOB": DATA / "keys" / "notary-bob.pub",
        "RELEASE_CA": DATA / "keys" / "release.crt",
        "STRANGER_CA": DATA / "keys" / "stranger.crt",
    }
    for word, path in keys.items():
        yield f"{word}_BASE64", base64.b64encode(path.read_bytes()).decode()
        yield word, json.dumps(path.read_text())
    for word, pem in sigstore_keys().items():
        yield word, json.dumps(pem)
    yield "USER_ISSUER", issuers["user"]
    yield "CI_ISSUER", issuers["ci"]
    yield "REGISTRY", registry


def sigstore_keys() -> dict[str, str]:
    """Return the CA certificates of the recorded sigstore, and the keys of its Rekor 1 and its CT log, in PEM."""
    root = json.loads(TRUSTED_ROOT.read_text())
    chains = [one["rawBytes"] for ca in root["certificateAuthorities"] for one in ca["certChain"]["certificates"]]
    return {
        "FULCIO_CHAIN": "".join(map(_certificate, chains)),
        "REKOR_KEY": _public_key(root["tlogs"][0]["publicKey"]["rawBytes"]),
        "CTLOG_KEY": _public_key(root["ctlogs"][0]["publicKey"]["rawBytes"]),
    }


def _certificate(encoded: str) -> str:
    return load_der_x509_certificate(base64.b64decode(encoded)).public_bytes(Encoding.PEM).decode()


def _public_key(encoded: str) -> str:
    key = load_der_public_key(base64.b64decode(encoded))
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
