"""Signing by attestation occurrences in a Grafeas server, as kritis reads them.

An occurrence is a record of its own, so that no writer can replace another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, UnauthorizedError
from sealgate.formats.grafeas.verify import build_from
from sealgate.formats.grafeas.wire import resource_uri, write_occurrence, write_payload
from sealgate.formats.read_back import sign_once
from sealgate.formats.signing import SigningResult

if TYPE_CHECKING:
    from sealgate.formats.grafeas.attestors import Attestor
    from sealgate.formats.grafeas.stores import GrafeasServer
    from sealgate.formats.grafeas.verify import GrafeasCheck
    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.signing import SigningContext


@dataclass(frozen=True, slots=True)
class GrafeasSigner:
    """A key and a Grafeas server; see `Signer`. Immutable, thread-safe.

    Attributes:
        server: stores the attestations, under its note.
        project: the project of the occurrences, `projects/<project>`; the note may be in another one.
        attestor: the key, and the id under which verifiers know it.
        format: "grafeas".
    """

    server: GrafeasServer
    project: str
    attestor: Attestor
    format: str = "grafeas"

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return self.attestor.fingerprint

    def lock_name(self, image: Image) -> str:
        """Return an empty name: occurrences are added one by one."""
        del image
        return ""

    def sign(self, image: Image, context: SigningContext) -> SigningResult:
        """Attest an image, unless the key has attested it under the note; see `Signer.sign`.

        Raises:
            SigningError: the key cannot sign, or the server refuses the occurrence.
            VerificationError: there are too many attestations, or the new one does not verify.
            UnavailableError: the key or the server could not be asked (and its subclasses).
        """
        sources, attestor = context.sources, self.attestor
        outcome, location = sign_once(
            self._check(), self.fingerprint, image, sources, lambda: self._attest(image, sources)
        )
        where = f"{self.server.host}: {location}"
        return SigningResult(outcome, attestor.fingerprint, attestor.version, attestor.algorithm, where)

    def _attest(self, image: Image, sources: Sources) -> str:
        signature = self.attestor.attest(write_payload(image), sources.clock, sources.deadline)
        uri = resource_uri(image)
        return self._store(write_occurrence(self.server.api_version, self.server.note, uri, signature), sources)

    def _store(self, occurrence: dict[str, object], sources: Sources) -> str:
        try:
            return self.server.create(occurrence, self.project, sources)
        except NotFoundError as error:
            msg = f"{error.message}; create {self.server.note} and {self.project} there first"
            raise NotFoundError(msg) from error
        except UnauthorizedError as error:
            msg = f"{error.message}; signing needs the rights to create occurrences and to attach them to the note"
            raise UnauthorizedError(msg) from error

    def _check(self) -> GrafeasCheck:
        return build_from(self.server, self.server.note, self.attestor.accepted)
