"""What a conversion gives: objects, and everything that a person has to know about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Note:
    """Something that could not be converted, was converted into something else, or is left to do.

    Attributes:
        field: where it stands in what was converted, empty for all of it.
        message: what it is, and what to do about it, one or two sentences.
    """

    field: str
    message: str

    def __str__(self) -> str:
        """Return `field: message`."""
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True, slots=True)
class Conversion:
    """The objects that do what was converted.

    A requirement without an equivalent is never turned into admission: its images are left without a policy, and
    `unmatched` is then "deny".

    Attributes:
        objects: Authenticators first, each as it stands in YAML.
        notes: in the order of what was converted.
        unmatched: what must happen to images that no policy matches ("admit" or "deny"): the chart value
            `unmatchedImages`, on the command line `--unmatched`.
    """

    objects: tuple[Mapping[str, Any], ...]
    notes: tuple[Note, ...]
    unmatched: str
