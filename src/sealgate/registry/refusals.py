"""Errors for writes that a registry refuses: what it refused, in its own words, and what helps.

Registries agree on few codes. A tag that must not change is 400 on Amazon ECR (`TAG_INVALID`, "...cannot be overwritten
because the repository is immutable"; `ImageTagAlreadyExistsException` in its API), 412 on Harbor (`PRECONDITION`, "...
configured as immutable"), 405 or 409 on others ("locked", `TAG_LOCKED`). So the words of the response count beside its
status. They only choose the message: nothing was written either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import (
    ConflictError,
    ImmutableTagError,
    SealgateError,
    SigningError,
    UnauthorizedError,
    UnavailableError,
)
from sealgate.messages import quote
from sealgate.parsing import strict_json

if TYPE_CHECKING:
    from sealgate.http.interface import Response
    from sealgate.references import Digest, Repository

_IMMUTABLE = ("immutable", "cannot be overwritten", "already exist", "locked")
_READ_ONLY = ("read-only", "readonly", "read only", "write operations", "maintenance")
_MAX_WORDS = 300
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _NOT_ALLOWED, _CONFLICT, _PRECONDITION = 401, 403, 404, 405, 409, 412
_SERVER_ERROR, _NOT_IMPLEMENTED = 500, 501
_NO_EXTENSION = _NO_DELETES = (_NOT_ALLOWED, _NOT_IMPLEMENTED)


def write_refused(
    repository: Repository, what: str, response: Response, *, tag: bool = False, conditional: bool = False
) -> SealgateError:
    """Return the error for a blob or manifest that a registry did not store.

    Args:
        repository: where it was to be stored.
        what: its name ("the manifest team/app:v1").
        response: the registry's.
        tag: whether it was to be stored under a tag.
        conditional: whether the write was to fail if the tag has changed.
    """
    host, words = quote(repository.registry), response_words(response.body)
    said = _said(response, words)
    if tag and _mentions(words, _IMMUTABLE):
        return ImmutableTagError(f"{host} does not let {what} be changed: its tag is immutable ({said})")
    if conditional and response.status in (_PRECONDITION, _CONFLICT):
        return ConflictError(f"another writer changed {what} on {host} in the meantime; try again")
    if _mentions(words, _READ_ONLY) or response.status == _NOT_ALLOWED:
        return SigningError(f"{host} does not store {what}: the registry or repository is read-only ({said})")
    if response.status in (_UNAUTHORIZED, _FORBIDDEN):
        return UnauthorizedError(
            f"{host} does not let the credentials at hand store {what} ({said}); {_rights(repository)}"
        )
    if response.status == _NOT_FOUND:
        name = quote(repository.name)
        return SigningError(f"{host} does not store {what} ({said}); does the repository {name} exist? Create it first")
    return _other(f"{host} does not store {what}", said, response)


def deletion_refused(repository: Repository, what: str, response: Response) -> SealgateError:
    """Return the error for a manifest that a registry did not delete.

    Args:
        repository: where it is.
        what: its name ("the manifest team/app:v1").
        response: the registry's; not 404.
    """
    host = quote(repository.registry)
    said = _said(response, response_words(response.body))
    if response.status in (_UNAUTHORIZED, _FORBIDDEN):
        msg = f"{host} does not let the credentials at hand delete {what} ({said}); they need the right to delete"
        return UnauthorizedError(msg)
    if response.status in _NO_DELETES:
        msg = (
            f"{host} does not delete {what} ({said}): allow deletes there (docker-registry: storage.delete.enabled), "
            "or have an administrator of the registry delete it"
        )
        return SigningError(msg)
    return _other(f"{host} does not delete {what}", said, response)


def signature_refused(repository: Repository, digest: Digest, response: Response) -> SealgateError:
    """Return the error for a signature that the signature extension did not store.

    Args:
        repository: of the image.
        digest: of the image.
        response: the registry's.
    """
    host = quote(repository.registry)
    words = response_words(response.body)
    said, what = _said(response, words), f"a signature of {quote(repository.path)}@{digest}"
    if response.status == _CONFLICT:
        return ConflictError(f"{host} has {what} of that name already ({said})")
    if response.status in (_UNAUTHORIZED, _FORBIDDEN):
        return UnauthorizedError(
            f"{host} does not let the credentials at hand store {what} ({said}); give the user the role with: oc adm "
            "policy add-cluster-role-to-user system:image-signer USER"
        )
    if response.status in _NO_EXTENSION or (response.status == _NOT_FOUND and not words):
        return SigningError(f"{host} does not have the signature extension ({said}); use a lookaside store instead")
    if response.status == _NOT_FOUND:
        return SigningError(f"{host} does not store {what} ({said}); was the image pushed to this registry?")
    return _other(f"{host} does not store {what}", said, response)


def response_words(body: bytes) -> str:
    """Return the codes and messages of a registry's error document, as one foreign text; empty if it is not one."""
    try:
        document = strict_json.parse(body, "it")
    except strict_json.MalformedError:
        return ""
    errors = document.get("errors") if isinstance(document, dict) else None
    entries = [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
    texts = [entry.get(name) for entry in entries[:4] for name in ("code", "message", "detail")]
    return ": ".join(text for text in texts if isinstance(text, str) and text)


def _other(problem: str, said: str, response: Response) -> SealgateError:
    if response.status >= _SERVER_ERROR:
        return UnavailableError(f"{problem} ({said}); try again later")
    return SigningError(f"{problem} ({said})")


def _said(response: Response, words: str) -> str:
    status = f"status {response.status}"
    return f"{status}, {quote(words, _MAX_WORDS)}" if words else status


def _mentions(words: str, some: tuple[str, ...]) -> bool:
    folded = words.lower()
    return any(word in folded for word in some)


def _rights(repository: Repository) -> str:
    return f"log in with credentials that have the right repository:{quote(repository.path)}:pull,push"
