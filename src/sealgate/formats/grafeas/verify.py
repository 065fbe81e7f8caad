"""A Grafeas authenticator, ready to verify images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sealgate.errors import VerificationError
from sealgate.formats.evidence import Evidence
from sealgate.formats.grafeas.acr import ACRStore
from sealgate.formats.grafeas.claims import require_claims
from sealgate.formats.grafeas.keys import load_attestation_keys
from sealgate.formats.grafeas.stores import GrafeasServer
from sealgate.formats.grafeas.wire import resource_uri
from sealgate.formats.interface import hash_content
from sealgate.formats.listing import MAX_RECORDS, list_records

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.api.v1alpha1.grafeas import GrafeasSpec
    from sealgate.findings import SeenSignature, Verified
    from sealgate.formats.grafeas.keys import AttestationKeys, Attested
    from sealgate.formats.grafeas.stores import OccurrenceStore
    from sealgate.formats.grafeas.wire import Entry
    from sealgate.formats.interface import CheckKey, Image, Sources
    from sealgate.keys.resolvers import KeyResolver

# Part of `content`: raise it when the same keys and options come to mean something else.
_RULES_VERSION = 2
#: What the filters of servers call an image, by the version of their API.
DEFAULT_FILTERS = {"v1": "resourceUrl", "v1beta1": "resource_url"}


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """One signature of an attestation as it was listed; nothing in it is verified.

    Attributes:
        record: the occurrence, not parsed.
        entry: the signature.
    """

    record: object
    entry: Entry


@dataclass(frozen=True, slots=True)
class GrafeasCheck:
    """One Grafeas authenticator's rules. Immutable, thread-safe.

    Attributes:
        store: the store of the attestations.
        note: the name of their note, for messages.
        keys: the accepted keys.
        content: see `sealgate.formats.interface.Check`.
        format: "grafeas".
        depends_on_tag: False: attestations are about digests.
    """

    store: OccurrenceStore
    note: str
    keys: AttestationKeys
    content: str
    format: str = "grafeas"
    depends_on_tag: bool = False

    @property
    def named_hosts(self) -> frozenset[str]:
        """None: what it names is a server, not a registry."""
        return frozenset()

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...]:
        """Return all accepted keys, of OpenPGP certificates those that can sign."""
        return self.keys.keys_at(now)

    def budget_host(self, image: Image) -> str:
        """Return the store's host."""
        del image
        return self.store.host

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the image's attestations; see `sealgate.formats.interface.Check`.

        Raises:
            VerificationError: no attestation counts, or there are too many; carries every signature seen.
            UnavailableError: no attestation counts, and not all could be fetched.
        """
        evidence = Evidence(sources.deadline, self.keys.fingerprints)
        self._search(image, sources, evidence, None)
        return evidence.conclude(f"there is no attestation of {resource_uri(image)} under {self.note}")

    def see(self, image: Image, sources: Sources, found: dict[str, FoundEntry]) -> tuple[SeenSignature, ...]:
        """Return every attestation of the image, judged as `verify` does, without an end at those that count.

        Args:
            image: the image.
            sources: where attestations are.
            found: filled with the signatures of attestations, by the source that `SeenSignature` has.

        Raises:
            UnavailableError: the credentials are not there.
        """
        evidence = Evidence(sources.deadline, None, max_passed_over=MAX_RECORDS)
        self._search(image, sources, evidence, found)
        return evidence.seen

    def _search(self, image: Image, sources: Sources, evidence: Evidence, found: dict[str, FoundEntry] | None) -> None:
        fetch = self.store.pages(image, sources)
        now = sources.clock.now()
        with evidence.search("the rest of the listing"):
            for number, record in enumerate(list_records(fetch, sources.deadline), 1):
                for entry in self._entries(record, number, image, evidence):
                    if found is not None:
                        found[entry.source] = FoundEntry(record, entry)
                    self._judge_entry(entry, image, evidence, now)
                if evidence.complete:
                    break

    def _entries(self, record: object, number: int, image: Image, evidence: Evidence) -> list[Entry]:
        try:
            return list(self.store.signatures(record, image, number))
        except VerificationError as error:
            evidence.pass_over(f"occurrence {number}", error.reason, error.message)
            return []

    def _judge_entry(self, entry: Entry, image: Image, evidence: Evidence, now: datetime) -> None:
        evidence.count(1)
        made: list[Attested] = []

        def verify() -> tuple[str, str, bytes]:
            found = self.keys.verify(entry.read(), now)
            made.append(found)
            return found.signer, found.how, found.payload

        def claims(payload: bytes) -> datetime | None:
            require_claims(payload, image)
            return made[0].valid_until

        evidence.judge(entry.source, verify, claims)


def build(spec: GrafeasSpec, keys: KeyResolver) -> GrafeasCheck:
    """Turn the `grafeas` field of an `Authenticator` into a check.

    Raises:
        InvalidKeyError: a key cannot be accepted.
        NoKeyError: there is no key.
    """
    return build_from(store_of(spec), spec.note, load_attestation_keys(spec.keys, keys))


def build_from(store: GrafeasServer | ACRStore, note: str, accepted: AttestationKeys) -> GrafeasCheck:
    """Return the check of a store and keys.

    Args:
        store: of the attestations.
        note: the name of their note.
        accepted: the keys.
    """
    document = {
        "format": "grafeas",
        "rules": _RULES_VERSION,
        "store": [type(store).__name__, asdict(store)],
        "keys": accepted.identity,
    }
    return GrafeasCheck(store, note, accepted, hash_content(document))


def store_of(spec: GrafeasSpec) -> GrafeasServer | ACRStore:
    """Return the store that the `grafeas` field of an `Authenticator` names."""
    credentials = None if spec.credentials_secret is None else spec.credentials_secret.name
    ca = None if spec.ca is None else spec.ca.pem
    if spec.server is None:
        assert spec.acr is not None  # noqa: S101 - the model has checked that it is one of them
        assert credentials is not None  # noqa: S101 - as above
        return ACRStore(
            endpoint=spec.acr.endpoint.rstrip("/"),
            ca=ca,
            note=spec.note,
            action=spec.acr.action,
            version=spec.acr.version,
            parameters=dict(spec.acr.parameters),
            records=spec.acr.occurrences,
            page_parameter=spec.acr.page_parameter,
            next_page=spec.acr.next_page,
            resource_uri=spec.acr.resource_uri,
            credentials=credentials,
        )
    return GrafeasServer(
        url=spec.server.rstrip("/"),
        ca=ca,
        api_version=spec.api_version,
        note=spec.note,
        parent=spec.project or spec.note,
        filter=spec.filter or DEFAULT_FILTERS[spec.api_version],
        credentials=credentials,
    )
