"""A registry with one image, and cosign authenticators to verify it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from tests.support.builders.objects import authenticator_model
from tests.support.simulators.registry import RegistrySimulator

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from sealgate.clocks import Clock
    from sealgate.findings import Verified
    from sealgate.formats.interface import Check
    from sealgate.formats.signing import Signer, SigningResult
    from sealgate.reasons import Reason
    from sealgate.references import Digest
    from tests.support.signers.private_keys import PrivateKey

REPOSITORY = "team/app"
#: Timeout of a wait, in seconds; reached only on a failure.
PATIENCE = 30.0


def cosign_check(*keys: PrivateKey | dict[str, Any], **fields: Any) -> Check:
    """Return the check of an authenticator.

    Args:
        keys: private keys whose public halves are accepted, or whole key entries.
        fields: further fields of the cosign spec, as in YAML.
    """
    return build_check(authenticator_model("release", *keys, **fields), FileKeys({}))


class CosignEnvironment:
    """A registry with one image; a context manager.

    Args:
        referrers_api: whether the registry has the referrers API.

    Attributes:
        registry: the simulated registry.
        digest: of the image in `REPOSITORY`, tag `v1`.
        deadline: how many seconds a verification has.
    """

    def __init__(self, *, referrers_api: bool = True) -> None:
        self.registry = RegistrySimulator(referrers_api=referrers_api)
        self.digest = self.registry.push_image(REPOSITORY, "v1")
        self.deadline = PATIENCE
        self._clock = SystemClock()
        self._client = RegistryClient(HostSettings(insecure=frozenset({self.registry.host})))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.registry.close()
        self._client.close()

    @property
    def repository(self) -> str:
        """The image's repository as references have it."""
        return f"{self.registry.host}/{REPOSITORY}"

    def image(self, digest: Digest | None = None, repository: str | None = None) -> Image:
        """Return an image by digest; the one that is there by default."""
        subject = digest or self.digest
        return Image(parse_reference(f"{repository or self.repository}@{subject}"), subject)

    def ask(self, check: Check, image: Image | None = None) -> Verified:
        """Ask a check about an image."""
        deadline = Deadline.after(self._clock, self.deadline)
        sources = Sources(
            self._client.session(NoCredentials(), deadline), self._client.services(deadline), self._clock, deadline
        )
        return check.verify(image or self.image(), sources)

    def sign(self, signer: Signer, image: Image | None = None, clock: Clock | None = None) -> SigningResult:
        """Sign an image; with a clock of the test, where the signer waits.

        Args:
            signer: signs.
            image: by default the one that is there.
            clock: the system's by default.
        """
        clock = clock or self._clock
        deadline = Deadline.after(clock, self.deadline)
        session = self._client.session(NoCredentials(), deadline)
        sources = Sources(session, self._client.services(deadline), clock, deadline)
        writer = self._client.writer(NoCredentials(), deadline)
        return signer.sign(image or self.image(), SigningContext(sources, writer))

    def verify(self, *keys: PrivateKey | dict[str, Any], image: Image | None = None, **fields: Any) -> Verified:
        """Ask an authenticator about an image."""
        return self.ask(cosign_check(*keys, **fields), image)

    def refused(
        self, reason: Reason, *keys: PrivateKey | dict[str, Any], image: Image | None = None, **fields: Any
    ) -> VerificationError:
        """Ask an authenticator about an image and expect a refusal for that reason."""
        return self.refused_by(cosign_check(*keys, **fields), reason, image)

    def refused_by(self, check: Check, reason: Reason, image: Image | None = None) -> VerificationError:
        """Ask a check about an image and expect a refusal for that reason."""
        with pytest.raises(VerificationError) as caught:
            self.ask(check, image)
        assert caught.value.reason is reason, caught.value.message
        assert caught.value.message.isprintable()
        return caught.value

    def unavailable(self, *keys: PrivateKey | dict[str, Any], **fields: Any) -> UnavailableError:
        """Ask an authenticator about the image and expect that nothing could be found out."""
        with pytest.raises(UnavailableError) as caught:
            self.verify(*keys, **fields)
        return caught.value
