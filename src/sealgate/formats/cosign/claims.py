"""What must be true of a signed text, once an accepted key is known to have signed it.

In this order: it is about the subject's digest; it names the image's repository (where that is asked for); it is an
image signature and not another use of the key; it carries the annotations that are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import InvalidReferenceError, VerificationError
from sealgate.formats.cosign.wire import IN_TOTO, SIGN_PREDICATE, SIGNATURE_TYPE, STATEMENT_TYPES
from sealgate.formats.simple_payload import parse_simple_payload
from sealgate.messages import quote
from sealgate.parsing.evidence import (
    as_object,
    list_member,
    malformed,
    object_member,
    optional_text,
    parse_object,
    text_member,
)
from sealgate.reasons import Reason
from sealgate.references import parse_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.formats.cosign.wire import Envelope
    from sealgate.formats.interface import Image

#: A NUL character as JSON may write it; raw control characters are refused by the parser.
_NUL = rb"\u0000"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a signed text must say.

    Attributes:
        image: what it must be about.
        annotations: what it must carry, each with exactly that value.
        match_repository: whether it must name the image's repository.
    """

    image: Image
    annotations: Mapping[str, str]
    match_repository: bool

    def check_payload(self, payload: bytes) -> None:
        """Check a classic payload.

        Raises:
            VerificationError: it is malformed or says something else.
        """
        said = parse_simple_payload(payload, "the payload")
        self._check_digest(said.digest)
        self._check_repository(said.docker_reference)
        _check_type(said.type, SIGNATURE_TYPE)
        self._check_annotations(said.optional)

    def check_envelope(self, envelope: Envelope) -> None:
        """Check the statement inside a bundle's envelope: that it is a signature of the image.

        Raises:
            VerificationError: it is malformed or says something else.
        """
        statement, subject = self._statement(envelope)
        _check_type(text_member(statement, "predicateType", "the statement"), SIGN_PREDICATE)
        self._check_annotations(_annotations(subject))

    def attested(self, envelope: Envelope, predicate_type: str) -> object:
        """Check the statement inside an envelope: that it attests something about the image, of one type.

        The annotations that an authenticator asks for belong to signatures; those of the subject are ignored here.

        Args:
            envelope: an accepted signer has signed it.
            predicate_type: the type of predicate that it must have.

        Returns:
            The predicate, any JSON value.

        Raises:
            VerificationError: it is malformed or says something else.
        """
        if _NUL in envelope.payload:
            # The library that evaluates conditions ends names there: one member would pass for another.
            raise malformed("the statement", "it has a NUL character")
        statement, _ = self._statement(envelope)
        found = text_member(statement, "predicateType", "the statement")
        if found != predicate_type:
            msg = f"it attests {quote(found, 100)}, and {quote(predicate_type, 100)} is required"
            raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
        if "predicate" not in statement:
            raise malformed("the statement", "predicate is missing")
        return statement["predicate"]

    def _statement(self, envelope: Envelope) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """Return a statement about the image, and its subject that is the image."""
        # The payload's type says how to read it, so this type goes before everything inside.
        _check_type(envelope.payload_type, IN_TOTO)
        statement = parse_object(envelope.payload, "the statement")
        _check_type(text_member(statement, "_type", "the statement"), *STATEMENT_TYPES)
        subject = self._subject(statement)
        self._check_repository(optional_text(subject, "name", "the statement's subject") or "")
        return statement, subject

    def payload_annotations(self, payload: bytes) -> Mapping[str, object]:
        """Return the annotations that a classic payload carries, checked or not.

        Raises:
            VerificationError: it is malformed.
        """
        return parse_simple_payload(payload, "the payload").optional

    def envelope_annotations(self, envelope: Envelope) -> Mapping[str, object]:
        """Return the annotations that the statement inside an envelope has for the image, checked or not.

        Raises:
            VerificationError: it is malformed, or about other images only.
        """
        return _annotations(self._subject(parse_object(envelope.payload, "the statement")))

    def _subject(self, statement: Mapping[str, object]) -> Mapping[str, object]:
        subjects = list_member(statement, "subject", "the statement")
        other = "nothing"
        for item in subjects:
            subject = as_object(item, "a subject of the statement")
            digest = object_member(subject, "digest", "a subject of the statement")
            # The rest is ignored: name and annotations of another subject say nothing about this one.
            other = f"sha256:{digest.get('sha256')}"
            if other == self.image.digest:
                return subject
        raise self._other_digest(other)

    def _check_digest(self, digest: str) -> None:
        if digest != self.image.digest:
            raise self._other_digest(digest)

    def _other_digest(self, other: str) -> VerificationError:
        msg = f"it signs {quote(other, 100)}, not {self.image.digest}: it belongs to another image"
        return VerificationError(msg, reason=Reason.DIGEST_MISMATCH)

    def _check_repository(self, name: str) -> None:
        if not self.match_repository:
            return
        try:
            matches = parse_reference(name).repository == self.image.reference.repository
        except InvalidReferenceError:
            matches = False
        if not matches:
            what = f"it was made for {quote(name)}" if name else "it names no repository"
            msg = f"{what}, and matchRepository asks for {self.image.reference.name}"
            raise VerificationError(msg, reason=Reason.REPOSITORY_MISMATCH)

    def _check_annotations(self, members: Mapping[str, object]) -> None:
        for name, wanted in self.annotations.items():
            if members.get(name) != wanted:
                found = f"is {quote(members[name], 100)}" if name in members else "is missing"
                msg = f"the annotation {quote(name, 100)} {found}; the authenticator asks for {quote(wanted, 100)}"
                raise VerificationError(msg, reason=Reason.ANNOTATION_MISMATCH)


def _annotations(subject: Mapping[str, object]) -> Mapping[str, object]:
    annotations = subject.get("annotations")
    return {} if annotations is None else as_object(annotations, "the subject's annotations")


def _check_type(found: str, *wanted: str) -> None:
    if found not in wanted:
        msg = f"it is signed as {quote(found, 100)}, which is not an image signature ({wanted[0]})"
        raise VerificationError(msg, reason=Reason.TYPE_MISMATCH)
