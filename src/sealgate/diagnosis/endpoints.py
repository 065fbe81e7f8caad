"""The servers that policies, signing policies and authenticators name: registries, signature stores and KMSs. Pure.

Several objects may name one server; it is asked once for each CA and Secret, and a store that takes credentials once
for each Authenticator.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from sealgate.api.v1alpha1.dependencies import key_entries
from sealgate.api.v1alpha1.grafeas import GrafeasSpec
from sealgate.api.v1alpha1.signing_policy import SigningPolicy
from sealgate.diagnosis.checks import Area, Check, Outcome
from sealgate.errors import SealgateError
from sealgate.formats.oracle.service import service_url
from sealgate.http.urls import parse_url
from sealgate.messages import quote
from sealgate.policies.matching import PolicyIndex
from sealgate.policies.signing import SigningCoverage
from sealgate.references import parse_repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sealgate.api.v1alpha1.authenticator import Authenticator, AuthenticatorSpec
    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.kms import KMSSource
    from sealgate.api.v1alpha1.services import CredentialsSecret
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.http.urls import URL
    from sealgate.policies.matching import CompiledPolicy

#: The most objects that are named as users of a server.
MAX_USERS: Final = 3


class _HasPEM(Protocol):
    @property
    def pem(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that objects name.

    Attributes:
        area: registry, store or KMS.
        url: what is asked; of a registry only its host counts.
        users: the objects that name it, escaped.
        ca: PEM bundle of CA certificates to trust instead of the system's or the settings'; None for those.
        secret: name of the Secret with the credentials; None for none.
        key: the key entry; only of a KMS that an Authenticator names.
        store: what the Authenticator says that names it; only of a signature store.
    """

    area: Area
    url: URL
    users: tuple[str, ...]
    ca: str | None = None
    secret: str | None = None
    key: KeyEntry | None = None
    store: AuthenticatorSpec | None = None

    @property
    def name(self) -> str:
        """`host[:port]`, as references spell it."""
        return quote(self.url.origin.authority)

    @property
    def named_by(self) -> str:
        """A clause that says who names it."""
        more = len(self.users) - MAX_USERS
        return f"named by {', '.join(self.users[:MAX_USERS])}{f' and {more} more' if more > 0 else ''}"

    def check(self, outcome: Outcome, message: str, remedy: str = "") -> Check:
        """Return a check of this server, which names the objects that name it; arguments as of `Check`."""
        return Check(self.area, self.name, outcome, f"{message} ({self.named_by})", remedy)


def registries_of(
    policies: Iterable[CompiledPolicy],
    authenticators: Iterable[Authenticator],
    signing: Iterable[SigningPolicy],
    mirrors: Mapping[str, str],
) -> list[Endpoint]:
    """Return the registries that policies, and authenticators with a repository of signatures, name literally.

    Args:
        policies: compiled, the substitutes of those that cannot be read among them.
        authenticators: valid objects.
        signing: valid objects.
        mirrors: mirror by host, which is asked too.
    """
    users: dict[str, list[str]] = {}
    for policy in policies:
        for host in PolicyIndex((), (policy,)).literal_hosts:
            users.setdefault(host, []).append(f"VerificationPolicy {quote(policy.name, 64)}")
    for each in signing:
        with suppress(SealgateError):  # as below
            for host in SigningCoverage.compile(each.spec).registries:
                users.setdefault(host, []).append(_user(each))
    for one in authenticators:
        repository = one.spec.cosign.signature_repository if one.spec.cosign else None
        if repository is not None:
            with suppress(SealgateError):  # the authenticator is not Ready then, and its condition says why
                users.setdefault(parse_repository(repository).registry, []).append(_user(one))
    for host in sorted(users.keys() & mirrors.keys()):
        users.setdefault(mirrors[host], []).append(f"the registry settings as a mirror of {quote(host)}")
    found = []
    for host, who in sorted(users.items()):
        # No image has a registry that is not a host.
        with suppress(SealgateError):
            found.append(Endpoint(Area.REGISTRIES, parse_url(f"https://{host}/"), tuple(who)))
    return found


def services_of(objects: Iterable[Authenticator | SigningPolicy]) -> tuple[list[Endpoint], list[Check]]:
    """Return the signature stores and KMSs that objects name, and a check for each object whose address is not valid.

    Args:
        objects: valid ones.
    """
    found: dict[tuple[object, ...], Endpoint] = {}
    checks = []
    for one in objects:
        try:
            named = [*_stores(one), *_kms(one)]
        except SealgateError as error:
            checks.append(Check(Area.STORES, _user(one), Outcome.PROBLEM, error.message, "correct the address"))
            continue
        for endpoint in named:
            # What a store answers with its credentials depends on the project or compartment, so on the object.
            tried = endpoint.users if endpoint.store is not None and endpoint.secret is not None else ()
            identity = (endpoint.area, endpoint.url, endpoint.ca, endpoint.secret, endpoint.key, tried)
            before = found.get(identity)
            users = () if before is None else before.users
            found[identity] = replace(endpoint, users=(*users, *endpoint.users))
    return list(found.values()), checks


def _stores(obj: Authenticator | SigningPolicy) -> Iterator[Endpoint]:
    address, ca, secret = _store(obj.spec)
    if address is not None:
        spec = None if isinstance(obj, SigningPolicy) else obj.spec
        yield Endpoint(Area.STORES, parse_url(address), (_user(obj),), ca, secret, store=spec)


def _store(spec: AuthenticatorSpec | SigningPolicySpec) -> tuple[str | None, str | None, str | None]:
    """Return the address of a signature store that is not the registry, its CA bundle and the name of its Secret."""
    if spec.simple_signing is not None and spec.simple_signing.store.lookaside is not None:
        lookaside = spec.simple_signing.store.lookaside
        return (lookaside.url if lookaside.url.startswith("http") else None), _pem(lookaside.ca), None
    if spec.notary is not None:
        return spec.notary.server, _pem(spec.notary.ca), None
    if spec.grafeas is not None:
        grafeas = spec.grafeas
        acr = grafeas.acr if isinstance(grafeas, GrafeasSpec) else None
        address = grafeas.server or (acr.endpoint if acr else None)
        return address, _pem(grafeas.ca), _secret(grafeas.credentials_secret)
    if spec.oracle is not None:
        oracle = spec.oracle
        address = oracle.endpoint or service_url(oracle.region, oracle.compartment_id)
        return address, _pem(oracle.ca), _secret(oracle.credentials_secret)
    return None, None, None


def _kms(obj: Authenticator | SigningPolicy) -> Iterator[Endpoint]:
    keys: Iterable[tuple[KMSSource | None, KeyEntry | None]]
    if isinstance(obj, SigningPolicy):
        # The key is not read: its credentials are those that sign.
        keys = ((obj.spec.key.kms, None),)
    else:
        keys = ((entry.kms, entry) for _, entry in key_entries(obj.spec, ""))
    for source, entry in keys:
        key = None if source is None else source.of
        if key is not None and key.url is not None:
            ca, secret = getattr(key, "ca", None), getattr(key, "credentials_secret", None)
            yield Endpoint(Area.KMS, parse_url(key.url), (_user(obj),), _pem(ca), _secret(secret), entry)


def _pem(ca: _HasPEM | None) -> str | None:
    return None if ca is None else ca.pem


def _secret(secret: CredentialsSecret | None) -> str | None:
    return None if secret is None else secret.name


def _user(obj: Authenticator | SigningPolicy) -> str:
    return f"{obj.kind} {quote(obj.metadata.name, 64)}"
