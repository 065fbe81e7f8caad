"""A Grafeas authenticator, ready to verify images."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.grafeas.keys import load_authority
from sealgate.formats.grafeas.occurrences import GrafeasServer, resource_uri
from sealgate.formats.grafeas.payloads import require_claims
from sealgate.formats.records import Tally, list_records
from sealgate.keys.kms.secrets import text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.findings import Verified
    from sealgate.formats.grafeas.keys import Authority
    from sealgate.formats.interface import Image, Sources
    from sealgate.keys.sources import KeyResolver
    from sealgate.policies.specs_grafeas import GrafeasSpec
    from sealgate.service_secrets import ServiceSecrets

# Part of `content`: raise it when the same keys and options come to mean something else.
_RULES_VERSION = 1
_DEFAULT_FILTERS = {"v1": "resourceUrl", "v1beta1": "resource_url"}


@dataclass(frozen=True, slots=True)
class GrafeasCheck:
    """One Grafeas authenticator's rules. Immutable, thread-safe.

    Attributes:
        server: where attestations are.
        authority: the accepted keys.
        credentials: the Secret with the bearer token; None to send none.
        content: see `sealgate.formats.interface.Check`.
        format: "grafeas".
        depends_on_tag: False: attestations are about digests.
    """

    server: GrafeasServer
    authority: Authority
    credentials: str | None
    content: str
    format: str = "grafeas"
    depends_on_tag: bool = False

    @property
    def named_hosts(self) -> frozenset[str]:
        """None: what it names is a server, not a registry."""
        return frozenset()

    def budget_host(self, image: Image) -> str:
        """Return the Grafeas server's host."""
        del image
        return self.server.host

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the image's attestations; see `sealgate.formats.interface.Check`.

        Raises:
            VerificationError: no attestation counts, or there are too many; carries every signature seen.
            UnavailableError: no attestation counts, and not all could be fetched.
        """
        authorization = self._authorization(sources.secrets)
        now = sources.clock.now()
        tally = Tally(sources.deadline, self.authority.fingerprints)
        with tally.listing():
            records = list_records(
                lambda token: self.server.page(token, image, sources.services, authorization), sources.deadline
            )
            for number, record in enumerate(records, 1):
                self._look_at(record, number, image, tally, now)
                if tally.complete:
                    break
        return tally.conclude(f"there is no attestation of {resource_uri(image)} under {self.server.note}")

    def _look_at(self, record: object, number: int, image: Image, tally: Tally, now: datetime) -> None:
        try:
            signatures = list(self.server.signatures(record, image, number))
        except VerificationError as error:
            tally.pass_over(f"occurrence {number}", error.reason, error.message)
            return
        for signature in signatures:
            tally.judge(
                signature.source,
                partial(self.authority.verify, signature, now),
                lambda payload: require_claims(payload, image),
            )

    def _authorization(self, secrets: ServiceSecrets) -> Mapping[str, str]:
        if self.credentials is None:
            return {}
        token = text_member(self.credentials, secrets.read(self.credentials), "token")
        return {"Authorization": f"Bearer {token}"}


def build(spec: GrafeasSpec, keys: KeyResolver) -> GrafeasCheck:
    """Turn the `grafeas` field of an `Authenticator` into a check.

    Raises:
        InvalidKeyError: a key cannot be accepted, or there is none.
        UnavailableError: a key is not there (yet).
    """
    server = GrafeasServer(
        url=spec.server.rstrip("/"),
        ca=None if spec.ca is None else spec.ca.pem,
        api_version=spec.api_version,
        note=spec.note,
        parent=spec.project or spec.note,
        filter=spec.filter or _DEFAULT_FILTERS[spec.api_version],
    )
    authority = load_authority(spec.keys, keys)
    credentials = None if spec.credentials_secret is None else spec.credentials_secret.name
    return GrafeasCheck(server, authority, credentials, _content(server, authority, credentials))


def _content(server: GrafeasServer, authority: Authority, credentials: str | None) -> str:
    document = {
        "format": "grafeas",
        "rules": _RULES_VERSION,
        "server": asdict(server),
        "keys": authority.identity,
        "credentials": credentials,
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
