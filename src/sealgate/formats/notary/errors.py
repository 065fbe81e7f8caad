"""Refusals that the rest of the format tells apart; for everybody else they are `VerificationError`."""

from __future__ import annotations

from sealgate.errors import VerificationError


class UnusableFileError(VerificationError):
    """A file that has expired, or that too few of its role's keys have signed.

    Docker passes over such a delegation and looks further; everything else that is wrong stops it.
    """


class MissingRoleError(VerificationError):
    """The repository has no such role, or nothing was ever published for it."""


class RootChangedError(VerificationError):
    """The snapshot is about another root than the one fetched before it: somebody may just have published."""
