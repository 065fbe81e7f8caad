"""The identities that an authenticator accepts.

A text must be equal, or match a regular expression as a whole. Regular expressions are those of RE2, which matches in
linear time; it is loaded only where an identity has one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sealgate.errors import InvalidPatternError, VerificationError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.sigstore.certificates import signer_fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.sigstore.certificates import Signer

# Limit for the memory of one compiled expression and its states, in bytes. Each compiles in less than 5 ms then.
_MAX_MEMORY = 1 << 18
_MAX_NAMED = 3


@dataclass(frozen=True, slots=True)
class Exactly:
    """One text."""

    text: str

    def accepts(self, text: str) -> bool:
        """Return whether a text is the one."""
        return text == self.text

    def __str__(self) -> str:
        return quote(self.text, 100)


@dataclass(frozen=True, slots=True)
class Matching:
    """The texts that a regular expression of RE2 matches as a whole.

    Args:
        pattern: the expression.

    Raises:
        InvalidPatternError: it is not one, or too large.
    """

    pattern: str
    _compiled: _Compiled = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        import re2  # type: ignore[import-untyped]

        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MAX_MEMORY
        try:
            object.__setattr__(self, "_compiled", re2.compile(self.pattern, options))
        except re2.error as error:
            why = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else error
            msg = f"{quote(self.pattern, 100)} is not a regular expression of RE2: {quote(why, 100)}"
            raise InvalidPatternError(msg) from error

    def accepts(self, text: str) -> bool:
        """Return whether the whole text matches."""
        return self._compiled.fullmatch(text) is not None

    def __str__(self) -> str:
        return f"/{quote(self.pattern, 100)}/"


class _Compiled(Protocol):
    """A compiled regular expression."""

    def fullmatch(self, text: str) -> object | None:
        """Return a match of the whole text; None if there is none."""


Texts = Exactly | Matching


def _content(texts: Texts) -> list[str]:
    return ["is", texts.text] if isinstance(texts, Exactly) else ["matches", texts.pattern]


@dataclass(frozen=True, slots=True)
class Identity:
    """An accepted identity.

    Attributes:
        issuer: the accepted issuers.
        subject: the accepted subjects.
        facts: what the certificate must state besides: fields in `sealgate.sigstore.certificates.FACTS`, and values.
    """

    issuer: Texts
    subject: Texts
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def content(self) -> list[object]:
        """Everything that decides, as JSON has it."""
        return [*(_content(texts) for texts in (self.issuer, self.subject)), list(self.facts)]

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the one signer that it accepts; None if a regular expression accepts several."""
        if isinstance(self.issuer, Exactly) and isinstance(self.subject, Exactly):
            return signer_fingerprint(self.issuer.text, self.subject.text)
        return None

    def mismatch(self, signer: Signer) -> str:
        """Return what about a signer is not accepted, for a message; empty if all is."""
        if not self.issuer.accepts(signer.issuer):
            return f"the issuer is not {self.issuer}"
        if not self.subject.accepts(signer.subject):
            return f"the subject is not {self.subject}"
        for name, wanted in self.facts:
            found = signer.facts.get(name)
            if found != wanted:
                said = "is not stated" if found is None else f"is {quote(found, 100)}"
                return f"{_field(name)} {said}, not {quote(wanted, 100)}"
        return ""


def _field(name: str) -> str:
    """Return the name of a fact as the Authenticator has it."""
    first, *more = name.split("_")
    return first + "".join(word.capitalize() for word in more)


def read_texts(text: str | None, pattern: str | None) -> Texts:
    """Return the set that one of two fields describes.

    Args:
        text: the one text.
        pattern: a regular expression; used where there is no text.

    Raises:
        InvalidPatternError: the expression is not one of RE2, or too large.
    """
    return Exactly(text) if text is not None else Matching(pattern or "")


def check_identity(signer: Signer, identities: Sequence[Identity]) -> None:
    """Accept a signer whose certificate fits one of the identities, in every part.

    Raises:
        VerificationError: none fits.
    """
    mismatches = []
    for identity in identities:
        mismatch = identity.mismatch(signer)
        if not mismatch:
            return
        mismatches.append(mismatch)
    more = f" and {len(mismatches) - _MAX_NAMED} more" if len(mismatches) > _MAX_NAMED else ""
    msg = (
        f"it was made by {quote(signer.subject)} (issuer {quote(signer.issuer)}), which the authenticator does not "
        f"accept: {'; '.join(mismatches[:_MAX_NAMED])}{more}"
    )
    raise VerificationError(msg, reason=Reason.IDENTITY_MISMATCH)
