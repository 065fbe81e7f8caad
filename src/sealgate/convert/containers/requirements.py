"""Requirements of containers' `policy.json`, and the authenticators that require the same."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.errors import InvalidReferenceError
from sealgate.messages import quote
from sealgate.references import parse_reference, parse_registry, parse_repository

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The longest keyring that stands in an object itself; beyond that it belongs into a Secret.
MAX_INLINE = 262144

ACCEPT, REJECT, SIGNED_BY, SIGSTORE_SIGNED = "insecureAcceptAnything", "reject", "signedBy", "sigstoreSigned"

_MEMBERS = {
    ACCEPT: frozenset({"type"}),
    REJECT: frozenset({"type"}),
    SIGNED_BY: frozenset({"type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"}),
}
_KEY_SOURCES = ("keyPath", "keyPaths", "keyData", "keyDatas")
_SIGSTORE_MEMBERS = frozenset({"type", *_KEY_SOURCES, "signedIdentity"})
_IDENTITIES: Mapping[str, Mapping[str, str]] = {
    "matchExact": {},
    "matchRepoDigestOrExact": {},
    "matchRepository": {},
    "exactReference": {"dockerReference": "reference"},
    "exactRepository": {"dockerRepository": "repository"},
    "remapIdentity": {"prefix": "prefix", "signedPrefix": "signedPrefix"},
}
# The grammar of distribution's reference package, in which the tools hold prefixes of remapIdentity.
_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_SEGMENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PREFIX = re.compile(rf"{_DOMAIN}(?:/{_SEGMENT})*")
_DEFAULT_IDENTITY = {"type": "matchRepoDigestOrExact"}
_ARMOR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----.*?-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)


class NoEquivalentError(Exception):
    """Nothing here requires the same; the text says why."""


class MalformedError(Exception):
    """The tools that `policy.json` is for would refuse it as well; the text says why."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the keys of a requirement are.

    Attributes:
        data: their content, one item for each; None where it could not be read.
        paths: of the files that hold them.
    """

    data: tuple[bytes, ...] | None
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Secret:
    """What a person has to put into a Secret.

    Attributes:
        name: of the Secret.
        key: inside of it.
        paths: of the files, to be written one after the other.
    """

    name: str
    key: str
    paths: tuple[str, ...]


def check_requirement(requirement: object) -> Mapping[str, Any]:
    """Return a requirement that is one.

    Raises:
        MalformedError: it is none.
    """
    if not isinstance(requirement, Mapping) or not isinstance(requirement.get("type"), str):
        raise MalformedError("a requirement is an object with a type")
    allowed = _MEMBERS.get(requirement["type"])
    unknown = sorted(requirement.keys() - allowed) if allowed is not None else []
    if unknown:
        raise MalformedError(f"{requirement['type']} has no member {quote(unknown[0], 64)}")
    return requirement


def read_keys(requirement: Mapping[str, Any], read_file: Callable[[str], bytes] | None) -> Keys:
    """Return the keys of a requirement.

    Args:
        requirement: see `check_requirement`.
        read_file: returns a file's content or raises `OSError`; None if files are not there to be read.

    Raises:
        MalformedError: they are given in no way or in several.
    """
    given = [name for name in _KEY_SOURCES if name in requirement]
    if len(given) != 1:
        raise MalformedError(f"{requirement['type']} needs exactly one of {', '.join(_KEY_SOURCES[:3])}")
    values = requirement[given[0]]
    if given[0] in {"keyPath", "keyData"}:
        values = [values]
    if not isinstance(values, list) or not values or not all(isinstance(value, str) and value for value in values):
        raise MalformedError(f"{given[0]} is not what it should be")
    if given[0] in {"keyData", "keyDatas"}:
        return Keys(tuple(_decode(value) for value in values))
    if read_file is None:
        return Keys(None, tuple(values))
    try:
        return Keys(tuple(read_file(path) for path in values), tuple(values))
    except OSError:
        return Keys(None, tuple(values))


def simple_signing(
    requirement: Mapping[str, Any], keys: Keys, store: Mapping[str, Any], name: str
) -> tuple[dict[str, Any], Secret | None]:
    """Return the spec of an authenticator for `signedBy`, and the Secret it needs.

    Raises:
        NoEquivalentError: it has keys or an identity that nothing here has.
        MalformedError: it is none.
    """
    if requirement.get("keyType") != "GPGKeys":
        raise NoEquivalentError(f"its keyType is {quote(requirement.get('keyType'), 64)}, and only GPGKeys is known")
    source: dict[str, Any]
    secret = None
    armored = None if keys.data is None else "\n".join(_armored(data) for data in keys.data)
    if armored is not None and len(armored) <= MAX_INLINE:
        source = {"inline": armored}
    else:
        secret = Secret(name, "keyring.asc", keys.paths)
        source = {"secretRef": {"name": secret.name, "key": secret.key}}
    spec = {
        "keyring": source,
        "store": dict(store),
        "signedIdentity": _identity(requirement.get("signedIdentity", _DEFAULT_IDENTITY)),
        # What such a policy is about is the manifest of the one platform that is pulled, never the index.
        "acceptPlatformSignatures": True,
    }
    return {"simpleSigning": spec}, secret


def cosign(requirement: Mapping[str, Any], keys: Keys, name: str) -> tuple[dict[str, Any], Sequence[Secret]]:
    """Return the spec of an authenticator for `sigstoreSigned`, and the Secrets it needs.

    Raises:
        NoEquivalentError: it requires more, or another identity, than the cosign format here compares.
    """
    more = sorted(requirement.keys() - _SIGSTORE_MEMBERS)
    if more:
        raise NoEquivalentError(f"its {quote(more[0], 64)} has no equivalent for cosign keys")
    identity = _identity(requirement.get("signedIdentity", _DEFAULT_IDENTITY))
    if identity["matchPolicy"] != "MatchRepository":
        raise NoEquivalentError(
            "of a cosign signature only the repository is compared here; with signedIdentity matchRepository it could "
            "be converted"
        )
    if keys.data is not None:
        entries: list[dict[str, Any]] = [{"pem": data.decode("utf-8", "replace")} for data in keys.data]
        return {"cosign": {"keys": entries, "matchRepository": True}}, ()
    secrets = [Secret(name, f"key-{number}.pem", (path,)) for number, path in enumerate(keys.paths, 1)]
    entries = [{"secretRef": {"name": secret.name, "key": secret.key}} for secret in secrets]
    return {"cosign": {"keys": entries, "matchRepository": True}}, secrets


def _identity(identity: object) -> dict[str, Any]:
    if not isinstance(identity, Mapping):
        raise MalformedError("signedIdentity is an object with a type")
    kind = identity.get("type")
    members = _IDENTITIES.get(kind) if isinstance(kind, str) else None
    if members is None or not isinstance(kind, str):
        raise NoEquivalentError(f"its signedIdentity is of the unknown type {quote(kind, 64)}")
    if identity.keys() - {"type"} != members.keys() or not all(isinstance(identity[name], str) for name in members):
        raise MalformedError(f"signedIdentity {kind} has exactly {', '.join(['type', *members])}")
    converted: dict[str, Any] = {"matchPolicy": kind[0].upper() + kind[1:]}
    if members:
        read = _IDENTITY_VALUES[kind]
        converted[kind] = {ours: read(identity[theirs]) for theirs, ours in members.items()}
    return converted


def _exact_reference(text: str) -> str:
    try:
        reference = parse_reference(text)
    except InvalidReferenceError as error:
        raise MalformedError(f"dockerReference: {error.message}") from error
    if reference.tag is None and reference.digest is None:
        raise MalformedError(f"dockerReference {quote(text)} has neither a tag nor a digest")
    return text


def _exact_repository(text: str) -> str:
    """Return the repository; the tools take a reference, and look at its repository alone."""
    try:
        return parse_reference(text).name
    except InvalidReferenceError as error:
        raise MalformedError(f"dockerRepository: {error.message}") from error


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise MalformedError(
            f"{quote(text)} is not a prefix of remapIdentity: write a registry, or a name that has one"
        )
    host, slash, path = text.partition("/")
    try:
        registry = parse_registry(host)
        if slash:
            parse_repository(f"{registry}/{path}/x")
    except InvalidReferenceError as error:
        raise NoEquivalentError(
            f"the prefix {quote(text)} of its signedIdentity cannot be used: {error.message}"
        ) from error
    if registry != host:
        raise NoEquivalentError(
            f"the prefix {quote(text)} of its signedIdentity is compared as it is written there, and the registry is "
            f"called {registry} here"
        )
    return text


_IDENTITY_VALUES: Mapping[str, Callable[[str], str]] = {
    "exactReference": _exact_reference,
    "exactRepository": _exact_repository,
    "remapIdentity": _prefix,
}


def _decode(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise MalformedError("its key data is not base64") from error


def _armored(data: bytes) -> str:
    """Return a keyring armored, without what stands around its blocks."""
    blocks = _ARMOR.findall(data)
    if blocks:
        return "".join(f"{block.decode('utf-8', 'replace')}\n" for block in blocks)
    text = b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PGP PUBLIC KEY BLOCK-----", "", *lines, "-----END PGP PUBLIC KEY BLOCK-----", ""])
