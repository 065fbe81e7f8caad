"""Which roles sign a tag, as docker chooses them: the delegations whose key is held, and targets only without any."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import SigningError
from sealgate.formats.notary.wire.metadata import TARGETS

if TYPE_CHECKING:
    from sealgate.formats.notary.publishing.file_signing import KeyStore
    from sealgate.formats.notary.publishing.repository import RepositoryState
    from sealgate.formats.notary.wire.metadata import RoleKeys


def choose_roles(state: RepositoryState, tag: str, keys: KeyStore) -> tuple[str, ...]:
    """Return the roles that are to name a tag.

    With delegations: every direct child of `targets` whose key is held and that may name the tag, never `targets`
    itself. Without: `targets`.

    Args:
        state: of the repository.
        tag: the tag.
        keys: the private keys.

    Raises:
        SigningError: there are delegations, and none of them can sign the tag; the message says why for each.
        VerificationError: what is stored cannot be trusted.
        UnavailableError: it could not be fetched.
    """
    content = state.role(TARGETS).content
    delegations = {} if content is None else content.delegations
    if not delegations:
        return (TARGETS,)
    refusals = {name: _refusal(role, tag, keys) for name, role in delegations.items()}
    chosen = tuple(name for name, refusal in refusals.items() if refusal is None)
    if not chosen:
        reasons = "; ".join(f"{name}: {refusal}" for name, refusal in refusals.items())
        msg = (
            f"there is no valid signing key in {keys.name} for any delegation of {state.gun}, and a repository with "
            f"delegations is not signed by its targets key ({reasons}). Use the key of one of them, or delegate to "
            "yours: sealgate notary delegation add"
        )
        raise SigningError(msg)
    return chosen


def _refusal(role: RoleKeys, tag: str, keys: KeyStore) -> str | None:
    """Return why a role does not sign a tag; None if it does."""
    held = {key.canonical_id for key in role.keys.values() if keys.has(key)}
    if len(held) < role.threshold:
        listed = ", ".join(key.canonical_id for key in role.keys.values()) or "none that can be used"
        return f"its keys are {listed}"
    if not role.may_name(tag):
        return f"its key is there, but its paths do not permit the tag {tag}"
    return None
