"""Deleting attestation occurrences from a Grafeas server."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.errors import NotFoundError, SigningError, UnauthorizedError
from sealgate.formats.grafeas.stores import GrafeasServer

if TYPE_CHECKING:
    from sealgate.formats.grafeas.stores import OccurrenceStore
    from sealgate.formats.interface import Image
    from sealgate.formats.signing import SigningContext

# Every part begins with a letter or a digit, so that no name leads elsewhere when it is in an address.
_PART = "[A-Za-z0-9][A-Za-z0-9._:~-]{0,199}"
_NAME = re.compile(f"projects/{_PART}(/locations/{_PART})?/occurrences/{_PART}")


@dataclass(frozen=True, slots=True)
class OccurrenceRemoval:
    """An occurrence, with every signature in it; see `sealgate.formats.deleting.Removal`.

    Attributes:
        store: where it is.
        occurrence: its name, `projects/<project>/occurrences/<id>`.
    """

    store: OccurrenceStore
    occurrence: str

    @classmethod
    def of(cls, store: OccurrenceStore, record: object) -> OccurrenceRemoval | None:
        """Return the removal of an occurrence that was listed; None if its name is not one that servers give."""
        name = record.get("name") if isinstance(record, dict) else None
        return cls(store, name) if isinstance(name, str) and _NAME.fullmatch(name) else None

    @property
    def name(self) -> str:
        """See `Removal.name`."""
        return f"{self.store.host}/{self.occurrence}"

    @property
    def lock_name(self) -> str:
        """Return an empty name: an occurrence is a record of its own."""
        return ""

    def check(self) -> None:
        """See `Removal.check`: Alibaba's metadata service is only read."""
        self._server()

    def remove(self, image: Image, context: SigningContext) -> bool:
        """Delete the occurrence; see `Removal.remove`."""
        del image
        try:
            with suppress(NotFoundError):
                self._server().delete(self.occurrence, context.sources)
        except UnauthorizedError as error:
            raise UnauthorizedError(f"{error.message}; deleting needs the right to delete occurrences") from error
        return False

    def _server(self) -> GrafeasServer:
        if isinstance(self.store, GrafeasServer):
            return self.store
        msg = (
            f"{self.store.host} is Alibaba's metadata service, which is only read here; delete {self.occurrence} there"
        )
        raise SigningError(msg)
