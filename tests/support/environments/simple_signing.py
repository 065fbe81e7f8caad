"""A registry with the fixtures' image, and simple-signing authenticators to verify it."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any

import pytest

from sealgate.clocks import Deadline
from sealgate.errors import UnavailableError, VerificationError
from sealgate.formats.build import build_check
from sealgate.formats.interface import Image, Sources
from sealgate.formats.simple_signing.verify import SimpleSigningCheck
from sealgate.http.settings import HostSettings
from sealgate.keys.resolvers import FileKeys
from sealgate.references import parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.registry.interface import DOCKER_MANIFEST
from tests.support.builders.objects import authenticator_model
from tests.support.clocks import FakeClock
from tests.support.signers.simple_signing import AFTER_SPOILT, DATA, REFERENCE, armored_key, subject
from tests.support.simulators.http_messages import Answer
from tests.support.simulators.openshift import OpenShiftSimulator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.findings import Verified
    from sealgate.references import Digest
    from sealgate.registry.credentials import CredentialProvider

REGISTRY = "registry.example.org"
REPOSITORY = "team/api"
OPENSHIFT: dict[str, Any] = {"openshift": {}}


def simple_authenticator(name: str, *keys: str, **fields: Any) -> Authenticator:
    """Return an authenticator.

    Args:
        name: name of the authenticator.
        keys: names of the fixtures' keys, or armored keys.
        fields: of the spec, as in YAML, instead of or beside those given here.
    """
    armored = "".join(key if key.startswith("-----") else armored_key(key) for key in keys or ("ed25519",))
    spec = {"keyring": {"inline": armored}, "store": OPENSHIFT, **fields}
    return authenticator_model(name, spec={"simpleSigning": spec})


def simple_check(
    *keys: str, secrets: Mapping[str, Mapping[str, bytes]] | None = None, **fields: Any
) -> SimpleSigningCheck:
    """Return the check of an authenticator; see `simple_authenticator`.

    Args:
        keys: names of the fixtures' keys, or armored keys.
        secrets: Secrets that `keyring.secretRef` may name, by name.
        fields: of the spec.
    """
    check = build_check(simple_authenticator("ops-gpg", *keys, **fields), FileKeys(secrets or {}))
    assert isinstance(check, SimpleSigningCheck)
    return check


def rule(policy: str, **parameter: Any) -> dict[str, Any]:
    """Return the field `signedIdentity`."""
    return {"matchPolicy": policy, **parameter}


class SimpleSigningEnvironment:
    """A registry, with OpenShift's extension, that has the fixtures' image; a context manager.

    Attributes:
        registry: the simulator, used as the mirror of `registry.example.org`.
        digest: of the image.
    """

    def __init__(self, now: datetime = AFTER_SPOILT, **registry: Any) -> None:
        self.registry = OpenShiftSimulator(**registry)
        self.digest = subject()
        body = (DATA / "manifest.json").read_bytes()
        assert self.registry.push_manifest(REPOSITORY, "1.4", body, DOCKER_MANIFEST) == self.digest
        self.clock = FakeClock(now)
        host = self.registry.host
        ca = {host: self.registry.ca_pem} if self.registry.ca_pem else {}
        settings = HostSettings(insecure=frozenset({host}), mirrors={REGISTRY: host}, ca=ca)
        self.client = RegistryClient(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.registry.close()
        self.client.close()

    def image(self, text: str = REFERENCE, digest: Digest | None = None) -> Image:
        return Image(parse_reference(text), digest or self.digest)

    def sources(self, credentials: CredentialProvider | None = None, seconds: float = 30) -> Sources:
        deadline = Deadline.after(self.clock, seconds)
        session = self.client.session(credentials or NoCredentials(), deadline, frozenset({REGISTRY}))
        return Sources(session, self.client.services(deadline), self.clock, deadline)

    def lookaside(self, *files: bytes, base: str = "/sigstore", repository: str = REPOSITORY) -> dict[str, Any]:
        """Put files where a lookaside store has them, and return the field `store`."""
        for number, content in enumerate(files, 1):
            path = f"{base}/{repository}@{self.digest.replace(':', '=')}/signature-{number}"
            self.registry.documents[path] = Answer(200, {"Content-Type": "application/octet-stream"}, content)
        return {"lookaside": {"url": f"{self.registry.url}{base}"}}

    def request(self, method: str, path: str, body: str | None = None) -> HTTPResponse:
        """Send the registry a request that no client of ours sends."""
        connection = HTTPConnection("127.0.0.1", self.registry.port, timeout=20)
        connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def verify(
        self, check: SimpleSigningCheck, image: str = REFERENCE, credentials: CredentialProvider | None = None
    ) -> Verified:
        return check.verify(self.image(image), self.sources(credentials))

    def refusal(self, check: SimpleSigningCheck, image: str = REFERENCE) -> VerificationError:
        with pytest.raises(VerificationError) as caught:
            self.verify(check, image)
        return caught.value

    def unavailable(self, check: SimpleSigningCheck, image: str = REFERENCE) -> UnavailableError:
        with pytest.raises(UnavailableError) as caught:
            self.verify(check, image)
        return caught.value
