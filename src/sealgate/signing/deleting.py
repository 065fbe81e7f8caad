"""Deleting signatures of one image: only those that were listed for exactly its digest, and read back afterwards.

The failure of one signature does not stop the others. Which signatures are there is read again at the end: those that
were deleted must be gone, and all others must be there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sealgate.errors import InvalidInputError, SealgateError, SigningError, UnavailableError
from sealgate.formats.notary.deleting import TagRemoval
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sealgate.formats.deleting import Removal
    from sealgate.formats.interface import Image
    from sealgate.formats.notary.publishing.file_signing import KeyStore
    from sealgate.signing.listing import ListedSignature, ListingRun
    from sealgate.signing.locks import RepositoryLocks

#: Seconds after a deletion when it is checked whether a writer elsewhere has stored the signature again.
RECHECK_SECONDS = 3.0
#: How often a signature is deleted that another writer stores again.
_ROUNDS = 3
#: As many characters of an ID as tables show, and as few as may be given.
SHORT_ID, SHORTEST_ID = 12, 4
_MAX_NAMED = 8
#: What fingerprints begin with, unless they are OpenPGP's.
_DIGEST = "sha256:"


@dataclass(frozen=True, slots=True)
class DeletedSignature:
    """What came of one signature that was chosen.

    Attributes:
        listed: the signature, as it was listed before.
        error: why it was not deleted; None if it is gone.
    """

    listed: ListedSignature
    error: SealgateError | None = None


@dataclass(frozen=True, slots=True)
class DeletionRun:
    """Deletes signatures; see the module.

    Attributes:
        listing: lists what is there; its client must not read from mirrors, which may be older.
        locks: one writer at a time on this machine.
        notary_keys: private keys of the roles in Notary that sign their files anew.
    """

    listing: ListingRun
    locks: RepositoryLocks
    notary_keys: KeyStore

    def delete(
        self, image: Image, listed: Sequence[ListedSignature], chosen: Sequence[ListedSignature]
    ) -> list[DeletedSignature]:
        """Delete signatures of an image, and return what came of each.

        Args:
            image: the image.
            listed: every signature that was listed for its digest.
            chosen: those of them to delete; each must have an ID.

        Raises:
            SigningError: nothing was deleted, since one of them cannot be, or not without another one; or a signature
                that was not chosen is gone afterwards.
            UnavailableError: what is left could not be read (and its subclasses).
        """
        removals = _removals(chosen)
        _require_whole(removals, listed, chosen)
        for removal in removals.values():
            removal.check()
        errors, left = self._remove(image, removals)
        deleted = [each for each in chosen if _name(each) not in errors]
        _require_kept(listed, deleted, left)
        return [DeletedSignature(each, errors.get(_name(each))) for each in chosen]

    def _remove(
        self, image: Image, removals: Mapping[str, Removal]
    ) -> tuple[dict[str, SealgateError], Sequence[ListedSignature]]:
        """Remove each, again where it was stored again; return what failed by its name, and what is left."""
        errors: dict[str, SealgateError] = {}
        left: Sequence[ListedSignature] = ()
        waiting, there = dict(removals), set(removals)
        for _ in range(_ROUNDS):
            contested = [self._remove_one(image, name, removal, errors) for name, removal in waiting.items()]
            if any(contested):
                self.listing.clock.sleep(RECHECK_SECONDS)
            left = self.listing.signatures(image)
            there = {_name(each) for each in left}
            waiting = {name: removal for name, removal in waiting.items() if name in there and name not in errors}
            if not waiting:
                break
        msg = "it was deleted and is there again: another writer stores it; stop that writer, and delete it again"
        stored_again = {name: SigningError(msg) for name in waiting}
        # What is gone is deleted, even if the answer to the deletion was lost.
        return {**{name: error for name, error in errors.items() if name in there}, **stored_again}, left

    def _remove_one(self, image: Image, name: str, removal: Removal, errors: dict[str, SealgateError]) -> bool:
        """Remove one; return whether a writer elsewhere may store it again."""
        context = self.listing.context(image.reference)
        try:
            with self.locks.hold(removal.lock_name, context.sources.deadline):
                return self._with_keys(removal).remove(image, context)
        except SealgateError as error:
            errors[name] = error
            return False

    def _with_keys(self, removal: Removal) -> Removal:
        return replace(removal, keys=self.notary_keys) if isinstance(removal, TagRemoval) else removal


def _require_kept(
    listed: Sequence[ListedSignature], deleted: Sequence[ListedSignature], left: Sequence[ListedSignature]
) -> None:
    """Require that what was read before and not deleted is there."""
    before = {each.stored.source for each in listed if each.unavailable}
    unread = [each.result for each in left if each.unavailable and each.stored.source not in before]
    if unread and unread[0] is not None:
        msg = f"what is there after deleting could not be read: {unread[0].source}: {unread[0].message}; list it again"
        raise UnavailableError(msg)
    kept = {each.id for each in (*deleted, *left)}
    lost = [each for each in listed if each.id and each.id not in kept]
    if lost:
        msg = (
            f"after deleting, signatures that were not chosen are gone: {name_signatures(lost)}; store them again, "
            "unless another writer has deleted them"
        )
        raise SigningError(msg)


def choose_by_id(listed: Sequence[ListedSignature], prefixes: Iterable[str]) -> list[ListedSignature]:
    """Return the signatures with given IDs, each once.

    Args:
        listed: of the image.
        prefixes: beginnings of IDs, each of at least `SHORTEST_ID` characters.

    Raises:
        InvalidInputError: one is too short, or is the beginning of no ID or of several.
        UnavailableError: one is the beginning of no ID, and not all signatures could be read.
    """
    found: dict[str, None] = {}
    for prefix in prefixes:
        matching = [each for each in listed if each.id and each.id.startswith(prefix.lower())]
        if len(prefix) < SHORTEST_ID:
            raise InvalidInputError(f"the ID {quote(prefix)} is too short; give {SHORTEST_ID} characters or more")
        if not matching:
            _require_all_read(listed)
            raise InvalidInputError(
                f"no signature of this digest has the ID {quote(prefix)}; sealgate signatures lists them"
            )
        if len({each.id for each in matching}) > 1:
            raise InvalidInputError(f"the ID {quote(prefix)} fits several signatures: {name_signatures(matching)}")
        found[matching[0].id] = None
    return [each for each in listed if each.id in found]


def choose_by_key(listed: Sequence[ListedSignature], fingerprint: str) -> list[ListedSignature]:
    """Return every signature that a key is known to have made. Attestations by it are chosen by their IDs only.

    Args:
        listed: of the image, judged by an authenticator that accepts the key.
        fingerprint: of the key, or its beginning of at least `SHORT_ID` characters, with or without "sha256:".

    Raises:
        InvalidInputError: it is too short, there is none, or it is the beginning of several fingerprints.
        UnavailableError: not all signatures could be read, and more could be by the key.
    """
    wanted = fingerprint.lower().removeprefix(_DIGEST)
    if len(wanted) < SHORT_ID:
        raise InvalidInputError(
            f"the fingerprint {quote(fingerprint)} is too short; give {SHORT_ID} characters or more"
        )
    _require_all_read(listed)
    signatures = [each for each in listed if each.id and not each.stored.attests]
    known = {each for signature in signatures for each in signature.fingerprints}
    matching = sorted(each for each in known if each.lower().removeprefix(_DIGEST).startswith(wanted))
    if not matching:
        msg = (
            f"no signature is known to be by the key {quote(fingerprint)}: that is known where an Authenticator in "
            "--policies has the key. Name it there, or use --id"
        )
        raise InvalidInputError(msg)
    if len(matching) > 1:
        named = ", ".join(matching[:_MAX_NAMED])
        raise InvalidInputError(f"the fingerprint {quote(fingerprint)} fits several keys: {named}")
    return [each for each in signatures if matching[0] in each.fingerprints]


def _require_all_read(listed: Iterable[ListedSignature]) -> None:
    for each in listed:
        if each.unavailable and each.result is not None:
            msg = f"not all signatures could be read: {each.result.source}: {each.result.message}; nothing was deleted"
            raise UnavailableError(msg)


def name_signatures(signatures: Sequence[ListedSignature]) -> str:
    """Return signatures for a message: ID and where each is stored, bounded."""
    named = [f"{each.id[:SHORT_ID] or '-'} {quote(each.stored.source)}" for each in signatures[:_MAX_NAMED]]
    rest = len(signatures) - _MAX_NAMED
    return ", ".join(named) + (f" and {rest} more" if rest > 0 else "")


def _removals(chosen: Iterable[ListedSignature]) -> dict[str, Removal]:
    return {each.stored.removal.name: each.stored.removal for each in chosen if each.stored.removal is not None}


def _name(listed: ListedSignature) -> str:
    return "" if listed.stored.removal is None else listed.stored.removal.name


def _require_whole(
    removals: Mapping[str, Removal], listed: Iterable[ListedSignature], chosen: Iterable[ListedSignature]
) -> None:
    """Require that nothing goes with the chosen ones that was not chosen."""
    ids = {each.id for each in chosen}
    others = [each for each in listed if _name(each) in removals and each.id not in ids]
    if others:
        msg = f"other signatures are stored as one with these, and would go with them: {name_signatures(others)}; "
        raise SigningError(f"{msg}nothing was deleted. Choose them too, by --id, if they may go")
