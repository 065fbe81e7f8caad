"""Refusals that the format itself distinguishes; its callers handle them as `VerificationError`."""

from __future__ import annotations

from sealgate.errors import SigningError, VerificationError


class UnusableFileError(VerificationError):
    """A file that has expired, or that too few of its role's keys have signed.

    Docker passes over such a delegation and goes on; any other defect stops it.
    """


class MissingRoleError(VerificationError):
    """The repository has no such role, or nothing was ever published for it."""


class RootChangedError(VerificationError):
    """The snapshot is about another root than the one fetched before it: it may just have been published."""


class MissingRepositoryError(SigningError):
    """The notary server has no trust data of a repository that is to be signed."""
