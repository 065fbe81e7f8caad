"""Azure Key Vault and managed HSMs, API 7.4.

A bearer works for everyone who has it, and the author of a key entry chooses the address. So it is sent only to hosts
below Azure's own domains of vaults, which Microsoft serves, or to the address that is beside it in its Secret.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealgate.cloud.azure import AzureApplication, log_in
from sealgate.cloud.responses import Call, ask_object, member, objects, same, text, unexpected, word
from sealgate.errors import NotFoundError, UnauthorizedError
from sealgate.http.urls import parse_url
from sealgate.keys.algorithms import Algorithm
from sealgate.kms.credentials import SessionKey, require_address
from sealgate.kms.interface import MAX_VERSIONS, KMSKey, SigningService, SigningTask, refused
from sealgate.messages import quote
from sealgate.service_secrets import text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.kms_azure import AzureKMS
    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.kms.credentials import KMSCredentials

_WHAT = "Azure Key Vault"
_API = "api-version=7.4"
#: The most pages of versions, of 25 each; they are in no order of time.
_MAX_PAGES = 12
_CURVES: Mapping[str, tuple[str, ec.EllipticCurve]] = {
    "P-256": ("ECDSA P-256", ec.SECP256R1()),
    "P-384": ("ECDSA P-384", ec.SECP384R1()),
    "P-521": ("ECDSA P-521", ec.SECP521R1()),
}
#: Bytes of r and of s in a signature, by its algorithm.
_HALVES = {"ES256": 32, "ES384": 48, "ES512": 66}
_MAX_NUMBER_BYTES = 2048


@dataclass(frozen=True, slots=True)
class _Cloud:
    """One of Azure's clouds.

    Attributes:
        domain: what the hosts of vaults end with.
        authority: issues tokens.
    """

    domain: str
    authority: str

    @property
    def resource(self) -> str:
        return f"https://{self.domain}"

    @property
    def scope(self) -> str:
        return f"{self.resource}/.default"


_PUBLIC = _Cloud("vault.azure.net", "https://login.microsoftonline.com")
_CLOUDS = (
    _PUBLIC,
    _Cloud("managedhsm.azure.net", "https://login.microsoftonline.com"),
    _Cloud("vault.azure.cn", "https://login.chinacloudapi.cn"),
    _Cloud("managedhsm.azure.cn", "https://login.chinacloudapi.cn"),
    _Cloud("vault.usgovcloudapi.net", "https://login.microsoftonline.us"),
    _Cloud("managedhsm.usgovcloudapi.net", "https://login.microsoftonline.us"),
)


def fetch(source: AzureKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> tuple[KMSKey, ...]:
    """Ask for a key, in the one version that the source names or in all that it has; see `interface.Fetch`."""
    caller = _Caller(source, secrets, services, clock)
    only = source.key_version or ""
    try:
        if only:
            return (caller.named(only),)
        listed = caller.versions()
        return tuple(refusal or caller.key(version) for version, refusal in listed.items())
    except NotFoundError as error:
        return refused(only, "", "KeyNotFound", f"{error.message}: there is no such key; check endpoint and key")


def sign(source: AzureKMS, task: SigningTask, secrets: KMSCredentials, services: Services, clock: Clock) -> bytes:
    """Ask for a signature over a digest; see `sealgate.kms.interface.Sign`."""
    caller = _Caller(source, secrets, services, clock)
    body = {"alg": task.algorithm, "value": urlsafe_b64encode(task.digest).rstrip(b"=").decode()}
    answer = caller.call("POST", f"/{task.version}/sign?{_API}", body)
    caller.require_same_key(text(answer, "kid", _WHAT), task.version)
    signature = _decode(answer, "value")
    half = _HALVES.get(task.algorithm)
    if half is None:
        return signature
    if len(signature) != 2 * half:
        raise unexpected(_WHAT, f"the signature has not {2 * half} bytes")
    # As in JSON Web Signatures (RFC 7518, 3.4): r and s, one after the other.
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


SIGNING = SigningService(
    sign,
    {
        "ECDSA P-256": {Algorithm.ECDSA_SHA_256: "ES256"},
        "ECDSA P-384": {Algorithm.ECDSA_SHA_384: "ES384"},
        "ECDSA P-521": {Algorithm.ECDSA_SHA_512: "ES512"},
        "RSA": {
            Algorithm.RSA_PKCS1_SHA_256: "RS256",
            Algorithm.RSA_PKCS1_SHA_384: "RS384",
            Algorithm.RSA_PKCS1_SHA_512: "RS512",
            Algorithm.RSA_PSS_SHA_256: "PS256",
            Algorithm.RSA_PSS_SHA_384: "PS384",
            Algorithm.RSA_PSS_SHA_512: "PS512",
        },
    },
    "the key permissions get, list and sign, or the role Key Vault Crypto User",
)


def _decode(found: Mapping[str, object], name: str) -> bytes:
    """Return the bytes of a member in base64url without padding (RFC 7515, 2)."""
    value = text(found, name, _WHAT)
    try:
        decoded = urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except ValueError as error:
        raise unexpected(_WHAT, f"{name} is not base64url") from error
    if not decoded or len(decoded) > _MAX_NUMBER_BYTES:
        raise unexpected(_WHAT, f"{name} is empty or too long")
    return decoded


def _public_key(key: Mapping[str, object]) -> tuple[str, str] | None:
    """Return kind and PEM of a JSON Web Key; None if its type is not supported."""
    kind = text(key, "kty", _WHAT).removesuffix("-HSM")
    curve = _CURVES.get(text(key, "crv", _WHAT)) if kind == "EC" else None
    try:
        if kind == "RSA":
            n, e = (int.from_bytes(_decode(key, name), "big") for name in ("n", "e"))
            return f"RSA {n.bit_length()}", _pem(rsa.RSAPublicNumbers(e, n).public_key())
        if curve is not None:
            x, y = (int.from_bytes(_decode(key, name), "big") for name in ("x", "y"))
            return curve[0], _pem(ec.EllipticCurvePublicNumbers(x, y, curve[1]).public_key())
    except ValueError as error:
        raise unexpected(_WHAT, "the key is not valid") from error
    return None


def _pem(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _not_usable(attributes: Mapping[str, object], now: float) -> tuple[str, str] | None:
    """Return reason and message of a refusal; None if the version may be used."""
    if attributes.get("enabled") is not True:
        return "Disabled", "the version is disabled; enable it in the vault, or take it out of the policy"
    for name, reason, how in (("exp", "Expired", "has expired"), ("nbf", "PendingActivation", "is not active yet")):
        moment = attributes.get(name)
        if moment is None:
            continue
        if isinstance(moment, bool) or not isinstance(moment, int):
            raise unexpected(_WHAT, f"{name} is not a time")
        if (now >= moment) if name == "exp" else (now < moment):
            return reason, f"the version {how}; change its dates in the vault, or take it out of the policy"
    return None


class _Caller:
    """Calls of the API about one key."""

    def __init__(self, source: AzureKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> None:
        self._source = source
        self._keys = f"{source.url}/keys/{source.key}"
        self._identities = secrets.identities
        self._services = services
        self._clock = clock
        url = parse_url(source.url)
        host = url.origin.authority
        found = next((cloud for cloud in _CLOUDS if host.endswith(f".{cloud.domain}")), None)
        self._cloud = found or _PUBLIC
        self._given = given = secrets.of("azure", source.credentials_secret, self._cloud.resource)
        # An application logs in for a token; that of a managed identity is there already.
        self._caller: AzureApplication | str
        if "accessToken" in given.data:
            self._caller = text_member(given.source, given.data, "accessToken")
        else:
            self._caller = AzureApplication.from_secret(given.source, given.data)
        public = source.url if found is not None and url.origin.scheme == "https" else None
        require_address(given, source.url, source.ca, public)

    def call(self, method: str, below: str, members: Mapping[str, object] | None = None) -> Mapping[str, object]:
        headers = {"accept": "application/json", "authorization": f"Bearer {self._bearer()}"}
        body = None
        if members is not None:
            headers["content-type"] = "application/json"
            body = json.dumps(members).encode()
        ca = self._source.ca.pem if self._source.ca is not None else None
        call = Call(method, f"{self._keys}{below}", headers, body, ca, self._given.source)
        try:
            return ask_object(self._services, call, _WHAT)
        except UnauthorizedError:
            if isinstance(self._caller, AzureApplication):
                self._identities.refused(self._session(self._caller), self._clock)
            raise

    def versions(self) -> dict[str, KMSKey | None]:
        """Return the newest versions, and usable ones before others: a rotation does not spoil what was signed before.

        With each comes its refusal, if the list says one: a vault may let no caller read what is disabled, which must
        not cost the other versions.
        """
        found: dict[str, KMSKey | None] = {}
        made: dict[str, int] = {}
        below = f"/versions?{_API}&maxresults=25"
        for _ in range(_MAX_PAGES):
            page = self.call("GET", below)
            for each in objects(page.get("value"), _WHAT):
                version = word(text(each, "kid", _WHAT).rpartition("/")[2], _WHAT)
                self.require_same_key(text(each, "kid", _WHAT), version)
                found[version] = self._refusal(version, each)
                created = member(each, "attributes", _WHAT).get("created")
                made[version] = created if isinstance(created, int) else 0
            following = page.get("nextLink")
            if not following:
                break
            # Only what follows the address is taken: the token goes to no address that a response names.
            start, _, rest = str(following).partition("/versions?")
            same(start.rpartition("/keys/")[2].lower(), self._source.key.lower(), _WHAT)
            below = f"/versions?{rest}"
        newest = set(sorted(found, key=lambda version: (found[version] is None, made[version]))[-MAX_VERSIONS:])
        return {version: refusal for version, refusal in found.items() if version in newest}

    def named(self, version: str) -> KMSKey:
        """Return the version that the source names; if the vault lets no caller read it, why the list refuses it."""
        try:
            return self.key(version)
        except UnauthorizedError:
            refusal = self.versions().get(version)
            if refusal is None:
                raise
            return refusal

    def key(self, version: str) -> KMSKey:
        answer = self.call("GET", f"/{version}?{_API}")
        key = member(answer, "key", _WHAT)
        self.require_same_key(text(key, "kid", _WHAT), version)
        refusal = self._refusal(version, answer)
        if refusal is not None:
            return refusal
        uses = key.get("key_ops")
        if not isinstance(uses, list) or not {"sign", "verify"}.intersection(map(str, uses)):
            msg = "the key is not for signing; allow the operations sign and verify"
            return KMSKey(version, "enabled", reason="WrongUsage", message=msg)
        public = _public_key(key)
        if public is None:
            found = quote(f"{key.get('kty')} {key.get('crv', '')}", 40)
            msg = f"a key of type {found} is not supported; use RSA, P-256, P-384 or P-521"
            return KMSKey(version, "enabled", reason="UnsupportedAlgorithm", message=msg)
        return KMSKey(version, "enabled", public[1], public[0])

    def _refusal(self, version: str, described: Mapping[str, object]) -> KMSKey | None:
        wrong = _not_usable(member(described, "attributes", _WHAT), self._clock.now().timestamp())
        return None if wrong is None else KMSKey(version, "", reason=wrong[0], message=wrong[1])

    def require_same_key(self, kid: str, version: str) -> None:
        """See that an answer is about the key that was asked for; names of keys have no case."""
        same(kid.rpartition("/keys/")[2].lower(), f"{self._source.key}/{version}".lower(), _WHAT)

    def _bearer(self) -> str:
        caller = self._caller
        if isinstance(caller, str):
            return caller
        return self._identities.session(self._session(caller), self._clock, lambda: self._log_in(caller))

    def _session(self, application: AzureApplication) -> SessionKey:
        url = application.token_url(self._cloud.authority)
        return SessionKey(f"{url} {self._cloud.scope}", None, self._given.digest)

    def _log_in(self, application: AzureApplication) -> tuple[str, float]:
        cloud = self._cloud
        return log_in(application, cloud.authority, cloud.scope, self._given.source, self._services)
