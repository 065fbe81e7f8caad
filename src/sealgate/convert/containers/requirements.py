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

#: The longest armored keyring, in characters, that is written inline; a longer one is put into a Secret.
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
# The grammar of distribution's reference package, which the tools apply to prefixes of remapIdentity.
_COMPONENT = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_COMPONENT}(?:\.{_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_SEGMENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PREFIX = re.compile(rf"{_DOMAIN}(?:/{_SEGMENT})*")
_DEFAULT_IDENTITY = {"type": "matchRepoDigestOrExact"}
_ARMOR = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----.*?-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)


class NoEquivalentError(Exception):
    """sealgate has no equivalent of a requirement; the message says why."""


class InvalidRequirementError(Exception):
    """A requirement is not valid; containers' own tools refuse it as well. The message says why."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a requirement.

    Attributes:
        data: the content of each key, in the order of the requirement; None if a file could not be read.
        paths: the paths of the key files; empty if the keys are inline.
    """

    data: tuple[bytes, ...] | None
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Secret:
    """A key of a Secret that must be filled in by hand.

    Attributes:
        name: the name of the Secret.
        key: the key in the Secret's data.
        paths: the paths of the files whose content to concatenate there; empty for key data in the requirement.
    """

    name: str
    key: str
    paths: tuple[str, ...]


def check_requirement(requirement: object) -> Mapping[str, Any]:
    """Check the type and the members of a requirement, and return it.

    Raises:
        InvalidRequirementError: the requirement is not an object with a type, or has an unknown member.
    """
    if not isinstance(requirement, Mapping) or not isinstance(requirement.get("type"), str):
        raise InvalidRequirementError("a requirement must be an object with a type")
    allowed = _MEMBERS.get(requirement["type"])
    unknown = sorted(requirement.keys() - allowed) if allowed is not None else []
    if unknown:
        raise InvalidRequirementError(f"{requirement['type']} has no member {quote(unknown[0], 64)}")
    return requirement


def read_keys(requirement: Mapping[str, Any], read_file: Callable[[str], bytes] | None) -> Keys:
    """Return the keys of a requirement.

    Args:
        requirement: a requirement that `check_requirement` has returned.
        read_file: returns a file's content or raises `OSError`; None if no file can be read.

    Raises:
        InvalidRequirementError: no key source is given, or several are, or one is not valid.
    """
    given = [name for name in _KEY_SOURCES if name in requirement]
    if len(given) != 1:
        raise InvalidRequirementError(f"{requirement['type']} needs exactly one of {', '.join(_KEY_SOURCES[:3])}")
    values = requirement[given[0]]
    if given[0] in {"keyPath", "keyData"}:
        values = [values]
    if not isinstance(values, list) or not values or not all(isinstance(value, str) and value for value in values):
        shape = "text" if given[0] in {"keyPath", "keyData"} else "a list of texts"
        raise InvalidRequirementError(f"{given[0]} must be {shape}, not empty")
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
        NoEquivalentError: its key type or its identity has no equivalent.
        InvalidRequirementError: its signedIdentity is not valid.
    """
    if requirement.get("keyType") != "GPGKeys":
        raise NoEquivalentError(
            f"its keyType is {quote(requirement.get('keyType'), 64)}, and only GPGKeys is supported"
        )
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
        # The tools verify the manifest of the platform that they pull, never the index.
        "acceptPlatformSignatures": True,
    }
    return {"simpleSigning": spec}, secret


def cosign(requirement: Mapping[str, Any], keys: Keys, name: str) -> tuple[dict[str, Any], Sequence[Secret]]:
    """Return the spec of an authenticator for `sigstoreSigned`, and the Secrets it needs.

    Raises:
        NoEquivalentError: it has a member, or an identity, that the cosign format does not compare.
    """
    more = sorted(requirement.keys() - _SIGSTORE_MEMBERS)
    if more:
        raise NoEquivalentError(f"its {quote(more[0], 64)} has no equivalent for cosign keys")
    identity = _identity(requirement.get("signedIdentity", _DEFAULT_IDENTITY))
    if identity["matchPolicy"] != "MatchRepository":
        raise NoEquivalentError(
            "sealgate compares only the repository of a cosign signature; write signedIdentity matchRepository if that "
            "is enough"
        )
    if keys.data is not None:
        entries: list[dict[str, Any]] = [{"pem": data.decode("utf-8", "replace")} for data in keys.data]
        return {"cosign": {"keys": entries, "matchRepository": True}}, ()
    secrets = [Secret(name, f"key-{number}.pem", (path,)) for number, path in enumerate(keys.paths, 1)]
    entries = [{"secretRef": {"name": secret.name, "key": secret.key}} for secret in secrets]
    return {"cosign": {"keys": entries, "matchRepository": True}}, secrets


def _identity(identity: object) -> dict[str, Any]:
    if not isinstance(identity, Mapping):
        raise InvalidRequirementError("signedIdentity must be an object with a type")
    kind = identity.get("type")
    members = _IDENTITIES.get(kind) if isinstance(kind, str) else None
    if members is None or not isinstance(kind, str):
        raise NoEquivalentError(f"its signedIdentity is of the unknown type {quote(kind, 64)}")
    if identity.keys() - {"type"} != members.keys() or not all(isinstance(identity[name], str) for name in members):
        raise InvalidRequirementError(f"signedIdentity {kind} must have exactly {', '.join(['type', *members])}")
    converted: dict[str, Any] = {"matchPolicy": kind[0].upper() + kind[1:]}
    if members:
        read = _IDENTITY_VALUES[kind]
        converted[kind] = {ours: read(identity[theirs]) for theirs, ours in members.items()}
    return converted


def _exact_reference(text: str) -> str:
    try:
        reference = parse_reference(text)
    except InvalidReferenceError as error:
        raise InvalidRequirementError(f"dockerReference: {error.message}") from error
    if reference.tag is None and reference.digest is None:
        raise InvalidRequirementError(f"dockerReference {quote(text)} has neither a tag nor a digest")
    return text


def _exact_repository(text: str) -> str:
    """Return the repository of a reference; the tools accept a reference and compare only its repository."""
    try:
        return parse_reference(text).name
    except InvalidReferenceError as error:
        raise InvalidRequirementError(f"dockerRepository: {error.message}") from error


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise InvalidRequirementError(
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
            f"the tools compare the prefix {quote(text)} of its signedIdentity as it is written, and sealgate calls "
            f"that registry {registry}"
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
        raise InvalidRequirementError("its key data is not base64") from error


def _armored(data: bytes) -> str:
    """Return a keyring as armored text, without any text around its blocks."""
    blocks = _ARMOR.findall(data)
    if blocks:
        return "".join(f"{block.decode('utf-8', 'replace')}\n" for block in blocks)
    text = b64encode(data).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PGP PUBLIC KEY BLOCK-----", "", *lines, "-----END PGP PUBLIC KEY BLOCK-----", ""])
