"""The interface between formats and everything else.

A *format* is a way of storing and checking signatures. One module (or folder) here implements one format: it
turns the format's fields of an `Authenticator` into a `Check`, and a `Check` verifies images. Nothing outside
`sealgate.formats` knows how a signature is stored; nothing inside knows caches, budgets, Kubernetes or Flask.

The order of checks inside a `Check` is the same for every format: fetch bounded, hash what was fetched against
the digest it was asked by, verify the signature over those exact bytes with a key the policy chose, only then
parse strictly, then compare digest, repository, type, time limits and annotations. Any exception means *not
verified*.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from sealgate.formats.service_answers import NamespaceAnswers, ServiceAnswers
from sealgate.reasons import Reason
from sealgate.service_secrets import NoServiceSecrets, ServiceSecrets
from sealgate.trusted_state.stores import TrustedState, UnconfiguredTrustedState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sealgate.clocks import Clock, Deadline
    from sealgate.findings import Verified
    from sealgate.http.interface import Services
    from sealgate.references import Digest, Reference
    from sealgate.registry.interface import Registry

#: Limit for the candidate signatures of one subject and authenticator; more is a refusal.
MAX_SIGNATURES = 128
#: Limit for one signature blob in bytes; more is a refusal.
MAX_SIGNATURE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Image:
    """A reference together with the subject it resolved to.

    Attributes:
        reference: what the pod names, normalised.
        digest: the subject; all verification is about it.
    """

    reference: Reference
    digest: Digest


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything outside the process that a check may use, for one verification.

    Attributes:
        registry: the registries, with this pod's credentials, under this deadline.
        services: signature stores that an authenticator names, under this deadline.
        clock: what time it is (expiry of keys, signatures and metadata).
        deadline: when the whole verification must be over.
        state: the highest versions seen, for formats whose evidence is versioned; they refuse to work without one.
        secrets: credentials for signature stores that an authenticator names.
        answers: answers of further services, which verifications share; by default each verification has its own.
    """

    registry: Registry
    services: Services
    clock: Clock
    deadline: Deadline
    state: TrustedState = field(default_factory=UnconfiguredTrustedState)
    secrets: ServiceSecrets = field(default_factory=NoServiceSecrets)
    answers: NamespaceAnswers = field(default_factory=lambda: ServiceAnswers().of(""))


@dataclass(frozen=True, slots=True)
class CheckKey:
    """The state of one key that a check accepts, at some moment.

    Attributes:
        fingerprint: the fingerprint that findings have for it.
        name: the key for a person ("OpenPGP key 0123...").
        reason: `Reason.VERIFIED` while its signatures count, else why they do not.
        message: why they do not, for a person.
        certificate: fingerprint of the primary key of its OpenPGP certificate, without which it does not count either;
            empty for other keys.
    """

    fingerprint: str
    name: str
    reason: Reason = Reason.VERIFIED
    message: str = ""
    certificate: str = ""


class Check(Protocol):
    """One authenticator's rules, with its keys at hand, ready to verify images. Immutable, thread-safe."""

    @property
    def format(self) -> str:
        """The format's field name in the `Authenticator` object ("cosign")."""

    @property
    def content(self) -> str:
        """A hash (hex) of everything that decides the outcome: keys, algorithms, every option.

        Findings are cached by it, so two checks that could ever differ must not share it.
        """

    @property
    def depends_on_tag(self) -> bool:
        """Whether the outcome may differ for two tags of the same subject (identity rules, Notary v1)."""

    @property
    def named_hosts(self) -> frozenset[str]:
        """The registries that the authenticator names literally, as references have them."""

    def keys_at(self, now: datetime) -> tuple[CheckKey, ...] | None:
        """Return every key that the check accepts, each once; None if others than the policy choose the keys.

        Args:
            now: the time at which the keys must be valid.
        """

    def budget_host(self, image: Image) -> str:
        """Return the host whose budget one verification of that image is charged to."""

    def verify(self, image: Image, sources: Sources) -> Verified:
        """Verify the image's signatures.

        Raises:
            VerificationError: the evidence was seen and does not do; carries every signature seen.
            UnavailableError: the evidence could not be fetched.
        """


def hash_content(document: Mapping[str, Any]) -> str:
    """Return the hash (hex) of everything that decides a check's outcome.

    Args:
        document: the format, the version of its rules, the keys and every option, as JSON has them.
    """
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
