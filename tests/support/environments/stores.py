"""A signature store beside the registry, and authenticators to verify one image; one subclass per format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import UnavailableError, VerificationError
from sealgate.formats.build import build_check
from sealgate.formats.interface import Image, Sources
from sealgate.formats.signing import SigningContext
from sealgate.http.settings import HostSettings
from sealgate.keys.resolvers import FileKeys
from sealgate.references import parse_reference
from sealgate.registry.client import RegistryClient
from sealgate.registry.credentials import NoCredentials
from sealgate.service_secrets import MappingServiceSecrets
from tests.support.builders.objects import authenticator_model
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.findings import Verified
    from sealgate.formats.interface import Check
    from sealgate.reasons import Reason
    from sealgate.references import Digest

S = TypeVar("S", bound=RegistrySimulator)
#: Timeout of a wait, in seconds; reached only on a failure.
PATIENCE = 30.0


class StoreEnvironment(Generic[S]):
    """The store; a context manager.

    Args:
        server: the simulated store.
        form: the field of the format in an Authenticator.
        name: of that Authenticator.
        reference: the image that is asked about.
        digest: digest of that image.

    Attributes:
        server: the simulated store.
        secrets: what `credentialsSecret` finds.
        seconds: how long a verification has.
    """

    def __init__(self, server: S, form: str, name: str, reference: str, digest: Digest) -> None:
        self.server = server
        self.secrets: Mapping[str, Mapping[str, bytes]] = {}
        self.seconds = PATIENCE
        self._form = form
        self._name = name
        self._reference = reference
        self._digest = digest
        self._client = RegistryClient(HostSettings(insecure=frozenset({server.host})))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.server.close()
        self._client.close()

    def spec(self, *keys: dict[str, Any]) -> dict[str, Any]:
        """Return the format's field: the server, and these keys or the usual one."""
        raise NotImplementedError

    def authenticator(self, *keys: dict[str, Any], **fields: Any) -> Authenticator:
        """Return the object; `fields` are of the spec, as in YAML, instead of or beside those given here."""
        ca = {"ca": {"pem": self.server.ca_pem}} if self.server.ca_pem else {}
        return authenticator_model(self._name, spec={self._form: {**self.spec(*keys), **ca, **fields}})

    def check(self, *keys: dict[str, Any], **fields: Any) -> Check:
        """Return the check of that object."""
        return build_check(self.authenticator(*keys, **fields), FileKeys({}))

    def image(self, text: str | None = None, digest: Digest | None = None) -> Image:
        return Image(parse_reference(text or self._reference), digest or self._digest)

    def sources(self) -> Sources:
        clock = SystemClock()
        deadline = Deadline.after(clock, self.seconds)
        return Sources(
            registry=self._client.session(NoCredentials(), deadline),
            services=self._client.services(deadline),
            clock=clock,
            deadline=deadline,
            secrets=MappingServiceSecrets(self.secrets),
        )

    def context(self) -> SigningContext:
        """Return what a signer may use."""
        sources = self.sources()
        return SigningContext(sources, self._client.writer(NoCredentials(), sources.deadline))

    def verify(self, check: Check | None = None, image: Image | None = None) -> Verified:
        return (check or self.check()).verify(image or self.image(), self.sources())

    def refusal(self, check: Check | None = None, image: Image | None = None) -> VerificationError:
        with pytest.raises(VerificationError) as caught:
            self.verify(check, image)
        return caught.value

    def refuses(self, reason: Reason, check: Check | None = None, image: Image | None = None) -> VerificationError:
        """Require that the image is refused for that reason."""
        error = self.refusal(check, image)
        assert error.reason is reason, error.message
        return error

    def unavailable(self, check: Check | None = None) -> UnavailableError:
        with pytest.raises(UnavailableError) as caught:
            self.verify(check)
        return caught.value
