"""Listing who signed an image's tag in Notary, read by the check that verifies it, and when that ends."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.findings import SeenSignature
from sealgate.formats.notary.deleting import TagRemoval, names
from sealgate.formats.stored import StoredSignature
from sealgate.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sealgate.formats.interface import Image, Sources
    from sealgate.formats.notary.reader import TrustReader
    from sealgate.formats.notary.targets import TargetsFile
    from sealgate.formats.notary.verify import NotaryCheck
    from sealgate.formats.notary.wire.metadata import SignedFile

#: How long before its end a file is warned about.
WARNED_BEFORE = timedelta(days=30)


def list_signatures(check: NotaryCheck, image: Image, sources: Sources) -> tuple[StoredSignature, ...]:
    """Return the signatures of the roles that name the image's tag, or its digest where there is no tag.

    They are those of the roles that the authenticator asks. A signature counts only if the whole check does.

    Args:
        check: the authenticator.
        image: the image.
        sources: where trust data is.

    Raises:
        VerificationError: no role that was read names the tag, or the trust data is not trusted.
        UnavailableError: it could not be read.
    """
    readers: list[TrustReader] = []
    refusal: VerificationError | None = None
    try:
        check.read(image, sources, readers)
    except VerificationError as error:
        refusal = error
    host = check.server.host_of(image.reference.repository)
    listing = _Listing(check, image, refusal, host, sources.clock.now())
    found = tuple(signature for reader in readers for signature in listing.signatures(reader))
    if refusal is not None and not found:
        raise refusal
    return found


@dataclass(frozen=True, slots=True)
class _Listing:
    """One image, with the refusal of the whole check if it is refused."""

    check: NotaryCheck
    image: Image
    refusal: VerificationError | None
    host: str
    now: datetime

    def signatures(self, reader: TrustReader) -> Iterator[StoredSignature]:
        for targets in reader.read_targets:
            for tag in self._tags(targets):
                warnings = tuple(self._warnings(reader.root_file, targets.file))
                for seen in targets.signers.seen:
                    yield self._stored(seen, targets, tag, warnings)

    def _tags(self, targets: TargetsFile) -> list[str]:
        tag = self.image.reference.effective_tag
        if tag is None:
            return sorted(targets.tags_naming(self.image.digest))
        return [tag] if tag in targets.entries and targets.role.may_name(tag) else []

    def _stored(
        self, signature: SeenSignature, targets: TargetsFile, tag: str, warnings: tuple[str, ...]
    ) -> StoredSignature:
        source = f"tag {tag} in {signature.source}"
        seen = SeenSignature(source, signature.reason, signature.message, signature.fingerprint)
        if signature.reason is Reason.VERIFIED:
            seen = self._judge(seen)
        return StoredSignature(
            source,
            seen,
            location=f"{self.host}: {source}",
            metadata={"role": targets.role.name, "expires": f"{targets.file.expires:%Y-%m-%dT%H:%M:%SZ}"},
            warnings=warnings,
            content=targets.file.raw,
            removal=self._removal(targets, tag),
            part=source,
        )

    def _removal(self, targets: TargetsFile, tag: str) -> TagRemoval | None:
        """Return how the role's entry of a tag is removed; None if it names another image."""
        with suppress(VerificationError):  # the verdict says what is malformed
            if names(targets, tag, self.image.digest):
                repository = self.image.reference.repository
                return TagRemoval(self.check.server, self.check.pin, repository, targets.role.name, tag)
        return None

    def _judge(self, seen: SeenSignature) -> SeenSignature:
        """Return the verdict on a signature that is good, which is that of the whole check."""
        if self.refusal is None:
            return seen
        return SeenSignature(seen.source, self.refusal.reason, self.refusal.message, seen.fingerprint)

    def _warnings(self, *files: SignedFile) -> Iterator[str]:
        for file in files:
            left = file.expires - self.now
            if left <= WARNED_BEFORE:
                yield f"{file.what} expires on {file.expires:%Y-%m-%d}, in {left.days} days; sign it anew before that"
