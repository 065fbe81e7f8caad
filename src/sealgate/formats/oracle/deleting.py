"""Deleting records from Oracle's service of image signatures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.cloud.oracle import OCICredentials
from sealgate.errors import NotFoundError, UnauthorizedError
from sealgate.formats.oracle.service import Caller
from sealgate.formats.oracle.wire import AVAILABLE, repository_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.formats.interface import Image
    from sealgate.formats.oracle.service import SignatureService
    from sealgate.formats.oracle.verify import OracleCheck
    from sealgate.formats.oracle.wire import SignatureRecord
    from sealgate.formats.signing import SigningContext

_OCID = re.compile(r"ocid1\.[a-z0-9]{1,64}\.[A-Za-z0-9._-]{1,220}")


@dataclass(frozen=True, slots=True)
class RecordRemoval:
    """A record of the service; see `sealgate.formats.deleting.Removal`.

    Attributes:
        service: where it is.
        credentials: the Secret with the API key; None for requests that are not signed.
        ocid: of the signature.
    """

    service: SignatureService
    credentials: str | None
    ocid: str

    @classmethod
    def of(
        cls, check: OracleCheck, record: SignatureRecord, said: Mapping[str, object], image: Image
    ) -> RecordRemoval | None:
        """Return the removal of a record that was listed; None if it was deleted or is about another image.

        Args:
            check: the authenticator.
            record: the record.
            said: the members of its message.
            image: whose records were asked for; the service may list those of others.
        """
        about = said.get("imageDigest"), said.get("repositoryName")
        if record.state != AVAILABLE or about != (image.digest, repository_name(image)):
            return None
        return cls(check.service, check.credentials, record.ocid) if _OCID.fullmatch(record.ocid) else None

    @property
    def name(self) -> str:
        """See `Removal.name`."""
        return f"{self.service.host}/{self.ocid}"

    @property
    def lock_name(self) -> str:
        """Return an empty name: a record stands alone."""
        return ""

    def check(self) -> None:
        """See `Removal.check`. Whether the credentials permit it shows only when a record is deleted."""

    def remove(self, image: Image, context: SigningContext) -> bool:
        """Delete the record; see `Removal.remove`. A record that is gone and one that is hidden look the same."""
        del image
        sources, credentials = context.sources, None
        if self.credentials is not None:
            credentials = OCICredentials.from_secret(self.credentials, sources.secrets.read(self.credentials))
        try:
            self.service.delete(self.ocid, Caller(sources.services, credentials, sources.clock))
        except (NotFoundError, UnauthorizedError) as error:
            msg = f"{error.message}; deleting needs a policy that allows to manage repos in {self.service.compartment}"
            raise type(error)(msg) from error
        return False
