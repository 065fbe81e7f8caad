"""What is wrong with a policy file, where, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a policy file or object.

    Attributes:
        file: the file's path as given, `-` for standard input, or the object's name where there is no file.
        line: 1 for the first; 0 where there are no lines.
        field: the path of the field ("spec.images[0].repository"), empty for the whole object.
        message: what is wrong, one sentence.
        suggestion: what to write instead; may be empty.
    """

    file: str
    line: int
    field: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        """Return `file:line: field: message (suggestion)`."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        field = f" {self.field}:" if self.field else ""
        suggestion = f" ({self.suggestion})" if self.suggestion else ""
        return f"{place}:{field} {self.message}{suggestion}"
