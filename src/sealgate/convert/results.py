"""Result of a conversion: objects, and notes for the person who applies them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Note:
    """Something that could not be converted, was was converted to something else, or must be done by hand.

    Attributes:
        field: field path in the converted policy; empty for all of it.
        message: what is different and what to do, one or two sentences.
    """

    field: str
    message: str

    def __str__(self) -> str:
        """Return `field: message`."""
        return f"{self.field}: {self.message}" if self.field else self.message


@dataclass(frozen=True, slots=True)
class Conversion:
    """The objects that are equivalent to the converted policy.

    A requirement without an equivalent is never turned into admission: its images are left without a policy, and
    `unmatched` is then "deny".

    Attributes:
        objects: the objects, Authenticators first, as parsed YAML.
        notes: the notes, in the order of the converted policy; may be empty.
        unmatched: what must happen to images that are neither covered nor exempt ("admit" or "deny"): the chart value
            `unmatchedImages`, on the command line `--unmatched`.
    """

    objects: tuple[Mapping[str, Any], ...]
    notes: tuple[Note, ...]
    unmatched: str
