"""Signing by attestation occurrences in a Grafeas server, as kritis reads them.

An occurrence is a record of its own, so that no writer can replace another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, UnauthorizedError
from sealgate.formats.grafeas.keys import default_id, keys_of_one
from sealgate.formats.grafeas.verify import build_from
from sealgate.formats.grafeas.wire import detached_signature, resource_uri, write_occurrence, write_payload
from sealgate.formats.read_back import find_signature, require_signature
from sealgate.formats.signing import SigningOutcome, SigningResult
from sealgate.keys.signing_keys import sign_verified

if TYPE_CHECKING:
    from sealgate.clocks import Deadline
    from sealgate.formats.grafeas.stores import GrafeasServer
    from sealgate.formats.grafeas.verify import GrafeasCheck
    from sealgate.formats.grafeas.wire import AttestedSignature
    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.signing import SigningContext
    from sealgate.keys.signing_keys import SigningKey


@dataclass(frozen=True, slots=True)
class GrafeasSigner:
    """A key and a Grafeas server; see `Signer`. Immutable, thread-safe.

    Attributes:
        server: stores the attestations, under its note.
        project: the project of the occurrences, `projects/<project>`; the note may be in another one.
        key: signs.
        key_id: the id under which verifiers know the key; empty for the default of kritis, `ni:///sha-256;...`.
        format: "grafeas".
    """

    server: GrafeasServer
    project: str
    key: SigningKey
    key_id: str = ""
    format: str = "grafeas"

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint."""
        return self.key.public.fingerprint

    def lock_name(self, image: Image) -> str:
        """Return nothing: occurrences are added one by one."""
        del image
        return ""

    def sign(self, image: Image, context: SigningContext) -> SigningResult:
        """Attest an image, unless the key has attested it under the note; see `Signer.sign`.

        Raises:
            SigningError: the key cannot sign, or the server refuses the occurrence.
            VerificationError: there are too many attestations, or the new one does not verify.
            UnavailableError: the key or the server could not be asked (and its subclasses).
        """
        sources, check = context.sources, self._check()
        found = find_signature(check, image, sources)
        if found:
            return self._result(SigningOutcome.ALREADY_SIGNED, found)
        signature = self._attest(image, sources.deadline)
        name = self._store(
            write_occurrence(self.server.api_version, self.server.note, resource_uri(image), signature), sources
        )
        return self._result(SigningOutcome.SIGNED, require_signature(check, image, sources, name))

    def _attest(self, image: Image, deadline: Deadline) -> AttestedSignature:
        payload = write_payload(image)
        return detached_signature(self._id, sign_verified(self.key, payload, deadline), payload)

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
        return build_from(self.server, self.server.note, keys_of_one(self.key.public, self._id))

    @property
    def _id(self) -> str:
        return self.key_id or default_id(self.key.public)

    def _result(self, outcome: SigningOutcome, location: str) -> SigningResult:
        public = self.key.public
        where = f"{self.server.host}: {location}"
        return SigningResult(outcome, public.fingerprint, public.version, public.algorithm.value, where)
