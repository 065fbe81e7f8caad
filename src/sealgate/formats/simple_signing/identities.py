"""Whether the name that was signed is a name for the image: pure comparison, rule by rule.

Both names are normalised as docker does it. Where neither tag nor digest is written, the image's name means
`:latest`; the signed name means no more than it says.

A reference with tag and digest counts by its tag: the digest has been compared already, and signers do not write
both. It also matches the very same text, should one have signed that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sealgate.errors import InvalidReferenceError, VerificationError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.references import Reference, Repository, parse_reference, parse_registry, parse_repository


class Identity(Protocol):
    """A rule for the signed name."""

    @property
    def depends_on_tag(self) -> bool:
        """Whether it depends on the image's tag."""

    def require(self, image: Reference, signed: Reference) -> None:
        """Compare the names.

        Raises:
            VerificationError: the signed name is not one for the image.
        """


@dataclass(frozen=True, slots=True)
class MatchExact:
    """The same repository and the same tag; for an image named by digest only, the same digest."""

    depends_on_tag: bool = True

    def require(self, image: Reference, signed: Reference) -> None:
        """See `Identity.require`."""
        _require_exact(image, signed)


@dataclass(frozen=True, slots=True)
class MatchRepoDigestOrExact:
    """`MatchExact`; for an image named by digest only, the same repository."""

    depends_on_tag: bool = True

    def require(self, image: Reference, signed: Reference) -> None:
        """See `Identity.require`."""
        _require_repo_digest_or_exact(image, signed)


@dataclass(frozen=True, slots=True)
class MatchRepository:
    """The same repository, with any tags."""

    depends_on_tag: bool = False

    def require(self, image: Reference, signed: Reference) -> None:
        """See `Identity.require`."""
        _require_repository(image.repository, signed)


@dataclass(frozen=True, slots=True)
class ExactReference:
    """One name, independent of the image's.

    Attributes:
        reference: with tag or digest.
    """

    reference: Reference
    depends_on_tag: bool = False

    def require(self, image: Reference, signed: Reference) -> None:
        """See `Identity.require`."""
        del image
        _require_repository(self.reference.repository, signed)
        if signed != self.reference:
            raise _mismatch(signed, f"not {self.reference}")


@dataclass(frozen=True, slots=True)
class ExactRepository:
    """One repository, independent of the image's.

    Attributes:
        repository: the one.
    """

    repository: Repository
    depends_on_tag: bool = False

    def require(self, image: Reference, signed: Reference) -> None:
        """See `Identity.require`."""
        del image
        _require_repository(self.repository, signed)


@dataclass(frozen=True, slots=True)
class RemapIdentity:
    """`MatchRepoDigestOrExact` after replacing the beginning of the image's name, if it begins so.

    Attributes:
        prefix: registry, or registry and beginning of the path, normalised.
        signed_prefix: what signed names have instead.
    """

    prefix: str
    signed_prefix: str
    depends_on_tag: bool = True

    def require(self, image: Reference, signed: Reference) -> None:
        """See `Identity.require`."""
        name = image.name
        if name == self.prefix or name.startswith(f"{self.prefix}/"):
            registry, _, path = (self.signed_prefix + name.removeprefix(self.prefix)).partition("/")
            image = Reference(Repository(registry, path), image.tag, image.digest)
        _require_repo_digest_or_exact(image, signed)


@dataclass(frozen=True, slots=True)
class ExpectedIdentity:
    """`MatchRepoDigestOrExact` for a name given by the caller, independent of the image's.

    Attributes:
        reference: see `parse_expected_identity`.
    """

    reference: Reference
    depends_on_tag: bool = False

    def require(self, image: Reference, signed: Reference) -> None:
        """See `Identity.require`."""
        del image
        _require_repo_digest_or_exact(self.reference, signed)


def parse_expected_identity(text: str) -> Reference:
    """Return the name that a signature is expected to have; a bare repository means its `latest`.

    Raises:
        InvalidReferenceError: it is not an image reference, or has both a tag and a digest.
    """
    reference = parse_reference(text)
    if reference.tag is not None and reference.digest is not None:
        raise InvalidReferenceError(f"{quote(text)} has a tag and a digest; expect one of them")
    return Reference(reference.repository, reference.effective_tag, reference.digest)


def parse_exact_reference(text: str) -> ExactReference:
    """Return the rule for one name.

    Raises:
        InvalidReferenceError: it is not an image reference, or has neither tag nor digest.
    """
    reference = parse_reference(text)
    if _is_bare(reference):
        raise InvalidReferenceError(f"{quote(text)} has neither tag nor digest; write one, or use ExactRepository")
    return ExactReference(reference)


def parse_remap(prefix: str, signed_prefix: str) -> RemapIdentity:
    """Return the rule that replaces one beginning of names by another.

    Raises:
        InvalidReferenceError: one of them is not the beginning of a repository's full name.
    """
    return RemapIdentity(_parse_prefix(prefix), _parse_prefix(signed_prefix))


def parse_signed_reference(text: str) -> Reference:
    """Return the signed name.

    Raises:
        VerificationError: it is not an image reference.
    """
    try:
        return parse_reference(text)
    except InvalidReferenceError as error:
        msg = f"the signed name is not one of an image: {error.message}"
        raise VerificationError(msg, reason=Reason.IDENTITY_MISMATCH) from error


def _parse_prefix(text: str) -> str:
    # What is below a prefix is a repository; the prefix alone need not be one: docker.io/team stays what it is.
    registry, slash, path = text.partition("/")
    folded = parse_registry(registry)
    if slash:
        parse_repository(f"{folded}/{path}/x")
    return f"{folded}{slash}{path}"


def _is_bare(reference: Reference) -> bool:
    return reference.tag is None and reference.digest is None


def _require_repository(wanted: Repository, signed: Reference) -> None:
    if signed.repository != wanted:
        msg = f"{quote(signed)} was signed, and that is not in the repository {quote(wanted.name)}"
        raise VerificationError(msg, reason=Reason.REPOSITORY_MISMATCH)


def _require_exact(image: Reference, signed: Reference) -> None:
    _require_repository(image.repository, signed)
    tag = image.effective_tag
    wanted = Reference(image.repository, tag, image.digest if tag is None else None)
    if signed not in (wanted, image) or _is_bare(signed):
        raise _mismatch(signed, f"not {quote(wanted)}")


def _require_repo_digest_or_exact(image: Reference, signed: Reference) -> None:
    if image.effective_tag is not None:
        _require_exact(image, signed)
        return
    _require_repository(image.repository, signed)
    if _is_bare(signed):
        raise _mismatch(signed, "which has neither tag nor digest")


def _mismatch(signed: Reference, what: str) -> VerificationError:
    return VerificationError(f"{quote(signed)} was signed, {what}", reason=Reason.IDENTITY_MISMATCH)
