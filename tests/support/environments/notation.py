"""A registry with one image, a CA, and `notation` authenticators to verify signatures by its signers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import UnavailableError, VerificationError
from sealgate.formats.build import build_check
from sealgate.formats.interface import Image, Sources
from sealgate.formats.notation.wire.envelope import JWS_TYPE
from sealgate.formats.signing import SigningContext
from sealgate.http.settings import HostSettings
from sealgate.keys.resolvers import FileKeys
from sealgate.references import parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from tests.support.builders.objects import api_object
from tests.support.clocks import FakeClock
from tests.support.signers.notation import IDENTITY, Authority, EnvelopeOf, payload_for, push_envelope
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from sealgate.findings import Verified
    from sealgate.formats.interface import Check
    from sealgate.formats.signing import Signer, SigningResult
    from sealgate.reasons import Reason
    from sealgate.references import Digest
    from tests.support.simulators.http import HTTPSimulator

REPOSITORY = "team/app"
#: Timeout of a wait, in seconds; reached only on a failure.
PATIENCE = 30.0


def notation_check(spec: Mapping[str, Any], secrets: Mapping[str, Mapping[str, bytes]] | None = None) -> Check:
    """Return the check of an authenticator with this `notation` field."""
    obj = api_object("Authenticator", "release", {"notation": spec})
    return build_check(Authenticator.model_validate(obj), FileKeys(secrets or {}))


class NotationEnvironment:
    """A registry with one image, and a CA with one signer; a context manager.

    Args:
        referrers_api: whether the registry has the referrers API.
        servers: further servers that may be asked at loopback addresses.

    Attributes:
        registry: the simulated registry.
        digest: of the image in `REPOSITORY`, tag `v1`.
        authority: the CA.
        key: the signer's key.
        chain: the signer's certificates.
        clock: the time.
    """

    def __init__(self, *servers: HTTPSimulator, referrers_api: bool = True) -> None:
        self.registry = RegistrySimulator(referrers_api=referrers_api)
        self.digest = self.registry.push_image(REPOSITORY, "v1")
        self.authority = Authority("root")
        self.key, self.chain = self.authority.issue()
        self.clock = FakeClock()
        hosts = frozenset({self.registry.host, *(server.host for server in servers)})
        self._client = RegistryClient(HostSettings(insecure=hosts))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.registry.close()
        self._client.close()

    @property
    def body(self) -> bytes:
        """The image's manifest."""
        return self.registry.manifest(REPOSITORY, self.digest)[1]

    @property
    def image(self) -> Image:
        """The image, by digest."""
        return Image(parse_reference(f"{self.registry.host}/{REPOSITORY}@{self.digest}"), self.digest)

    def spec(self, **fields: Any) -> dict[str, Any]:
        """Return a `notation` field that trusts the CA; `fields` replaces or adds."""
        trusted = {"ca": [{"pem": self.authority.pem}]}
        return {"trustStores": trusted, "trustedIdentities": [IDENTITY], **fields}

    def envelope(self, **members: Any) -> EnvelopeOf:
        """Return a good envelope about the image; `members` of `EnvelopeOf` differ."""
        good = {"key": self.key, "chain": self.chain, "payload": payload_for(self.body, self.digest)}
        return EnvelopeOf(**{**good, **members})

    def push(self, envelope: EnvelopeOf | bytes | None = None, media_type: str = JWS_TYPE, **more: Any) -> Digest:
        """Store a signature of the image; a good one by default."""
        made = self.envelope() if envelope is None else envelope
        data = made if isinstance(made, bytes) else made.of(media_type)
        return push_envelope(self.registry, REPOSITORY, self.digest, data, media_type, **more)

    def verify(self, **fields: Any) -> Verified:
        """Ask an authenticator about the image; `fields` of its spec differ."""
        return notation_check(self.spec(**fields)).verify(self.image, self.sources())

    def refused(self, reason: Reason, **fields: Any) -> VerificationError:
        """Ask an authenticator about the image and expect a refusal for that reason."""
        with pytest.raises(VerificationError) as caught:
            self.verify(**fields)
        assert caught.value.reason is reason, caught.value.message
        assert caught.value.message.isprintable()
        return caught.value

    def unavailable(self, **fields: Any) -> UnavailableError:
        """Ask an authenticator about the image and expect that nothing could be found out."""
        with pytest.raises(UnavailableError) as caught:
            self.verify(**fields)
        return caught.value

    def sign(self, signer: Signer) -> SigningResult:
        """Sign the image."""
        sources = self.sources()
        writer = self._client.writer(NoCredentials(), sources.deadline)
        return signer.sign(self.image, SigningContext(sources, writer))

    def sources(self) -> Sources:
        deadline = Deadline.after(SystemClock(), PATIENCE)
        session = self._client.session(NoCredentials(), deadline)
        return Sources(session, self._client.services(deadline), self.clock, deadline)
