"""Names of keys in key management services on the command line, and the keys opened for signing.

::

    huawei:REGION/PROJECT/KEY
    alibaba:REGION/KEY[/VERSION]
    oracle:KEY-OCID/VERSION-OCID
    awskms://[HOST]/KEY               as cosign writes it
    gcpkms://projects/.../cryptoKeys/KEY[/versions/VERSION]
    azurekms://HOST/KEY[/VERSION]
    hashivault://KEY[/VERSION]        likewise
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from pydantic import ValidationError

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.api.v1alpha1.services import CredentialsSecret
from sealgate.budgets import Budgets
from sealgate.cli.inputs.cloud_credentials import (
    CloudCredentials,
    alibaba_credentials,
    aws_credentials,
    azure_credentials,
    google_credentials,
    huawei_credentials,
    oracle_credentials,
    vault_credentials,
)
from sealgate.clocks import Deadline, SystemClock
from sealgate.cloud.oracle import vault_endpoint
from sealgate.errors import ConfigError
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.kms.key_cache import KMSKeyCache
from sealgate.kms.platform import platform_identities
from sealgate.kms.signing import KMSSigningKey, KMSSigningKeys
from sealgate.messages import quote
from sealgate.oracle_realms import realm_of
from sealgate.service_secrets import MappingServiceSecrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.clocks import Clock
    from sealgate.http.services import ServiceClient
    from sealgate.http.settings import HostSettings

_Fields: TypeAlias = dict[str, object]
#: The colons of the ARN of a key, less one.
_ARN_COLONS = 4


@dataclass(frozen=True, slots=True)
class _Provider:
    """How the keys of one provider are written.

    Attributes:
        field: its field in `KMSSource`.
        form: for messages ("huawei:REGION/PROJECT/KEY").
        pattern: of what follows the colon; its groups are fields of the provider.
        credentials: reads the credentials.
        complete: makes the fields of an entry from what was written, the credentials and the environment.
    """

    field: str
    form: str
    pattern: re.Pattern[str]
    credentials: Callable[[Mapping[str, str]], CloudCredentials]
    complete: Callable[[_Fields, CloudCredentials, Mapping[str, str]], _Fields] = lambda fields, *_: fields


def _complete_oracle(fields: _Fields, credentials: CloudCredentials, _: Mapping[str, str]) -> _Fields:
    """Add the endpoint of the vault, which the key's OCID and the region name."""
    endpoint = fields.get("endpoint") or _vault_endpoint(str(fields["keyId"]), credentials)
    return {**fields, "keyVersionIds": [fields["keyVersionIds"]], "endpoint": endpoint}


def _complete_aws(fields: _Fields, credentials: CloudCredentials, _: Mapping[str, str]) -> _Fields:
    """Add the region, which an ARN names; and of an address that is only a host the scheme."""
    key = str(fields["keyId"])
    region = key.split(":")[3] if key.startswith("arn:") and key.count(":") > _ARN_COLONS else credentials.region
    if not region:
        raise ConfigError(f"the key {quote(key)} has no region; set AWS_REGION, or write the key's ARN")
    endpoint = str(fields.pop("endpoint", ""))
    if endpoint:
        fields["endpoint"] = endpoint if "://" in endpoint else f"https://{endpoint}"
    return {**fields, "region": region}


def _complete_azure(fields: _Fields, *_: object) -> _Fields:
    host = str(fields.pop("host"))
    return {"endpoint": f"https://{host}", **fields}


def _complete_google(fields: _Fields, *_: object) -> _Fields:
    if "keyVersion" in fields:
        fields["keyVersion"] = int(str(fields["keyVersion"]))
    return fields


def _complete_vault(fields: _Fields, credentials: CloudCredentials, environ: Mapping[str, str]) -> _Fields:
    """Add what the variables of `vault` and cosign say: address, namespace and mount."""
    fields.setdefault("endpoint", credentials.data["address"].decode())
    for field, variable in (("namespace", "VAULT_NAMESPACE"), ("mount", "TRANSIT_SECRET_ENGINE_PATH")):
        if environ.get(variable):
            fields[field] = environ[variable].strip("/")
    if "keyVersion" in fields:
        fields["keyVersion"] = int(str(fields["keyVersion"]))
    return fields


_PROVIDERS = {
    "huawei": _Provider(
        "huawei",
        "huawei:REGION/PROJECT/KEY",
        re.compile(r"(?P<region>[^/]+)/(?P<projectId>[^/]+)/(?P<keyId>[^/]+)"),
        huawei_credentials,
    ),
    "alibaba": _Provider(
        "alibaba",
        "alibaba:REGION/KEY[/VERSION]",
        # The ARN of a key has a slash in it.
        re.compile(r"(?P<region>[^/]+)/(?P<keyId>acs:[^/]+/[^/]+|[^/]+)(?:/(?P<keyVersionId>[^/]+))?"),
        alibaba_credentials,
    ),
    "oracle": _Provider(
        "oracle",
        "oracle:KEY-OCID/VERSION-OCID",
        re.compile(r"(?P<keyId>[^/]+)/(?P<keyVersionIds>[^/]+)"),
        oracle_credentials,
        _complete_oracle,
    ),
    "awskms": _Provider(
        "aws",
        "awskms://[HOST]/KEY",
        re.compile(r"//(?P<endpoint>[^/]+)?/(?P<keyId>.+)"),
        aws_credentials,
        _complete_aws,
    ),
    "gcpkms": _Provider(
        "google",
        "gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/KEY[/versions/VERSION]",
        re.compile(r"//(?P<key>.+?)(?:/(?:versions|cryptoKeyVersions)/(?P<keyVersion>[0-9]{1,7}))?"),
        google_credentials,
        _complete_google,
    ),
    "azurekms": _Provider(
        "azure",
        "azurekms://HOST/KEY[/VERSION]",
        re.compile(r"//(?P<host>[^/]+)/(?P<key>[^/]+)(?:/(?P<keyVersion>[^/]+))?"),
        azure_credentials,
        _complete_azure,
    ),
    "hashivault": _Provider(
        "vault",
        "hashivault://KEY[/VERSION]",
        re.compile(r"//(?P<key>[^/]+)(?:/(?P<keyVersion>[0-9]{1,7}))?"),
        vault_credentials,
        _complete_vault,
    ),
}
#: How keys in a KMS are written, by their scheme: what comes before the colon.
FORMS = {name: provider.form for name, provider in _PROVIDERS.items()}


@dataclass(frozen=True, slots=True)
class KMSKeyName:
    """The name of a key in a KMS, with everything that its service is asked with.

    Attributes:
        entry: names the key, its algorithm, and the credentials.
        credentials: from the environment or a file.
    """

    entry: KeyEntry
    credentials: CloudCredentials

    def open(self, network: ServiceClient, seconds: float) -> KMSSigningKey:
        """Read the key's public half, and return the key ready to sign; see `KMSSigningKeys.open`.

        Args:
            network: client for the services; must stay open as long as the key signs.
            seconds: limit for the requests to the service; greater than 0.

        Raises:
            SigningError: the key must not or cannot sign.
            UnavailableError: the service is not there, or does not take the credentials.
        """
        clock = SystemClock()
        secrets = MappingServiceSecrets({self.credentials.source: self.credentials.data})
        budgets = Budgets(REQUESTS_PER_MINUTE, BURST, clock)
        keys = KMSSigningKeys(network, secrets, clock, budgets)
        return keys.open(self.entry, Deadline.after(clock, seconds))


def own_key_cache(settings: HostSettings, clock: Clock) -> KMSKeyCache:
    """Return a cache of the keys in KMSs that reads keys without credentials with the identities of this environment.

    Args:
        settings: how services are reached.
        clock: the time.
    """
    return KMSKeyCache(settings, clock, identities=platform_identities(os.environ))


def parse_kms_key(
    text: str,
    environ: Mapping[str, str],
    *,
    algorithm: str | None = None,
    distinguishing_id: str | None = None,
    endpoint: str | None = None,
) -> KMSKeyName:
    """Parse the name of a key in a KMS, and read the credentials of its cloud.

    Args:
        text: as written, in the form that `FORMS` has for its scheme.
        environ: the environment.
        algorithm: of signatures; None for the default of the key's type.
        distinguishing_id: of an SM2 key; None for the usual one.
        endpoint: the address of the service; None for the public one. Of an Oracle vault the management endpoint.

    Raises:
        ConfigError: it is not such a name, or there are no credentials.
    """
    kind, _, rest = text.partition(":")
    provider = _PROVIDERS[kind]
    match = provider.pattern.fullmatch(rest)
    if match is None:
        raise ConfigError(f"the key {quote(text)} is not written as {provider.form}")
    credentials = provider.credentials(environ)
    fields: _Fields = {name: value for name, value in match.groupdict().items() if value is not None}
    if endpoint is not None:
        fields["endpoint"] = endpoint
        # The user names both in one command, so the credentials belong to that address.
        credentials = replace(credentials, data={**credentials.data, "address": endpoint.encode()})
    fields = provider.complete(fields, credentials, environ)
    # Not validated: the source is not the name of a Secret, and messages must not call it one.
    fields["credentialsSecret"] = CredentialsSecret.model_construct(name=credentials.source)
    document = {"kms": {provider.field: fields}, "algorithm": algorithm, "distinguishingId": distinguishing_id}
    try:
        return KMSKeyName(KeyEntry.model_validate(document), credentials)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"the key {quote(text)}: {field}: {quote(first['msg'])}; write {provider.form}") from error


def _vault_endpoint(key_id: str, credentials: CloudCredentials) -> str:
    if not credentials.region:
        raise ConfigError(f"{credentials.source} has no region; add it, or set OCI_CLI_REGION")
    try:
        return vault_endpoint(key_id, credentials.region)
    except KeyError:
        why = f"the realm {quote(realm_of(key_id), 40)} is not known here"
    except ValueError as error:
        why = str(error)
    raise ConfigError(f"{why}; name the vault's management endpoint with --kms-endpoint")
