"""The signer of Notary v1: lets roles of a repository name an image by its tag.

What is signed is the tag, so an image needs one. A signer with a delegation's key needs neither targets nor root key,
if the notary server holds the snapshot key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sealgate.errors import SigningError, VerificationError
from sealgate.formats.notary.errors import MissingRepositoryError
from sealgate.formats.notary.pins import AcceptedKey
from sealgate.formats.notary.publishing.changes import TagTarget, add_tag, renew
from sealgate.formats.notary.publishing.publisher import Publisher
from sealgate.formats.notary.publishing.role_choice import choose_roles
from sealgate.formats.notary.tags import RequiredRole, RequiredRoles
from sealgate.formats.notary.verify import NotaryCheck
from sealgate.formats.notary.wire.metadata import SNAPSHOT, TARGETS
from sealgate.formats.signing import SigningOutcome, SigningResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.formats.interface import Image
    from sealgate.formats.notary.locations import NotaryServer
    from sealgate.formats.notary.pins import RootPin
    from sealgate.formats.notary.publishing.file_signing import KeyStore, NewFile
    from sealgate.formats.notary.publishing.publisher import SignedFileBytes
    from sealgate.formats.notary.publishing.repository import RepositoryState
    from sealgate.formats.notary.wire.keys import MetadataKey
    from sealgate.formats.signing import SigningContext
    from sealgate.references import Repository
    from sealgate.trusted_state.stores import TrustedState

#: How long before its end a delegation is signed anew.
RENEWAL = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class NotarySigner:
    """Signs tags in Notary v1; see `sealgate.formats.signing.Signer`.

    Attributes:
        server: the notary server.
        pin: what a repository's root must be.
        keys: the private keys.
        state: store of the roots and versions that were seen; None for that of the run.
        fingerprint: of the one key that was named; empty where the repository's roles choose among several.
        roles: the roles to sign for; empty to choose as docker does (`role_choice`).
        initialise: creates the trust data of a repository that has none; None to refuse such a repository.
    """

    server: NotaryServer
    pin: RootPin
    keys: KeyStore
    state: TrustedState | None = None
    fingerprint: str = ""
    roles: tuple[str, ...] = ()
    initialise: Callable[[Publisher], object] | None = None

    @property
    def format(self) -> str:
        """The format's field name."""
        return "notary"

    def lock_name(self, image: Image) -> str:
        """Return the repository's address: conflicts are retried, and this avoids them between local processes."""
        return self.server.base_of(image.reference.repository)

    def sign(self, image: Image, context: SigningContext) -> SigningResult:
        """See `sealgate.formats.signing.Signer.sign`."""
        context = self._with_state(context)
        tag = image.reference.effective_tag
        if tag is None:
            msg = f"{image.reference} has no tag, and what Notary signs are tags: write REPOSITORY:TAG"
            raise SigningError(msg)
        repository = image.reference.repository
        self._check_tag(image, tag, context)
        manifest = context.sources.registry.manifest(repository, image.digest)
        publisher = Publisher(repository, self.server, self.pin, self.keys, context)
        work = _TagSigning(self, publisher, image, TagTarget(tag, image.digest, len(manifest.body)), publisher.load())
        try:
            return work.run()
        except MissingRepositoryError:
            if self.initialise is None:
                raise
            self.initialise(publisher)
            # At the time of the first state, the new root's certificate may not have been valid yet.
            return replace(work, state=publisher.load()).run()

    def renew(self, repository: Repository, context: SigningContext) -> tuple[str, ...]:
        """See `sealgate.formats.signing.RenewingSigner.renew`: delegations whose key is held are signed anew."""
        publisher = Publisher(repository, self.server, self.pin, self.keys, self._with_state(context))
        ending = context.sources.clock.now() + RENEWAL

        def change(state: RepositoryState) -> list[NewFile]:
            return renew(state, self.roles or _held_delegations(state, self.keys), ending)

        return tuple(role for role in publisher.apply(change) if role != SNAPSHOT)

    def _with_state(self, context: SigningContext) -> SigningContext:
        """Return a context whose trusted state is the signer's own, if it has one."""
        return context if self.state is None else replace(context, sources=replace(context.sources, state=self.state))

    @staticmethod
    def _check_tag(image: Image, tag: str, context: SigningContext) -> None:
        """Refuse to sign a digest that the tag does not name, such as that of one platform of an index."""
        named = context.sources.registry.resolve(image.reference.repository, tag)
        if named != image.digest:
            msg = (
                f"the tag {tag} of {image.reference.name} names {named}, not {image.digest}; Notary signs what a tag "
                "names, and has no signatures of the platforms of an index (--recursive)"
            )
            raise SigningError(msg)


def _held_delegations(state: RepositoryState, keys: KeyStore) -> list[str]:
    """Return the direct delegations with a threshold that the keys reach."""
    content = state.role(TARGETS).content
    roles = () if content is None else content.delegations.values()
    return [role.name for role in roles if sum(map(keys.has, role.keys.values())) >= role.threshold]


@dataclass(slots=True)
class _TagSigning:
    """One tag being signed.

    Attributes:
        signer: what the user chose.
        publisher: writes the repository.
        image: reference and digest.
        target: what the tag is to name.
        state: of the repository, as it was read last.
    """

    signer: NotarySigner
    publisher: Publisher
    image: Image
    target: TagTarget
    state: RepositoryState

    def run(self) -> SigningResult:
        """Sign the tag if it is not signed, and read it back."""
        if self._is_signed():
            return self._result(SigningOutcome.ALREADY_SIGNED, {})
        stored = self.publisher.apply(self._change)
        self._check().verify(self.image, self.publisher.context.sources)
        return self._result(SigningOutcome.SIGNED, stored)

    def _change(self, state: RepositoryState) -> list[NewFile]:
        self.state = state
        return add_tag(state, self._roles(), self.target)

    def _roles(self) -> tuple[str, ...]:
        return self.signer.roles or choose_roles(self.state, self.target.tag, self.signer.keys)

    def _keys(self, role: str) -> tuple[MetadataKey, ...]:
        """Return the keys of a role that are held."""
        return tuple(key for key in self.state.role(role).keys.keys.values() if self.signer.keys.has(key))

    def _is_signed(self) -> bool:
        """Return whether each role already names the image, signed by a key that is held, and readers accept it."""
        for role in self._roles():
            content = self.state.role(role).content
            if content is None or not self.target.is_named_by(content.entry(self.target.tag)):
                return False
        try:
            self._check().verify(self.image, self.publisher.context.sources)
        except VerificationError:
            return False  # signed by another key, expired, or stored so that readers do not find it
        return True

    def _check(self) -> NotaryCheck:
        """Return the format's own check, with these roles and keys."""
        required = [
            RequiredRole(role, tuple(AcceptedKey(fingerprint=key.fingerprint) for key in self._keys(role)))
            for role in self._roles()
        ]
        return NotaryCheck(
            content="",
            server=self.signer.server,
            pin=self.signer.pin,
            roles=RequiredRoles(tuple(required)),
            allow_any_tag=False,
        )

    def _result(self, outcome: SigningOutcome, stored: Mapping[str, SignedFileBytes]) -> SigningResult:
        roles, repository = self._roles(), self.publisher.repository
        keys = [key for role in roles for key in self._keys(role)]
        raw = next((stored[role].raw for role in roles if role in stored), b"")
        return SigningResult(
            outcome,
            fingerprint=", ".join(dict.fromkeys(key.fingerprint for key in keys)),
            key_version="",
            algorithm=", ".join(dict.fromkeys(key.algorithm.value for key in keys)),
            location=f"{', '.join(roles)} of {repository.name} on {self.signer.server.url_of(repository)}",
            digest=f"sha256:{hashlib.sha256(raw).hexdigest()}" if raw else "",
            size=len(raw),
        )
