"""Result of a conversion: objects, and notes for the person who applies them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.errors import Problem
    from sealgate.parsing.documents import Document

#: The most selectors and authenticators of one policy, and the longest name of an object.
MAX_SELECTORS, MAX_AUTHENTICATORS, MAX_NAME = 256, 16, 253

#: What names of objects are made of.
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Note:
    """Something that could not be converted, was converted to something else, or must be done by hand.

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


def is_name(name: object) -> TypeGuard[str]:
    """Return whether an object may have a name."""
    return isinstance(name, str) and len(name) <= MAX_NAME and NAME.fullmatch(name) is not None


class Draft:
    """The objects, notes and problems of a conversion so far."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._notes: list[Note] = []
        self._problems: list[Problem] = []

    @property
    def failed(self) -> bool:
        """Whether there are problems."""
        return bool(self._problems)

    def note(self, field: str, message: str) -> None:
        """Add a note, once."""
        note = Note(field, message)
        if note not in self._notes:
            self._notes.append(note)

    def wrong(self, document: Document, field: str, message: str) -> None:
        """Add a problem, which ends the conversion."""
        self._problems.append(document.problem(field, message))

    def put(self, document: Document, field: str, kind: str, name: str, spec: Mapping[str, Any]) -> None:
        """Add an object; one with another spec and the same name is a problem of the field that asks for it."""
        if not is_name(name) or self._objects.get((kind, name), spec) != spec:
            self.wrong(document, field, f"the name {name} of a {kind} is taken, too long or not valid; rename it here")
        self._objects[kind, name] = spec

    def conversion(self, unmatched: str) -> Conversion:
        """Return the result; for `unmatched` see `Conversion`.

        Raises:
            PolicyError: there are problems.
        """
        if self._problems:
            raise PolicyError("this cannot be converted", problems=self._problems)
        objects = [
            {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
            for (kind, name), spec in sorted(self._objects.items(), key=lambda item: item[0][0])
        ]
        return Conversion(tuple(objects), tuple(self._notes), unmatched)
