"""An Oracle authenticator, ready to verify images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sealgate.cloud.oracle import OCICredentials
from sealgate.errors import VerificationError
from sealgate.formats.evidence import Evidence
from sealgate.formats.interface import hash_content
from sealgate.formats.listing import MAX_RECORDS, list_records
from sealgate.formats.oracle.claims import Expectations
from sealgate.formats.oracle.keys import load_trusted_keys
from sealgate.formats.oracle.service import Caller, SignatureService, service_url
from sealgate.formats.oracle.wire import read_record, repository_name

if TYPE_CHECKING:
    from datetime import datetime

    from sealgate.api.v1alpha1.oracle import OracleSpec
    from sealgate.findings import SeenSignature, Verified
    from sealgate.formats.interface import CheckKey, Image, Sources
    from sealgate.formats.oracle.keys import TrustedKeys
    from sealgate.formats.oracle.wire import SignatureRecord
    from sealgate.keys.resolvers import KeyResolver
    from sealgate.service_secrets import ServiceSecrets

# Part of `content`: raise it when the same keys and options come to mean something else.
_RULES_VERSION = 1


@dataclass(frozen=True, slots=True)
class OracleCheck:
    """One Oracle authenticator's rules. Immutable, thread-safe.

    Attributes:
        service: where signatures are.
        keys: the trusted keys.
        expectations: what signed messages must say.
        credentials: the Secret with the API key; None for requests that are not signed.
        content: see `sealgate.formats.interface.Check`.
        format: "oracle".
        depends_on_tag: False: records are about digests.
    """

    service: SignatureService
    keys: TrustedKeys
    expectations: Expectations
    credentials: str | None
    content: str
    format: str = "oracle"
    depends_on_tag: bool = False

    @property
    def named_hosts(self) -> frozenset[str]:
        """None: what it names is a service, not a registry."""
        return frozenset()

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...]:
        """Return the trusted keys."""
        del now
        return self.keys.check_keys

    def budget_host(self, image: Image) -> str:
        """Return the service's host."""
        del image
        return self.service.host

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the image's signatures; see `sealgate.formats.interface.Check`.

        Raises:
            VerificationError: no signature counts, or there are too many; carries every signature seen.
            UnavailableError: no signature counts, and not all could be fetched.
        """
        name = repository_name(image)
        evidence = Evidence(sources.deadline, self.keys.fingerprints)
        self._search(image, sources, evidence, None)
        return evidence.conclude(f"there is no signature for {image.digest} of {name} in {self.service.compartment}")

    def see(self, image: Image, sources: Sources, found: dict[str, SignatureRecord]) -> tuple[SeenSignature, ...]:
        """Return every signature of the image, judged as `verify` does, without an end at those that count.

        Args:
            image: the image.
            sources: where signatures are.
            found: filled with the records that could be read, by the source that `SeenSignature` has.

        Raises:
            VerificationError: the image cannot be in this registry.
            UnavailableError: the credentials are not there.
        """
        evidence = Evidence(sources.deadline, None, max_passed_over=MAX_RECORDS)
        self._search(image, sources, evidence, found)
        return evidence.seen

    def _search(
        self, image: Image, sources: Sources, evidence: Evidence, found: dict[str, SignatureRecord] | None
    ) -> None:
        # Verification keeps no record: a listing may have thousands that are not about the image.
        caller = Caller(sources.services, self._credentials(sources.secrets), sources.clock)
        with evidence.search("the rest of the listing"):
            records = list_records(lambda token: self.service.page(token, image, caller), sources.deadline)
            for number, record in enumerate(records, 1):
                self._judge_record(record, number, image, evidence, found)
                if evidence.complete:
                    break

    def _judge_record(
        self, item: object, number: int, image: Image, evidence: Evidence, found: dict[str, SignatureRecord] | None
    ) -> None:
        source = f"record {number}"
        try:
            record = read_record(item, source)
            source = record.source
            if found is not None:
                found[source] = record
            record.require_available()
            self.keys.require_trusted(record)
        except VerificationError as error:
            evidence.pass_over(source, error.reason, error.message)
            return
        evidence.count(1)
        evidence.judge(
            record.source,
            lambda: self.keys.verify(record),
            lambda message: self.expectations.require(message, record, image),
        )

    def _credentials(self, secrets: ServiceSecrets) -> OCICredentials | None:
        if self.credentials is None:
            return None
        return OCICredentials.from_secret(self.credentials, secrets.read(self.credentials))


def build(spec: OracleSpec, keys: KeyResolver) -> OracleCheck:
    """Turn the `oracle` field of an `Authenticator` into a check.

    Raises:
        InvalidKeyError: a key cannot be accepted.
        PolicyError: the service's address is not known.
        NoKeyError: there is no key.
    """
    service = service_of(spec)
    trusted = load_trusted_keys(spec.trusted_keys, keys)
    expectations = Expectations(spec.region, spec.description, dict(spec.metadata))
    credentials = None if spec.credentials_secret is None else spec.credentials_secret.name
    return build_from(service, trusted, expectations, credentials)


def service_of(spec: OracleSpec) -> SignatureService:
    """Return the service that the `oracle` field of an `Authenticator` names.

    Raises:
        PolicyError: the service's address is not known.
    """
    url = spec.endpoint or service_url(spec.region, spec.compartment_id)
    return SignatureService(
        url=url.rstrip("/"),
        ca=None if spec.ca is None else spec.ca.pem,
        compartment=spec.compartment_id,
        subtree=spec.compartment_id_in_subtree,
    )


def build_from(
    service: SignatureService, keys: TrustedKeys, expectations: Expectations, credentials: str | None
) -> OracleCheck:
    """Return the check of a service and keys; arguments as the attributes of `OracleCheck`."""
    return OracleCheck(service, keys, expectations, credentials, _content(service, keys, expectations, credentials))


def _content(service: SignatureService, keys: TrustedKeys, expectations: Expectations, credentials: str | None) -> str:
    document = {
        "format": "oracle",
        "rules": _RULES_VERSION,
        "service": asdict(service),
        "keys": [entry.identity for entry in keys.entries],
        "expectations": asdict(expectations),
        "credentials": credentials,
    }
    return hash_content(document)
