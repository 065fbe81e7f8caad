"""Google Cloud KMS, API v1.

A bearer works for everyone who has it, and the author of a key entry chooses the endpoint. So each is sent only to the
public address of the service, or to the one that is beside it in its Secret.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from sealgate.api.v1alpha1.kms_google import GOOGLE_KMS
from sealgate.cloud.google import STS_URL, ServiceAccountKey, WorkloadIdentity, exchange
from sealgate.cloud.responses import Call, ask_object, base64_text, objects, same, text, unexpected
from sealgate.errors import NotFoundError, UnauthorizedError
from sealgate.keys.algorithms import Algorithm
from sealgate.kms.credentials import SessionKey, require_address
from sealgate.kms.interface import MAX_VERSIONS, KMSKey, SigningService, SigningTask, refused
from sealgate.messages import quote
from sealgate.service_secrets import optional_text_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.kms_google import GoogleKMS
    from sealgate.clocks import Clock
    from sealgate.http.interface import Services
    from sealgate.kms.credentials import KMSCredentials

_WHAT = "Google Cloud KMS"
_ENABLED = "ENABLED"
_SCOPE = "https://www.googleapis.com/auth/cloudkms"
_STATES: Mapping[str, tuple[str, str]] = {
    "DISABLED": ("Disabled", "is disabled"),
    "DESTROY_SCHEDULED": ("PendingDeletion", "is going to be destroyed"),
    "DESTROYED": ("Deleted", "is destroyed"),
    "PENDING_GENERATION": ("PendingActivation", "is not generated yet"),
    "PENDING_IMPORT": ("PendingImport", "still has to be imported"),
}
#: The type of a key, with the only algorithm that it signs with, by Google's word for both.
_KINDS: Mapping[str, tuple[str, Algorithm]] = {
    "EC_SIGN_P256_SHA256": ("ECDSA P-256", Algorithm.ECDSA_SHA_256),
    "EC_SIGN_P384_SHA384": ("ECDSA P-384", Algorithm.ECDSA_SHA_384),
    "EC_SIGN_ED25519": ("Ed25519", Algorithm.ED25519),
    **{
        f"RSA_SIGN_{padding}_{bits}_SHA{digest}": (f"RSA {bits}", Algorithm(f"RSA_{padding}_SHA_{digest}"))
        for padding in ("PKCS1", "PSS")
        for bits, digest in ((2048, 256), (3072, 256), (4096, 256), (4096, 512))
    },
}
#: The most pages of versions, and the versions of one, which have about 600 bytes each.
_MAX_PAGES = 5
_PAGE_SIZE = 200
_VERSION = re.compile(r"[1-9][0-9]{0,6}")


def fetch(source: GoogleKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> tuple[KMSKey, ...]:
    """Ask for a key, in the one version that the source names or in all that it has; see `interface.Fetch`."""
    caller = _Caller(source, secrets, services, clock)
    only = "" if source.key_version is None else str(source.key_version)
    try:
        if only:
            return (caller.version(caller.call("GET", f"/cryptoKeyVersions/{only}"), only),)
        listed = caller.versions()
    except NotFoundError as error:
        return refused(only, "", "KeyNotFound", f"{error.message}: there is no such key; check key and keyVersion")
    return tuple(caller.version(version, None) for version in listed)


def sign(source: GoogleKMS, task: SigningTask, secrets: KMSCredentials, services: Services, clock: Clock) -> bytes:
    """Ask for a signature over a digest; see `sealgate.kms.interface.Sign`."""
    caller = _Caller(source, secrets, services, clock)
    body = {"digest": {task.algorithm: b64encode(task.digest).decode()}}
    answer = caller.call("POST", f"/cryptoKeyVersions/{task.version}:asymmetricSign", body)
    same(text(answer, "name", _WHAT), f"{source.key}/cryptoKeyVersions/{task.version}", _WHAT)
    return base64_text(answer, "signature", _WHAT)


SIGNING = SigningService(
    sign,
    {
        "ECDSA P-256": {Algorithm.ECDSA_SHA_256: "sha256"},
        "ECDSA P-384": {Algorithm.ECDSA_SHA_384: "sha384"},
        "RSA": {
            Algorithm.RSA_PKCS1_SHA_256: "sha256",
            Algorithm.RSA_PKCS1_SHA_512: "sha512",
            Algorithm.RSA_PSS_SHA_256: "sha256",
            Algorithm.RSA_PSS_SHA_512: "sha512",
        },
    },
    "the roles Cloud KMS Viewer and Cloud KMS CryptoKey Signer/Verifier on the key",
)


class _Caller:
    """Calls of the API about one key."""

    def __init__(self, source: GoogleKMS, secrets: KMSCredentials, services: Services, clock: Clock) -> None:
        self._source = source
        self._identities = secrets.identities
        self._given = given = secrets.of("google", source.credentials_secret)
        self._services = services
        self._clock = clock
        self._caller: ServiceAccountKey | WorkloadIdentity | str
        if "accessToken" in given.data:  # of the metadata service
            self._caller = text_member(given.source, given.data, "accessToken")
        elif "subjectToken" in given.data:
            self._caller = WorkloadIdentity.from_members(given.source, given.data)
        else:
            self._caller = ServiceAccountKey.from_secret(given.source, given.data)
        require_address(given, source.url, source.ca, GOOGLE_KMS)

    def call(self, method: str, below: str, members: Mapping[str, object] | None = None) -> Mapping[str, object]:
        url = f"{self._source.url}/v1/{self._source.key}{below}"
        headers = {"accept": "application/json", "authorization": f"Bearer {self._bearer()}"}
        body = None
        if members is not None:
            headers["content-type"] = "application/json"
            body = json.dumps(members).encode()
        ca = self._source.ca.pem if self._source.ca is not None else None
        try:
            return ask_object(self._services, Call(method, url, headers, body, ca, self._given.source), _WHAT)
        except UnauthorizedError:
            self._identities.refused(self._session, self._clock)
            raise

    def versions(self) -> list[Mapping[str, object]]:
        """Return the versions as the list has them: the newest, and enabled ones before others.

        A version that is destroyed stays in the list for ever, so that a key that is rotated has more and more.
        """
        found: dict[int, Mapping[str, object]] = {}
        token = ""
        for _ in range(_MAX_PAGES):
            query = urlencode({"pageSize": _PAGE_SIZE, **({"pageToken": token} if token else {})})
            page = self.call("GET", f"/cryptoKeyVersions?{query}")
            for each in objects(page.get("cryptoKeyVersions"), _WHAT):
                found[int(self._number(each))] = each
            token = text(page, "nextPageToken", _WHAT) if page.get("nextPageToken") else ""
            if not token:
                break
        newest = sorted(found, key=lambda number: (found[number].get("state") == _ENABLED, number))[-MAX_VERSIONS:]
        return [found[number] for number in sorted(newest)]

    def _number(self, described: Mapping[str, object]) -> str:
        above, _, version = text(described, "name", _WHAT).rpartition("/cryptoKeyVersions/")
        same(above, self._source.key, _WHAT)
        if _VERSION.fullmatch(version) is None:
            raise unexpected(_WHAT, f"{quote(version, 40)} is not a version")
        return version

    def version(self, described: Mapping[str, object], wanted: str | None) -> KMSKey:
        """Return a version with its public key, or why it is refused."""
        version = self._number(described)
        same(version, wanted or version, _WHAT)
        state = text(described, "state", _WHAT)
        if state != _ENABLED:
            reason, how = _STATES.get(state, ("NotEnabled", f"is in the state {quote(state, 40)}"))
            msg = f"the version {how}; enable it in KMS, or take it out of the policy"
            return KMSKey(version, state, reason=reason, message=msg)
        # Only versions that exist have one.
        algorithm = text(described, "algorithm", _WHAT)
        if algorithm not in _KINDS:
            msg = f"a key of type {quote(algorithm, 60)} is not supported; use {', '.join(_KINDS)}"
            return KMSKey(version, state, reason="UnsupportedAlgorithm", message=msg)
        answer = self.call("GET", f"/cryptoKeyVersions/{version}/publicKey")
        same(text(answer, "name", _WHAT), f"{self._source.key}/cryptoKeyVersions/{version}", _WHAT)
        kind, only = _KINDS[algorithm]
        return KMSKey(version, state, text(answer, "pem", _WHAT), kind, only)

    def _bearer(self) -> str:
        caller = self._caller
        if isinstance(caller, str):
            return caller
        if isinstance(caller, ServiceAccountKey):
            return caller.bearer(f"{GOOGLE_KMS}/", self._clock.now())
        return self._identities.session(self._session, self._clock, lambda: self._exchange(caller))

    @property
    def _session(self) -> SessionKey:
        url = optional_text_member(self._given.source, self._given.data, "stsUrl") or STS_URL
        return SessionKey(url, None, self._given.digest)

    def _exchange(self, identity: WorkloadIdentity) -> tuple[str, float]:
        return exchange(identity, _SCOPE, self._session.service, self._given.source, self._services)
